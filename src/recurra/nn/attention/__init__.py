"""Attention as a part: scores over a memory of vectors, and decoders whose every step looks."""

from recurra.nn.attention.attention import Attention
from recurra.nn.attention.forms import Additive, Dot, General, LocationAware
from recurra.nn.attention.memory import Memory
from recurra.nn.attention.orders import AttentionDecoder, InputFeedingDecoder

__all__ = [
    "Additive",
    "Attention",
    "AttentionDecoder",
    "Dot",
    "General",
    "InputFeedingDecoder",
    "LocationAware",
    "Memory",
]
