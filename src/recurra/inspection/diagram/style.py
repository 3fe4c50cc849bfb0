"""The colours of a diagram, light and dark, as a style sheet inside the SVG."""

from __future__ import annotations

THEMES = ("auto", "light", "dark")

_LIGHT = {
    "paper": "#ffffff",
    "body": "#e9f2ec",
    "rim": "#79a28c",
    "ink": "#23292f",
    "soft": "#5b6670",
    "gate": "#ffe8a3",
    "gate-rim": "#c29a2e",
    "point": "#f9d0cd",
    "point-rim": "#bf6760",
    "in": "#cfe2f8",
    "in-rim": "#5d8dc0",
    "out": "#e4d5f3",
    "out-rim": "#9273b5",
}
_DARK = {
    "paper": "#14181c",
    "body": "#1d2a25",
    "rim": "#55796a",
    "ink": "#e3e8ec",
    "soft": "#a4b0ba",
    "gate": "#57451a",
    "gate-rim": "#d3ac48",
    "point": "#5e2e2c",
    "point-rim": "#d98680",
    "in": "#23405f",
    "in-rim": "#7fb0e2",
    "out": "#432f59",
    "out-rim": "#b898da",
}
_RULES = """
.bg{fill:var(--paper)}
.body{fill:var(--body);stroke:var(--rim);stroke-width:1.5}
.halo{fill:none;stroke:var(--body);stroke-width:6}
.edge path{fill:none;stroke:var(--ink);stroke-width:2}
.edge.rail path{stroke-width:3}
.edge .head{fill:var(--ink);stroke:none}
.node>*{stroke-width:1.5}
.gate>rect{fill:var(--gate);stroke:var(--gate-rim)}
.point>rect{fill:var(--point);stroke:var(--point-rim)}
.in>rect{fill:var(--in);stroke:var(--in-rim)}
.out>rect{fill:var(--out);stroke:var(--out-rim)}
text{font:17px "STIX Two Text","Latin Modern Roman",Cambria,"Times New Roman",Times,serif;
fill:var(--ink);stroke:none;text-anchor:middle}
.i{font-style:italic}
.sub{font-size:70%;font-style:italic}
.big{font-size:22px}
.on{text-anchor:start}
.sign{font-size:15px;fill:var(--soft)}
"""


def style_sheet(theme: str) -> str:
    """The rules of a theme of THEMES; auto follows what the reader's screen prefers."""
    first = _DARK if theme == "dark" else _LIGHT
    sheet = f".recurra-cell{{{_variables(first)}}}"
    if theme == "auto":
        sheet += f"\n@media(prefers-color-scheme:dark){{.recurra-cell{{{_variables(_DARK)}}}}}"
    return sheet + "\n" + _scoped(_RULES)


def _variables(colours: dict[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in colours.items())


def _scoped(rules: str) -> str:
    """Every rule for diagrams only, so that a page that holds one keeps its own style."""
    joined = rules.strip().replace(";\n", ";")
    return "\n".join(f".recurra-cell {rule}" for rule in joined.splitlines())
