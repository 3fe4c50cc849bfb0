"""Findings in words: their numbers are those of the measures, and a fault is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from recurra.inspection import measure, record
from recurra.inspection.gradients import gradient
from recurra.inspection.health import check_health
from recurra.inspection.measured import MOST
from recurra.inspection.remembering import memory_finding
from recurra.inspection.verdicts import gradient_findings, health_findings, percent, steps
from support.recordings import recorded


class Model(nn.Module):
    """Predicts the next of three letters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(3, 4)
        self.recurrent = nn.LSTM(4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, items):
        return self.head(self.recurrent(self.embedding(items))[0])


@pytest.fixture(scope="module")
def run():
    model, items = Model().eval(), torch.tensor([[0, 1, 2, 1, 0, 2, 2, 1]]).T
    found = record(model, items)
    logits = found.output.detach()
    letters = tuple("abc"[k] for k in items[:, 0])
    return replace(found, items=(letters,), logits=logits, vocabulary=("a", "b", "c")), items


def found(key, findings):
    return next(one for one in findings if one.key == key)


def test_shares_of_the_memory_are_what_each_step_wrote_times_later_forget_gates(run):
    recording, _ = run
    f, i, g, c = (recording[f"recurrent.0.forward.{n}"][:, 0].double() for n in "figc")
    parts = torch.stack([i[t] * g[t] * f[t + 1 :].prod(0) for t in range(len(f))])
    torch.testing.assert_close(parts.sum(0), c[-1], atol=1e-6, rtol=0)
    sizes = parts.abs().sum(1)
    finding = memory_finding(recording)
    assert list(finding.series[0].values) == pytest.approx((sizes / sizes.sum()).tolist(), abs=1e-6)
    back = (sizes / sizes.sum()).flip(0).cumsum(0)
    half = int((back < 0.5).sum()) + 1
    assert f"in the last {steps(half)}," in finding.verdict


def test_every_measure_has_its_say(run):
    recording, items = run
    findings = measure(recording, items)
    keys = [one.key for one in findings]
    assert keys == ["memory", "logits", "Integrated-gradients", "gradients", "influence",
                    "finite", "saturation", "units", "half-life", "radius"]  # fmt: skip
    assert all(one.verdict.endswith(".") != bool(one.missing) for one in findings)
    best = recording.logits[-1, 0].argmax()
    logits = found("logits", findings)
    assert logits.series[0].label == f"“{'abc'[best]}”"
    assert found("influence", findings).matrix.shape == (8, 8)
    norms = found("gradients", findings).series[-1].values
    assert len(norms) == 8


def test_what_cannot_be_computed_says_why(run):
    recording, _ = run
    assert "what it read" in found("gradients", measure(recording)).missing
    random = measure(recorded(steps=MOST + 1))
    assert "is not f * c" in found("memory", random).missing
    elman = measure(recorded(steps=9, cell="elman"))
    assert "no state here" in found("memory", elman).missing
    assert found("half-life", elman).missing


def test_a_stuck_gate_a_still_unit_and_a_nan_are_told():
    recording = recorded(steps=20, units=10)
    recording.values["rnn.0.forward.f"][:] = 0.99
    recording.values["rnn.0.forward.h"][:, :, :4] = 0.0
    recording.values["rnn.0.forward.g"][7, 0, 3] = float("nan")
    findings = health_findings(check_health(recording))
    gates = found("saturation", findings)
    assert gates.level == "warning"
    assert "rnn.0.forward.f has 100 % of its values above 0.9" in gates.verdict
    units = found("units", findings)
    assert units.verdict.startswith("4 of 10 units of rnn.0.forward.h never move; 4 of 4 are")
    finite = found("finite", findings)
    assert finite.level == "warning"
    assert "rnn.0.forward.g[3] in step 7" in finite.verdict


@pytest.mark.parametrize(
    ("factor", "told"), [(0.5, "4 steps back, a tenth"), (2.0, "explodes: 4 steps"), (1.0, "kept")]
)
def test_gradients_are_told_by_what_comes_first(factor, told):
    values = factor ** torch.arange(11, -1, -1.0)[:, None, None]
    one = gradient("rnn.0.forward.h", values, None)
    (finding,) = gradient_findings({"rnn.0.forward.h": one})
    assert told in finding.verdict
    assert list(finding.series[0].values) == pytest.approx(values.flatten().tolist())


def test_shares_and_steps_in_words():
    assert [percent(x) for x in (0, 0.0001, 0.02, 0.5, 0.9999, 1)] == [
        "0 %", "under 0.1 %", "2 %", "50 %", "over 99.9 %", "100 %"]  # fmt: skip
    assert [steps(x) for x in (1, 2.25, 40, float("inf"))] == [
        "1 step", "2.2 steps", "40 steps", "for ever"]  # fmt: skip
