"""Cells since 2016 that torchrecurrent does not have, counted from their papers' equations."""

from __future__ import annotations

from support.counts import Counts

COUNTS: Counts = {
    # One head reads x and h for g, n and the time constant f.
    "cfc": (lambda I, H, P: 3 * (H * I + H * H + H), "3I + 3H + 3"),
    # Gains of 3 gates on both sides; of the 6 offsets, those of r and z are added to each other.
    "gru_layernorm": (lambda I, H, P: 3 * (H * I + H * H) + 6 * H + 4 * H, "3I + 3H + 10"),
    # A complex candidate and the forget gate; the bound and the angle of each unit.
    "hgrn": (lambda I, H, P: 3 * (H * I + H) + 2 * H, "3I + 5"),
    # Four gates of the outer memory, four of the inner one.
    "lstm_nested": (
        lambda I, H, P: 4 * (H * I + H * H + H) + 4 * (H * H + H * H + H),
        "4I + 12H + 8",
    ),
    # The LSTM with peepholes, and period and shift of each unit.
    "lstm_phased": (lambda I, H, P: 4 * (H * I + H * H + H) + 3 * H + 2 * H, "4I + 4H + 9"),
    # One time constant and one bias A for each unit.
    "ltc": (lambda I, H, P: H * I + H * H + H + 2 * H, "I + H + 3"),
    "mingru": (lambda I, H, P: 2 * (H * I + H), "2I + 2"),
    "minlstm": (lambda I, H, P: 3 * (H * I + H), "3I + 3"),
    # Query and key; value and output gate; two scalar gates.
    "mlstm": (lambda I, H, P: 4 * (H * I + H) + 2 * (I + 1), "4I + 2I/H + 2/H + 4"),
    # Three filters of width 2 without biases.
    "qrnn": (lambda I, H, P: 3 * 2 * H * I, "6I"),
    # Two gates on the projected input, the decay, and the projection.
    "rg_lru": (lambda I, H, P: 2 * (H * H + H) + H + H * I, "I + 2H + 3"),
    # x enters the first transition only.
    "rhn_2": (lambda I, H, P: 2 * (H * I + 2 * (H * H + H)), "2I + 4H + 4"),
    "rhn_3": (lambda I, H, P: 2 * (H * I + 3 * (H * H + H)), "2I + 6H + 6"),
    "slstm": (lambda I, H, P: 4 * (H * I + H * H + H), "4I + 4H + 4"),
    # Two gates with v and b, the candidate, and the projection of the highway.
    "sru": (lambda I, H, P: 4 * H * I + 2 * 2 * H, "4I + 4"),
}
