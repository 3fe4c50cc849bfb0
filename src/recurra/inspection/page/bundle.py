"""The page's own modules as one script, in the order in which they need each other."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([a-z]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class)\b)", re.MULTILINE)
_NAME = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.MULTILINE)


def static(name: str) -> str:
    """The text of one file of the page."""
    return (files("recurra.inspection.page") / "static" / name).read_text(encoding="utf-8")


def _imports(source: str) -> list[tuple[str, str]]:
    """(names, module) of every import."""
    return [(" ".join(names.split()), module) for names, module in _IMPORT.findall(source)]


def _order(name: str, done: dict[str, str]) -> None:
    """Add `name` to `done` after all that it imports."""
    source = static(f"{name}.js")
    for _, module in _imports(source):
        if module not in done:
            _order(module, done)
    done[name] = source


def _wrapped(name: str, source: str) -> str:
    """A module as a constant that holds what it exports."""
    head = "".join(f"const {{ {names} }} = {module};\n" for names, module in _imports(source))
    head = head.replace(" as ", ": ")
    body = _EXPORT.sub("", _IMPORT.sub("", source)).strip()
    exported = ", ".join(_NAME.findall(source))
    return f"const {name}_module = (() => {{\n{head}{body}\nreturn {{ {exported} }};\n}})();\n"


@cache
def script() -> str:
    """All modules that `main.js` needs, as one script without an import."""
    modules: dict[str, str] = {}
    _order("main", modules)
    parts = []
    for name, source in modules.items():
        text = _wrapped(name, source)
        for _, module in _imports(source):
            text = text.replace(f" }} = {module};", f" }} = {module}_module;")
        parts.append(text)
    return '"use strict";\n' + "".join(parts)


@cache
def style() -> str:
    """All style sheets of the page, in the order of their names' numbers."""
    names = ("tokens.css", "page.css", "figures.css", "print.css")
    return "\n".join(static(name).strip() for name in names)
