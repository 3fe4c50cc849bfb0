"""How a call runs forward: products of sequences, then the kernel."""

from __future__ import annotations

from functools import lru_cache

from recurra.backends.cpu.plans import Call, Key, Plan
from recurra.backends.cpu.product import add_product
from recurra.backends.cpu.run import Run, add_run
from recurra.backends.cpu.sheet import Sheet, Span
from recurra.graph import Expression


@lru_cache(maxsize=256)
def inference_plan(key: Key) -> Plan:
    """It makes the outputs, then the last states."""
    call = Call(key)
    made, taken = call.made, call.operands
    sizes = _state_sizes(call)
    outputs = [
        made.new(_sequence(call, node), (0, 0) if state is None else call.batch.front)
        for node, state in zip(taken.outputs, taken.output_states, strict=True)
    ]
    lasts = [made.new((call.batch.rows, size)) for size in sizes]
    sheet = call.sheet()
    slots = []
    for number, size in enumerate(sizes):
        mine = taken.of_state(number)
        own = sheet.room(call.batch.slots(size, False)) if mine is None else outputs[mine]
        slots.append((own, mine is not None))
    stores = {
        node: span
        for node, span, state in zip(taken.outputs, outputs, taken.output_states, strict=True)
        if state is None
    }
    computed = {
        number: sheet.room(call.product_shape(source))
        for number, source in enumerate(taken.sources)
        if source.is_product
    }
    return _closed(call, sheet, computed, slots, lasts, stores, training=False)


@lru_cache(maxsize=256)
def training_plan(key: Key) -> Plan:
    """It makes what the backward direction reads, and the last states.

    In this order: the history of each state, outputs that are none, last states, in one tensor what
    is kept apart, what is kept in the place of each product, products that the backward direction
    reads.
    """
    call = Call(key)
    made, taken = call.made, call.operands
    sizes = _state_sizes(call)
    slots = [(made.new(call.batch.slots(size, True)), True) for size in sizes]
    others = zip(taken.outputs, taken.output_states, strict=True)
    stores = {node: made.new(_sequence(call, node)) for node, state in others if state is None}
    lasts = [made.new((call.batch.rows, size)) for size in sizes]
    computed: dict[int, Span] = {}
    for number, nodes in taken.kept_together:
        widths = [call.compiled.size(node) for node in nodes]
        whole = made.new(call.sequence(sum(widths)))
        stores |= zip(nodes, whole.split(widths), strict=True)
        if number is not None and call.is_whole(taken.sources[number]):
            computed[number] = whole
    for number in taken.kept_sources:
        computed[number] = made.new(call.product_shape(taken.sources[number]))
    sheet = call.sheet()
    for number, source in enumerate(taken.sources):
        if source.is_product and number not in computed:
            computed[number] = sheet.room(call.product_shape(source))
    return _closed(call, sheet, computed, slots, lasts, stores, training=True)


def _sequence(call: Call, node: Expression) -> tuple[int, int, int]:
    return call.sequence(call.compiled.size(node))


def _state_sizes(call: Call) -> list[int]:
    return [span.shape[1] for span in call.divided()[3]]


def _closed(
    call: Call,
    sheet: Sheet,
    computed: dict[int, Span],
    slots: list[tuple[Span, bool]],
    lasts: list[Span],
    stores: dict[Expression, Span],
    training: bool,
) -> Plan:
    _, _, stacked, before = call.divided()
    machine = call.compiled.training if training else call.compiled.inference
    for (span, history), start in zip(slots, before, strict=True):
        call.batch.enter(sheet, span, start, history)
    if not call.empty:
        for number, result in computed.items():
            x, weight, *bias = (call.spans[k] for k in call.operands.sources[number].numbers)
            first = bias[0] if bias else None
            add_product(sheet, result.flat(), x.flat(), weight.mirrored(), first)
        run = Run(
            call.reads(computed),
            call.constants(),
            {node: call.operands.matrix(node, stacked) for node in machine.program.matrices},
            slots,
            stores,
        )
        add_run(sheet, machine, call.batch, run)
    for last, (span, history) in zip(lasts, slots, strict=True):
        call.batch.leave(sheet, last, span, history)
    sheet.close()
    return Plan("training" if training else "inference", call, sheet)
