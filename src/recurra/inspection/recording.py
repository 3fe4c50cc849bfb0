"""A recording: every named value of a model at every step of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recurra.errors import UnknownNameError
from recurra.graph import Graph
from recurra.inspection.address import Address
from recurra.nn.sequence import before_end


@dataclass(frozen=True, eq=False)
class Part:
    """One layer in one direction of a recorded model.

    Attributes:
        cell: name of its cell.
        graph: its equations, without the options of the layer.
        sizes: the number behind each size letter, I included.
        layer: its number in its module, from 0.
        direction: "forward" or "reverse".
    """

    cell: str
    graph: Graph
    sizes: Mapping[str, int]
    layer: int
    direction: str


@dataclass(frozen=True, eq=False)
class Recording:
    """Every named value of a model at every step.

    Attributes:
        values: by address, as "rnn.0.forward.f": (T, B, size), in the order of time in both
            directions; 0 after the end of a row. A state is its value after the step.
        before: by address of a state, (B, size): before the first step in its direction.
        parts: by their address, as "rnn.0.forward", in the order in which they ran.
        lengths: (B,) steps of each row; None if all have T.
        items: for each row what stood at each step, as text; empty if unknown.
        output: what the model gave out.
        logits: (T, B, V) scores of the next item, if the model predicts one; else None.
        vocabulary: the V items that are scored.
        model: that ran; None in a recording that was loaded.
    """

    values: Mapping[str, Tensor]
    before: Mapping[str, Tensor]
    parts: Mapping[str, Part]
    lengths: Tensor | None = None
    items: tuple[tuple[str, ...], ...] = ()
    output: Any = None
    logits: Tensor | None = None
    vocabulary: tuple[str, ...] = ()
    model: Any = field(default=None, repr=False)

    @property
    def steps(self) -> int:
        """T."""
        return next((value.shape[0] for value in self.values.values()), 0)

    @property
    def rows(self) -> int:
        """B."""
        return next((value.shape[1] for value in self.values.values()), 0)

    @property
    def alive(self) -> Tensor:
        """(T, B) bool: True before the end of a row."""
        if self.lengths is None:
            return torch.ones(self.steps, self.rows, dtype=torch.bool)
        return before_end(self.steps, self.lengths.cpu())

    def find(self, pattern: str) -> list[str]:
        """The addresses that a pattern means, such as "*.f", "f" or "rnn.1.*", in order."""
        wanted = Address.parse(pattern)
        return [text for text in self.values if wanted.matches(*text.rsplit(".", 1))]

    def __getitem__(self, address: str) -> Tensor:
        """The sequence (T, B, size) of a value, or of the units that the address names.

        Raises:
            UnknownNameError: no such value was recorded.
            UsageError: a unit that does not exist.
        """
        plain = address.partition("[")[0]
        if plain not in self.values:
            raise UnknownNameError("value", plain, self.values)
        value = self.values[plain]
        units = Address.parse(address, value.shape[-1]).units
        return value if units is None else value[..., list(units)]

    def to_html(self, path: str | Path | None = None, **options: Any) -> str:
        """One page that shows the recording, without a network; see `recurra.inspection.page`.

        Args:
            path: a new file to write it to.
            options: of `recurra.inspection.page.to_html`, such as `compare=` another recording.
        """
        from recurra.inspection import page

        return page.to_html(self, path, **options)

    def _repr_html_(self) -> str:
        from recurra.inspection import page

        return page.notebook(self)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write everything but the model and its output to a file, whole or not at all.

        `recurra.inspection.load_recording` reads it.

        Args:
            path: of the file; safetensors, by custom called `NAME.safetensors`.
            overwrite: whether a file that is there may be replaced.

        Raises:
            RecordingError: the file is there already, or cannot be written.
        """
        from recurra.inspection import storage

        storage.save(self, path, overwrite)

    def to_frame(self, pattern: str = "*") -> Any:
        """A pandas frame with a line for each number, steps after the end of a row left out.

        The columns are part ("rnn.0.forward"), name ("f"), row, step, item (if known), unit and
        value. Units of a matrix or map are numbered through.

        Args:
            pattern: of the values, as for `find`. 500 characters in 2 layers of 300 units make
                300,000 lines for each name.

        Raises:
            UsageError: pandas is not installed.
            UnknownNameError: nothing was recorded under the pattern.
        """
        from recurra.inspection.frames import frame

        return frame(self, pattern)

    def __contains__(self, address: str) -> bool:
        return address in self.values

    def __repr__(self) -> str:
        lines = [f"Recording of {self.steps} steps, {self.rows} rows"]
        for part, facts in self.parts.items():
            names = [text.rsplit(".", 1)[1] for text in self.values if text.startswith(f"{part}.")]
            lines.append(f"  {part} ({facts.cell}): {' '.join(names)}")
        return "\n".join(lines)
