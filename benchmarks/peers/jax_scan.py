"""jax.lax.scan written well: compiled, one product for all inputs, a scan over the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gate import Array, Results
from peers.base import Peer, Prepared, reading, stepping
from problem import Problem, named, stacked

GATES = {"lstm": "ifgo", "gru": "rzn", "elman": "h"}


def _lstm(u: Any, c_n: Any, a: Any, state: Any) -> Any:
    h, c = state
    i, f, g, o = jnp.split(a + h @ u, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru(u: Any, c_n: Any, a: Any, state: Any) -> Any:
    (h,) = state
    a_r, a_z, a_n = jnp.split(a, 3, -1)
    u_r, u_z, u_n = jnp.split(h @ u, 3, -1)
    z = jax.nn.sigmoid(a_z + u_z)
    n = jnp.tanh(a_n + jax.nn.sigmoid(a_r + u_r) * (u_n + c_n))
    return ((1 - z) * n + z * h,)


def _elman(u: Any, c_n: Any, a: Any, state: Any) -> Any:
    (h,) = state
    return (jnp.tanh(a + h @ u),)


CELLS: dict[str, tuple[Callable[..., Any], int]] = {
    "lstm": (_lstm, 2),
    "gru": (_gru, 1),
    "elman": (_elman, 1),
}


def _forward(cell: str, weights: Any, x: Any, alive: Any) -> Any:
    """(T, B, I) -> (T, B, H)."""
    step, states = CELLS[cell]
    u, c_n = weights["u"], weights["c_n"]
    zero = jnp.zeros((x.shape[1], u.shape[0]))

    def one(state: Any, given: Any) -> Any:
        after = step(u, c_n, given[0], state)
        if alive is None:
            return after, after[0]
        after = tuple(jnp.where(given[1], a, s) for a, s in zip(after, state, strict=True))
        return after, after[0] * given[1]

    read = (x @ weights["w"] + weights["b"], *(() if alive is None else (alive,)))
    return jax.lax.scan(one, (zero,) * states, read)[1]


class Scan(Peer):
    """The three cells as a scan."""

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        weights = _weights(problem)
        if problem.use == "step":
            return _steps(problem, weights)
        x = jnp.asarray(problem.x.numpy())
        alive = jnp.asarray(problem.alive.numpy()) if problem.ragged else None
        if not problem.training:
            infer = jax.jit(lambda *values: _forward(problem.cell, *values))
            return reading(
                lambda: jax.block_until_ready(infer(weights, x, alive)),
                lambda output: {"output": np.asarray(output)},
            )
        d = jnp.asarray(problem.d.numpy())

        def loss(weights: Any, x: Any, d: Any, alive: Any) -> Any:
            output = _forward(problem.cell, weights, x, alive)
            return (output * d).sum(), output

        train = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
        return reading(
            lambda: jax.block_until_ready(train(weights, x, d, alive)),
            lambda found: _read(found, problem.cell),
        )


def _weights(problem: Problem) -> dict[str, Any]:
    gates = GATES[problem.cell]
    matrices = [stacked(problem.weights, kind, gates).t().numpy() for kind in "WU"]
    b = stacked(problem.weights, "b", gates).numpy()
    c_n = problem.weights["c_n"].numpy() if "c_n" in problem.weights else np.zeros(1, "float32")
    names = ("w", "u", "b", "c_n")
    return {k: jnp.array(v) for k, v in zip(names, (*matrices, b, c_n), strict=True)}


def _read(found: Any, cell: str) -> Results:
    (_, output), (d, d_x) = found
    gates = GATES[cell]
    results: dict[str, Array] = {"output": np.asarray(output), "d x": np.asarray(d_x)}
    results |= named(np.asarray(d["w"]).T, "W", gates) | named(np.asarray(d["u"]).T, "U", gates)
    results |= named(np.asarray(d["b"]), "b", gates)
    return results | {"d c_n": np.asarray(d["c_n"])}


def _steps(problem: Problem, weights: dict[str, Any]) -> Prepared:
    function, states = CELLS[problem.cell]
    zero = (jnp.zeros((problem.shape.B, problem.shape.H)),) * states
    held: list[Any] = [zero]

    @jax.jit
    def one(weights: Any, x: Any, state: Any) -> Any:
        a = x @ weights["w"] + weights["b"]
        return function(weights["u"], weights["c_n"], a, state)

    def reset() -> None:
        held[0] = zero

    def step(x: Any) -> Any:
        held[0] = jax.block_until_ready(one(weights, x, held[0]))
        return held[0][0]

    return stepping(reset, step, [jnp.asarray(x.numpy()) for x in problem.x], np.asarray)
