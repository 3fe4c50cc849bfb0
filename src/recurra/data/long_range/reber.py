"""The embedded Reber grammar: the second symbol of a string decides the last but one."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.data.long_range.base import Batch, ClassesTask, alive, at_least, check

SYMBOLS = "BTSXPVE"
# For each node of the Reber grammar the symbols that may follow, and where they lead.
GRAPH: dict[int, dict[str, int]] = {
    0: {"B": 1},
    1: {"T": 2, "P": 3},
    2: {"S": 2, "X": 4},
    3: {"T": 3, "V": 5},
    4: {"X": 3, "S": 6},
    5: {"P": 4, "V": 6},
    6: {"E": 7},
    7: {},
}


def is_reber(string: str) -> bool:
    """Whether a string belongs to the Reber grammar (without its embedding)."""
    node = 0
    for symbol in string:
        if symbol not in GRAPH[node]:
            return False
        node = GRAPH[node][symbol]
    return not GRAPH[node]


def legal_after(prefix: str) -> str:
    """The symbols that may follow a beginning of an embedded string; "" after its end.

    Example:
        >>> legal_after("B"), legal_after("BT"), legal_after("BTBPVV"), legal_after("BTBPVVE")
        ('TP', 'B', 'E', 'T')
    """
    if len(prefix) < 2:
        return "TP" if prefix else "B"
    node = 0
    for position, symbol in enumerate(prefix[2:], start=3):
        node = GRAPH[node][symbol]
        if not GRAPH[node]:  # the inner string is over
            rest = prefix[1] + "E"
            return rest[len(prefix) - position :][:1]
    return "".join(GRAPH[node])


class EmbeddedReber(ClassesTask):
    """Hochreiter & Schmidhuber 1997, Long short-term memory, experiment 1.

    A string is B, T or P, a string of the Reber grammar, the same T or P, E. In each step the next
    symbol is to be told. Choices of the grammar have equal probability.

    Shapes: inputs (T, B, 7), one-hot in the order of `SYMBOLS`; targets (T, B), the next symbol,
    asked in every step of a row. A row has one step less than its string has symbols.

    Args:
        longest: symbols of a string at most, 9 at least; longer ones are drawn again.
    """

    input_size = output_size = len(SYMBOLS)
    solved = (
        "a string is right when in each step the symbols that the grammar allows are those with "
        "the highest outputs; solved when all strings for training and all for testing are right"
    )

    def __init__(self, longest: int = 40) -> None:
        self.longest = at_least("longest", longest, 9)

    def string(self, generator: torch.Generator) -> str:
        """One string."""
        while True:
            text, node = "", 0
            while GRAPH[node]:
                choices = list(GRAPH[node])
                symbol = choices[int(torch.randint(len(choices), (), generator=generator))]
                text, node = text + symbol, GRAPH[node][symbol]
            if len(text) + 4 <= self.longest:
                outer = "TP"[int(torch.randint(2, (), generator=generator))]
                return f"B{outer}{text}{outer}E"

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        strings = [self.string(generator) for _ in range(rows)]
        lengths = torch.tensor([len(text) - 1 for text in strings])
        asked = alive(lengths)
        symbols = torch.zeros(len(asked) + 1, rows, dtype=torch.int64)
        for row, text in enumerate(strings):
            symbols[: len(text), row] = torch.tensor([SYMBOLS.index(symbol) for symbol in text])
        inputs = torch.nn.functional.one_hot(symbols[:-1], self.input_size).float()
        return Batch(inputs * asked.unsqueeze(-1), symbols[1:] * asked, asked, lengths)

    def correct(self, output: Tensor, batch: Batch) -> Tensor:
        """See `LongRangeTask.correct`."""
        check(output, batch, self.output_size)
        ranked = output.argsort(-1, descending=True).tolist()
        symbols = batch.inputs.argmax(-1).T.tolist()
        right = []
        for row, length in enumerate(batch.lengths.tolist()):
            text = "".join(SYMBOLS[index] for index in symbols[row][:length])
            right.append(all(_is_top(ranked[t][row], text[: t + 1]) for t in range(length)))
        return torch.tensor(right)


def _is_top(ranked: list[int], prefix: str) -> bool:
    """Whether the symbols with the highest outputs are those that may follow."""
    legal = {SYMBOLS.index(symbol) for symbol in legal_after(prefix)}
    return set(ranked[: len(legal)]) == legal
