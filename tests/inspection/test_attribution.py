"""Input attribution against Captum, and against what follows from its definition."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from torch import Tensor, nn

import recurra
from recurra import Recurrent
from recurra.errors import UsageError
from recurra.inspection import gradient_times_input, integrated_gradients, occlusion

T, B, I, V = 6, 3, 4, 5


class Classifier(nn.Module):
    """Scores of a sequence of numbers, from the last step of each row."""

    def __init__(self, kind: str, **options: bool) -> None:
        super().__init__()
        self.batch_first = options.get("batch_first", False)
        if kind.startswith("torch"):
            self.layer = getattr(nn, kind.partition(".")[2])(I, 8, num_layers=2, **options)
        else:
            self.layer = Recurrent(kind, I, 8, 2, **options)
        self.head = nn.Linear(16 if options.get("bidirectional") else 8, V)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        output = self.layer(x)[0] if lengths is None else self.layer(x, lengths=lengths)[0]
        output = output.transpose(0, 1) if self.batch_first else output
        ends = torch.full((output.shape[1],), len(output)) if lengths is None else lengths
        return self.head(output[(ends - 1).clamp(min=0), torch.arange(output.shape[1])])


class Language(nn.Module):
    """Scores of the next item after each item."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, I)
        layer = nn.GRU if kind == "torch" else recurra.GRU
        self.layer = layer(I, 8, batch_first=True)
        self.head = nn.Linear(8, V)

    def scores(self, embedded: Tensor) -> Tensor:
        return self.head(self.layer(embedded)[0])

    def forward(self, items: Tensor) -> Tensor:
        return self.scores(self.embedding(items))


KINDS = ["torch.LSTM", "torch.GRU", "torch.RNN", "lstm", "mgu"]
ORACLES = {
    gradient_times_input: (captum.attr.InputXGradient, {}),
    integrated_gradients: (captum.attr.IntegratedGradients, {"baselines": 0.0, "n_steps": 50}),
    occlusion: (captum.attr.Occlusion, {"baselines": 0.0}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ORACLES, ids=lambda method: method.__name__)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_numbers_against_captum(kind: str, method, bidirectional: bool) -> None:
    torch.manual_seed(0)
    model = Classifier(kind, batch_first=True, bidirectional=bidirectional).eval()
    x = torch.randn(B, T, I)  # Captum wants rows first
    oracle, options = ORACLES[method]
    if method is occlusion:
        options = {**options, "sliding_window_shapes": (1, I)}
    expected = (
        oracle(model)
        .attribute(x.clone().requires_grad_(), target=3, **options)
        .detach()
        .transpose(0, 1)
    )
    found = method(model, x, 3)
    if method is occlusion:
        expected = expected[..., :1]
    torch.testing.assert_close(found.values, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.score, model(x)[:, 3].detach(), rtol=1e-4, atol=1e-5)


def test_windows_of_occlusion_against_captum() -> None:
    model = Classifier("gru", batch_first=True).eval()
    x = torch.randn(B, T, I)
    oracle = captum.attr.Occlusion(model)
    expected = oracle.attribute(x, (3, I), target=1, baselines=0.5).transpose(0, 1)[..., :1]
    found = occlusion(model, x, 1, baseline=0.5, window=3)
    torch.testing.assert_close(found.values, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["torch", "recurra"])
def test_embedded_items_against_captum(kind: str) -> None:
    torch.manual_seed(1)
    model = Language(kind).eval()
    items = torch.randint(V, (B, T))
    baseline = torch.zeros_like(items)  # the item 0, embedded
    oracle = captum.attr.LayerIntegratedGradients(model, model.embedding)
    expected = oracle.attribute(items, baseline, target=(T - 1, 2), n_steps=50)
    start = model.embedding(baseline).detach()
    found = integrated_gradients(model, items, 2, baseline=start)
    torch.testing.assert_close(found.values, expected.transpose(0, 1), rtol=1e-5, atol=1e-5)
    assert float(found.error.abs().max()) < 1e-5

    oracle = captum.attr.LayerGradientXActivation(model, model.embedding)
    expected = oracle.attribute(items, target=(T - 1, 2))
    found = gradient_times_input(model, items, 2)
    torch.testing.assert_close(found.values, expected.transpose(0, 1), rtol=1e-5, atol=1e-5)

    found = occlusion(model, items, 2)
    for step in range(T):
        embedded = model.embedding(items).detach()
        embedded[:, step] = 0
        score = model.scores(embedded)[:, -1, 2]
        torch.testing.assert_close(found.steps[step], model(items)[:, -1, 2] - score)


@pytest.mark.parametrize("method", ORACLES, ids=lambda method: method.__name__)
def test_padding_gets_exactly_zero_and_no_row_sees_another(method) -> None:
    torch.manual_seed(2)
    model = Classifier("lstm")
    x = torch.randn(T, B, I)
    lengths = torch.tensor([6, 2, 4])
    x[2:, 1] = 100.0
    found = method(model, x, 1, lengths=lengths)
    for row, length in enumerate(lengths):
        assert not found.values[length:, row].any()
        alone = method(model, x[:length, [row]], 1)
        torch.testing.assert_close(found.values[:length, [row]], alone.values)


@pytest.mark.parametrize("method", ORACLES, ids=lambda method: method.__name__)
def test_padding_gets_zero_also_if_the_model_reads_it(method) -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = Recurrent("gru", I, 2)

        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            return self.gru(x, lengths=lengths)[0].sum((0, 2)) + x.sum((0, 2))

    found = method(Careless(), torch.randn(T, B, I), 0, lengths=torch.tensor([6, 2, 4]))
    assert not found.values[2:, 1].any()
    assert found.values[:2, 1].all()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("method", [integrated_gradients, occlusion])
def test_copies_in_one_batch_are_as_one_by_one(method, batch_first: bool) -> None:
    """A score of one's own sees the rows once a run; the number of an output runs many at once."""
    torch.manual_seed(5)
    layer = Recurrent("gru", I, 8, batch_first=batch_first, dtype=torch.float64)
    x = torch.randn(*((B, T) if batch_first else (T, B)), I).double()
    lengths = torch.tensor([6, 0, 4])

    def score(output) -> Tensor:
        output = output[0].transpose(0, 1) if batch_first else output[0]
        return output[(lengths - 1).clamp(min=0), torch.arange(B), 5]

    once = method(layer, x, score, lengths=lengths)
    for own in (5, -3):
        many = method(layer, x, own, lengths=lengths)
        torch.testing.assert_close(many.values, once.values)
        torch.testing.assert_close(many.score, once.score)


@pytest.mark.parametrize("method", ORACLES, ids=lambda method: method.__name__)
def test_a_linear_model_is_attributed_without_error(method) -> None:
    """Of a memory that is a plain sum, every method finds what was added."""
    model = nn.GRU(1, 1, dtype=torch.float64)

    class Total(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = model

        def forward(self, x: Tensor) -> Tensor:
            return 2 * x.sum((0, 2)) + 0 * self.gru(x)[0].sum((0, 2))

    x = torch.randn(T, B, 1).double()
    found = method(Total(), x, lambda output: output)
    torch.testing.assert_close(found.values, 2 * x)


def test_the_completeness_error_falls_with_the_points() -> None:
    torch.manual_seed(3)
    model = Classifier("torch.LSTM").double()
    with torch.no_grad():
        model.layer.weight_ih_l0.mul_(6)
    x = 3 * torch.randn(T, B, I).double()
    few, many = (integrated_gradients(model, x, 0, points=points) for points in (3, 60))
    assert float(many.error.abs().max()) < 1e-2 * float(few.error.abs().max())
    zero = torch.zeros_like(x)
    torch.testing.assert_close(many.score - many.baseline, (model(x) - model(zero))[:, 0].detach())


def test_the_default_score_is_the_largest_output_of_the_last_step() -> None:
    torch.manual_seed(4)
    model = Language("torch")
    items = torch.randint(V, (B, T))
    found = gradient_times_input(model, items)
    torch.testing.assert_close(found.score, model(items)[:, -1].max(1).values.detach())
    lengths = [6, 2, 0]
    layer = Recurrent("gru", I, 8)
    x = torch.randn(T, B, I)
    found = gradient_times_input(layer, x, lengths=lengths)
    output = layer(x, lengths=lengths)[0]
    expected = torch.stack([output[5, 0].max(), output[1, 1].max(), torch.zeros(())])
    torch.testing.assert_close(found.score, expected.detach())


def test_nothing_of_the_model_is_changed() -> None:
    model = Language("torch").train()
    for method in ORACLES:
        method(model, torch.randint(V, (B, T)))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.embedding._forward_hooks


def test_mistakes_are_named() -> None:
    model = Classifier("lstm")
    x = torch.randn(T, B, I)
    with pytest.raises(UsageError, match="output 5 does not exist; there are 0 to 4"):
        gradient_times_input(model, x, 5)
    with pytest.raises(UsageError, match=r"the score is \(3, 5\); it must be one number for each"):
        gradient_times_input(model, x, lambda output: output)
    with pytest.raises(UsageError, match="does not depend on the inputs"):
        gradient_times_input(model, x, lambda output: output.detach()[:, 0])
    with pytest.raises(UsageError, match="baseline has the shape"):
        integrated_gradients(model, x, baseline=torch.zeros(7))
    with pytest.raises(UsageError, match="window=7"):
        occlusion(model, x, window=7)
    with pytest.raises(UsageError, match="by 0 calls of"):
        gradient_times_input(Counter(), torch.ones(T, B).long())
    packed = nn.utils.rnn.pack_padded_sequence(x, [6, 5, 2])
    with pytest.raises(UsageError, match="padded form"):
        gradient_times_input(nn.LSTM(I, 8), packed)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 2)

    def forward(self, items: Tensor) -> Tensor:
        return self.gru(items.float().unsqueeze(-1))[0]
