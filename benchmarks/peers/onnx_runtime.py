"""ONNX Runtime: one LSTM, GRU or RNN operator; inference and single steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from peers.base import Peer, Prepared, reading, stepping
from problem import Problem, stacked

GATES = {"lstm": "iofg", "gru": "zrn", "elman": "h"}
KINDS = {"lstm": "LSTM", "gru": "GRU", "elman": "RNN"}


class Session(Peer):
    """A graph of one operator."""

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        session = _session(problem)
        if problem.use == "step":
            return _steps(problem, session)
        feeds = {"X": problem.x.numpy()}
        if problem.ragged:
            feeds["lengths"] = problem.lengths.int().numpy()
        return reading(lambda: session.run(["Y"], feeds)[0], lambda y: {"output": y[:, 0]})


def _session(problem: Problem) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = _model(problem).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _model(problem: Problem) -> Any:
    """The operator with its weights; steps also read and give the states."""
    shape, gates = problem.shape, GATES[problem.cell]
    streamed = problem.use == "step"
    weights = {
        "W": stacked(problem.weights, "W", gates),
        "R": stacked(problem.weights, "U", gates),
        "B": _biases(problem),
    }
    held = ["h", "c"][: 2 if problem.cell == "lstm" else 1] if streamed else []
    steps = 1 if streamed else shape.T
    inputs = {"X": (TensorProto.FLOAT, [steps, shape.B, shape.I])}
    inputs |= {"lengths": (TensorProto.INT32, [shape.B])} if problem.ragged else {}
    inputs |= {name: (TensorProto.FLOAT, [1, shape.B, shape.H]) for name in held}
    outputs = {"": None, "Y_h": 3, "Y_c": 3} if streamed else {"Y": 4}
    names = list(outputs)[: 1 + len(held)]
    options: dict[str, Any] = {"linear_before_reset": 1} if problem.cell == "gru" else {}
    node = helper.make_node(
        KINDS[problem.cell],
        ["X", "W", "R", "B", "lengths" if problem.ragged else "", *held],
        names,
        hidden_size=shape.H,
        **options,
    )
    graph = helper.make_graph(
        [node],
        problem.cell,
        [helper.make_tensor_value_info(name, *form) for name, form in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name],
        [numpy_helper.from_array(w.numpy()[None], name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _biases(problem: Problem) -> torch.Tensor:
    """Both biases side by side; the second is 0, but for the GRU's inside the reset."""
    first = stacked(problem.weights, "b", GATES[problem.cell])
    second = torch.zeros_like(first)
    if "c_n" in problem.weights:
        second[-problem.shape.H :] = problem.weights["c_n"]
    return torch.cat([first, second])


def _steps(problem: Problem, session: Any) -> Prepared:
    names = ["h", "c"][: 2 if problem.cell == "lstm" else 1]
    outputs = [f"Y_{name}" for name in names]
    zero = np.zeros((1, problem.shape.B, problem.shape.H), "float32")
    held: dict[str, Any] = {}

    def reset() -> None:
        held.update(dict.fromkeys(names, zero))

    def step(x: Any) -> Any:
        found = session.run(outputs, {"X": x, **held})
        held.update(zip(names, found, strict=True))
        return found[0]

    reset()
    return stepping(reset, step, [x[None].numpy() for x in problem.x], lambda h: h[0])
