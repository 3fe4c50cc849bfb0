"""Oracle: Keras 3 runs the same weights: LSTM, GRU both ways, convolutional LSTM."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra import ConvRecurrent, Recurrent
from support.checks import close, layer_of

# Keras copies a tensor of torch to NumPy in a way that NumPy 2 will refuse one day.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
ROUNDING = 1e-5  # Keras computes in float32, the only one that each of its backends has
Layer = Recurrent | ConvRecurrent


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Imported on PyTorch if no other backend is asked for; it writes a file where it lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        missing = "Keras is not installed (pip install recurra[test])"
        return pytest.importorskip("keras", reason=missing)


def stacked(layer: Layer, kind: str, gates: str) -> np.ndarray:
    """Weights of one kind in Keras's order of gates, with its axes: places, from, to."""
    parts = [layer.weight(f"{kind}_{gate}").detach().numpy() for gate in gates]
    if kind in "WU":
        parts = [np.moveaxis(part, (0, 1), (-1, -2)) for part in parts]
    return np.concatenate(parts, -1)


def results(keras: Any, theirs: Any, x: Tensor, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs and last states, with these weights."""
    theirs.build(tuple(x.shape))
    theirs.set_weights(weights)
    found = theirs(x.float().numpy())
    return [keras.ops.convert_to_numpy(part).astype("float64") for part in found]


OPTIONS = {"return_sequences": True, "return_state": True}


def test_lstm(keras: Any) -> None:
    layer = layer_of("lstm", batch_first=True)
    x = torch.randn(2, 5, 2, dtype=torch.float64)
    weights = [stacked(layer, kind, "ifgo") for kind in "WUb"]
    expected, h, c = results(keras, keras.layers.LSTM(3, **OPTIONS), x, weights)
    output, after = layer(x)
    for ours, other in zip((output, after[0][0], after[1][0]), (expected, h, c), strict=True):
        close(ours, other, ROUNDING)


@pytest.mark.parametrize("name", ["gru", "gru_reset_before"])
def test_gru_both_ways(keras: Any, name: str) -> None:
    """`reset_after=True`, its default, is our `gru`; False is `gru_reset_before`."""
    layer, other_way = (layer_of(n, batch_first=True) for n in (name, "gru_reset_before"))
    after_product = name == "gru"
    weights = [stacked(layer, kind, "zrn") for kind in "WUb"]
    if after_product:  # a second bias, of the recurrent products: only that of n is not added
        inside = np.zeros_like(weights[2])
        inside[6:] = layer.weight("c_n").detach().numpy()
        weights[2] = np.stack([weights[2], inside])
    x = torch.randn(2, 5, 2, dtype=torch.float64)
    theirs = keras.layers.GRU(3, reset_after=after_product, **OPTIONS)
    expected, last = results(keras, theirs, x, weights)
    output, h = layer(x)
    close(output, expected, ROUNDING)
    close(h[0], last, ROUNDING)
    if after_product:
        with pytest.raises(AssertionError):
            close(other_way(x)[0], expected, ROUNDING)


@pytest.mark.parametrize("dims", [1, 2])
def test_convolutional_lstm(keras: Any, dims: int) -> None:
    torch.manual_seed(0)
    layer = ConvRecurrent("lstm", 2, 3, 3, dims=dims, batch_first=True, dtype=torch.float64)
    for parameter in layer.parameters():  # not the cell's wishes: zeros and ones hide mistakes
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 4, 2, *(6, 5)[:dims], dtype=torch.float64)
    kind = keras.layers.ConvLSTM1D if dims == 1 else keras.layers.ConvLSTM2D
    weights = [stacked(layer, one, "ifgo") for one in "WUb"]
    theirs = kind(3, 3, padding="same", **OPTIONS)
    expected = results(keras, theirs, x.movedim(2, -1), weights)
    output, after = layer(x)
    for ours, other in zip((output, after[0][0], after[1][0]), expected, strict=True):
        close(ours, np.moveaxis(other, -1, -1 - dims), ROUNDING)
