"""Equations as data: a cell becomes a small frozen graph, and everything else is a reading of it.

Standard library only. `cell` makes a graph from a function; the functions below stand in its
equations.
"""

from recurra.graph.cell import Cell, as_cell, cell
from recurra.graph.expression import Expression, constant
from recurra.graph.functions import (
    exp,
    floor,
    log,
    max,
    maximum,
    mean,
    minimum,
    outer,
    relu,
    sigmoid,
    softplus,
    sqrt,
    sum,
    tanh,
    transpose,
    where,
)
from recurra.graph.graph import Graph
from recurra.graph.latex import latex
from recurra.graph.listing import listing
from recurra.graph.text import text

__all__ = [
    "Cell",
    "Expression",
    "Graph",
    "as_cell",
    "cell",
    "constant",
    "exp",
    "floor",
    "latex",
    "listing",
    "log",
    "max",
    "maximum",
    "mean",
    "minimum",
    "outer",
    "relu",
    "sigmoid",
    "softplus",
    "sqrt",
    "sum",
    "tanh",
    "text",
    "transpose",
    "where",
]
