"""torch's recurrent layers under their own names, and the way between both libraries.

Constructors, parameters, initial values, calls and state dicts are torch's; what recurra adds is
keyword-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recurra import cells
from recurra.errors import UsageError, WeightsError
from recurra.nn.layout import as_torch_stores
from recurra.nn.recurrent import Recurrent
from recurra.nn.sequence import Lengths
from recurra.nn.state import State


class _Namesake(Recurrent):
    """What the three share: torch's names for the arguments of a call, and the way back."""

    mode: str
    proj_size: int = 0

    def __init__(self, cell: str, *args: Any, **options: Any) -> None:
        # Without the cell's own wishes: the same seed gives the same weights as torch.
        plain = replace(cells.get(cell), init={})
        if len(args) > 9:
            raise UsageError(f"{type(self).__name__} takes no argument after device and dtype.")
        for name, value in zip(("device", "dtype"), args[7:], strict=False):
            if name in options:
                raise UsageError(f"{name} is given twice, by its place and by its name; give one.")
            options[name] = value
        super().__init__(plain, *args[:7], **{"layout": as_torch_stores, **options})

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        lengths: Lengths = None,
        reset: Tensor | None = None,
    ) -> tuple[Any, State]:
        """As the namesake in torch; `lengths` and `reset` as in `Recurrent`."""
        return super().forward(input, hx, lengths, reset)

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer and direction, as torch lists them."""
        return [
            [getattr(self, stack.name + suffix) for stack in self.stacks]
            for _, _, suffix in self.places()
        ]

    def flatten_parameters(self) -> None:
        """Nothing to do: weights are stored in one piece for each layer."""

    def _repr_head(self) -> list[str]:
        return []  # the class says which cell it is

    def extra_repr(self) -> str:
        """What the layer is, as its constructor would be called."""
        own = [f"{k}={v!r}" for k, v in self._torch_options().items() if v not in (0, "tanh")]
        return ", ".join([super().extra_repr(), *own])

    def _extensions(self) -> list[str]:
        names = ("input_dropout", "recurrent_dropout", "zoneout", "residual", "learn_initial_state")
        return [name for name in names if getattr(self, name)]

    def _torch_options(self) -> dict[str, Any]:
        return {}

    def to_torch(self) -> nn.RNNBase:
        """The namesake in torch, with a copy of the weights.

        Raises:
            WeightsError: the layer has an option that torch does not know.
        """
        if self._extensions():
            raise WeightsError(
                f"torch.nn.{type(self).__name__} has no {', '.join(self._extensions())}; make a "
                "layer without, and load the weights into it."
            )
        own = self.own
        theirs: nn.RNNBase = getattr(nn, type(self).__name__)(
            self.input_size,
            self.hidden_size,
            num_layers=self.num_layers,
            bias=self.bias,
            batch_first=self.batch_first,
            dropout=self.dropout,
            bidirectional=self.bidirectional,
            device=own.device,
            dtype=own.dtype,
            **self._torch_options(),
        )
        theirs.load_state_dict(self.state_dict(), strict=True)
        return theirs.train(self.training)


class RNN(_Namesake):
    """`torch.nn.RNN`: the Elman network with tanh or ReLU.

    Args:
        *args: input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout,
            bidirectional, device, dtype, as in torch.
        nonlinearity: "tanh" or "relu".
        **options: as in torch, and the keyword options of `Recurrent`.
    """

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **options: Any) -> None:
        if len(args) > 3:  # torch's fourth is the nonlinearity
            nonlinearity, args = args[3], (*args[:3], *args[4:])
        if nonlinearity not in ("tanh", "relu"):
            raise UsageError(f"nonlinearity={nonlinearity!r}; it is 'tanh' or 'relu'.")
        cell = "elman" if nonlinearity == "tanh" else "elman_relu"
        super().__init__(cell, *_without_projection(args), **options)
        self.nonlinearity = nonlinearity
        self.mode = f"RNN_{nonlinearity.upper()}"

    def _torch_options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}


class LSTM(_Namesake):
    """`torch.nn.LSTM`: gates i, f, g, o; states h and c.

    Args:
        *args: input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype, as in torch.
        proj_size: features of h, if it is a projection of the H units (Sak et al. 2014,
            arXiv:1402.1128).
        **options: as in torch, and the keyword options of `Recurrent`.
    """

    mode = "LSTM"

    def __init__(self, *args: Any, proj_size: int = 0, **options: Any) -> None:
        if len(args) > 7:
            proj_size, args = args[7], (*args[:7], *args[8:])
        hidden = args[1] if len(args) > 1 else options.get("hidden_size")
        if proj_size and not (isinstance(hidden, int) and 0 < proj_size < hidden):
            raise UsageError(
                f"proj_size={proj_size!r} must be smaller than hidden_size={hidden!r}."
            )
        if proj_size:
            super().__init__("lstm_projection", *args, sizes={"P": proj_size}, **options)
        else:
            super().__init__("lstm", *args, **options)
        self.proj_size = proj_size

    def _torch_options(self) -> dict[str, Any]:
        return {"proj_size": self.proj_size}


class GRU(_Namesake):
    """`torch.nn.GRU`: gates r, z, n; the reset acts after the product.

    Args:
        *args: input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype, as in torch.
        **options: as in torch, and the keyword options of `Recurrent`.
    """

    mode = "GRU"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__("gru", *_without_projection(args), **options)


def _without_projection(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of an RNN or GRU, where torch's code, not its signature, has a proj_size."""
    if len(args) < 8 or not isinstance(args[7], int):
        return args
    if args[7]:
        raise UsageError(f"proj_size={args[7]!r}; only an LSTM has a projection, give 0.")
    return (*args[:7], *args[8:])


def from_torch(module: nn.RNNBase) -> RNN | LSTM | GRU:
    """A layer of torch as its namesake here, with a copy of its weights.

    Raises:
        WeightsError: the module is none of `torch.nn.RNN`, `LSTM`, `GRU`.
    """
    kinds: Mapping[type, Any] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}
    if type(module) not in kinds:
        raise WeightsError(
            f"{type(module).__name__} is none of torch.nn.RNN, torch.nn.LSTM and torch.nn.GRU."
        )
    own = next(module.parameters())
    options: dict[str, Any] = {}
    if isinstance(module, nn.RNN):
        options["nonlinearity"] = module.nonlinearity
    if isinstance(module, nn.LSTM):
        options["proj_size"] = module.proj_size
    ours: RNN | LSTM | GRU = kinds[type(module)](
        module.input_size,
        module.hidden_size,
        num_layers=module.num_layers,
        bias=module.bias,
        batch_first=module.batch_first,
        dropout=module.dropout,
        bidirectional=module.bidirectional,
        device=own.device,
        dtype=own.dtype,
        **options,
    )
    ours.load_state_dict(module.state_dict(), strict=True)
    return ours.train(module.training)
