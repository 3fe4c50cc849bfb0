"""The code of equations of matrices: each row of the batch has one of its own, as in an mLSTM.

In memory such a matrix is a value like any other, its rows one after another. Vectors enter through
`outer` alone: a number of its column meets a row.
"""

from __future__ import annotations

import llvmlite.ir as ir

from recurra.backends.cpu.body import Body
from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.loops import loop, share
from recurra.backends.cpu.places import Places
from recurra.backends.cpu.sweep import Sweep
from recurra.backends.cpu.vectors import index


class MatrixWriter:
    """Writes the part of a step that computes one sweep over matrices.

    Args:
        draft: the kernel.
        number: of the phase.
        sweep: what is computed.
    """

    buffer = None  # no products meet these equations

    def __init__(self, draft: Draft, number: int, sweep: Sweep) -> None:
        self.draft, self.number, self.sweep, self.form = draft, number, sweep, draft.form
        assert sweep.matrix is not None
        self.rows, self.columns = sweep.matrix
        self.part = draft.part(f"phase_{number}_{sweep.form}")
        self.places = Places(draft, self.part)

    def write(self) -> ir.Function:
        """The function: of a team, each member takes some rows of every matrix."""
        b, lanes = self.part.body, self.form.lanes
        low, high = share(b, index(self.rows), *self.part.team)
        whole = self.columns // lanes * lanes

        def matrix(b: ir.IRBuilder, m: ir.Value) -> None:
            def row(b: ir.IRBuilder, i: ir.Value) -> None:
                def vector(b: ir.IRBuilder, j: ir.Value) -> None:
                    self._vector(b, m, i, j, lanes)

                loop(b, index(0), index(whole), lanes, vector, "columns")
                if whole < self.columns:
                    self._vector(b, m, i, index(whole), self.columns - whole)

            loop(b, low, high, 1, row, "matrix_rows")

        loop(b, *self.part.rows, 1, matrix, "matrices")
        return self.part.close()

    def _vector(self, b: ir.IRBuilder, m: ir.Value, i: ir.Value, j: ir.Value, lanes: int) -> None:
        unit = b.add(b.mul(i, index(self.columns)), j)
        Body(self, m, unit, lanes, place=(i, j)).write(b, {})
