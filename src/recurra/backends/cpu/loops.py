"""Control flow in LLVM IR: counted loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import llvmlite.ir as ir

from recurra.backends.cpu.vectors import INT, index

VOID = ir.VoidType()


def loop(
    b: ir.IRBuilder,
    low: ir.Value,
    high: ir.Value,
    step: int | ir.Value,
    body: Callable[[ir.IRBuilder, ir.Value], None],
    name: str,
) -> None:
    """For i in low..high by step: body; nothing where low is not below high."""
    before = b.block
    inside, after = b.append_basic_block(name), b.append_basic_block(f"{name}_done")
    b.cbranch(b.icmp_signed("<", low, high), inside, after)
    b.position_at_end(inside)
    i = b.phi(INT, name)
    i.add_incoming(low, before)
    body(b, i)
    following = b.add(i, index(step) if isinstance(step, int) else step)
    i.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, high), inside, after)
    b.position_at_end(after)


def carry(
    b: ir.IRBuilder,
    count: ir.Value,
    values: Sequence[ir.Value],
    body: Callable[[ir.IRBuilder, ir.Value, list[ir.Value]], Sequence[ir.Value]],
    name: str,
) -> list[ir.Value]:
    """The values after `body` has changed them `count` times, at least once, each in registers."""
    before, inside = b.block, b.append_basic_block(name)
    after = b.append_basic_block(f"{name}_done")
    b.branch(inside)
    b.position_at_end(inside)
    k, held = b.phi(INT, name), [b.phi(value.type) for value in values]
    k.add_incoming(index(0), before)
    for phi, value in zip(held, values, strict=True):
        phi.add_incoming(value, before)
    new = list(body(b, k, list(held)))
    following = b.add(k, index(1))
    k.add_incoming(following, b.block)
    for phi, value in zip(held, new, strict=True):
        phi.add_incoming(value, b.block)
    b.cbranch(b.icmp_unsigned("<", following, count), inside, after)
    b.position_at_end(after)
    return new


def smaller(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """The smaller of two integers."""
    return b.select(b.icmp_signed("<", x, y), x, y)


def share(b: ir.IRBuilder, count: ir.Value, me: ir.Value, team: ir.Value) -> tuple[ir.Value, ...]:
    """(first, end) of the part of `count` things that falls to member `me` of a team."""
    first = b.udiv(b.mul(me, count), team)
    return first, b.udiv(b.mul(b.add(me, index(1)), count), team)
