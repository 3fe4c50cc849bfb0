"""torchrecurrent (PyPI): cells that torch lacks, as loops over time in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torchrecurrent
from torch import nn

from gate import Array
from peers import pytorch
from peers.base import Peer, Prepared
from problem import Problem, array, named, stacked


@dataclass(frozen=True)
class Form:
    """How torchrecurrent stores one of our cells.

    Attributes:
        layer: the name of its class.
        gates: the order of its input matrices and first biases.
        recurrent: the order of its recurrent matrices and second biases.
        inner: gates whose second bias is a weight of ours (c_*); the others are 0.
        peepholes: the order of its vectors on c.
    """

    layer: str
    gates: str
    recurrent: str
    inner: str = ""
    peepholes: str = ""


FORMS = {
    "lstm_peephole": Form("PeepholeLSTM", "ifgo", "ifgo", peepholes="ifo"),
    "mgu": Form("MGU", "fn", "fn"),
    "mut1_biased": Form("MUT1", "zrn", "rn", inner="n"),
    "cfn_biased": Form("CFN", "fig", "fi"),
}


class Layer(Peer):
    """A layer of torchrecurrent."""

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        form, shape = FORMS[problem.cell], problem.shape
        layer = getattr(torchrecurrent, form.layer)(shape.I, shape.H)
        cell = layer.cells[0]
        _fill(cell, form, problem)
        return pytorch.prepare(layer, problem, lambda: _gradients(cell, form))


def _parts(form: Form) -> list[tuple[str, str, str]]:
    """(its parameter, our kind of weight, order of gates)."""
    parts = [("weight_ih", "W", form.gates), ("weight_hh", "U", form.recurrent)]
    parts.append(("bias_ih", "b", form.gates))
    return [*parts, ("weight_ph", "v", form.peepholes)] if form.peepholes else parts


def _fill(cell: nn.Module, form: Form, problem: Problem) -> None:
    with torch.no_grad():
        for name, kind, gates in _parts(form):
            cell.get_parameter(name).copy_(stacked(problem.weights, kind, gates))
        second = cell.get_parameter("bias_hh").zero_()
        for gate, part in zip(form.recurrent, second.chunk(len(form.recurrent)), strict=True):
            if gate in form.inner:
                part.copy_(problem.weights[f"c_{gate}"])


def _gradients(cell: nn.Module, form: Form) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, kind, gates in _parts(form):
        found |= named(array(cell.get_parameter(name).grad), kind, gates)
    second = named(array(cell.get_parameter("bias_hh").grad), "c", form.recurrent)
    return found | {f"d c_{gate}": second[f"d c_{gate}"] for gate in form.inner}
