"""The cells with which the library began."""

from __future__ import annotations

from support.counts import Counts

COUNTS: Counts = {
    "elman": (lambda I, H, P: H * I + H * H + H, "I + H + 1"),
    "elman_relu": (lambda I, H, P: H * I + H * H + H, "I + H + 1"),
    "gru": (lambda I, H, P: 3 * (H * I + H * H + H) + H, "3I + 3H + 4"),
    "gru_reset_before": (lambda I, H, P: 3 * (H * I + H * H + H), "3I + 3H + 3"),
    "lstm": (lambda I, H, P: 4 * (H * I + H * H + H), "4I + 4H + 4"),
    "lstm_1997": (lambda I, H, P: 3 * (H * I + H * H + H), "3I + 3H + 3"),
    "lstm_cifg": (lambda I, H, P: 3 * (H * I + H * H + H), "3I + 3H + 3"),
    "lstm_layernorm": (
        lambda I, H, P: 4 * (H * I + H * H + H) + 2 * 4 * H + 2 * H,
        "4I + 4H + 14",
    ),
    "lstm_peephole": (lambda I, H, P: 4 * (H * I + H * H + H) + 3 * H, "4I + 4H + 7"),
    "lstm_projection": (lambda I, H, P: 4 * (H * I + H * P + H) + P * H, "4I + 5P + 4"),
    "mgu": (lambda I, H, P: 2 * (H * I + H * H + H), "2I + 2H + 2"),
}
