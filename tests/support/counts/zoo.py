"""The zoo of gated, oscillating and typed cells; biases are counted where the paper prints them."""

from __future__ import annotations

from support.counts import Counts

COUNTS: Counts = {
    # The antisymmetric matrix is stored whole; H(H - 1)/2 of its values are free.
    "antisymmetric": (lambda I, H, P: H * I + H * H + H, "I + H + 1"),
    "antisymmetric_gated": (lambda I, H, P: 2 * (H * I + H) + H * H, "2I + H + 2"),
    "atr": (lambda I, H, P: H * I + H * H, "I + H"),
    "brc": (lambda I, H, P: 3 * H * I + 2 * H + 2 * H, "3I + 4"),
    "cfn": (lambda I, H, P: 3 * H * I + 2 * (H * H + H), "3I + 2H + 2"),
    "cornn": (lambda I, H, P: H * I + 2 * H * H + H, "I + 2H + 1"),
    "dsgu": (lambda I, H, P: 2 * (H * I + H) + 3 * H * H, "2I + 3H + 2"),
    "fastgrnn": (lambda I, H, P: H * I + H * H + 2 * H + 2, "I + H + 2/H + 2"),
    "fastrnn": (lambda I, H, P: H * I + H * H + H + 2, "I + H + 2/H + 1"),
    "indrnn": (lambda I, H, P: H * I + H + H, "I + 2"),
    "intersection_rnn": (lambda I, H, P: 4 * (H * H + H * H + H), "8H + 4"),
    "janet": (lambda I, H, P: 2 * (H * I + H * H + H), "2I + 2H + 2"),
    "lem": (lambda I, H, P: 4 * (H * I + H * H + H), "4I + 4H + 4"),
    "lightru": (lambda I, H, P: 2 * H * I + H * H + H, "2I + H + 1"),
    "ligru": (lambda I, H, P: 2 * (H * I + H * H + H), "2I + 2H + 2"),
    "lstm_memory_controller": (lambda I, H, P: 5 * (H * I + H * H + H), "5I + 5H + 5"),
    "lstm_multiplicative": (lambda I, H, P: 5 * (H * I + H * H) + 4 * H, "5I + 5H + 4"),
    "lstm_residual": (
        lambda I, H, P: 4 * (H * I + H * H + H) + 3 * H + H * H + H * I,
        "5I + 5H + 7",
    ),
    "lstm_working_memory": (
        lambda I, H, P: 4 * (H * I + H * H + H) + 3 * H * H,
        "4I + 7H + 4",
    ),
    "minimal_rnn": (lambda I, H, P: H * I + H + 2 * H * H + H, "I + 2H + 2"),
    "miru1": (lambda I, H, P: 2 * (H * I + H * H + H), "2I + 2H + 2"),
    "miru2": (lambda I, H, P: H * I + H * H + H, "I + H + 1"),
    "nas": (lambda I, H, P: 8 * (H * I + H * H), "8I + 8H"),
    "nbrc": (lambda I, H, P: 3 * H * I + 2 * (H * H + H), "3I + 2H + 2"),
    "ran": (lambda I, H, P: 3 * H * I + 2 * (H * H + H), "3I + 2H + 2"),
    "scrn": (lambda I, H, P: 2 * H * I + 4 * H * H, "2I + 4H"),
    "sgrn": (lambda I, H, P: H * I + H * H + H, "I + H + 1"),
    "sgu": (lambda I, H, P: 2 * (H * I + H * H + H), "2I + 2H + 2"),
    "star": (lambda I, H, P: 2 * (H * I + H) + H * H, "2I + H + 2"),
    "tau_gru": (lambda I, H, P: 4 * (H * I + H * H), "4I + 4H"),
    "tgru": (lambda I, H, P: 3 * (2 * H * I + H), "6I + 3"),
    "tlstm": (lambda I, H, P: 3 * (2 * H * I + H), "6I + 3"),
    "trnn": (lambda I, H, P: 2 * H * I + H, "2I + 1"),
    "ugrnn": (lambda I, H, P: 2 * (H * I + H * H + H), "2I + 2H + 2"),
    "unicornn": (lambda I, H, P: H * I + 3 * H, "I + 3"),
}
