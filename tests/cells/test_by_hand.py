"""Small examples worked out by hand: two units, one input, two steps, with the papers' equations.

The expected numbers come from these equations in plain Python arithmetic, written down apart from
the library and rounded to ten decimals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch.nn.functional import layer_norm

from recurra.nn import Recurrent

WEIGHTS: dict[str, Any] = {
    "W_i": [[0.5], [-0.3]],
    "W_f": [[0.2], [0.4]],
    "W_g": [[-0.6], [0.1]],
    "W_o": [[0.3], [0.7]],
    "W_n": [[0.8], [-0.5]],
    "U_i": [[0.1, 0.2], [-0.3, 0.4]],
    "U_f": [[0.5, -0.1], [0.2, 0.3]],
    "U_g": [[-0.2, 0.6], [0.4, 0.1]],
    "U_o": [[0.3, -0.5], [0.1, 0.2]],
    "U_n": [[0.7, -0.4], [-0.1, 0.6]],
    "b_i": [0.1, -0.2],
    "b_f": [0.3, 0.1],
    "b_g": [-0.1, 0.2],
    "b_o": [0.2, -0.4],
    "b_n": [0.05, -0.15],
    "R_h": [[0.9, -0.7]],
}
INPUTS = (1.0, -2.0)
H_BEFORE = (0.2, -0.4)
C_BEFORE = (0.5, -0.3)


def run(
    name: str,
    weights: Mapping[str, Any],
    states: Sequence[Sequence[float]],
    **options: Any,
) -> tuple[list[list[float]], list[list[float]]]:
    """The outputs of two steps and the last states."""
    layer = Recurrent(name, 1, len(states[-1]), dtype=torch.float64, **options)
    for weight in layer.weight_names:
        layer.set_weight(weight, torch.tensor(weights[weight], dtype=torch.float64))
    x = torch.tensor(INPUTS, dtype=torch.float64).view(2, 1, 1)
    before = tuple(torch.tensor(state, dtype=torch.float64).view(1, 1, -1) for state in states)
    output, after = layer(x, before if len(before) > 1 else before[0])
    after = after if isinstance(after, tuple) else (after,)
    return output[:, 0].tolist(), [part[0, 0].tolist() for part in after]


@pytest.mark.parametrize(
    ("name", "first", "second", "c_after"),
    [
        (
            "lstm",
            [-0.1003902244, -0.0412493922],
            [0.0629589529, -0.0070607784],
            [0.159107636, -0.05060756],
        ),
        (
            "lstm_1997",
            [-0.0251846977, -0.0529430897],
            [0.0418433211, -0.0139031196],
            [0.2069282667, -0.1988966549],
        ),
        (
            "lstm_cifg",
            [0.0458425235, -0.0286293667],
            [0.1696508909, -0.0009433407],
            [0.442525302, -0.0066568367],
        ),
    ],
)
def test_long_short_term_memories(
    name: str, first: list[float], second: list[float], c_after: list[float]
) -> None:
    outputs, (h, c) = run(name, WEIGHTS, (H_BEFORE, C_BEFORE))
    assert outputs[0] == pytest.approx(first, abs=1e-9)
    assert outputs[1] == pytest.approx(second, abs=1e-9)
    assert h == outputs[1]
    assert c == pytest.approx(c_after, abs=1e-9)


def test_lstm_projection() -> None:
    """One value goes on: h is a projection of the two units."""
    columns = {f"U_{gate}": [[row[0]] for row in WEIGHTS[f"U_{gate}"]] for gate in "ifgo"}
    outputs, (h, c) = run(
        "lstm_projection", {**WEIGHTS, **columns}, ([0.2], C_BEFORE), sizes={"P": 1}
    )
    assert outputs[0] == pytest.approx([-0.0259187491], abs=1e-9)
    assert outputs[1] == h == pytest.approx([0.0702783439], abs=1e-9)
    assert c == pytest.approx([0.1907998558, -0.0252994958], abs=1e-9)


def test_mgu() -> None:
    outputs, (h,) = run("mgu", WEIGHTS, (H_BEFORE,))
    assert outputs[0] == pytest.approx([0.5779140718, -0.5620034753], abs=1e-9)
    assert outputs[1] == h == pytest.approx([-0.2223310405, -0.1866297732], abs=1e-9)


def test_elman_relu() -> None:
    weights = {"W_h": WEIGHTS["W_n"], "U_h": WEIGHTS["U_n"], "b_h": WEIGHTS["b_n"]}
    outputs, (h,) = run("elman_relu", weights, (H_BEFORE,))
    assert outputs[0] == pytest.approx([1.15, 0.0], abs=1e-9)
    assert outputs[1] == h == pytest.approx([0.0, 0.735], abs=1e-9)


def test_lstm_layernorm() -> None:
    """Three units, because the normalised memory of two is always 1 and -1."""
    weights = {
        "W_i": [[0.5], [-0.3], [0.2]],
        "W_f": [[0.2], [0.4], [-0.1]],
        "W_g": [[-0.6], [0.1], [0.3]],
        "W_o": [[0.3], [0.7], [-0.2]],
        "U_i": [[0.1, 0.2, -0.4], [-0.3, 0.4, 0.1], [0.6, -0.2, 0.3]],
        "U_f": [[0.5, -0.1, 0.2], [0.2, 0.3, -0.6], [-0.4, 0.1, 0.7]],
        "U_g": [[-0.2, 0.6, 0.1], [0.4, 0.1, -0.3], [0.2, -0.5, 0.8]],
        "U_o": [[0.3, -0.5, 0.4], [0.1, 0.2, -0.7], [-0.6, 0.3, 0.2]],
        "b_i": [0.1, -0.2, 0.3],
        "b_f": [0.3, 0.1, -0.1],
        "b_g": [-0.1, 0.2, 0.0],
        "b_o": [0.2, -0.4, 0.1],
        "w_i": [1.1, 0.9, 0.8],
        "w_f": [0.8, 1.2, 0.6],
        "w_g": [1.0, 0.7, 1.2],
        "w_o": [0.6, 1.3, 0.9],
        "u_i": [0.9, 1.0, 1.1],
        "u_f": [1.2, 0.5, 0.8],
        "u_g": [0.7, 1.1, 0.6],
        "u_o": [1.3, 0.8, 1.0],
        "n_c": [1.1, 0.9, 0.7],
        "b_c": [0.1, -0.2, 0.3],
    }
    outputs, (h, c) = run("lstm_layernorm", weights, ([0.2, -0.4, 0.3], [0.5, -0.3, 0.1]))
    assert outputs[0] == pytest.approx([-0.5724197675, -0.4650917602, 0.1641402677], abs=1e-9)
    assert outputs[1] == pytest.approx([0.0581380689, -0.0329186928, 0.7450427871], abs=1e-9)
    assert h == outputs[1]
    assert c == pytest.approx([0.0610961489, -0.6203611718, 0.7742945846], abs=1e-9)


def test_lstm_layernorm_normalises_the_four_gates_together() -> None:
    """Each step again with torch's layer_norm over the stacked 4H values, as in the paper."""
    torch.manual_seed(0)
    layer = Recurrent("lstm_layernorm", 2, 3, dtype=torch.float64)
    for name in layer.weight_names:
        layer.set_weight(name, torch.randn_like(layer.weight(name)))

    def stacked(kind: str) -> torch.Tensor:
        return torch.cat([layer.weight(f"{kind}_{gate}") for gate in "ifgo"])

    x, h, c = (torch.randn(*shape, dtype=torch.float64) for shape in ((4, 5, 2), (5, 3), (5, 3)))
    outputs, (h_after, c_after) = layer(x, (h[None], c[None]))
    for now, output in zip(x, outputs, strict=True):
        of_x = layer_norm(now @ stacked("W").T, (12,), stacked("w"), stacked("b"))
        of_h = layer_norm(h @ stacked("U").T, (12,), stacked("u"))
        i, f, g, o = (of_x + of_h).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * layer_norm(c, (3,), layer.weight("n_c"), layer.weight("b_c")).tanh()
        torch.testing.assert_close(output, h)
    torch.testing.assert_close((h_after[0], c_after[0]), (h, c))
