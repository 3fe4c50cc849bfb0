"""Units that rest: blocks of them skip their products in steps in which nothing moves.

In a clockwork network (Koutník et al. 2014, arXiv:1402.3511) a module moves only on its beat. In
its graph that is `where(r, h, ...)` with an r that depends on no state. Backwards, what reaches the
equations of a unit that rests is 0, and nothing is multiplied by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import llvmlite.ir as ir

from recurra.backends.cpu.clocks import Clock, clocks
from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.loops import carry, smaller
from recurra.backends.cpu.micro import Place, accumulate, fetching
from recurra.backends.cpu.program import is_reduction
from recurra.backends.cpu.sweep import Sweep
from recurra.backends.cpu.vectors import Format, Vectors, index
from recurra.graph import Expression, constant
from recurra.graph.expression import substitute, walk

# What a resting unit keeps for the backward pass, where it is multiplied by 0: a number that no
# rule of a gradient turns into an infinite one.
_HARMLESS = 0.5


@dataclass(frozen=True, eq=False)
class Rest:
    """How a sweep rests.

    Attributes:
        clock: when its units move.
        results: what is written in the place of each result where all units rest.
    """

    clock: Clock
    results: Mapping[Expression, Expression]


def rest_of(draft: Draft, sweep: Sweep) -> Rest | None:
    """How a sweep with products can rest; None if it cannot."""
    program, known = draft.program, draft.schedule.leaves
    if program.has_matrices:
        return None
    roots = [*program.updates, *(node for node in program.stores if node not in program.kept)]
    mixing = [node for node in program.nodes if node.op == "matmul" or is_reduction(node)]
    roots += [node.args[-1] for node in mixing]  # read by other units, which may move
    for clock in clocks(program) if sweep.accumulations else ():
        given = {node: clock.still(node) for node in program.nodes}
        choices = {node: still for node, still in given.items() if still in known}
        needed = set(walk(substitute(roots, choices)))
        results = {
            result: still if still in needed or still in known else constant(_HARMLESS)
            for result, still in zip(sweep.results, substitute(sweep.results, choices), strict=True)
        }
        if choices and all(s in known or s.op == "constant" for s in results.values()):
            return Rest(clock, results)
    return None


def load_marks(rests: int, v: Vectors, place: ir.Value, count: int | ir.Value) -> ir.Value:
    """The first marks at a place; the other lanes are those of units that rest.

    Args:
        rests: see `Clock`.
        v, place, count: see `Vectors.load`.
    """
    return v.load(place, count, fill=1.0 if rests == 1 else 0.0)


def some_move(rests: int, v: Vectors, marks: Sequence[ir.Value]) -> ir.Value:
    """Whether a lane of these vectors of marks is that of a unit that moves."""
    zero = v.const(0.0)
    moving, *others = (
        v.b.fcmp_ordered("==", each, zero) if rests == 1 else v.b.fcmp_unordered("!=", each, zero)
        for each in marks
    )
    for other in others:
        moving = v.b.or_(moving, other)
    lanes = ir.IntType(v.form.lanes)
    return v.b.icmp_unsigned("!=", v.b.bitcast(moving, lanes), ir.Constant(lanes, 0))


def accumulate_moving(
    b: ir.IRBuilder,
    form: Format,
    rests: int,
    marks: Sequence[ir.Value],
    starts: Sequence[ir.Value],
    depth: ir.Value,
    packed: ir.Value,
    columns: int,
    sums: Mapping[Place, ir.Value],
    ahead: ir.Value | None = None,
) -> dict[Place, ir.Value]:
    """`accumulate` without the vectors of units that rest in all rows: their elements are 0.

    Args:
        b, form, starts, packed, columns, sums: as of `accumulate`; numbers of a row stand side by
            side.
        ahead: see `fetching`.
        rests: see `Clock`.
        marks: for each row, where its marks begin.
        depth: elements of a row, and marks.
    """

    def some(b: ir.IRBuilder, n: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
        first, v = b.mul(n, index(form.lanes)), Vectors(b, form)
        count = smaller(b, index(form.lanes), b.sub(depth, first))
        places = [b.gep(mark, [first], source_etype=form.scalar) for mark in marks]
        moving = some_move(rests, v, [load_marks(rests, v, place, count) for place in places])
        before = b.block
        with b.if_then(moving):
            there = [b.gep(start, [first], source_etype=form.scalar) for start in starts]
            part = b.gep(packed, [b.mul(first, index(columns))], source_etype=form.vector)
            also = None
            if ahead is not None:
                offset = b.mul(first, index(64))
                also = fetching(b.gep(ahead, [offset], source_etype=ir.IntType(8)))
            own = dict(zip(sums, held, strict=True))
            new = accumulate(b, form, there, index(1), count, part, columns, own, also)
            end = b.block
        totals = []
        for old, value in zip(held, new.values(), strict=True):
            totals.append(total := b.phi(form.vector))
            total.add_incoming(old, before)
            total.add_incoming(value, end)
        return totals

    vectors = b.udiv(b.add(depth, index(form.lanes - 1)), index(form.lanes))
    totals = carry(b, vectors, [*sums.values()], some, "moving")
    return dict(zip(sums, totals, strict=True))
