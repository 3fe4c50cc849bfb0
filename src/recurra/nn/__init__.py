"""Modules with weights and state: a cell over time, both ways, looking at a memory; namesakes."""

from recurra.nn.attention import AttentionDecoder, InputFeedingDecoder
from recurra.nn.conv import ConvGRU, ConvLSTM, ConvRecurrent
from recurra.nn.dropout import Dropout
from recurra.nn.grid import GridBlock, GridLSTM
from recurra.nn.namesakes import GRU, LSTM, RNN, from_torch
from recurra.nn.recurrent import Recurrent
from recurra.nn.state import State, detach, select
from recurra.nn.stream import Stream

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AttentionDecoder",
    "ConvGRU",
    "ConvLSTM",
    "ConvRecurrent",
    "Dropout",
    "GridBlock",
    "GridLSTM",
    "InputFeedingDecoder",
    "Recurrent",
    "State",
    "Stream",
    "detach",
    "from_torch",
    "select",
]
