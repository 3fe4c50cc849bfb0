"""The text task: its model, its loss, what it measures, and that it learns."""

from __future__ import annotations

import doctest
import json
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from recurra.data import ArrayTokens, Streams, TextCorpus, Vocabulary
from recurra.errors import DataError, UnknownNameError, UsageError
from recurra.nn import detach
from recurra.tasks import Task, TextGeneration, TextModel, TextOptions, score, text

CPU = torch.device("cpu")
ALL = slice(None)
CORPUS = TextCorpus.from_text("the cat sat on the mat. " * 50)
SMALL = TextOptions(hidden=24, layers=1, embedding=6, dropout=0.0)


@pytest.fixture
def task():
    torch.manual_seed(0)
    return TextGeneration(CORPUS, SMALL, batch_size=4, seq_len=20)


def test_examples_of_the_docstrings():
    assert doctest.testmod(text).failed == 0


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_shapes(cell):
    model = TextModel(9, TextOptions(cell=cell, hidden=12, embedding=6))
    logits, state = model(torch.zeros(7, 3, dtype=torch.int64))
    assert logits.shape == (7, 3, 9)
    parts = (state,) if torch.is_tensor(state) else state
    assert {part.shape for part in parts} == {(2, 3, 12)}
    again, _ = model(torch.zeros(1, 3, dtype=torch.int64), state)
    assert again.shape == (1, 3, 9)


def test_a_cell_with_a_size_of_its_own():
    options = TextOptions(cell="lstm_projection", hidden=12, embedding=6, sizes={"P": 5})
    logits, _ = TextModel(9, options)(torch.zeros(7, 3, dtype=torch.int64))
    assert logits.shape == (7, 3, 9)


def test_dropout_is_between_and_after_the_layers():
    model = TextModel(9, TextOptions(hidden=12, dropout=0.3))
    assert (model.recurrent.dropout, model.dropout.p) == (0.3, 0.3)


def test_a_chunk_goes_on_where_the_one_before_stopped(task):
    model = task.build_model()
    state, losses = None, []
    for index in range(task.train_steps_per_epoch):
        loss, state = task.train_loss(model, index, state, ALL, CPU)
        losses.append(loss.item())
    streams = Streams(CORPUS.train, 4, 10_000)
    inputs, targets = streams.chunk(0)
    logits, _ = model(inputs)
    expected = cross_entropy(logits.permute(0, 2, 1), targets, reduction="none")
    for loss, part in zip(losses, expected.split(20), strict=True):
        assert loss == pytest.approx(part.mean().item(), rel=1e-5)


def test_rows_make_up_the_whole_batch(task):
    model = task.build_model()
    whole, state = task.train_loss(model, 3, None, ALL, CPU)
    parts = [task.train_loss(model, 3, None, rows, CPU) for rows in (slice(0, 2), slice(2, 4))]
    assert whole.item() == pytest.approx(sum(loss.item() for loss, _ in parts) / 2, rel=1e-6)
    joined = torch.cat([part[0] for _, part in parts], 1)
    torch.testing.assert_close(joined, state[0])


def test_state_comes_back_with_its_graph(task):
    _, state = task.train_loss(task.build_model(), 0, None, ALL, CPU)
    assert all(part.requires_grad for part in state)


def test_it_learns_a_sentence_by_heart(task):
    model = task.build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    before = task.evaluate(model, CPU)
    for _ in range(8):
        state = None
        for index in range(task.train_steps_per_epoch):
            loss, state = task.train_loss(model, index, state, ALL, CPU)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            state = detach(state)
    after = task.evaluate(model, CPU)
    assert before["bits_per_char"] > 3
    assert after["bits_per_char"] < 0.5
    assert after["accuracy"] > 0.9
    assert "the cat sat on the mat." in task.sample(model, CPU, seed=1)


def test_samples_repeat_and_leave_chance_alone(task):
    model = task.build_model()
    before = torch.get_rng_state()
    first = task.sample(model, CPU, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(first) == 200
    assert first == task.sample(model, CPU, seed=1) != task.sample(model, CPU, seed=2)
    assert model.training


def test_saved_vocabulary(task, tmp_path):
    task.save(tmp_path)
    assert Vocabulary.from_json((tmp_path / "vocabulary.json").read_text()) == CORPUS.vocabulary


def test_facts(task):
    model = task.build_model()
    before = torch.get_rng_state()
    facts = dict(task.describe(model))
    assert torch.equal(torch.get_rng_state(), before)
    assert facts["text"] == "1,080 characters to learn from, 120 held out"
    assert facts["vocabulary"] == "11 characters and <unk>"
    count = sum(parameter.numel() for parameter in model.parameters())
    assert facts["parameters"] == f"{count:,}"
    assert facts["backend"] == str(model.recurrent.choice(steps=20, rows=4))
    assert "only held out" not in facts


def test_facts_of_a_long_held_out_part():
    task = TextGeneration(TextCorpus.from_text("ab" * 99 + "é\n"), SMALL, 4, 9, most_validation=5)
    facts = dict(task.describe(task.build_model()))
    assert facts["text"].endswith("20 held out, the first 5 of them measured")
    assert facts["only held out"] == "'\\xe9' '\\n'"
    assert task.evaluate(task.build_model(), CPU)["characters"] == 4


def test_it_is_a_task(task):
    assert isinstance(task, Task)
    assert (task.name, task.monitor) == ("text", "bits_per_char")
    assert task.monitor in task.evaluate(task.build_model(), CPU)
    assert (task.batch_size, task.seq_len) == (4, 20)
    assert task.train_steps_per_epoch == math.ceil(((1080 - 1) // 4) / 20)
    assert task.fingerprint == CORPUS.fingerprint
    assert TextOptions(**json.loads(json.dumps(task.model_options()))) == SMALL


@pytest.mark.parametrize(("content", "batch"), [("a", 1), ("ab" * 9, 17), ("", 1)])
def test_a_text_too_short_for_its_streams(content, batch):
    with pytest.raises(DataError, match=r"empty|need .* at least"):
        TextGeneration(TextCorpus.from_text(content), SMALL, batch, 10)


@pytest.mark.parametrize("share", [0, 0.1])
def test_nothing_held_out(share):
    corpus = TextCorpus.from_text("ab" * 9, share)
    with pytest.raises(
        DataError, match=r"held-out part .* [01] characters?, but .* \(--validation-share\)"
    ):
        TextGeneration(corpus, SMALL, 2, 10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": 0}, "hidden cannot be 0: it should be greater than or equal to 1"),
        ({"layers": 1.5}, "layers cannot be 1.5"),
        ({"dropout": 1}, "dropout cannot be 1:"),
        ({"embedding": "many"}, "embedding cannot be 'many'"),
        ({"hiden": 3}, "unknown option 'hiden'. Did you mean 'hidden'"),
        ({"cell": "lstn"}, "unknown cell 'lstn'. Did you mean 'lstm'"),
    ],
)
def test_options_that_are_not_possible(options, words):
    with pytest.raises(UsageError, match=words):
        TextOptions(**options)


def test_a_size_the_cell_needs():
    with pytest.raises(UsageError, match="needs the sizes P"):
        TextModel(9, TextOptions(cell="lstm_projection"))
    with pytest.raises(UnknownNameError):
        TextModel(9, TextOptions(sizes={"P": 3}))


class TestScore:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return TextModel(9, TextOptions(hidden=12, embedding=6, dropout=0.5))

    @pytest.fixture
    def numbers(self):
        return torch.randint(0, 9, (405,), generator=torch.Generator().manual_seed(1))

    def test_one_stream_is_the_whole_text_in_one_go(self, model, numbers):
        metrics = score(model, ArrayTokens(numbers.numpy()), CPU, streams=1)
        logits, _ = model.eval()(numbers[:-1, None])
        loss = cross_entropy(logits[:, 0], numbers[1:]).item()
        assert metrics["loss"] == pytest.approx(loss, rel=1e-5)
        assert metrics["bits_per_char"] == pytest.approx(loss / math.log(2), rel=1e-5)
        assert metrics["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
        right = (logits[:, 0].argmax(-1) == numbers[1:]).double().mean().item()
        assert metrics["accuracy"] == pytest.approx(right)
        assert metrics["characters"] == 404
        assert metrics["unknown"] == (numbers[1:] == 0).sum() > 0

    @pytest.mark.parametrize("streams", [2, 7, 100, 404, None])
    def test_every_character_is_predicted_by_any_number_of_streams(self, model, numbers, streams):
        model.embedding.weight.data.zero_()
        model.head.weight.data.zero_()  # so that where a stream begins makes no difference
        tokens = ArrayTokens(numbers.numpy())
        assert score(model, tokens, CPU, streams) == pytest.approx(score(model, tokens, CPU, 1))

    @pytest.mark.parametrize("mode", [True, False])
    def test_the_mode_of_the_model_stays(self, model, numbers, mode):
        model.train(mode)
        tokens = ArrayTokens(numbers.numpy())
        assert score(model, tokens, CPU) == score(model, tokens, CPU)
        assert model.training is model.dropout.training is mode

    @pytest.mark.parametrize("length", ["0 characters", "1 character"])
    def test_too_short(self, model, numbers, length):
        tokens = ArrayTokens(numbers[: int(length.split()[0])].numpy())
        with pytest.raises(DataError, match=f"has {length}; 2 are needed"):
            score(model, tokens, CPU)
