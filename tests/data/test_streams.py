"""Streams: every position once, in order, for each row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurra.data import ArrayTokens, Part, Streams
from recurra.errors import DataError, UsageError


def numbered(length):
    return ArrayTokens(np.arange(length, dtype=np.uint16))


def test_the_example_of_the_docstring():
    streams = Streams(numbered(9), batch_size=2, seq_len=3)
    assert (len(streams), streams.length) == (2, 4)
    inputs, targets = streams.chunk(0)
    assert inputs.T.tolist() == [[0, 1, 2], [4, 5, 6]]
    assert targets.T.tolist() == [[1, 2, 3], [5, 6, 7]]
    inputs, targets = streams.chunk(1)
    assert inputs.T.tolist() == [[3], [7]]
    assert targets.T.tolist() == [[4], [8]]
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.is_contiguous()
    assert targets.is_contiguous()


@given(st.integers(1, 9), st.integers(1, 12), st.integers(2, 200))
def test_every_position_is_predicted_once(batch_size, seq_len, length):
    tokens = numbered(length)
    if length <= batch_size:
        with pytest.raises(DataError):
            Streams(tokens, batch_size, seq_len)
        return
    streams = Streams(tokens, batch_size, seq_len)
    chunks = [streams.chunk(index) for index in range(len(streams))]
    inputs, targets = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    read = (length - 1) // batch_size * batch_size
    assert inputs.T.flatten().tolist() == list(range(read))
    assert torch.equal(targets, inputs + 1)
    assert {len(part) for part, _ in chunks[:-1]} <= {seq_len}


@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 4), slice(1, 2), slice(None), slice(4, 4)])
def test_rows_are_those_of_the_whole_chunk(rows):
    streams = Streams(numbered(50), 4, 5)
    for whole, part in zip(streams.chunk(2), streams.chunk(2, rows), strict=True):
        assert torch.equal(part, whole[:, rows])


@pytest.mark.parametrize("index", [-1, 3])
def test_no_such_chunk(index):
    streams = Streams(numbered(50), 4, 5)
    with pytest.raises(IndexError, match=f"chunk {index} of 3"):
        streams.chunk(index)


def test_one_character_is_no_plural():
    with pytest.raises(DataError, match="has 1 character, but 4 streams"):
        Streams(numbered(1), 4, 5)


@pytest.mark.parametrize("length", [0, 1, 32])
def test_too_short(length):
    words = f"has {length} characters?, but 32 streams need 33 at least.*smaller --batch-size"
    with pytest.raises(DataError, match=words):
        Streams(numbered(length), 32, 50)
    assert len(Streams(numbered(33), 32, 50)) == 1


@pytest.mark.parametrize(("batch_size", "seq_len"), [(0, 5), (5, 0), (-1, 5)])
def test_sizes_below_one(batch_size, seq_len):
    with pytest.raises(UsageError, match="give 1 or more"):
        Streams(numbered(50), batch_size, seq_len)


def test_slices_of_tokens():
    tokens = numbered(10)
    part = Part(tokens, 2, 8)
    assert len(part) == 6
    assert part[1:3].tolist() == [3, 4]
    assert part[:].tolist() == [2, 3, 4, 5, 6, 7]
    assert part[-2:].tolist() == [6, 7]
    assert part[4:99].tolist() == [6, 7]
    assert part[5:2].tolist() == []
    assert len(Part(tokens, 8, 99)) == 2
    with pytest.raises(ValueError, match="without a step"):
        part[::2]


def test_a_slice_is_a_copy():
    array = np.zeros(3, np.int64)
    ArrayTokens(array)[:][0] = 1
    assert not array.any()
