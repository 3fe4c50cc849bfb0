"""Oracle: ONNX's reference evaluator runs the same weights as LSTM with peepholes, GRU and RNN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from recurra.nn import Recurrent
from support.checks import call_values, close, layer_of


def evaluate(op: str, feeds: dict[str, Any], outputs: list[str], **attributes: Any) -> list[Any]:
    """The outputs of one ONNX operation, in float64; an input called "" is left out."""
    node = helper.make_node(op, list(feeds), outputs, **attributes)
    values = {name: np.asarray(value) for name, value in feeds.items() if name}
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.DOUBLE, v.shape) for n, v in values.items()
    ]
    results = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in outputs]
    model = helper.make_model(helper.make_graph([node], op, inputs, results))
    return list(ReferenceEvaluator(model).run(None, values))


def stacked(layer: Recurrent, kind: str, gates: str) -> np.ndarray:
    """Weights of one kind in ONNX's order of gates, with its axis of directions."""
    parts = [layer.weight(f"{kind}_{gate}").detach().numpy() for gate in gates]
    return np.concatenate(parts)[None]


def with_zeros(bias: np.ndarray) -> np.ndarray:
    """ONNX keeps two biases for each gate; ours is the first."""
    return np.concatenate([bias, np.zeros_like(bias)], 1)


def agree(layer: Recurrent, x: Tensor, states: tuple[Tensor, ...], theirs: list[Any]) -> None:
    output, after = layer(x, states if len(states) > 1 else states[0])
    expected, *last = theirs
    close(output, expected[:, 0])
    for ours, other in zip(after if isinstance(after, tuple) else (after,), last, strict=True):
        close(ours, other)


def lstm(layer: Recurrent, gates: str = "iofg", peepholes: str = "iof") -> None:
    """The layer against ONNX's LSTM; a cell without peepholes has none in ONNX either."""
    x, (h, c), _ = call_values(layer, steps=4)
    feeds = {
        "X": x,
        "W": stacked(layer, "W", gates),
        "R": stacked(layer, "U", gates),
        "B": with_zeros(stacked(layer, "b", gates)),
        "": None,
        "h": h,
        "c": c,
    }
    if "v_i" in layer.weight_names:
        feeds["P"] = stacked(layer, "v", peepholes)
    agree(layer, x, (h, c), evaluate("LSTM", feeds, ["Y", "Yh", "Yc"], hidden_size=3))


def test_lstm() -> None:
    lstm(layer_of("lstm"))


def test_lstm_with_peepholes() -> None:
    lstm(layer_of("lstm_peephole"))


@pytest.mark.parametrize("wrong", [{"gates": "ifog"}, {"peepholes": "ifo"}])
def test_another_order_of_gates_is_seen(wrong: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        lstm(layer_of("lstm_peephole"), **wrong)


@pytest.mark.parametrize(("name", "linear_before_reset"), [("gru", 1), ("gru_reset_before", 0)])
def test_gru(name: str, linear_before_reset: int) -> None:
    layer = layer_of(name)
    x, (h,), _ = call_values(layer, steps=4)
    bias = with_zeros(stacked(layer, "b", "zrn"))
    if linear_before_reset:  # the bias inside the reset is the last of ONNX's recurrent biases
        bias[:, -3:] = layer.weight("c_n").detach().numpy()
    feeds = {
        "X": x,
        "W": stacked(layer, "W", "zrn"),
        "R": stacked(layer, "U", "zrn"),
        "B": bias,
        "": None,
        "h": h,
    }
    theirs = evaluate(
        "GRU", feeds, ["Y", "Yh"], hidden_size=3, linear_before_reset=linear_before_reset
    )
    agree(layer, x, (h,), theirs)


def test_elman() -> None:
    layer = layer_of("elman")
    x, (h,), _ = call_values(layer, steps=4)
    feeds = {
        "X": x,
        "W": stacked(layer, "W", "h"),
        "R": stacked(layer, "U", "h"),
        "B": with_zeros(stacked(layer, "b", "h")),
        "": None,
        "h": h,
    }
    agree(layer, x, (h,), evaluate("RNN", feeds, ["Y", "Yh"], hidden_size=3))


def test_elman_relu_step_by_step() -> None:
    """The evaluator's RNN knows tanh only; its Gemm and Relu make the same step."""
    layer = layer_of("elman_relu")
    x, (h,), _ = call_values(layer, steps=4)
    W, U, b = (layer.weight(name).detach().numpy() for name in ("W_h", "U_h", "b_h"))
    state, outputs = h[0].numpy(), []
    for now in x.numpy():
        (part,) = evaluate("Gemm", {"a": now, "b": W, "c": b}, ["y"], transB=1)
        (total,) = evaluate("Gemm", {"a": state, "b": U, "c": part}, ["y"], transB=1)
        (state,) = evaluate("Relu", {"a": total}, ["y"])
        outputs.append(state)
    agree(layer, x, (h,), [np.stack(outputs)[:, None], state[None]])
