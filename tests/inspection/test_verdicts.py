"""Sentences about measures: what is said, and when."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

import recurra
from recurra.inspection import (
    Health,
    check_health,
    contributions_to_state,
    gradients_through_time,
)
from recurra.inspection.faults import Fault
from recurra.inspection.gradients import gradient
from recurra.inspection.health import Gate, HalfLife, Units
from recurra.inspection.measured import findings
from recurra.inspection.summary import summary
from recurra.inspection.verdicts import in_steps, verdicts


def health(**given: Any) -> Health:
    parts: dict[str, Any] = {"gates": (), "units": (), "half_lives": (), "radii": {}, "fault": None}
    return Health(**{**parts, **given})


def gate(shut: float, open_: float, of: str = "") -> Gate:
    low, high = torch.full((4,), shut), torch.full((4,), open_)
    return Gate("rnn.0.forward.f", low, high, 0.5, of)


def units(dead: int = 0, still: int = 0, full: float | None = 0.0) -> Units:
    return Units("rnn.0.forward.h", 100, tuple(range(dead)), tuple(range(dead + still)), full)


@pytest.mark.parametrize(
    ("given", "level", "said"),
    [
        ({}, "good", "No gate is stuck"),
        ({"gates": (gate(0.5, 0.3, "c"),)}, "good", "No gate is stuck"),
        ({"gates": (gate(0.6, 0.3, "c"),)}, "warning", "60% of its values: it keeps little of"),
        ({"gates": (gate(0.6, 0.1),)}, "good", "No gate is stuck"),
        ({"gates": (gate(0.6, 0.35),)}, "warning", "saturated in 95%"),
        ({"units": (units(dead=3),)}, "note", "3 dead of 100 units"),
        ({"units": (units(dead=6),)}, "warning", "6 dead of 100 units"),
        ({"units": (units(still=6),)}, "warning", "6 units of 100 that never move"),
        ({"units": (units(full=0.4),)}, "warning", "40% of rnn.0.forward.h lie beyond 0.99"),
        ({"units": (units(full=None),)}, "good", "No gate is stuck"),
        ({"fault": Fault("rnn.0.forward", "f", 3, 0, 1, "NaN")}, "warning", "The first NaN is rnn"),
    ],
)
def test_sentences(given: dict[str, Any], level: str, said: str) -> None:
    found = verdicts(health(**given))
    assert any(one.level == level and said in one.text for one in found), found
    warned = any(one.level == "warning" for one in found)
    assert warned != any("No gate is stuck" in one.text for one in found)


def test_how_long_a_memory_lasts() -> None:
    life = HalfLife("rnn.0.forward.c", "f", (), torch.tensor([1.0, 2.0, 4.0, math.inf]))
    (_, found) = verdicts(health(half_lives=(life,)))
    assert "half of what was written for 4 steps" in found.text
    assert (found.about, found.level) == ("memory", "note")


@pytest.mark.parametrize(
    ("factor", "level", "said"),
    [
        (0.5, "note", "A tenth of the gradient of rnn.0.forward.h is left 4 steps back."),
        (2.0, "warning", "explodes: it is ten times as large 4 steps back."),
        (1.0, "good", "reaches the first step"),
    ],
)
def test_gradients(factor: float, level: str, said: str) -> None:
    values = factor ** torch.arange(9, -1, -1.0).view(10, 1, 1)
    found = verdicts(health(), {"rnn.0.forward.h": gradient("rnn.0.forward.h", values, None)})
    assert any(one.level == level and said in one.text for one in found), found


def test_of_a_gated_cell_the_memory_counts() -> None:
    layer, x = recurra.LSTM(3, 4), torch.randn(20, 1, 3)
    found = verdicts(check_health(recurra.record(layer, x)), gradients_through_time(layer, x))
    assert {one.address for one in found if one.about == "gradient"} == {"rnn.0.forward.c"}


def test_steps_in_words() -> None:
    numbers = (1.0, 2.0, 1.04, 12.34, 99.96, 1234.5, math.inf)
    assert list(map(in_steps, numbers)) == [
        "1 step", "2 steps", "1.04 steps", "12.3 steps", "100 steps", "1,234 steps", "ever",
    ]  # fmt: skip


def test_findings_hold_the_same_numbers_and_sentences() -> None:
    layer, x = recurra.LSTM(3, 4, num_layers=2), torch.randn(20, 2, 3)
    recording, gradients = recurra.record(layer, x), gradients_through_time(layer, x)
    measured = check_health(recording)
    found = {one.key: one for one in findings(recording, measured, gradients, row=1)}
    assert list(found) == [
        "remembered",
        "prediction",
        "saturation",
        "units",
        "memory",
        "gradient",
        "radius",
    ]
    plain = summary(measured, gradients)
    names = [row[0] for row in found["saturation"].rows]
    assert names == list(plain["gates"])
    assert found["gradient"].log
    for series in found["gradient"].series:
        wanted = gradients[series.label].norms[:, 1]
        torch.testing.assert_close(torch.from_numpy(series.values), wanted.double())
    for one in found.values():
        assert all(len(row) == len(one.columns) for row in one.rows)
        assert one.definition or one.missing
    sentences = [one["text"] for one in plain["verdicts"] if one["about"] == "memory"]
    assert found["memory"].verdict == " ".join(sentences)
    held = contributions_to_state(recording, "rnn.1.forward.c").shares[:, 1].double().abs().sum(-1)
    bars = found["remembered"].series[0]
    assert bars.label == "rnn.1.forward.c"
    torch.testing.assert_close(torch.tensor(bars.values).double(), (held / held.sum()).detach())
    nothing = recurra.record(torch.nn.RNN(3, 4), x)
    assert all(one.missing for one in findings(nothing, health()))


def test_a_summary_holds_no_number_that_json_does_not_know() -> None:
    life = HalfLife("rnn.0.forward.c", "f", (), torch.tensor([math.inf]))
    measured = health(half_lives=(life,), radii={"rnn.0.forward.U_f": math.nan})
    once = gradient("rnn.0.forward.c", torch.ones(1, 1, 1), None)
    found = summary(measured, {"rnn.0.forward.c": once})
    json.dumps(found, allow_nan=False)
    assert found["half_lives"] == {"rnn.0.forward.c": None}
    assert found["spectral_radii"] == {"rnn.0.forward.U_f": None}
    assert found["gradients"]["rnn.0.forward.c"]["factor"] is None
