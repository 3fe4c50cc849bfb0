"""Spectral radius of recurrent weights: what a step does to a state, were there no activation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from recurra.backends.rules import RULES
from recurra.graph import Expression, Graph
from recurra.graph.expression import walk
from recurra.graph.facts import Variation, variation
from recurra.graph.text import expression_text
from recurra.inspection.evaluation import weighted, weights_of
from recurra.inspection.layers import layers, module_of


@torch.no_grad()
def spectral_radii(model: Any) -> dict[str, float]:
    """The largest absolute eigenvalue of what multiplies the state, by address.

    For a plain recurrent network with tanh, gradients vanish for certain if the largest singular
    value of its matrix is below 1, and can explode only if it is above 1 (Pascanu, Mikolov & Bengio
    2013, arXiv:1211.5063); echo states ask for a radius just below 1 (Jaeger 2001). In a gated
    cell it is a number for comparison, since gates scale what passes.

    Args:
        model: a layer of recurra or torch, or a module with some, or what `recurra.load` gave.

    Returns:
        by address, as "rnn.0.forward.U_f" or "rnn.0.forward.U_n - transpose(U_n)": square matrices
        made of weights that multiply a value of the step, and weights that multiply a state unit by
        unit (their largest absolute value). NaN for a matrix that is not finite. Convolutions are
        left out.

    Raises:
        UsageError: the model has no recurrent layer.
    """
    found = {}
    for path, layer in layers(module_of(model)).items():
        own = weighted(layer)
        for place, direction, _ in own.places():
            known = weights_of(own, place, direction)
            for text, node in recurrent_weights(own.graph).items():
                weight = _value(node, known)
                if weight.dim() == 1 or (weight.dim() == 2 and len(weight) == weight.shape[1]):
                    found[f"{path}.{place}.{direction}.{text}"] = _radius(weight)
    return found


def _radius(weight: Tensor) -> float:
    if not bool(weight.isfinite().all()):
        return float("nan")
    values = torch.linalg.eigvals(weight.cpu().double()) if weight.dim() == 2 else weight
    return float(values.abs().max())


def _value(node: Expression, known: Mapping[str, Tensor]) -> Tensor:
    """A weight, or what the equations make of weights."""
    values: dict[Expression, Tensor | float] = {}
    for one in walk([node]):
        if one.args:
            values[one] = RULES[one.op](*(values[arg] for arg in one.args))
        else:
            values[one] = one.attribute if one.op == "constant" else known[one.attribute]
    value = values[node]
    assert isinstance(value, Tensor)
    return value


@lru_cache(maxsize=256)
def recurrent_weights(graph: Graph) -> Mapping[str, Expression]:
    """What is made of weights alone and multiplies what comes from a state, by its text.

    Matrices in a product with a value that a state enters; vectors in an elementwise product with
    a state itself.
    """
    nodes = walk([*(value for _, value in graph.named), *graph.roots])  # as the equations go
    varies = variation(nodes)
    found: dict[str, Expression] = {}
    for node in nodes:
        if node.op == "matmul" and varies[node.args[1]] is Variation.STEP:
            pairs = [node.args]
        elif node.op == "multiply":
            pairs = [pair for pair in (node.args, node.args[::-1]) if pair[1].op == "state"]
        else:
            continue
        for weight, _ in pairs:
            plain = node.op == "matmul" or weight.op == "parameter"
            if varies[weight] is Variation.CONSTANT and plain and graph.shapes[weight]:
                found[expression_text(weight)] = weight
    return found
