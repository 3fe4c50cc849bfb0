"""The classics and their published variants; biases are counted where the paper prints them."""

from __future__ import annotations

from support.counts import Counts

COUNTS: Counts = {
    # The masked matrix is stored whole; with equal modules about half of it is read.
    "clockwork": (lambda I, H, P: H * I + H * H + H, "I + H + 1"),
    "gru_selective": (lambda I, H, P: 3 * (H * I + H * H + H), "3I + 3H + 3"),
    "irnn": (lambda I, H, P: H * I + H * H + H, "I + H + 1"),
    "jordan": (lambda I, H, P: H * I + H * H + H + H * H + H, "I + 2H + 2"),
    "lstm_cifg_peephole": (lambda I, H, P: 3 * (H * I + H * H + H) + 2 * H, "3I + 3H + 5"),
    "lstm_depth_gated": (
        lambda I, H, P: 4 * (H * I + H * H + H) + 3 * H + H * I + 3 * H,
        "5I + 4H + 10",
    ),
    "lstm_fgr": (lambda I, H, P: 4 * (H * I + H * H + H) + 3 * H + 9 * H * H, "4I + 13H + 7"),
    "lstm_forget_zero": (lambda I, H, P: 4 * (H * I + H * H + H), "4I + 4H + 4"),
    "lstm_grid": (lambda I, H, P: 2 * 4 * H * (I + H), "8I + 8H"),
    "lstm_grid_priority": (lambda I, H, P: 2 * 4 * H * (I + H), "8I + 8H"),
    "lstm_nfg": (lambda I, H, P: 3 * (H * I + H * H + H) + 2 * H, "3I + 3H + 5"),
    "lstm_niaf": (lambda I, H, P: 4 * (H * I + H * H + H) + 3 * H, "4I + 4H + 7"),
    "lstm_nig": (lambda I, H, P: 3 * (H * I + H * H + H) + 2 * H, "3I + 3H + 5"),
    "lstm_noaf": (lambda I, H, P: 4 * (H * I + H * H + H) + 3 * H, "4I + 4H + 7"),
    "lstm_nog": (lambda I, H, P: 3 * (H * I + H * H + H) + 2 * H, "3I + 3H + 5"),
    "lstm_peephole_if": (lambda I, H, P: 4 * (H * I + H * H + H) + 2 * H, "4I + 4H + 6"),
    "lstm_peephole_o": (lambda I, H, P: 4 * (H * I + H * H + H) + H, "4I + 4H + 5"),
    "lstm_selective": (lambda I, H, P: 4 * (H * I + H * H + H), "4I + 4H + 4"),
    "mgu1": (lambda I, H, P: H * I + 2 * (H * H + H), "I + 2H + 2"),
    "mgu2": (lambda I, H, P: H * I + 2 * H * H + H, "I + 2H + 1"),
    "mgu3": (lambda I, H, P: H * I + H * H + 2 * H, "I + H + 2"),
    # MUT1 and MUT2 add x itself to their units, which are as many as its features.
    "mut1": (lambda I, H, P: 2 * H * H + 2 * H * H + 3 * H, "4H + 3"),
    "mut2": (lambda I, H, P: 2 * H * H + 3 * H * H + 3 * H, "5H + 3"),
    "mut3": (lambda I, H, P: 3 * (H * I + H * H + H), "3I + 3H + 3"),
}
