"""Where the members of a team wait for one another."""

from __future__ import annotations

from dataclasses import dataclass

import llvmlite.ir as ir

from recurra.backends.cpu.vectors import INT, index

_SPINS = 4096  # before a waiting thread lets others have its core


@dataclass(frozen=True)
class Barrier:
    """The function of (address of its memory, that of sched_yield or 0, size of the team).

    It returns when all members have called it. The memory is two numbers, 0 at first: members that
    have arrived, and rounds that are over. The last to arrive sets the first back and raises the
    second, for which the others wait: the same memory serves a team of another size afterwards.
    """

    @property
    def name(self) -> str:
        """There is only one."""
        return "barrier"

    @property
    def arguments(self) -> list[ir.Type]:
        """Their types."""
        return [INT, INT, INT]

    def write(self, function: ir.Function) -> None:
        """Its body."""
        arrived, give_way, team = function.args
        arrived.name, give_way.name, team.name = "arrived", "yield", "team"
        b = ir.IRBuilder(function.append_basic_block("entry"))
        count = b.inttoptr(arrived, INT.as_pointer())
        over = b.gep(count, [index(1)])
        before = b.load_atomic(over, "acquire", 8, typ=INT)
        mine = b.atomic_rmw("add", count, index(1), "acq_rel")
        last, wait = b.append_basic_block("last"), b.append_basic_block("wait")
        rest, done = b.append_basic_block("rest"), b.append_basic_block("done")
        start = b.block
        b.cbranch(b.icmp_signed("==", b.add(mine, index(1)), team), last, wait)
        b.position_at_end(last)
        b.store_atomic(index(0), count, "monotonic", 8)
        b.store_atomic(b.add(before, index(1)), over, "release", 8)
        b.branch(done)
        b.position_at_end(wait)
        spins = b.phi(INT)
        spins.add_incoming(index(0), start)
        now = b.load_atomic(over, "acquire", 8, typ=INT)
        b.cbranch(b.icmp_signed("!=", now, before), done, rest)
        b.position_at_end(rest)
        following = b.add(spins, index(1))
        tired = b.icmp_signed("==", b.urem(following, index(_SPINS)), index(0))
        with b.if_then(b.and_(tired, b.icmp_signed("!=", give_way, index(0)))):
            kind = ir.FunctionType(ir.IntType(32), [])
            b.call(b.inttoptr(give_way, kind.as_pointer()), [])
        spins.add_incoming(following, b.block)
        b.branch(wait)
        b.position_at_end(done)
        b.ret_void()
