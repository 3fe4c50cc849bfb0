"""A recording in the terminal: its numbers are true, its lines fit, and it needs no colour."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from rich.cells import cell_len
from rich.console import Console
from torch import nn
from torch.nn.functional import cross_entropy

import recurra
from recurra.errors import UnknownNameError, UsageError
from recurra.inspection import Recording, check_health, gradients_through_time
from recurra.inspection.coloured import coloured
from recurra.inspection.predictions import predictions
from recurra.inspection.scales import Scale, around_zero, from_zero_to_one, surprisal
from recurra.inspection.sparkline import sparkline
from recurra.inspection.terminal import Report, show, unit_values

VOCABULARY = tuple("?abcde\n漢")
TEXT = "abcab\ndea漢bc" * 6


class Model(nn.Module):
    """Predicts the next of 8 items."""

    def __init__(self, cell: str = "lstm", bidirectional: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embedding = nn.Embedding(8, 5)
        self.recurrent = recurra.Recurrent(cell, 5, 7, 2, bidirectional=bidirectional)
        self.head = nn.Linear(14 if bidirectional else 7, 8)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.recurrent(self.embedding(tokens))[0])


TOKENS = torch.tensor([[VOCABULARY.index(character)] for character in TEXT])


def recorded(cell: str = "lstm", bidirectional: bool = False) -> tuple[Model, Recording]:
    model = Model(cell, bidirectional)
    with torch.no_grad():
        found = recurra.record(model, TOKENS)
    shown = replace(found, items=(tuple(TEXT),), logits=found.output, vocabulary=VOCABULARY)
    return model, shown


def printed(report: Report, width: int = 80, encoding: str = "utf-8", **options: Any) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    show(report, Console(file=file, width=width, highlight=False, **options))
    file.flush()
    return raw.getvalue().decode(encoding)


def test_the_surprisal_is_torchs_cross_entropy() -> None:
    _, recording = recorded()
    assert recording.logits is not None
    bits = cross_entropy(recording.logits[:-1, 0], TOKENS[1:, 0], reduction="none") / math.log(2)
    found = predictions(recording)
    assert math.isnan(found[0].bits)
    assert [one.bits for one in found[1:]] == pytest.approx(bits.tolist(), rel=1e-5)
    chances = recording.logits[3, 0].softmax(-1)
    assert found[4].top[0] == (VOCABULARY[int(chances.argmax())], pytest.approx(chances.max()))
    unknown = predictions(replace(recording, items=(("a", "Z"),)))
    assert unknown[1].bits == pytest.approx(
        -recording.logits[0, 0].log_softmax(-1)[0].item() / math.log(2), rel=1e-5
    )
    assert predictions(replace(recording, logits=None)) == ()


def test_a_pipe_gets_text_without_codes_and_signs_below_each_line() -> None:
    _, recording = recorded()
    page = printed(Report(recording))
    assert "\x1b" not in page
    lines = page.splitlines()
    assert lines[0] == "abcab↵"
    found = predictions(recording)[:6]
    assert lines[1] == "".join(surprisal().sign(one.bits) for one in found)
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("width", [20, 30, 45, 63, 64, 80, 140])
@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("unit", [None, "recurrent.1.forward.c[3]"])
def test_every_line_fits(width: int, colour: bool, unit: str | None) -> None:
    model, recording = recorded()
    report = Report(recording, unit, gradients_through_time(model, TOKENS))
    page = printed(
        report, width, force_terminal=True, color_system="truecolor", no_color=not colour
    )
    assert ("\x1b[" in page) == colour
    plain = re.sub(r"\x1b\[[0-9;]*m", "", page)
    tables = 45 if width < 45 else width  # the tables need this much
    assert max(map(cell_len, plain.splitlines())) <= max(width, tables)
    for word in ("recurrent.1.forward: lstm, 7 units", "< 0.1", "half-life", "spectral radius"):
        assert word in plain


def test_it_can_be_shown_in_ascii() -> None:
    model, recording = recorded()
    report = Report(recording, None, gradients_through_time(model, TOKENS))
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", errors="replace")
    show(report, Console(file=file, highlight=False))
    file.flush()
    page = raw.getvalue().decode()
    assert page.isascii()
    curves = [line for line in page.splitlines() if line.startswith("  f ")]
    assert len(curves) == 2
    assert "?" not in curves[0]


def test_the_numbers_in_the_table_are_those_of_the_recording() -> None:
    _, recording = recorded()
    forget = recording["recurrent.1.forward.f"]
    page = printed(Report(recording)).partition("recurrent.1.forward:")[2]
    (line,) = (line for line in page.splitlines() if line.startswith("  f "))
    mean = f"{forget.mean().item():.2f}"
    assert mean in line
    curve = sparkline(forget.mean((1, 2)).tolist(), 48, 0, 1)
    assert line.endswith(curve)


@pytest.mark.parametrize("cell", ["elman", "gru", "irnn", "mgu", "mlstm", "slstm", "sru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_other_cells_are_shown(cell: str, bidirectional: bool) -> None:
    model, recording = recorded(cell, bidirectional)
    page = printed(Report(recording, None, gradients_through_time(model, TOKENS)))
    assert f"recurrent.0.forward: {cell}, 7 units" in page
    assert ("recurrent.0.reverse" in page) == bidirectional


def test_numbers_are_shown_without_a_text() -> None:
    layer = nn.LSTM(3, 4)
    recording = recurra.record(layer, torch.randn(9, 2, 3), lengths=None)
    page = printed(Report(recording))
    assert page.startswith("\nrnn.0.forward: lstm, 4 units")
    curve = printed(Report(recording, "rnn.0.forward.h[2]", row=1)).splitlines()[0]
    values = recording["rnn.0.forward.h"][:, 1, 2].tolist()
    assert curve == sparkline(values, 100, -1, 1)


def test_a_row_ends_where_it_ends() -> None:
    layer = recurra.GRU(3, 4)
    recording = recurra.record(layer, torch.randn(9, 2, 3), lengths=[9, 4])
    values, scale = unit_values(recording, "rnn.0.forward.h[2]", row=1)
    assert len(values) == 4
    assert unit_values(recording, "h[2]", row=1) == (values, scale)
    printed(Report(recording, row=1))


@pytest.mark.parametrize(
    ("unit", "kind", "said"),
    [
        ("recurrent.1.forward.c", UsageError, "does not name one unit"),
        ("recurrent.1.forward.c[1:3]", UsageError, "does not name one unit"),
        ("recurrent.1.forward.c[9]", UsageError, r"^recurrent\.1\.forward\.c\[9\]: .* 0 to 6\.$"),
        ("c[1]", UsageError, "means several values"),
        ("recurrent.9.forward.c[1]", UnknownNameError, "unknown value"),
    ],
)
def test_units_that_there_are_not(unit: str, kind: type[Exception], said: str) -> None:
    _, recording = recorded()
    with pytest.raises(kind, match=said):
        printed(Report(recording, unit))


def test_the_scale_of_a_unit_is_that_of_its_equation() -> None:
    _, recording = recorded()
    assert unit_values(recording, "recurrent.0.forward.f[1]")[1].ends == (0.0, 1.0)
    assert unit_values(recording, "recurrent.0.forward.h[1]")[1].ends == (-1.0, 1.0)
    values, scale = unit_values(recording, "recurrent.0.forward.c[1]")
    most = max(map(abs, values))
    assert scale.ends == (-most, most)
    assert f"{most:.3g}" in scale.title
    assert values == recording["recurrent.0.forward.c"][:, 0, 1].tolist()


def luminance(colour: str) -> float:
    """Relative luminance, Web Content Accessibility Guidelines 2.2."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


SCALES = [surprisal(), around_zero("c", 2.0), from_zero_to_one("f")]


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.title)
def test_colours_are_readable_on_dark_and_light(scale: Scale) -> None:
    for style in scale.styles:
        if style:
            letters, background = re.findall(r"#[0-9a-f]{6}", style)
            assert contrast(letters, background) >= 4.5, style
            for terminal in ("#ffffff", "#000000"):
                assert contrast(background, terminal) >= 1.8, style


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.title)
def test_steps_have_colours_and_signs_of_their_own(scale: Scale) -> None:
    low = -3.0 if scale.ends[0] == -2 else 0.0
    values = [low + number / 100 for number in range(1000)]
    steps = [scale.step(value) for value in values]
    assert steps == sorted(steps)
    assert set(steps) == set(range(len(scale.styles)))
    assert len(set(scale.styles)) == len(scale.styles) == len(set(scale.signs))
    for edge, number in zip(scale.bounds, range(1, 9), strict=False):
        assert scale.step(edge) == number
        assert scale.step(math.nextafter(edge, -math.inf)) == number - 1
    assert scale.style(math.nan) == ""
    assert scale.style(0.0) == ""
    legend = " ".join(line.plain for line in scale.legend(60, colour=False))
    assert all(f"{sign} " in legend for sign in scale.signs)
    assert all(len(line) <= 60 for line in scale.legend(60, colour=True))


def test_curves() -> None:
    assert sparkline([0, 0.5, 1], 10, 0, 1) == "▁▅█"
    assert sparkline([0, 0.5, 1, math.nan], 10, 0, 1, plain=True) == "_=# "
    assert sparkline([0, 0, 1, 1], 2, 0, 1) == "▁█"
    assert sparkline([-9, 9], 2, 0, 1) == "▁█"
    assert sparkline([1, 1], 2, 1, 1) == "▁▁"
    assert sparkline([], 5, 0, 1) == ""
    assert len(sparkline(list(range(1001)), 37, 0, 1000)) == 37


def test_coloured_text_keeps_every_item() -> None:
    items = [*"ab\ncd", "漢", "\x1b", "\u202e", "e"]
    numbers = [math.nan, 9.0, *[0.5] * 7]
    text = coloured(items, numbers, surprisal(), 4, colour=True)
    assert text.plain == "ab↵\ncd漢\n␛�e"
    (span,) = (span for span in text.spans if text.plain[span.start : span.end] == "b")
    assert span.style == surprisal().style(9.0)
    below = coloured(items, numbers, surprisal(), 4, colour=False).plain.splitlines()
    assert below == ["ab↵", " 4·", "cd漢", "···", "␛�e", "···"]


def test_health_that_was_measured_is_not_measured_again() -> None:
    _, recording = recorded()
    health = check_health(recording)
    broken = replace(health, radii={"recurrent.0.forward.U_f": 123.0})
    assert "U_f 123" in printed(Report(recording, health=broken))


@pytest.mark.parametrize("unit", [None, "recurrent.1.forward.c[3]", "recurrent.1.forward.f[3]"])
def test_a_model_that_diverged_is_shown(unit: str | None) -> None:
    model = Model()
    with torch.no_grad():
        model.recurrent.weight("U_f", 1)[2, 3] = math.nan
        output = recurra.record(model, TOKENS)
    shown = replace(output, items=(tuple(TEXT),), logits=output.output, vocabulary=VOCABULARY)
    page = printed(Report(shown, unit, gradients_through_time(model, TOKENS)))
    assert "! The first NaN is recurrent.1.forward.f_pre[2] in step 0" in page
    assert "U_f" in page
