"""Tracing: a cell function is called once, on symbols, and becomes a graph with the paper's names.

The names are the local variables of the function at its return, so nothing is typed twice.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from traceback import walk_tb
from types import CodeType, FrameType
from typing import Any, NoReturn

from recurra.errors import CellError
from recurra.graph.expression import Expression, Listening
from recurra.graph.graph import Graph
from recurra.graph.legality import check, check_states
from recurra.graph.shapes import Shape, infer
from recurra.graph.text import expression_text

LONGEST = 80  # characters of an expression that an error shows


class Parameters:
    """The `p` of a cell: every attribute that is read becomes a weight of that name."""

    def __init__(self, fixed: Iterable[str]) -> None:
        self._fixed = frozenset(fixed)
        self._order: dict[str, Expression] = {}

    def __getattr__(self, name: str) -> Expression:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Expression:
        if not isinstance(name, str) or not name.isidentifier():
            raise CellError(f"p[{name!r}]: the name of a weight is made of letters, digits and _.")
        op = "fixed" if name in self._fixed else "parameter"
        return self._order.setdefault(name, Expression(op, (), name))


def trace(
    function: Callable[..., Any],
    state: Iterable[str],
    output: str | None = None,
    shapes: Mapping[str, str] | None = None,
    fixed: Iterable[str] = (),
) -> Graph:
    """The graph of a cell function.

    Args:
        function: takes p, then inputs (x, perhaps t, perhaps others) and states by their names, and
            returns the new states in the order of `state`.
        state: names of the states.
        output: name of the local that the layer gives out; the first state if None.
        shapes: sizes that do not follow from use, as "H", "P H" or "" for a scalar.
        fixed: names of weights that are computed once and not trained.

    Raises:
        CellError: the equations are not legal; the text names the line.
    """
    state = tuple(state)
    code = function.__code__
    arguments = _arguments(function, state)
    _single_assignment(code, arguments, state)
    p = Parameters(fixed)
    symbols = [Expression("state" if name in state else "input", (), name) for name in arguments]
    with Listening(code.co_filename) as heard:
        returned, names = _call(function, code, p, symbols)
    complain = _complainer(code, heard.lines, names)
    updates = _updates(returned, names, state, code, complain)
    named = _named(names, arguments, dict(zip(state, updates, strict=True)), heard.lines)
    produced = dict(named)
    if output is not None and output not in produced:
        raise CellError(f"{place(code)}: output {output!r} is not a local of the cell.")
    result = produced[output] if output else updates[0]
    roots = (*updates, result, *produced.values())
    stated = _stated(symbols, p, shapes or {}, code)
    check_states(stated, complain)
    states = tuple(Expression("state", (), name) for name in state)
    alike = zip(states, updates, strict=True)
    leaf_shapes = infer((*roots, *symbols), stated, alike, complain)
    graph = Graph(
        name=code.co_name,
        inputs=tuple(s for s in symbols if s.op == "input"),
        states=states,
        updates=updates,
        output=result,
        parameters=tuple(leaf for leaf in p._order.values() if leaf.op == "parameter"),
        named=named,
        leaf_shapes=tuple(leaf_shapes.items()),
    )
    check(graph, complain)
    return graph


def _arguments(function: Callable[..., Any], state: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(inspect.signature(function).parameters)
    where = place(function.__code__)
    if len(names) < 2 or names[0] != "p":
        raise CellError(
            f"{where}: a cell takes p, the inputs and the states, as in def cell(p, x, h); "
            f"it takes {names}."
        )
    missing = [name for name in state if name not in names]
    if missing or not state:
        raise CellError(
            f"{where}: the states {missing or state} are not among its arguments {names[1:]}."
        )
    return names[1:]


def place(code: CodeType, line: int = 0) -> str:
    """Where an error of a cell is: its name, file and line, that of the def if it is 0."""
    return f"cell {code.co_name}, {code.co_filename}:{line or code.co_firstlineno}"


def _single_assignment(code: CodeType, arguments: tuple[str, ...], state: tuple[str, ...]) -> None:
    """Refuse a local that gets a second meaning: its first would lose its name."""
    stored: dict[str, int] = dict.fromkeys(set(arguments) - set(state), 1)
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        line = instruction.positions.lineno or line if instruction.positions else line
        for target in _stored_by(instruction):
            stored[target] = stored.get(target, 0) + 1
            if stored[target] > 1:
                raise CellError(
                    f"{place(code, line)}: {target} is bound twice. One name means one thing: "
                    "choose another name; only a state has a value before and after."
                )


def _stored_by(instruction: dis.Instruction) -> tuple[str, ...]:
    """The locals that an instruction binds; Python 3.13 joins two instructions into one."""
    if instruction.opname == "STORE_FAST_STORE_FAST":
        return tuple(instruction.argval)
    if instruction.opname == "STORE_FAST_LOAD_FAST":
        return (instruction.argval[0],)
    return (instruction.argval,) if instruction.opname in ("STORE_FAST", "STORE_DEREF") else ()


def _call(
    function: Callable[..., Any], code: CodeType, p: Parameters, symbols: list[Expression]
) -> tuple[Any, dict[str, Any]]:
    """Call the cell, and see its locals at the moment it returns."""
    seen: dict[str, Any] = {}

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "return" and frame.f_code is code:
            seen.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        returned = function(p, *symbols)
    except CellError as error:
        raise CellError(f"{place(code, _line_of(error, code))}: {error}") from None
    except (TypeError, AttributeError) as error:
        raise CellError(f"{place(code, _line_of(error, code))}: {error}") from error
    finally:
        _profile_again(before)
    return returned, seen


def _profile_again(profiler: Any) -> None:
    """Give the profiler its place back; before Python 3.12 cProfile's is no function of Python."""
    if profiler is None or callable(profiler):
        sys.setprofile(profiler)
    else:
        sys.setprofile(None)
        profiler.enable()


def _line_of(error: Exception, code: CodeType) -> int:
    """The line of the cell from which the error came."""
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code is code]
    return lines[-1] if lines else code.co_firstlineno


def _updates(
    returned: Any,
    names: Mapping[str, Any],
    state: tuple[str, ...],
    code: CodeType,
    complain: Callable[..., NoReturn],
) -> tuple[Expression, ...]:
    values = returned if isinstance(returned, tuple) else (returned,)
    if len(values) != len(state) or not all(isinstance(v, Expression) for v in values):
        kinds = ", ".join(
            "a value" if isinstance(v, Expression) else f"a {type(v).__name__}" for v in values
        )
        raise CellError(
            f"{place(code)}: the cell must return its new states ({', '.join(state)}), and "
            f"returned ({kinds})."
        )
    for name, value in zip(state, values, strict=True):
        others = [other for other in state if other != name and names.get(other) is value]
        if others and names.get(name) is not value:
            complain(
                value,
                f"{others[0]} is returned in the place of {name}; the order is {', '.join(state)}.",
            )
    return values


def _named(
    names: Mapping[str, Any],
    arguments: tuple[str, ...],
    after: Mapping[str, Expression],
    built: Iterable[Expression],
) -> tuple[tuple[str, Expression], ...]:
    """(name, value) in the order in which the cell built them; a state's name means its update."""
    locals_ = {
        name: value
        for name, value in names.items()
        if isinstance(value, Expression)
        and name not in arguments
        and value.args
        and not any(value is update for update in after.values())
    }
    position = {node: k for k, node in enumerate(built)}
    both = {**locals_, **after}
    return tuple(sorted(both.items(), key=lambda item: position.get(item[1], -1)))


def _stated(
    symbols: list[Expression], p: Parameters, shapes: Mapping[str, str], code: CodeType
) -> dict[Expression, Shape]:
    known = {str(symbol.attribute): symbol for symbol in symbols} | p._order
    for name in shapes:
        if name not in known:
            raise CellError(f"{place(code)}: shapes names {name!r}, which the cell does not read.")
    stated: dict[Expression, Shape] = {}
    for symbol in symbols:
        if symbol.op == "state":
            stated[symbol] = ("H",)
        elif symbol.attribute == "x":
            stated[symbol] = ("I",)
        elif symbol.attribute == "t":
            stated[symbol] = ()
    return stated | {known[name]: tuple(sizes.split()) for name, sizes in shapes.items()}


def _complainer(
    code: CodeType, lines: Mapping[Expression, int], names: Mapping[str, Any]
) -> Callable[[Expression, str], NoReturn]:
    """What raises an error about a node, with its line and the expression as the cell wrote it."""
    known: dict[Expression, str] = {}
    for name, value in names.items():
        if isinstance(value, Expression) and value.args:
            known.setdefault(value, name)

    def complain(node: Expression, message: str) -> NoReturn:
        line = lines.get(node, code.co_firstlineno)
        text = known.get(node) or expression_text(node, known.get)
        if len(text) > LONGEST:
            text = text[: LONGEST - 3] + "..."
        raise CellError(f"{place(code, line)}: in {text}: {message}")

    return complain
