"""The influence matrix, against torch's own Jacobian."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recurra import Recurrent
from recurra.errors import UsageError
from recurra.inspection import influence_matrix

T, B, I = 5, 3, 4


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, I)
        self.layer = nn.LSTM(I, 6, batch_first=True)
        self.head = nn.Linear(6, 9)

    def scores(self, embedded: Tensor) -> Tensor:
        return self.head(self.layer(embedded)[0])

    def forward(self, items: Tensor) -> Tensor:
        return self.scores(self.embedding(items))


def jacobian(function, x: Tensor) -> Tensor:
    """The norms (T, T) of a function from (T, I) to (T, V)."""
    whole = torch.autograd.functional.jacobian(function, x)  # (T, V, T, I)
    return whole.square().sum((1, 3)).sqrt()


@pytest.mark.parametrize("copies", [None, 1, 7])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GRU(I, 6, 2, bidirectional=True),
        lambda: nn.LSTM(I, 6),
        lambda: Recurrent("mgu", I, 6, 2),
    ],
)
def test_against_torchs_jacobian(make, copies: int | None) -> None:
    torch.manual_seed(0)
    layer = make().double()
    x = torch.randn(T, B, I).double()
    found = influence_matrix(layer, x, 1, copies=copies)
    expected = jacobian(lambda row: layer(row.unsqueeze(1))[0][:, 0], x[:, 1])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    if not getattr(layer, "bidirectional", False):
        assert not found.triu(1).any()  # nothing comes from the future


def test_of_embedded_items() -> None:
    torch.manual_seed(1)
    model = Language().double()
    items = torch.randint(9, (B, T))
    found = influence_matrix(model, items, 2)
    embedded = model.embedding(items).detach()[2]
    expected = jacobian(lambda row: model.scores(row.unsqueeze(0))[0], embedded)
    torch.testing.assert_close(found, expected)


def test_within_the_length_of_the_row() -> None:
    layer = Recurrent("gru", I, 6, bidirectional=True, dtype=torch.float64)
    x = torch.randn(T, B, I).double()
    found = influence_matrix(layer, x, 1, [5, 3, 4])
    torch.testing.assert_close(found[:3, :3], influence_matrix(layer, x[:3], 1))
    assert not found[3:].any()
    assert not found[:, 3:].any()


def test_projections_come_near_and_are_the_same_for_a_seed() -> None:
    torch.manual_seed(2)
    layer = nn.LSTM(I, 20)
    x = torch.randn(T, 1, I)
    exact = influence_matrix(layer, x)
    found = influence_matrix(layer, x, projections=2000)
    ratio = (found / exact).tril()[exact.tril() > 0]
    assert float((ratio - 1).abs().max()) < 3 * (2 / 2000) ** 0.5
    assert torch.equal(found, influence_matrix(layer, x, projections=2000))
    assert not torch.equal(found, influence_matrix(layer, x, projections=2000, seed=1))


def test_mistakes_are_named() -> None:
    layer = nn.LSTM(I, 6)
    x = torch.randn(T, B, I)
    with pytest.raises(UsageError, match="row 3 does not exist; there are 0 to 2"):
        influence_matrix(layer, x, 3)
    with pytest.raises(UsageError, match="projections=0"):
        influence_matrix(layer, x, projections=0)
    with pytest.raises(UsageError, match="needs one tensor"):
        influence_matrix(layer, (x, None))
