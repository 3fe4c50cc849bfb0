"""Units that rest: blocks of them skip their products in steps in which nothing moves.

In a clockwork network (Koutník et al. 2014, arXiv:1402.3511) a module moves only on its beat. In
its graph that is `where(r, h, ...)` with an r that depends on no state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import llvmlite.ir as ir

from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.sweep import Sweep
from recurra.backends.cpu.vectors import Vectors
from recurra.graph import Expression, constant
from recurra.graph.expression import substitute, walk

# What a resting unit keeps for the backward pass, where it is multiplied by 0: a number that no
# rule of a gradient turns into an infinite one.
_HARMLESS = 0.5


@dataclass(frozen=True, eq=False)
class Rest:
    """How a sweep rests.

    Attributes:
        mark: a read of the program, not 0 where a unit rests.
        results: what is written in the place of each result where all units rest.
    """

    mark: Expression
    results: Mapping[Expression, Expression]


def rest_of(draft: Draft, sweep: Sweep) -> Rest | None:
    """How a sweep with products can rest; None if it cannot."""
    for mark in draft.program.reads if sweep.accumulations else ():
        known = draft.schedule.leaves
        choices = {
            node: node.args[1]
            for node in draft.program.nodes
            if node.op == "where" and node.args[0] is mark and node.args[1] in known
        }
        if not choices or not draft.program.shapes[mark]:
            continue
        moved = {node for choice in choices for node in walk((choice.args[2],))}
        results = {}
        for result, still in zip(sweep.results, substitute(sweep.results, choices), strict=True):
            if still not in known and result in moved and result not in choices:
                still = constant(_HARMLESS)
            results[result] = still
        if all(still in known or still.op == "constant" for still in results.values()):
            return Rest(mark, results)
    return None


def some_move(v: Vectors, marks: ir.Value) -> ir.Value:
    """Whether any lane of the marks is 0."""
    moving = v.b.fcmp_ordered("==", marks, v.const(0.0))
    lanes = ir.IntType(v.form.lanes)
    return v.b.icmp_unsigned("!=", v.b.bitcast(moving, lanes), ir.Constant(lanes, 0))
