"""Help pages for 80 columns: usage, sections of options with their defaults, examples."""

from __future__ import annotations

import inspect
from typing import Any

from typer.core import TyperCommand, TyperGroup

WIDTH = 79
_JOINED = "\N{NO-BREAK SPACE}"  # keeps a default on the line of its label


class Command(TyperCommand):
    """A verb whose help is in sections, one for each `rich_help_panel` of its options."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option --help."""
        return _unchecked(super().get_help_option(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        formatter.width = min(formatter.width + 1, WIDTH)
        _write_usage(self, ctx, formatter)
        self.format_help_text(ctx, formatter)
        _write_options(self, ctx, formatter)
        _write_examples(self, formatter)


class Group(TyperGroup):
    """A command of commands: its help lists them, then its own options."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option --help."""
        return _unchecked(super().get_help_option(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands: those that have commands of their own come first."""
        return sorted(
            self.commands, key=lambda name: not isinstance(self.commands[name], TyperGroup)
        )

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        formatter.width = min(formatter.width + 1, WIDTH)
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS]")
        self.format_help_text(ctx, formatter)
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)
        _write_examples(self, formatter)


def _unchecked(flag: Any) -> Any:
    """A flag with a default of its type: without one, typer loads pydantic to check it."""
    if flag is not None:
        flag.default = False
    return flag


def _write_usage(command: TyperCommand, ctx: Any, formatter: Any) -> None:
    pieces = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    needed = [p for p in command.params if p.param_type_name == "option" and p.required]
    pieces += [_option(p, short=True) for p in needed]
    formatter.write_usage(ctx.command_path, " ".join([*pieces, "[OPTIONS]"]))


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
    for param in command.get_params(ctx):
        is_argument = param.param_type_name == "argument"
        section = "Arguments" if is_argument else param.rich_help_panel or "Options"
        name = _argument(param) if is_argument else _option(param)
        sections.setdefault(section, []).append((name, _description(param)))
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    for section, rows in sections.items():
        if rows:
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])
    formatter.buffer[:] = [piece.replace(_JOINED, " ") for piece in formatter.buffer]


def _write_examples(command: Any, formatter: Any) -> None:
    if not command.epilog:
        return
    examples, *rest = inspect.cleandoc(command.epilog).split("\n\n")
    with formatter.section("Examples"):
        for line in examples.splitlines():
            formatter.write(f"  {line}\n")
    for paragraph in rest:
        formatter.write(f"\n{paragraph}\n")


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    return name if param.required else f"[{name}]"


def _option(param: Any, short: bool = False) -> str:
    names = sorted(param.opts, key=len)
    text = names[0] if short else ", ".join(names)
    return text if param.is_flag else f"{text} {param.metavar or 'TEXT'}"


def _description(param: Any) -> str:
    default = param.show_default if isinstance(param.show_default, str) else None
    note = f" [default:{_JOINED}{default}]" if default else ""
    return f"{param.help or ''}{note}"
