"""What is remembered, in words: how much each step has left in the last state and prediction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recurra.errors import UsageError
from recurra.inspection.attribution import Attribution
from recurra.inspection.contributions import contributions_to_state
from recurra.inspection.findings import Finding, Series
from recurra.inspection.memories import find_memories
from recurra.inspection.output_contributions import contributions_to_logits
from recurra.inspection.recording import Recording
from recurra.inspection.verdicts import in_steps

LONGEST = 20_000  # steps of a sequence whose memory is divided without being asked
TRUSTED = 0.1  # of the difference to the baseline: the largest completeness error that is shown
BEST = 3  # predicted items whose logit is divided


def memory_finding(recording: Recording, row: int = 0) -> Finding:
    """The last state of each additive memory, as shares of the steps that wrote it."""
    title = "What the last memory holds"
    addresses = [
        f"{part}.{memory.state}"
        for part, facts in recording.parts.items()
        for memory in find_memories(facts.graph)
        if f"{part}.{memory.state}" in recording
    ]
    if not addresses:
        none = "no state here is a memory that is kept in part and added to"
        return Finding("remembered", title, view="items", missing=none)
    if recording.steps > LONGEST:
        why = f"it has {recording.steps:,} steps; record a part of up to {LONGEST:,}"
        return Finding("remembered", title, view="items", missing=why)
    series, told = [], ""
    for address in reversed(addresses):
        try:
            shares = _shares(recording, address, row)
        except UsageError as error:
            return Finding("remembered", title, view="items", missing=str(error))
        told = told or _told(address, shares, address.split(".")[-2] == "reverse")
        series.append(Series(address, shares.tolist()))
    return Finding(
        "remembered",
        title,
        told,
        "What each step wrote, times what the gates of all later steps left of it: these parts add "
        "up to the state exactly (Murdoch & Szlam 2017, arXiv:1702.02540). Sizes summed over the "
        "units, divided by their sum over all steps.",
        "items",
        "of the whole",
        series=tuple(series),
    )


def _shares(recording: Recording, address: str, row: int) -> Tensor:
    """(T,) of each step, with the sum 1 less what is left of the state before the first step."""
    found = contributions_to_state(recording, address)
    sizes = found.shares[:, row].double().abs().flatten(1).sum(1)
    whole = sizes.sum() + found.initial[row].double().abs().sum()
    return sizes / whole if float(whole) > 0 else sizes


def _told(address: str, shares: Tensor, reverse: bool) -> str:
    """How many of the last steps wrote half of it, and nine tenths."""
    known = shares if reverse else shares.flip(0)
    if not float(known.sum()) > 0:
        return f"{address} holds nothing."
    sums = known.cumsum(0) / known.sum()
    half, most = (int((sums < part).sum()) + 1 for part in (0.5, 0.9))
    where = "first" if reverse else "last"
    return (
        f"Half of what {address} holds at its end was written in the {where} {in_steps(half)}, "
        f"nine tenths in the {where} {in_steps(most)}."
    )


def logit_finding(recording: Recording, row: int = 0) -> Finding:
    """The logits of the likeliest items after the last step, as sums over the steps."""
    title = "What the last prediction rests on"
    vocabulary = recording.vocabulary
    if not vocabulary or recording.model is None:
        none = "the recording knows no vocabulary, or came without its model"
        return Finding("prediction", title, view="items", missing=none)
    try:
        found = contributions_to_logits(recording, step=-1)
    except UsageError as error:
        return Finding("prediction", title, view="items", missing=str(error))
    best = found.total[row].topk(min(BEST, len(vocabulary))).indices.tolist()
    series = [Series(_name(vocabulary[k]), found.shares[:, row, k].tolist()) for k in best]
    shares = found.shares[:, row, best[0]]
    step = int(shares.abs().argmax())
    what = f" {_name(recording.items[row][step])}" if recording.items else ""
    way = "for" if float(shares[step]) > 0 else "against"
    return Finding(
        "prediction",
        title,
        f"Step {step},{what} speaks loudest {way} {_name(vocabulary[best[0]])}, with "
        f"{float(shares[step]):+.2f} of a logit of {float(found.total[row, best[0]]):.2f}.",
        "The parts of the memory of the last layer, followed through its output gate and the head; "
        "with the bias they add up to the logit exactly (Arras et al. 2017, arXiv:1706.07206).",
        "items",
        "of the logit",
        series=tuple(series),
    )


def _name(item: str) -> str:
    """An item in quotes, as it can be seen."""
    signs = {" ": "␣", "\n": "↵", "\t": "⇥"}
    return f"“{signs.get(item, item[:40])}”"


def attribution_finding(
    name: str, definition: str, compute: Callable[[], Attribution], row: int = 0
) -> Finding:
    """An attribution of the last prediction to the inputs, as a finding."""
    key = name.replace(" ", "-")
    try:
        found = compute()
    except UsageError as error:
        return Finding(key, name, view="items", missing=str(error))
    values = found.steps[:, row].detach().double()
    step = int(values.abs().argmax())
    told = f"Step {step} counts most for the last score, with {float(values[step]):+.3g}"
    if found.baseline is not None and found.error is not None:
        whole, missed = found.score[row] - found.baseline[row], found.error[row].abs()
        if not float(missed) <= TRUSTED * float(whole.abs()):
            why = (
                f"the steps add up to {float(values.sum()):.3g} and not to {float(whole):.3g}, so "
                "nothing can be read from them: the way from inputs of 0 is not smooth"
            )
            return Finding(key, name, view="items", missing=why)
        told += f" of the {float(whole):.3g} between it and that of the baseline; in sum, "
        told += f"the steps miss it by {float(missed):.1g}"
    curve: list[float] = torch.nan_to_num(values).tolist()
    return Finding(
        key, name, f"{told}.", definition, "items", "of the score", series=(Series(name, curve),)
    )
