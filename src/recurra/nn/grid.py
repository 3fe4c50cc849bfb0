"""Grid LSTM over data on a grid of any number of dimensions, and in depth.

Kalchbrenner, Danihelka & Graves 2015, arXiv:1507.01526. Over a sequence it is the cell `lstm_grid`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError, UsageError
from recurra.nn import initial
from recurra.nn.weighted import count

Vectors = tuple[Tensor, ...]


class GridBlock(nn.Module):
    """One block: an LSTM along each dimension, all of which read the h of every dimension.

    There are no biases, as printed in the paper.

    Args:
        dimensions: N.
        hidden_size: H.
        priority: dimensions that read the new h of the others; they are computed after them.
        device: as in torch.
        dtype: as in torch.

    Raises:
        UsageError: a size that is no whole number from 1, or a dimension that does not exist.
    """

    def __init__(
        self,
        dimensions: int,
        hidden_size: int,
        priority: Sequence[int] = (),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.dimensions = count("dimensions", dimensions)
        self.hidden_size = count("hidden_size", hidden_size)
        if any(not 0 <= number < dimensions for number in priority):
            raise UsageError(f"priority={priority}: the dimensions are 0 to {dimensions - 1}.")
        self.priority = tuple(priority)
        shape = (dimensions, 4 * hidden_size, dimensions * hidden_size)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        initial.uniform(self.weight, hidden_size)

    def forward(self, h: Sequence[Tensor], m: Sequence[Tensor]) -> tuple[Vectors, Vectors]:
        """One step of the grid.

        Args:
            h: for each dimension the vectors (B, H) that come in along it.
            m: the same of the memories.

        Returns:
            the h and the m that go out, each as they came in.
        """
        after: list[tuple[Tensor, Tensor]] = list(zip(h, m, strict=True))
        first = [number for number in range(self.dimensions) if number not in self.priority]
        for numbers in (first, self.priority):
            read = torch.cat([vectors for vectors, _ in after], -1)
            for number in numbers:
                after[number] = self._step(number, read, m[number])
        return tuple(one for one, _ in after), tuple(memory for _, memory in after)

    def _step(self, number: int, read: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The LSTM of one dimension: its new (h, m) from all h (B, N * H) and its m (B, H)."""
        i, f, o, g = nn.functional.linear(read, self.weight[number]).chunk(4, -1)
        memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
        return (o.sigmoid() * memory).tanh(), memory


class GridLSTM(nn.Module):
    """Layers of blocks over data on a grid: N dimensions of the data, and depth as the last.

    Kalchbrenner, Danihelka & Graves 2015, arXiv:1507.01526.

    At each point x enters depth through two matrices, one to its h and one to its m. All points of
    a layer share the weights of its block. It runs on the reference alone, point by point.

    Args:
        dimensions: N, those of the data.
        input_size: I, features of a point.
        hidden_size: H.
        num_layers: blocks in depth.
        tied: all layers have one block.
        priority: whether depth reads the new h of the other dimensions.
        device: as in torch.
        dtype: as in torch.

    Raises:
        UsageError: a size that is no whole number from 1.

    Example:
        >>> import torch
        >>> from recurra.nn import GridLSTM
        >>> GridLSTM(2, 3, 8)(torch.randn(4, 5, 1, 3)).shape
        torch.Size([4, 5, 1, 8])
    """

    def __init__(
        self,
        dimensions: int,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        tied: bool = False,
        priority: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.dimensions = count("dimensions", dimensions)
        self.input_size = count("input_size", input_size)
        self.num_layers = count("num_layers", num_layers)
        last = (dimensions,) if priority else ()
        self.blocks = nn.ModuleList(
            GridBlock(dimensions + 1, hidden_size, last, device, dtype)
            for _ in range(1 if tied else num_layers)
        )
        shape = (2 * hidden_size, input_size)
        self.weight_ih = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        initial.uniform(self.weight_ih, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Run over a grid; what comes in at its sides is zero.

        Args:
            x: (S_1, ..., S_N, B, I).

        Returns:
            the h of depth after the last layer, (S_1, ..., S_N, B, H).

        Raises:
            ShapeError: x has another shape.
        """
        if x.dim() != self.dimensions + 2 or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"x has the shape {tuple(x.shape)}; a grid of {self.dimensions} dimensions needs "
                f"{self.dimensions} sizes, then the batch, then {self.input_size} features."
            )
        h, m = nn.functional.linear(x, self.weight_ih).chunk(2, -1)
        for layer in range(self.num_layers):
            h, m = self._layer(self.blocks[layer % len(self.blocks)], h, m)
        return h

    def explain(self) -> str:
        """What runs this layer, and why, as a sentence."""
        own = self.weight_ih
        return (
            f"reference: PyTorch, a Python loop over the points of the grid, for {self.dimensions} "
            f"dimensions on {own.device.type} in {str(own.dtype).removeprefix('torch.')}; not cpu: "
            "its kernels run along one dimension, time"
        )

    def _layer(self, block: nn.Module, h: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """One layer over all points: h and m of depth before and after, (S_1, ..., S_N, B, H)."""
        sizes = h.shape[: self.dimensions]
        side = h.new_zeros(h.shape[self.dimensions :])
        done: dict[tuple[int, ...], tuple[Vectors, Vectors]] = {}
        for point in product(*map(range, sizes)):
            before = [done.get(_one_back(point, number)) for number in range(self.dimensions)]
            hs = [side if one is None else one[0][k] for k, one in enumerate(before)]
            ms = [side if one is None else one[1][k] for k, one in enumerate(before)]
            done[point] = block([*hs, h[point]], [*ms, m[point]])
        if not done:
            return h, m
        shape = (*sizes, *side.shape)
        hs_out, ms_out = ([both[k][-1] for both in done.values()] for k in (0, 1))
        return torch.stack(hs_out).view(shape), torch.stack(ms_out).view(shape)


def _one_back(point: tuple[int, ...], dimension: int) -> tuple[int, ...]:
    return tuple(place - (number == dimension) for number, place in enumerate(point))
