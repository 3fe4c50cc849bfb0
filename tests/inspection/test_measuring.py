"""All measures of a run, told: what is remembered, and what cannot be computed."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from recurra.inspection import gradient_times_input, measure, record
from recurra.inspection.measuring import MOST
from recurra.inspection.remembering import memory_finding
from recurra.inspection.verdicts import in_steps
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
    assert f"in the last {in_steps(half)}," in finding.verdict


def test_every_measure_has_its_say(run):
    recording, items = run
    findings = measure(recording, items)
    keys = [one.key for one in findings]
    assert keys == ["remembered", "prediction", "saturation", "units", "memory", "gradient",
                    "radius", "Integrated-gradients", "influence"]  # fmt: skip
    assert not any(one.missing for one in findings)
    best = recording.logits[-1, 0].argmax()
    logits = found("prediction", findings)
    assert logits.series[0].label == f"“{'abc'[best]}”"
    assert found("influence", findings).matrix.shape == (8, 8)
    norms = found("gradient", findings).series[-1].values
    assert len(norms) == 8


def test_the_first_nan_is_told():
    recording = recorded(steps=20, units=10)
    assert "numbers" not in [one.key for one in measure(recording)]
    recording.values["rnn.0.forward.g"][7, 0, 3] = float("nan")
    told = found("numbers", measure(recording))
    assert told.level == "warning"
    assert "rnn.0.forward.g[3] in step 7" in told.verdict


def test_what_cannot_be_computed_says_why(run):
    recording, _ = run
    assert "what it read" in found("gradient", measure(recording)).missing
    random = measure(recorded(steps=MOST + 1))
    assert "is not f * c" in found("remembered", random).missing
    elman = measure(recorded(steps=9, cell="elman"))
    assert "no state here" in found("remembered", elman).missing


def test_where_integrated_gradients_miss_the_score_the_gradient_times_the_input_is_told(run):
    """Weights of 100 make a way from 0 that no sum of 50 points follows."""
    recording, items = run
    wild = copy.deepcopy(recording.model)
    with torch.no_grad():
        for parameter in wild.recurrent.parameters():
            parameter.mul_(100)
    findings = measure(record(wild, items), items)
    integrated = found("Integrated-gradients", findings)
    assert "nothing can be read from them" in integrated.missing
    curve = torch.tensor(found("Gradient-times-input", findings).series[0].values)
    expected = gradient_times_input(wild, items).steps[:, 0].double()
    torch.testing.assert_close(curve.double(), expected, atol=1e-6, rtol=1e-6)
