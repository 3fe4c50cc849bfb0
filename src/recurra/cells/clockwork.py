"""Clockwork RNN. Koutník, Greff, Gomez & Schmidhuber 2014, arXiv:1402.3511.

Up to nine modules of equal size with the periods T_h of 1, 2, 4, ..., 256 steps; a unit moves when
its period divides t, which counts from 0, and rests where r is 1. M_h lets a module read itself
and slower ones: of U_h, counted whole, 5/9 is used with nine modules.
"""

from recurra.graph import cell, floor, tanh, where


def module(unit, sizes):
    return unit * min(9, sizes["H"]) // sizes["H"]


@cell(
    state="h",
    year=2014,
    fixed={
        "T_h": lambda unit, sizes: 2.0 ** module(unit, sizes),
        "M_h": lambda row, column, sizes: float(module(column, sizes) >= module(row, sizes)),
    },
    purpose="signals with many time scales at once; slow modules remember, at little cost",
    cite="koutnik2014",
)
def clockwork(p, x, t, h):
    r = t - p.T_h * floor(t / p.T_h) > 0.5
    h = where(r, h, tanh(p.W_h @ x + (p.M_h * p.U_h) @ h + p.b_h))
    return h
