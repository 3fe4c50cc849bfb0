"""The rooms of the package: imports point down, never in a circle; the first need no torch."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import recurra

ROOT = Path(recurra.__file__).parent

# Rooms of one number never import each other. The package itself holds its version only, and looks
# other names up when they are asked for: importing one of these counts as importing its room.
ROOMS = {
    "__init__": 0,
    "errors": 0,
    "files": 0,
    "tensor_files": 1,
    "graph": 1,
    "cells": 2,
    "backends": 2,
    "citations": 3,
    "nn": 3,
    "data": 3,
    "inspection": 4,
    "tasks": 4,
    "training": 5,
    "lab": 6,
    "cli": 7,
    "__main__": 8,
}
WITHOUT_TORCH = ("errors", "files", "graph", "cells", "citations")
ON_TOP_ONLY = (
    "graph",
    "cells",
    "citations",
    "backends",
    "nn",
)  # an import inside a function would hide an arrow

MOST_LINES = {"cells": 40}  # of a file, its docstring included; 400 in every other room
MOST_BODY = 40  # lines of a function without its docstring
LONGER = {
    # One derivation from the seeds to the program: each line needs most of the names before it.
    ("backends.cpu.backward", "backward"),
}


class Import(NamedTuple):
    """One import: from which module, of which, in which line, at the top of the file or later."""

    source: str
    target: str
    line: int
    on_top: bool


def modules() -> dict[str, Path]:
    """Every module by its dotted name under the package; the package itself is "__init__"."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


def imports(source: str, tree: ast.Module, known: set[str], package: bool) -> Iterator[Import]:
    """All imports of a file, those of recurra as names under the package."""
    checked_only = {
        id(n) for part in ast.walk(tree) if is_type_checking(part) for n in ast.walk(part)
    }
    on_top = {id(node) for node in ast.walk(tree)} - {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in checked_only:
            continue
        for target in targets(node, source, known, package):
            yield Import(source, target, getattr(node, "lineno", 0), id(node) in on_top)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def targets(node: ast.AST, source: str, known: set[str], package: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (inside(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:  # relative: from the package of the file upwards
            above = source.split(".") if package else source.split(".")[:-1]
            above = above[: len(above) - node.level + 1]
            base = ".".join(["recurra", *above, *filter(None, [base])])
        for alias in node.names:
            full = inside(f"{base}.{alias.name}")
            if base == "recurra" and alias.name in recurra._HOMES:
                full = inside(recurra._HOMES[alias.name])
            yield full if full in known else inside(base)


def inside(name: str) -> str:
    """recurra.graph.cell -> graph.cell; recurra -> __init__; other packages with a mark."""
    if name == "recurra":
        return "__init__"
    return name.removeprefix("recurra.") if name.startswith("recurra.") else f"!{name}"


MODULES = modules()
IMPORTS = [
    found
    for name, path in sorted(MODULES.items())
    for found in imports(
        name,
        ast.parse(path.read_text(encoding="utf-8")),
        set(MODULES),
        path.name == "__init__.py",
    )
]


def room(module: str) -> str:
    return module.split(".")[0]


def upward(found: Import) -> bool:
    """Whether an import points to a room that is not below."""
    if found.target.startswith("!") or room(found.source) == room(found.target):
        return False
    return ROOMS[room(found.target)] >= ROOMS[room(found.source)]


def cycle(arrows: dict[str, set[str]]) -> list[str]:
    """A circle of imports, or nothing."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        for target in sorted(arrows.get(module, ())):
            if circle := visit(target, [*path, module]):
                return circle
        done.add(module)
        return []

    return next((circle for start in sorted(arrows) if (circle := visit(start, []))), [])


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its first statement after the docstring to its last."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_functions(tree: ast.Module) -> list[tuple[str, int]]:
    """The functions of a file whose body is longer than the house rule allows."""
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(f.name, body_lines(f)) for f in functions if body_lines(f) > MOST_BODY]


def of(text: str, source: str = "graph.trial") -> list[Import]:
    """The imports of a file that does not exist."""
    return list(imports(source, ast.parse(text), {*MODULES, source}, package=False))


def test_every_module_stands_in_a_room() -> None:
    assert {room(name) for name in MODULES} <= set(ROOMS)


def test_arrows_point_down() -> None:
    assert [found for found in IMPORTS if upward(found)] == []


def test_no_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for found in IMPORTS:
        if found.on_top and not found.target.startswith("!"):
            arrows.setdefault(found.source, set()).add(found.target)
    assert cycle(arrows) == []


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_the_first_rooms_know_the_standard_library_only(name: str) -> None:
    others = {
        found.target[1:].split(".")[0]
        for found in IMPORTS
        if room(found.source) == name and found.target.startswith("!")
    }
    assert others <= sys.stdlib_module_names


@pytest.mark.parametrize("name", ON_TOP_ONLY)
def test_no_late_import_hides_an_arrow(name: str) -> None:
    late = [f for f in IMPORTS if room(f.source) == name and not f.on_top]
    assert [f for f in late if not f.target.startswith("!")] == []


def test_data_knows_errors_only() -> None:
    known = {room(f.target) for f in IMPORTS if room(f.source) == "data" and f.target[0] != "!"}
    assert known <= {"errors", "data"}


def test_backends_know_no_cell() -> None:
    assert not [f for f in IMPORTS if room(f.source) == "backends" and room(f.target) == "cells"]


def test_files_are_short() -> None:
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    most = {name: MOST_LINES.get(room(name), 400) for name in MODULES} | {
        "cells": 60
    }  # the registry
    assert {name: count for name, count in lines.items() if count > most[name]} == {}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_functions_are_short(module: str) -> None:
    found = long_functions(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    assert [name for name, _ in found if (module, name) not in LONGER] == []


def test_a_long_function_is_seen_and_its_docstring_is_not_counted() -> None:
    words, statements = "words\n    " * 50, "    x = 1\n" * 40
    head = f'def f():\n    """{words}"""\n'
    assert long_functions(ast.parse(head)) == []
    assert long_functions(ast.parse(head + statements)) == []
    assert long_functions(ast.parse(head + statements + "    x = 2\n")) == [("f", 41)]


@pytest.mark.parametrize(
    "text",
    [
        "from recurra.nn import Recurrent",
        "from recurra import nn",
        "import recurra.nn.recurrent",
        "from ..nn import Recurrent",
        "def f():\n    from recurra.cells import get",
        "from recurra import LSTM",
    ],
)
def test_an_arrow_upwards_is_seen(text: str) -> None:
    assert any(upward(found) for found in of(text))


def test_a_late_import_is_seen() -> None:
    (late,) = of("def f():\n    from recurra.errors import CellError")
    assert not late.on_top
    assert not upward(late)


def test_a_circle_is_seen() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}}) == []
