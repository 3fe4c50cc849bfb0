"""A memory that is a matrix, in its chunkwise form: all steps of a chunk in a few products.

What the memory holds after a chunk is computed once for each chunk; inside it, what a step reads
follows from what the steps before have written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.cpu.chunk_products import Seen, Written, run_chunk
from recurra.backends.cpu.operands import part
from recurra.backends.cpu.product import linear
from recurra.backends.observed import moded
from recurra.backends.plan import Plan
from recurra.backends.reference import execute
from recurra.backends.weights import Weights
from recurra.graph import Expression, Graph
from recurra.graph.affine import Update
from recurra.graph.chunkwise import Chunkwise, chunkwise

LEAST = 8  # steps from which it pays
CHUNK = 128  # steps at most

Result = tuple[Tensor, tuple[Tensor, ...]]
Run = Callable[[Graph, Weights, Given], Result]


def chunkwise_of(graph: Graph, given: Given) -> Chunkwise | None:
    """The chunkwise form of a graph; None if it has none, or this call cannot or should not."""
    if moded() or torch.is_autocast_enabled("cpu"):
        return None
    return chunkwise(graph) if given.steps >= LEAST else None


def run_chunkwise(run: Run, form: Chunkwise, weights: Weights, given: Given) -> Result | None:
    """Run a graph in its three parts, all steps of all rows; see `Backend.run`.

    None if a read is not finite: products of sequences bring what a step writes to steps before
    it, times 0, which is not 0 then. Only step by step does it stay where it belongs.

    Args:
        run: what runs a graph so.
        form: of the graph.
        weights, given: see `Backend.run`.
    """
    states = dict(zip(form.graph.states, given.states, strict=True))
    products = _products(form, weights, given)
    named = {own.name: products[own.node] for own in form.products}
    values, after_before = _part(run, form.before, weights, given, states, named)
    shown = dict(zip(form.before.shown, values[1:], strict=True))
    known = products | {node: shown[name] for node, name in form.passed.items()}
    memory, read = _memory(run, form, known, states[form.memory], given)
    with torch.no_grad():
        if not all(torch.isfinite(value.sum()) for value in read.values()):
            return None
    more = {**named, **shown, **read}
    found, after_after = _part(run, form.after, weights, given, states, more)
    last = {form.memory: memory, **after_before, **after_after}
    return found[0], (*(last[state] for state in form.graph.states), *found[1:])


def _products(form: Chunkwise, weights: Weights, given: Given) -> dict[Expression, Tensor]:
    """The products of inputs with weights; those of one input are one, and views of it."""
    plan, groups = _front(form)
    values = plan.blank(weights, given)
    execute(plan.constant, values)
    execute(plan.parallel, values)
    found: dict[Expression, Tensor] = {}
    for operand, members in groups:
        matrices = [values[slot] for _, slot, _ in members]
        rows = [m.reshape(-1, m.shape[-1]) for m in matrices]
        biases = [
            own.new_zeros(len(own)) if slot is None else values[slot].reshape(-1)
            for own, (*_, slot) in zip(rows, members, strict=True)
        ]
        x = part(values[operand[0]], *operand[1:])
        whole = linear(x, torch.cat(rows), torch.cat(biases))
        parts = whole.split([len(own) for own in rows], -1)
        found |= dict(zip((node for node, *_ in members), parts, strict=True))
    return found


_Members = list[tuple[Expression, int, int | None]]


@lru_cache(maxsize=256)
def _front(form: Chunkwise) -> tuple[Plan, list[tuple[tuple[int, int, int], _Members]]]:
    """What is computed before: where each input is, and (product, weights, bias) that meet it.

    As weights are stored, so that those of one stack are taken from it in order.
    """
    plan = Plan(form.graph, linear)
    order = {parameter: k for k, parameter in enumerate(form.graph.parameters)}
    products = sorted(form.products, key=lambda own: order.get(own.weights, -1))
    groups: dict[Expression, _Members] = {}
    for own in products:
        bias = None if own.bias is None else plan.given_to_step(own.bias)[0]
        member = (own.node, plan.given_to_step(own.weights)[0], bias)
        groups.setdefault(own.operand, []).append(member)
    return plan, [(plan.given_to_step(x), members) for x, members in groups.items()]


def _part(
    run: Run,
    graph: Graph,
    weights: Weights,
    given: Given,
    states: Mapping[Expression, Tensor],
    more: Mapping[str, Tensor],
) -> tuple[list[Tensor], dict[Expression, Tensor]]:
    """The output and what is shown, and the last states, of a part."""
    like = given.states[0]
    own = tuple(states.get(s, like.new_zeros(given.rows, 1)) for s in graph.states)
    own_given = replace(given, sequences={**given.sequences, **more}, states=own)
    output, others = run(graph, weights, own_given)
    count = len(own)
    return [output, *others[count:]], dict(zip(graph.states, others[:count], strict=True))


class _Chunk(NamedTuple):
    """Some steps of the sequences that meet a memory, (T, B, size) each."""

    sequences: Mapping[Expression, Tensor]
    like: Tensor
    steps: int
    rows: int

    def scalar(self, node: Expression) -> Tensor:
        """A scalar of each step."""
        if node.op == "constant":
            return self.like.new_full((self.steps, self.rows, 1), node.attribute)
        return self.sequences[node]

    def past(self, run: Run, update: Update, read: Update) -> tuple[Tensor, Tensor]:
        """What a read sees of each step, and what is left of it after each: (T, B, T + 1)."""
        ones = torch.eye(self.steps + 1, dtype=self.like.dtype).unsqueeze(1)
        sequences = {"x": ones[1:], "a": self.scalar(update.decay), "c": self.scalar(update.rate)}
        whole = Given(self.steps, self.rows, sequences, {}, (ones[0].expand(self.rows, -1),))
        if read == update:
            left, _ = run(_past_graph(False), Weights([], {}), whole)
            return left, left
        sequences |= {"b": self.scalar(read.decay), "d": self.scalar(read.rate)}
        seen, (_, left) = run(_past_graph(True), Weights([], {}), whole)
        return seen, left


@lru_cache(maxsize=2)
def _past_graph(on_the_way: bool) -> Graph:
    """What is left of what each step has written: D[s] of step s, D[0] of the start.

    With x 1 in the place of its step and 0 elsewhere: D = a D + c x. Where a read sees another
    matrix than the memory after the step, it sees b D + d x, D from before the step.
    """
    before, x = Expression("state", (), "D"), Expression("input", (), "x")
    a, b, c, d = (Expression("input", (), name) for name in "abcd")
    after, seen = a * before + c * x, b * before + d * x
    factors = (a, b, c, d) if on_the_way else (a, c)
    return Graph(
        name="past",
        inputs=(x, *factors),
        states=(before,),
        updates=(after,),
        output=seen if on_the_way else after,
        parameters=(),
        named=(("D", after),),
        leaf_shapes=(*((leaf, ("L",)) for leaf in (before, x)), *((f, ()) for f in factors)),
        shown=("D",) if on_the_way else (),
    )


def _memory(
    run: Run,
    form: Chunkwise,
    known: Mapping[Expression, Tensor],
    start: Tensor,
    given: Given,
) -> tuple[Tensor, dict[str, Tensor]]:
    """(the memory after the last step, what each read gives in all steps)."""
    memory = None if _is_zero(start) else start
    count = -(-given.steps // CHUNK)
    pieces = [value.chunk(count) if count > 1 else (value,) for value in known.values()]
    found: list[list[Tensor]] = []
    for some in zip(*pieces, strict=True):
        chunk = _Chunk(dict(zip(known, some, strict=True)), start, len(some[0]), given.rows)
        memory, reads = _one_chunk(run, form, chunk, memory)
        found.append(reads)
    assert memory is not None
    whole = [parts[0] if count == 1 else torch.cat(parts) for parts in zip(*found, strict=True)]
    return memory, dict(zip((read.name for read in form.reads), whole, strict=True))


def _is_zero(start: Tensor) -> bool:
    """Whether a memory is the one zero, spread, with which layers start."""
    one = not any(start.stride()) and not start.requires_grad
    return one and start.numel() > 0 and start.flatten()[0].item() == 0


def _one_chunk(
    run: Run, form: Chunkwise, chunk: _Chunk, memory: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """(the memory after it, what each read gives)."""
    assert form.update.outer is not None
    column, row = (chunk.sequences[node] for node in form.update.outer.args)
    past: dict[Update, tuple[Tensor, Tensor]] = {}
    reads = []
    for read in form.reads:
        if read.matrix not in past:
            past[read.matrix] = chunk.past(run, form.update, read.matrix)
        keys, values, side = row, column, memory
        if read.mirrored:
            keys, values, side = column, row, None if memory is None else memory.mT
        query, (seen, _) = chunk.sequences[read.query], past[read.matrix]
        reads.append(Seen(query, keys, values, seen, side))
    left = next(iter(past.values()))[1][-1]
    return run_chunk(Written(column, row, left, memory), reads)
