"""Cells that differ from another in one thing: the other, rewritten, is the same graph.

And what only the clockwork does; and torchrecurrent's mutations beside ours.
"""

from __future__ import annotations

import pytest
import torch

from recurra import cells
from recurra.graph import Expression, constant, tanh
from recurra.graph.simplify import simplify
from recurra.nn import Recurrent
from support.checks import close, layer_of
from support.torchrecurrent_cells import agree, case


def leaf(name: str) -> Expression:
    return Expression("parameter", (), name)


def value(cell: str, name: str) -> Expression:
    return dict(cells.get(cell).graph.named)[name]


def inside(cell: str, name: str) -> Expression:
    """What a squashing function is taken of."""
    return value(cell, name).args[0]


def without(cell: str, *weights: str) -> dict[Expression, Expression]:
    """The change that drops these weights, a matrix with its product."""
    gone: dict[Expression, Expression] = {leaf(name): constant(0) for name in weights}
    for node in cells.get(cell).graph.nodes:
        if node.op == "matmul" and node.args[0] in gone:
            gone[node] = constant(0)
    return {node: zero for node, zero in gone.items() if node.args or node.attribute[0] in "vb"}


RELATIVES = {
    "lstm_nig": ("lstm_peephole", {value("lstm_peephole", "i"): constant(1)}),
    "lstm_nfg": ("lstm_peephole", {value("lstm_peephole", "f"): constant(1)}),
    "lstm_nog": ("lstm_peephole", {value("lstm_peephole", "o"): constant(1)}),
    "lstm_niaf": ("lstm_peephole", {value("lstm_peephole", "g"): inside("lstm_peephole", "g")}),
    "lstm_noaf": (
        "lstm_peephole",
        {tanh(value("lstm_peephole", "c")): value("lstm_peephole", "c")},
    ),
    "lstm_cifg_peephole": (
        "lstm_peephole",
        {value("lstm_peephole", "f"): 1 - value("lstm_peephole", "i")},
    ),
    "lstm": ("lstm_peephole", without("lstm_peephole", "v_i", "v_f", "v_o")),  # NP
    "lstm_peephole_if": ("lstm_peephole", without("lstm_peephole", "v_o")),
    "lstm_peephole_o": ("lstm_peephole", without("lstm_peephole", "v_i", "v_f")),
    "lstm_peephole": (
        "lstm_fgr",
        without("lstm_fgr", *(f"R{a}_{b}" for a in "ifo" for b in "ifo")),
    ),
    "lstm_forget_zero": ("lstm", {}),
    "irnn": ("elman_relu", {}),
    "mgu1": ("mgu", without("mgu", "W_f")),
    "mgu2": ("mgu1", without("mgu1", "b_f")),
    "mgu3": ("mgu1", without("mgu1", "U_f")),
}


@pytest.mark.parametrize("name", RELATIVES)
def test_relative_is_the_other_with_one_change(name: str) -> None:
    """Equal expressions are one object, so this compares every equation."""
    other, change = RELATIVES[name]
    own = simplify(cells.get(name).graph)
    changed = simplify(cells.get(other).graph.rewritten(change))
    assert changed.updates[: len(own.updates)] == own.updates
    assert changed.output is own.output


def test_cells_that_differ_in_their_start_only() -> None:
    torch.manual_seed(0)
    starts = {name: Recurrent(name, 2, 3) for name in ("irnn", "lstm_forget_zero", "lstm")}
    assert torch.equal(starts["irnn"].weight("U_h"), torch.eye(3))
    assert not starts["irnn"].weight("b_h").any()
    assert not starts["lstm_forget_zero"].weight("b_f").any()
    assert (starts["lstm"].weight("b_f") == 1).all()


def test_clockwork_rests_between_beats() -> None:
    """18 units in nine modules: at step t a module moves only if its period divides t."""
    torch.manual_seed(0)
    layer = Recurrent("clockwork", 2, 18)
    output, _ = layer(torch.randn(33, 1, 2))
    moved = (output[1:] != output[:-1]).any(1).view(32, 9, 2).all(-1)
    periods = [2**k for k in range(9)]
    expected = torch.tensor([[t % period == 0 for period in periods] for t in range(1, 33)])
    assert torch.equal(moved, expected)
    assert output[0].all()  # all move at step 0


def test_clockwork_reads_itself_and_slower_modules_only() -> None:
    torch.manual_seed(0)
    layer = Recurrent("clockwork", 2, 18)
    h = torch.randn(1, 18, requires_grad=True)
    output, _ = layer(torch.randn(1, 1, 2), h[None])
    reads = torch.stack([torch.autograd.grad(o, h, retain_graph=True)[0][0] for o in output[0, 0]])
    module = torch.arange(18) // 2
    assert torch.equal(reads != 0, module[None, :] >= module[:, None])


def test_clockwork_in_chunks_goes_on_at_its_time() -> None:
    torch.manual_seed(0)
    layer = Recurrent("clockwork", 2, 4)
    x = torch.randn(7, 1, 2)
    whole, _ = layer(x)
    first, state = layer(x[:3])
    second, _ = layer(x[3:], state, start=3)
    close(torch.cat([first, second]), whole, 1e-6)


MUTATIONS = {
    "mut1": case(
        "MUT1Cell",
        weight_ih="W_z W_r 0",
        weight_hh="U_r U_n",
        bias_ih="b_z b_r 0",
        bias_hh="0 b_n",
    ),
    "mut2": case("MUT2Cell", weight_ih="W_z 0 W_n", weight_hh="U_z U_r U_n", bias_ih="b_z b_r b_n"),
    "mut3": case(
        "MUT3Cell", weight_ih="W_z W_r W_n", weight_hh="U_z U_r U_n", bias_ih="b_z b_r b_n"
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_against_torchrecurrent(name: str) -> None:
    """Theirs puts a matrix before the x that MUT1 and MUT2 add as it is: here, the identity."""
    pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed")
    layer, own = layer_of(name), MUTATIONS[name]
    theirs = own.make(layer)
    if name != "mut3":
        with pytest.raises(AssertionError):
            agree(own, layer, theirs, by_weight=False)
        with torch.no_grad():
            theirs.weight_ih.chunk(3)[2 if name == "mut1" else 1].copy_(torch.eye(3))
    agree(own, layer, theirs)
