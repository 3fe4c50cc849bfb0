"""Keras 3 on its JAX backend: layers compiled by jax.jit, as `fit` and `predict` compile them."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
import torch

from gate import Array, Results
from peers.base import LeftOutError, Peer, Prepared, reading
from problem import Problem, named, stacked

KINDS = {"lstm": "LSTM", "gru": "GRU", "elman": "SimpleRNN"}
GATES = {"lstm": "ifgo", "gru": "zrn", "elman": "h"}


class Layer(Peer):
    """A layer, batch first as Keras has it."""

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        if keras.backend.backend() != "jax":
            raise LeftOutError(f"keras runs on {keras.backend.backend()}; set KERAS_BACKEND=jax")
        layer = _layer(problem)
        weights = [variable.value for variable in layer.trainable_variables]
        rest = [variable.value for variable in layer.non_trainable_variables]
        x = jnp.asarray(problem.x.transpose(0, 1).contiguous().numpy())

        def forward(weights: Any, x: Any) -> Any:
            return layer.stateless_call(weights, rest, x)[0]

        if not problem.training:
            infer = jax.jit(forward)
            return reading(
                lambda: jax.block_until_ready(infer(weights, x)),
                lambda output: {"output": _time_first(output)},
            )
        d = jnp.asarray(problem.d.transpose(0, 1).contiguous().numpy())

        def loss(weights: Any, x: Any, d: Any) -> Any:
            output = forward(weights, x)
            return (output * d).sum(), output

        train = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
        return reading(
            lambda: jax.block_until_ready(train(weights, x, d)),
            lambda found: _read(found, problem.cell),
        )


def _layer(problem: Problem) -> Any:
    shape, gates = problem.shape, GATES[problem.cell]
    layer = getattr(keras.layers, KINDS[problem.cell])(shape.H, return_sequences=True)
    layer.build((shape.B, shape.T, shape.I))
    matrices = [stacked(problem.weights, kind, gates).t().numpy() for kind in "WU"]
    bias = stacked(problem.weights, "b", gates)
    if "c_n" in problem.weights:
        inner = torch.zeros_like(bias)
        inner[-shape.H :] = problem.weights["c_n"]
        bias = torch.stack([bias, inner])
    layer.set_weights([*matrices, bias.numpy()])
    return layer


def _time_first(values: Any) -> Array:
    found: Array = np.asarray(values).swapaxes(0, 1)
    return found


def _read(found: Any, cell: str) -> Results:
    (_, output), (d, d_x) = found
    gates = GATES[cell]
    results = {"output": _time_first(output), "d x": _time_first(d_x)}
    for kind, gradient in zip("WU", d, strict=False):
        results |= named(np.asarray(gradient).T, kind, gates)
    bias = np.atleast_2d(np.asarray(d[2]))
    results |= named(bias[0], "b", gates)
    if cell == "gru":
        results["d c_n"] = named(bias[1], "c", gates)["d c_n"]
    return results
