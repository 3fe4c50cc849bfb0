"""Where a cell's weights live: a few stacked parameters, so that one product serves all gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from recurra.graph import Graph
from recurra.graph.facts import biases
from recurra.graph.shapes import Shape


@dataclass(frozen=True)
class Stack:
    """One stored parameter.

    Attributes:
        name: of the parameter, before `_l0` or `_l0_reverse`.
        members: the weights of the equations in it, one under another.
        shape: of one member, in size letters.
        kernel: sizes behind those, of a weight that convolves.
    """

    name: str
    members: tuple[str, ...]
    shape: Shape
    kernel: tuple[int, ...] = ()


def stacked_by_shape(graph: Graph) -> tuple[Stack, ...]:
    """All weights of one kind in one parameter, in the order of the equations.

    Matrices are named by what they lead from and to, as in torch: `weight_ih`, `weight_hh`. Vectors
    that are only added are `bias`, others `vector`; scalars are `scalar`.
    """
    added = biases(graph)
    kinds: dict[tuple[str, Shape], list[str]] = {}
    for parameter in graph.parameters:
        shape = graph.shape(parameter)
        kinds.setdefault((_kind(shape, parameter in added), shape), []).append(parameter.attribute)
    order = {"weight": 0, "vector": 1, "scalar": 2, "bias": 3}
    ranked = sorted(kinds.items(), key=lambda item: order[item[0][0].split("_")[0]])
    return tuple(Stack(name, tuple(members), shape) for (name, shape), members in ranked)


def as_kernels(kernel: tuple[int, ...]) -> Callable[[Graph], tuple[Stack, ...]]:
    """A layout in which every matrix has a value for each place of a kernel."""

    def layout(graph: Graph) -> tuple[Stack, ...]:
        return tuple(
            replace(stack, kernel=kernel) if len(stack.shape) == 2 else stack
            for stack in stacked_by_shape(graph)
        )

    return layout


def _kind(shape: Shape, added: bool) -> str:
    if len(shape) == 2:
        return f"weight_{shape[1]}{shape[0]}".lower()
    if not shape:
        return "scalar"
    kind = "bias" if added else "vector"
    return kind if shape == ("H",) else f"{kind}_{shape[0]}".lower()


def as_torch_stores(graph: Graph) -> tuple[Stack, ...]:
    """The layout of `torch.nn.RNN`, `LSTM` and `GRU`: two biases for each gate, which are added."""

    def letters(prefix: str) -> tuple[str, ...]:
        return tuple(p.attribute for p in graph.parameters if p.attribute.startswith(prefix))

    recurrent = letters("U_")
    after = {name[2:]: name for name in letters("c_")}  # torch keeps GRU's c_n among its bias_hh
    first = letters("b_")
    leaf = graph.leaf(recurrent[0])
    assert leaf is not None
    stacks = [
        Stack("weight_ih", letters("W_"), ("H", "I")),
        Stack("weight_hh", recurrent, graph.shape(leaf)),
    ]
    if first:
        second = tuple(after.get(name[2:], name) for name in first)
        stacks += [Stack("bias_ih", first, ("H",)), Stack("bias_hh", second, ("H",))]
    if letters("R_"):
        stacks.append(Stack("weight_hr", letters("R_"), ("P", "H")))
    return tuple(stacks)
