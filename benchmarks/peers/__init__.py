"""The peers by name, each in a file of its own; one that is not installed gives the reason."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module

from peers.base import LeftOutError, Peer, Prepared

THREE = ("lstm", "gru", "elman")
RARE = ("lstm_peephole", "mgu", "mut1_biased", "cfn_biased")
WHOLE = ("training", "inference")
RAGGED = ("ragged-training", "ragged-inference")


@dataclass(frozen=True)
class Place:
    """Where a peer is, and what it has.

    Attributes:
        file: its module here.
        kind: its class there.
        uses: the directions of use that it knows.
        cells: the cells that it has; none for all.
    """

    file: str
    kind: str
    uses: tuple[str, ...]
    cells: tuple[str, ...] = ()

    def covers(self, cell: str, use: str) -> bool:
        """Whether it has the cell and the direction of use."""
        return use in self.uses and (not self.cells or cell in self.cells)


PEERS = {
    "recurra": Place("ours", "Layer", (*WHOLE, *RAGGED, "step")),
    "recurra-packed": Place("ours", "Packed", RAGGED),
    "recurra-call": Place("ours", "Call", ("step",)),
    "torch": Place("torch_layers", "Layer", (*WHOLE, *RAGGED, "step"), THREE),
    "torch-cell": Place("torch_layers", "Cell", ("step",), THREE),
    "torch-bf16": Place("torch_layers", "Autocast", WHOLE, THREE),
    "torchrecurrent": Place("torchrecurrent_layers", "Layer", WHOLE, RARE),
    "keras": Place("keras_layers", "Layer", WHOLE, THREE),
    "jax": Place("jax_scan", "Scan", (*WHOLE, *RAGGED, "step"), THREE),
    "onnxruntime": Place(
        "onnx_runtime", "Session", ("inference", "ragged-inference", "step"), THREE
    ),
}

__all__ = [
    "PEERS",
    "RAGGED",
    "RARE",
    "THREE",
    "WHOLE",
    "LeftOutError",
    "Peer",
    "Place",
    "Prepared",
    "load",
]


@cache
def load(name: str) -> Peer | str:
    """A peer, or why it is not there."""
    place = PEERS[name]
    try:
        module = import_module(f"peers.{place.file}")
    except ImportError as error:
        return f"{error.name or name} is not installed: pip install 'recurra[bench]'"
    found: Peer = getattr(module, place.kind)()
    return found
