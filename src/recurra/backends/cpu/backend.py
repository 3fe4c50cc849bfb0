"""The CPU backend: what runs before the loop in PyTorch, the loop itself in a fused kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.backends.backend import Backend, Given
from recurra.backends.cpu.compiled import Split, compiled, split
from recurra.backends.cpu.fused import Call, Recurrence, forward
from recurra.backends.reference import execute
from recurra.backends.rules import RULES
from recurra.backends.weights import Weights
from recurra.graph import Expression, Graph
from recurra.graph.facts import stepping_matrix

_FORMATS = {torch.float32: 32, torch.float64: 64}
LEAST = 2**14


class Cpu(Backend):
    """Runs a graph in fused kernels, forward and backward.

    Args:
        least: a call with fewer values (T x B x H) goes to the reference: compiling kernels and
            packing weights would cost more than it saves.
    """

    name = "cpu"
    purpose = "fused kernels, printed from the equations"

    def __init__(self, least: int = LEAST) -> None:
        self.least = max(least, 1)

    def refusal(
        self, graph: Graph, device: torch.device, dtype: torch.dtype, values: int | None = None
    ) -> str | None:
        """It runs on CPUs, in float32 and float64, what is large enough."""
        if device.type != "cpu":
            return f"it runs on a CPU, not on {device.type}"
        if dtype not in _FORMATS:
            return f"it computes in float32 and float64, not in {str(dtype).removeprefix('torch.')}"
        if _transformed():
            return "PyTorch is tracing or transforming this call"
        if why := _has_no_kernel(graph):
            return why
        if values is not None and values < self.least:
            return f"a call of {values:,} values (T x B x H) is small; it pays from {self.least:,}"
        return None

    def run(
        self, graph: Graph, weights: Weights, given: Given
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `Backend.run`."""
        cut = split(graph)
        dtype = given.states[0].dtype
        values = cut.front.blank(weights, given)
        execute(cut.front.constant, values)
        execute(cut.front.parallel, values)
        slots = list(dict.fromkeys(slot for slot, _, _ in cut.reads))
        taken = [*slots, *cut.constants, *cut.matrices]
        tensors = [*(values[slot].to(dtype) for slot in taken), *given.states]
        call = Call(
            compiled(graph, _sizes(cut, tensors, slots), _FORMATS[dtype]),
            given.steps,
            given.rows,
            len(slots),
            tuple((slots.index(slot), position, count) for slot, position, count in cut.reads),
            _slow,
        )
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            output, *states = Recurrence.apply(call, *tensors)
            return output, tuple(states)
        output, carried, _ = forward(call, tensors, training=False)
        return output, tuple(one.last.clone() for one in carried)


def _has_no_kernel(graph: Graph) -> str | None:
    """Why no kernel can be made for a graph; None if one can."""
    matrix = stepping_matrix(graph)
    if matrix is not None:
        name = matrix.attribute or graph.names.get(matrix)
        which = f"the matrix {name}" if name else "a matrix of its equations"
        return f"{which} changes in each step; kernels multiply by weights only"
    scalar = next((state for state in graph.states if not graph.shape(state)), None)
    if scalar is not None:
        return f"the state {scalar.attribute} is a scalar; kernels carry vectors, one value a unit"
    return None


def _transformed() -> bool:
    """Whether PyTorch compiles, traces, vectorises or differentiates forward what runs."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )


def _sizes(cut: Split, tensors: list[Tensor], slots: list[int]) -> tuple[tuple[str, int], ...]:
    """The number behind each size letter that a step meets, read off its tensors."""
    normal, sources = cut.graph, len(slots)
    sizes: dict[str, int] = {}
    for read, (slot, _, members) in zip(cut.forward.reads, cut.reads, strict=True):
        if normal.shapes[read]:
            sizes[normal.shapes[read][0]] = tensors[slots.index(slot)].shape[-1] // members
    matrices = tensors[sources + len(cut.constants) :]
    for (_, nodes), stack in zip(cut.stacks, matrices, strict=False):
        rows, columns = normal.shapes[nodes[0]]
        sizes |= {rows: stack.shape[0] // len(nodes), columns: stack.shape[1]}
    for node, constant in zip(cut.forward.constants, tensors[sources:], strict=False):
        if normal.shapes[node]:
            sizes[normal.shapes[node][0]] = constant.shape[0]
    states = tensors[len(tensors) - len(normal.states) :]
    for state, tensor in zip(normal.states, states, strict=True):
        sizes[normal.shape(state)[0]] = tensor.shape[1]
    return tuple(sorted(sizes.items()))


def _slow(call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The loop in PyTorch, node by node, differentiable any number of times."""
    sources, constants, stacked, states = call.divide(tensors)
    cut = call.compiled.split
    reads = call.read(sources)
    fixed = dict(zip(cut.forward.constants, constants, strict=True)) | call.matrices(stacked)
    outputs = []
    for t in range(call.steps):
        values: dict[Expression, Tensor | float] = dict(fixed)
        values |= {n: r[t if r.shape[0] > 1 else 0] for n, r in reads.items()}
        values |= dict(zip(cut.graph.states, states, strict=True))
        for node in cut.forward.nodes:
            if node not in values:
                args = [_number(values, arg) for arg in node.args]
                size = [call.compiled._sizes[node.attribute]] if node.op == "spread" else []
                values[node] = RULES[node.op](*args, *size)
        states = tuple(values[update] for update in cut.graph.updates)  # type: ignore[misc]
        outputs.append(values[cut.graph.output])
    return (torch.stack(outputs), *states)  # type: ignore[arg-type]


def _number(values: dict[Expression, Tensor | float], node: Expression) -> Tensor | float:
    return float(node.attribute) if node.op == "constant" else values[node]
