"""The published forms of a score: additive, dot, general, location-aware."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.errors import UnknownNameError, UsageError
from recurra.nn.attention.attention import Attention
from recurra.nn.attention.memory import Memory
from recurra.nn.weighted import count


class Additive(Attention):
    """e_s = v . tanh(W q + U m_s). Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.

    Args:
        query_size: Q.
        memory_size: M.
        attention_size: A, units between.
    """

    def __init__(self, query_size: int, memory_size: int, attention_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.W = nn.Linear(query_size, count("attention_size", attention_size), bias=False)
        self.U = nn.Linear(memory_size, attention_size, bias=False)
        self.v = nn.Linear(attention_size, 1, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """U m, (B, S, A)."""
        return self.U(values)

    def scores(self, query: Tensor, memory: Memory, before: Tensor) -> Tensor:
        """See `Attention.scores`."""
        energies = torch.tanh(self.W(query).unsqueeze(1) + memory.keys)
        return self.v(energies).squeeze(-1)


class Dot(Attention):
    """e_s = q . m_s. Luong, Pham & Manning 2015, arXiv:1508.04025, equation 8.

    Args:
        query_size: Q.
        memory_size: M, the same.

    Raises:
        UsageError: Q and M differ.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        if query_size != memory_size:
            raise UsageError(
                f"dot attention compares queries and vectors of one size, not of {query_size} and "
                f'{memory_size}; take "general".'
            )

    def keys(self, values: Tensor) -> Tensor:
        """The vectors as they are, (B, S, M)."""
        return values

    def scores(self, query: Tensor, memory: Memory, before: Tensor) -> Tensor:
        """See `Attention.scores`."""
        return torch.bmm(memory.keys, query.unsqueeze(-1)).squeeze(-1)


class General(Attention):
    """e_s = q . W m_s. Luong, Pham & Manning 2015, arXiv:1508.04025, equation 8.

    Args:
        query_size: Q.
        memory_size: M.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.W = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """W m, (B, S, Q)."""
        return self.W(values)

    def scores(self, query: Tensor, memory: Memory, before: Tensor) -> Tensor:
        """See `Attention.scores`."""
        return torch.bmm(memory.keys, query.unsqueeze(-1)).squeeze(-1)


class LocationAware(Attention):
    """e_s = w . tanh(W q + V m_s + U f_s + b), f = F * (weights of the step before).

    Chorowski et al. 2015, arXiv:1506.07503, equations 8 and 9. The filters of F are trained, so
    that it does not matter whether they are read forwards or backwards.

    Args:
        query_size: Q.
        memory_size: M.
        attention_size: A, units between.
        filters: k; the paper's 10.
        width: r, vectors that a filter sees, odd; the paper's 201.

    Raises:
        UsageError: the width is even.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        attention_size: int,
        filters: int = 10,
        width: int = 201,
    ) -> None:
        super().__init__(query_size, memory_size)
        if count("width", width) % 2 == 0:
            raise UsageError(f"width={width}; a filter with a middle has an odd number of places.")
        self.W = nn.Linear(query_size, count("attention_size", attention_size), bias=False)
        self.V = nn.Linear(memory_size, attention_size)
        self.U = nn.Linear(count("filters", filters), attention_size, bias=False)
        self.F = nn.Conv1d(1, filters, width, padding=width // 2, bias=False)
        self.w = nn.Linear(attention_size, 1, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """V m + b, (B, S, A)."""
        return self.V(values)

    def scores(self, query: Tensor, memory: Memory, before: Tensor) -> Tensor:
        """See `Attention.scores`."""
        seen = self.F(before.unsqueeze(1)).transpose(1, 2)
        energies = torch.tanh(self.W(query).unsqueeze(1) + memory.keys + self.U(seen))
        return self.w(energies).squeeze(-1)


def attention_of(form: str | Attention, query_size: int, memory_size: int, units: int) -> Attention:
    """An attention by its name ("additive", "dot", "general", "location"), or one that is made.

    Args:
        form: a name or an attention.
        query_size: Q.
        memory_size: M.
        units: attention_size of the forms that have one.

    Raises:
        UnknownNameError: no such form.
        UsageError: the attention reads queries or vectors of another size.
    """
    if isinstance(form, Attention):
        if (form.query_size, form.memory_size) != (query_size, memory_size):
            raise UsageError(
                f"the attention reads queries of {form.query_size} features and vectors of "
                f"{form.memory_size}; this decoder has {query_size} and {memory_size}."
            )
        return form
    forms = {
        "additive": lambda: Additive(query_size, memory_size, units),
        "dot": lambda: Dot(query_size, memory_size),
        "general": lambda: General(query_size, memory_size),
        "location": lambda: LocationAware(query_size, memory_size, units),
    }
    if form not in forms:
        raise UnknownNameError("attention", str(form), forms)
    return forms[form]()
