"""The tasks of long-range memory against their papers' definitions, row by row in plain Python."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
import torch

from recurra.data import long_range
from recurra.data.long_range import (
    Adding,
    Copying,
    EmbeddedReber,
    Parity,
    SequentialDigits,
    SpikeDelays,
    TemporalOrder,
    TimedSpikes,
    Wave,
    reber,
)
from recurra.data.long_range.digits import GLYPHS
from recurra.errors import ShapeError, UsageError

ALL = {
    "adding": Adding(40),
    "copying": Copying(5, 3, 4),
    "digits": SequentialDigits(),
    "delays": SpikeDelays(5, 3),
    "order": TemporalOrder(40),
    "parity": Parity(3, 9),
    "parity in every step": Parity(3, 9, every_step=True),
    "reber": EmbeddedReber(20),
    "spikes": TimedSpikes(4, 3, 40),
    "wave": Wave(64),
}
TASKS = pytest.mark.parametrize("task", ALL.values(), ids=ALL)


def drawn(task, rows=200, seed=3):
    return next(task.batches(rows, seed))


def rows_of(batch):
    """For each row its inputs, targets and marks as lists, without the padding."""
    for row, length in enumerate(batch.lengths.tolist()):
        yield tuple(
            part[:length, row].tolist() for part in (batch.inputs, batch.targets, batch.asked)
        )


@TASKS
def test_a_seed_gives_the_same_batches_and_shapes_are_those_said(task):
    first, second = task.batches(6, 5, 2)
    again, _ = task.batches(6, 5, 2)
    for part in ("inputs", "targets", "asked", "lengths"):
        assert torch.equal(getattr(first, part), getattr(again, part))
    if not isinstance(task, Wave):
        assert first.inputs.shape != second.inputs.shape or (first.inputs != second.inputs).any()
    steps = int(first.lengths.max())
    assert first.inputs.shape == (steps, 6, task.input_size)
    assert first.inputs.dtype == torch.float32
    classes = first.targets.dtype == torch.int64
    assert first.targets.shape == ((steps, 6) if classes else (steps, 6, task.output_size))
    assert first.asked.shape == (steps, 6)
    padding = torch.arange(steps).unsqueeze(1) >= first.lengths
    assert not first.inputs[padding].any()
    assert not first.asked[padding].any()
    assert first.asked.any(0).all()
    assert task.solved


@TASKS
def test_what_is_right_and_what_it_costs(task):
    """The targets themselves are right and cost next to nothing; one wrong step is seen."""
    batch = drawn(task, 20)
    perfect = torch.zeros(*batch.asked.shape, task.output_size)
    if isinstance(task, EmbeddedReber):
        for row, (inputs, _, _) in enumerate(rows_of(batch)):
            text = "".join(reber.SYMBOLS[step.index(1)] for step in inputs)
            for t in range(len(text)):
                for symbol in reber.legal_after(text[: t + 1]):
                    perfect[t, row, reber.SYMBOLS.index(symbol)] = 5
    elif batch.targets.dtype == torch.int64:
        perfect = torch.nn.functional.one_hot(batch.targets, task.output_size) * 20.0
    else:
        bits = isinstance(task, (SpikeDelays, TimedSpikes, Parity))
        perfect = (batch.targets * 40 - 20) if bits else batch.targets.clone()
    assert task.correct(perfect, batch).all()
    unasked = perfect.clone()
    unasked[~batch.asked] = -perfect[~batch.asked] + 1
    assert task.correct(unasked, batch).all()
    assert torch.equal(task.loss(unasked, batch), task.loss(perfect, batch))
    if not isinstance(task, EmbeddedReber):
        assert task.loss(perfect, batch) < 1e-4
    wrong = perfect.clone()
    step = int(batch.asked[:, 7].nonzero()[-1])
    wrong[step, 7] = -perfect[step, 7] + 0.5
    assert task.correct(wrong, batch).nonzero().flatten().tolist() == [*range(7), *range(8, 20)]
    assert task.loss(wrong, batch) > task.loss(perfect, batch)


def test_adding():
    """Hochreiter & Schmidhuber 1997, experiment 4."""
    firsts, seconds = set(), set()
    for inputs, targets, asked in rows_of(drawn(Adding(100), 3000)):
        assert 100 <= len(inputs) <= 110
        marked = [t for t, (_, mark) in enumerate(inputs) if mark == 1]
        assert len(marked) == 2
        assert all(-1 <= number <= 1 for number, _ in inputs)
        others = {t: mark for t, (_, mark) in enumerate(inputs) if t not in marked}
        ends = {0, len(inputs) - 1} - set(marked)
        assert all(mark == (-1 if t in ends else 0) for t, mark in others.items())
        if 0 in marked:
            assert inputs[0][0] == 0
        total = sum(inputs[t][0] for t in marked)
        assert targets[-1][0] == pytest.approx(0.5 + total / 4, abs=1e-6)
        assert asked == [False] * (len(inputs) - 1) + [True]
        firsts.add(marked[0])
        seconds.add(marked[1])
    assert min(firsts) == 0
    assert max(firsts) == 9
    assert max(seconds) == 100 // 2 - 2  # the first T/2 - 1 pairs are 0 .. T/2 - 2


def test_temporal_order():
    """Hochreiter & Schmidhuber 1997, experiment 6a."""
    places, classes = (set(), set()), set()
    for inputs, targets, asked in rows_of(drawn(TemporalOrder(100), 2000)):
        text = "".join("EBabcdXY"[step.index(1)] for step in inputs)
        found = re.fullmatch(r"E[abcd]*([XY])[abcd]*([XY])[abcd]*B", text)
        assert 100 <= len(text) <= 110
        assert targets[-1] == ["XX", "XY", "YX", "YY"].index(found[1] + found[2])
        assert asked == [False] * (len(inputs) - 1) + [True]
        for seen, group in zip(places, (1, 2), strict=True):
            seen.add(found.start(group))
        classes.add(targets[-1])
    assert places == (set(range(10, 21)), set(range(50, 61)))
    assert classes == {0, 1, 2, 3}


def test_a_temporal_order_is_right_within_three_tenths():
    task = TemporalOrder(40)
    batch = drawn(task, 2)
    output = torch.zeros(*batch.asked.shape, 4)
    for row, share in enumerate((0.71, 0.69)):
        last, target = int(batch.lengths[row]) - 1, int(batch.targets[:, row].max())
        output[last, row] = math.log((1 - share) / 3)
        output[last, row, target] = math.log(share)
    assert task.correct(output, batch).tolist() == [True, False]


def test_adding_is_right_within_four_hundredths():
    task = Adding(40)
    batch = drawn(task, 2)
    near = batch.targets + torch.tensor([0.039, 0.041]).view(1, 2, 1)
    assert task.correct(near, batch).tolist() == [True, False]


def test_copying():
    """Arjovsky, Shah & Bengio 2016, section 5.1."""
    task = Copying(30)
    for inputs, targets, asked in rows_of(drawn(task)):
        symbols = [step.index(1) for step in inputs]
        shown = symbols[:10]
        assert set(shown) <= set(range(8))
        assert symbols == [*shown, *[8] * 29, 9, *[8] * 10]
        assert targets == [*[8] * 40, *shown]
        assert len(symbols) == 30 + 20
        assert all(asked)
    assert task.baseline == 10 * math.log(8) / (30 + 20)
    batch = drawn(task)
    guess = torch.full((*batch.asked.shape, 9), -50.0)
    guess[:40, :, 8] = 0
    guess[40:, :, :8] = 0
    assert task.loss(guess, batch).item() == pytest.approx(task.baseline, rel=1e-5)


@pytest.mark.parametrize("text", ["BTSSXXTVVE", "BPVVE", "BTXXVPSE", "BPVPXVPXVPXVVE", "BTSXXVPSE"])
def test_strings_of_the_grammar(text):
    """The examples of a course by Schraudolph (cnl.salk.edu/~schraudo/teach/NNcourse)."""
    assert reber.is_reber(text)
    assert reber.legal_after(f"BT{text}") == "T"
    for end in range(1, len(text)):
        assert text[end] in reber.legal_after(f"BP{text[:end]}")


@pytest.mark.parametrize("text", ["BTSSPXSE", "BPTVVB", "BTXXVVSE", "BPVSPSE", "BTSSSE", "BTX"])
def test_strings_that_are_not_of_the_grammar(text):
    assert not reber.is_reber(text)


def test_embedded_reber():
    outer, lengths = set(), set()
    for inputs, targets, asked in rows_of(drawn(EmbeddedReber(24), 500)):
        text = "".join(reber.SYMBOLS[step.index(1)] for step in inputs)
        following = "".join(reber.SYMBOLS[target] for target in targets)
        whole = text + following[-1]
        assert following == whole[1:]
        found = re.fullmatch(r"B([TP])(B.*E)\1E", whole)
        assert reber.is_reber(found[2])
        assert all(asked)
        outer.add(found[1])
        lengths.add(len(whole))
    assert outer == {"T", "P"}
    assert (min(lengths), max(lengths)) == (9, 24)


def test_what_may_follow():
    """After BT and a whole inner string there must come T, then E, then nothing."""
    inner = "BTXSE"
    assert [reber.legal_after(f"BP{inner}"[:end]) for end in range(1, 8)] == [
        *("TP", "B", "TP", "SX", "XS", "E", "P")
    ]
    assert reber.legal_after("") == "B"
    assert reber.legal_after(f"BP{inner}P") == "E"
    assert reber.legal_after(f"BP{inner}PE") == ""


@pytest.mark.parametrize("every_step", [False, True])
def test_parity(every_step):
    seen = set()
    for inputs, targets, asked in rows_of(drawn(Parity(3, 9, every_step=every_step))):
        ones = 0
        for t, ((bit,), (target,)) in enumerate(zip(inputs, targets, strict=True)):
            assert bit in (-1, 1)
            ones += bit == 1
            last = t == len(inputs) - 1
            assert asked[t] == (every_step or last)
            if asked[t]:
                assert target == ones % 2
        seen.add(len(inputs))
    assert seen == set(range(3, 10))


def test_digits():
    """The glyphs differ in many pixels, stand whole in the picture, and come line by line."""
    task = SequentialDigits(noise=0)
    pictures, digits = task.pictures(400, torch.Generator().manual_seed(0))
    assert set(digits.tolist()) == set(range(10))
    for picture, digit in zip(pictures, digits.tolist(), strict=True):
        ink = GLYPHS[digit]
        places = [
            (top, left)
            for top in range(2)
            for left in range(4)
            if torch.equal(picture[top : top + 7, left : left + 5] > 0, ink > 0)
        ]
        assert len(places) == 1
        assert (picture > 0).sum() == ink.sum()
        assert 0.6 <= picture.max() <= 1
    for a in range(10):
        for b in range(a):
            assert (GLYPHS[a] != GLYPHS[b]).sum() >= 3
    batch = task.batch(400, torch.Generator().manual_seed(0))
    assert torch.equal(batch.inputs[:, :, 0].T.view(400, 8, 8), pictures)
    assert torch.equal(batch.targets[-1], digits)


def test_permuted_digits_are_the_same_pixels_in_one_fixed_order():
    plain, mixed = SequentialDigits(), SequentialDigits(permutation=1)
    a, b = drawn(plain), drawn(mixed)
    assert not torch.equal(a.inputs, b.inputs)
    assert torch.equal(a.inputs[mixed.order], b.inputs)
    assert sorted(mixed.order.tolist()) == list(range(64))
    assert torch.equal(SequentialDigits(permutation=1).order, mixed.order)


def test_spike_delays():
    kinds = set()
    for inputs, targets, asked in rows_of(drawn(SpikeDelays(7, 4))):
        spikes = [t for t, (value,) in enumerate(inputs) if value == 1]
        gaps = {b - a for a, b in pairwise(spikes)}
        assert (len(spikes), spikes[0], spikes[-1]) == (4, 0, len(inputs) - 1)
        assert len(gaps) == 1
        assert gaps <= {7, 8}
        assert targets[-1][0] == (gaps == {8})
        assert asked == [False] * (len(inputs) - 1) + [True]
        kinds |= gaps
    assert kinds == {7, 8}


def test_timed_spikes():
    extras = set()
    for inputs, targets, asked in rows_of(drawn(TimedSpikes(5, 3, 60))):
        begin, spikes = 0, []
        while (begin := begin + 5 + int(inputs[begin][0])) < 60:
            spikes.append(begin)
        assert [t for t, (value,) in enumerate(targets) if value == 1] == spikes
        here = [value for t, (value,) in enumerate(inputs) if value]
        assert set(here) <= {1.0, 2.0}
        assert all(inputs[t][0] == 0 for t in range(60) if t not in {0, *spikes})
        assert all(asked)
        extras |= {int(inputs[t][0]) for t in (0, *spikes)}
    assert extras == {0, 1, 2}
    plain = drawn(TimedSpikes(6, 1, 40), 2)
    assert not plain.inputs.any()
    assert plain.targets[:, 0, 0].nonzero().flatten().tolist() == [6, 12, 18, 24, 30, 36]


def test_the_wave():
    """Its only frequencies are those of the periods 8, 16, ..., and its error is normalised."""
    task = Wave(256)
    batch = drawn(task, 3)
    assert not batch.inputs.any()
    assert torch.equal(batch.targets[:, 0], batch.targets[:, 2])
    spectrum = torch.fft.rfft(task.curve).abs()
    strong = (spectrum > 1e-3 * spectrum.max()).nonzero().flatten().tolist()
    assert strong == [256 // period for period in (256, 128, 64, 32, 16, 8)]
    assert task.curve.abs().max() == 1
    assert not torch.equal(Wave(256, seed=1).curve, task.curve)
    mean = task.curve.mean().expand_as(batch.targets)
    assert task.error(mean, batch) == pytest.approx(1, rel=1e-5)
    assert task.error(batch.targets, batch) == 0


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("steps=21; it must be a whole number from 22", lambda: Adding(21)),
        ("longest=2; it must be a whole number from 3", lambda: Parity(3, 2)),
        ("distance=1.5; it must be", lambda: SpikeDelays(1.5)),
        ("noise=-1; it is a standard deviation", lambda: SequentialDigits(-1)),
        ("rows=0; give 1 or more", lambda: drawn(Parity(), 0)),
    ],
)
def test_wrong_options(words, run):
    with pytest.raises(UsageError, match=re.escape(words)):
        run()


@TASKS
def test_an_output_of_another_shape_is_refused(task):
    batch = drawn(task, 2)
    for read in (task.loss, task.correct):
        with pytest.raises(ShapeError, match=r"\(T, B, O\) is"):
            read(torch.zeros(*batch.asked.shape, task.output_size + 1), batch)


def test_every_task_is_tested():
    classes = {getattr(long_range, name) for name in long_range.__all__}
    concrete = {c for c in classes if issubclass(c, long_range.LongRangeTask)}
    assert {type(task) for task in ALL.values()} == concrete - {long_range.LongRangeTask}
