"""The sizes at which layers are timed, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Sizes of one call.

    Attributes:
        name: as the command line knows it.
        T: steps; of a single-step shape, the steps that the gate checks.
        B: rows.
        I: features of a step.
        H: units.
    """

    name: str
    T: int
    B: int
    I: int
    H: int

    def __str__(self) -> str:
        return f"{self.name}: T {self.T}, B {self.B}, I {self.I}, H {self.H}"


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("text", 50, 30, 300, 300),
        Shape("ptb", 35, 20, 650, 650),  # the medium model of Zaremba et al. 2014, arXiv:1409.2329
        Shape("forecast", 96, 32, 8, 64),
        Shape("wide", 50, 64, 512, 1024),
        Shape("stream-128", 200, 1, 32, 128),
        Shape("stream-300", 50, 1, 300, 300),
        Shape("step-128", 8, 1, 128, 128),
        Shape("step-300", 8, 1, 300, 300),
    )
}
