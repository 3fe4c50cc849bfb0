"""A graph over time: the backends that run it, and the choice; no cell is known by name here."""

from recurra.backends.backend import Backend, Given, Shortcut
from recurra.backends.choice import Choice, choose, choose_convolution
from recurra.backends.cpu.memory import release_memory, zeros
from recurra.backends.observed import PLAIN, holds_values, transformed
from recurra.backends.running import run
from recurra.backends.stepwise import Stepwise
from recurra.backends.weights import Weights

__all__ = [
    "PLAIN",
    "Backend",
    "Choice",
    "Given",
    "Shortcut",
    "Stepwise",
    "Weights",
    "choose",
    "choose_convolution",
    "holds_values",
    "release_memory",
    "run",
    "transformed",
    "zeros",
]
