"""The two published orders of a step: look at the memory and then step, or step and then look."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recurra.nn.attention.decoder import Carried, Decoder
from recurra.nn.attention.memory import Memory
from recurra.nn.attention.stepping import Stepping


class AttentionDecoder(Decoder):
    """Look, then step: the state before asks, and the context joins the input of this step.

    c_t = look(s_{t-1}), s_t = cell([x_t; c_t], s_{t-1}), where s is the first state of the last
    layer. The output is [c_t; h_t], from which a head predicts. Bahdanau et al. 2015,
    arXiv:1409.0473, appendix A.2; with "location", Chorowski et al. 2015, arXiv:1506.07503.

    Arguments as of `Decoder`.

    Example:
        >>> import torch
        >>> from recurra.nn import AttentionDecoder
        >>> decoder = AttentionDecoder("gru", input_size=4, hidden_size=8, memory_size=6)
        >>> memory = torch.randn(7, 3, 6)
        >>> output, state, weights = decoder(torch.randn(5, 3, 4), memory)
        >>> output.shape, weights.shape
        (torch.Size([5, 3, 14]), torch.Size([5, 3, 7]))
        >>> ready = decoder.prepare(memory)
        >>> output, state, weights = decoder.step(torch.randn(3, 4), ready, state)
        >>> output.shape, weights.shape
        (torch.Size([3, 14]), torch.Size([3, 7]))
    """

    @staticmethod
    def _fed_size(hidden_size: int, memory_size: int) -> int:
        return memory_size

    def _query_size(self) -> int:
        graph = self.layer.graph
        return math.prod(self.layer.sizes[letter] for letter in graph.shape(graph.states[0]))

    def _combination(self) -> nn.Module:
        return nn.Identity()

    def _fed_at_start(self, like: Tensor) -> tuple[Tensor, ...]:
        return ()

    @property
    def output_size(self) -> int:
        """O = M + H."""
        return self.memory_size + self.layer.output_size

    def _step(
        self, run: Stepping, x: Tensor, memory: Memory, before: Carried, t: int
    ) -> tuple[Tensor, Carried]:
        query = before.cells[-1][0].flatten(1)
        context, weights = self.attention(query, memory, before.weights)
        h, cells = run(torch.cat([x, context], -1), before.cells, t)
        output = self.combine(torch.cat([context, h], -1))
        return output, Carried(cells, (), weights)


class InputFeedingDecoder(Decoder):
    """Step, then look: what was seen joins the input of the next step (input feeding).

    h_t = cell([x_t; a_{t-1}]), c_t = look(h_t), a_t = tanh(W_c [c_t; h_t]), where h is the output
    of the last layer and a_0 = 0. The output is a (T, B, H). Luong, Pham & Manning 2015,
    arXiv:1508.04025, equation 5 and section 3.3.

    Arguments as of `Decoder`.
    """

    @staticmethod
    def _fed_size(hidden_size: int, memory_size: int) -> int:
        return hidden_size

    def _query_size(self) -> int:
        return self.layer.output_size

    def _combination(self) -> nn.Module:
        seen = self.memory_size + self.layer.output_size
        return nn.Sequential(nn.Linear(seen, self.layer.hidden_size, bias=False), nn.Tanh())

    def _fed_at_start(self, like: Tensor) -> tuple[Tensor, ...]:
        return (like.new_zeros(like.shape[0], self.layer.hidden_size),)

    @property
    def output_size(self) -> int:
        """O = H."""
        return self.layer.hidden_size

    def _step(
        self, run: Stepping, x: Tensor, memory: Memory, before: Carried, t: int
    ) -> tuple[Tensor, Carried]:
        h, cells = run(torch.cat([x, *before.fed], -1), before.cells, t)
        context, weights = self.attention(h, memory, before.weights)
        output = self.combine(torch.cat([context, h], -1))
        return output, Carried(cells, (output,), weights)
