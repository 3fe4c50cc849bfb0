"""Where the members of a team wait for one another."""

from __future__ import annotations

import llvmlite.ir as ir

from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.vectors import INT, POINTER, index

_SPINS = 4096  # before a waiting thread lets others have its core


def write_barrier(draft: Draft) -> ir.Function:
    """The function of (table, size of the team) that returns when all members have called it.

    Members draw numbers from one counter, which is never set back: a round is over when the counter
    reaches the next multiple of the team's size.
    """
    function = draft.function("barrier", [POINTER, INT])
    function.linkage = "internal"
    table, team = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    counter = b.inttoptr(draft.table.load(b, table, "arrived"), ir.IntType(64).as_pointer())
    mine = b.atomic_rmw("add", counter, index(1), "acq_rel")
    goal = b.mul(b.add(b.udiv(mine, team), index(1)), team)
    start, wait = b.block, b.append_basic_block("wait")
    rest, done = b.append_basic_block("rest"), b.append_basic_block("done")
    b.branch(wait)
    b.position_at_end(wait)
    spins = b.phi(INT)
    spins.add_incoming(index(0), start)
    arrived = b.load_atomic(counter, "acquire", 8, typ=INT)
    b.cbranch(b.icmp_signed(">=", arrived, goal), done, rest)
    b.position_at_end(rest)
    following = b.add(spins, index(1))
    tired = b.icmp_signed("==", b.urem(following, index(_SPINS)), index(0))
    give_way = draft.table.load(b, table, "yield")
    with b.if_then(b.and_(tired, b.icmp_signed("!=", give_way, index(0)))):
        kind = ir.FunctionType(ir.IntType(32), [])
        b.call(b.inttoptr(give_way, kind.as_pointer()), [])
    spins.add_incoming(following, b.block)
    b.branch(wait)
    b.position_at_end(done)
    b.ret_void()
    return function
