"""Arithmetic of two units in plain Python, for examples by hand: nothing here is the library's."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, tanh
from typing import Any

Vector = list[float]


class Weights(dict[str, Any]):
    """Made up when they are first asked for: W_, U_, V_, R_ 2 by 2, vectors 2, Greek letters 1."""

    def __missing__(self, name: str) -> Any:
        seed = sum(ord(letter) * (k + 3) for k, letter in enumerate(name))
        numbers = [((seed * (k + 2) + 7 * k * k) % 23 - 11) / 10 for k in range(4)]
        if name[0].isupper():
            self[name] = [numbers[:2], numbers[2:]]
        else:
            self[name] = numbers[:2] if name[1] == "_" else numbers[0]
        return self[name]


def sigmoid(a: float) -> float:
    return 1 / (1 + exp(-a))


def hard_sigmoid(a: float) -> float:
    return min(1.0, max(0.0, 0.2 * a + 0.5))


def each(function: Callable[..., float], *vectors: Vector) -> Vector:
    """The function of the first units, and of the second."""
    return [function(*units) for units in zip(*vectors, strict=True)]


def add(*vectors: Vector) -> Vector:
    return each(lambda *units: sum(units), *vectors)


def times(*vectors: Vector) -> Vector:
    return each(lambda a, b: a * b, *vectors)


def dot(matrix: list[Vector], vector: Vector) -> Vector:
    return [row[0] * vector[0] + row[1] * vector[1] for row in matrix]


def mix(gate: Vector, a: Vector, b: Vector) -> Vector:
    """Gate * a + (1 - gate) * b."""
    return each(lambda g, a, b: g * a + (1 - g) * b, gate, a, b)


def both(w: Weights, name: str, x: Vector, h: Vector) -> Vector:
    """W x + U h."""
    return add(dot(w[f"W_{name}"], x), dot(w[f"U_{name}"], h))


def all_three(w: Weights, name: str, x: Vector, h: Vector) -> Vector:
    """W x + U h + b."""
    return add(both(w, name, x, h), w[f"b_{name}"])


def gate(w: Weights, name: str, x: Vector, h: Vector) -> Vector:
    return each(sigmoid, all_three(w, name, x, h))


def candidate(w: Weights, name: str, x: Vector, h: Vector) -> Vector:
    return each(tanh, all_three(w, name, x, h))
