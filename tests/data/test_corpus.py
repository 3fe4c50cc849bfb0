"""A prepared text: its split, its file, and its fingerprint."""

from __future__ import annotations

import doctest
import errno
import os
from pathlib import Path

import numpy as np
import pytest

from recurra.data import TextCorpus, UnknownCharacterWarning, Vocabulary, corpus
from recurra.data import text as reading
from recurra.errors import CheckpointError, DataError, RunError, UsageError

TEXT = "It was the best of times,\r\n" * 40 + "worst 😀 é"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


def facts(prepared):
    return (
        prepared.vocabulary,
        prepared.train[:].tolist(),
        prepared.validation[:].tolist(),
        prepared.fingerprint,
        prepared.unknown,
    )


def test_examples_of_the_docstrings():
    assert doctest.testmod(corpus).failed == 0


@pytest.mark.parametrize("block", [4, 7, 2**20])
@pytest.mark.parametrize("share", [0, 0.1, 0.5])
def test_from_a_file_as_from_memory(file, tmp_path, monkeypatch, block, share):
    monkeypatch.setattr(reading, "BLOCK", block)
    expected = facts(TextCorpus.from_text(TEXT, share))
    kept = TextCorpus.read(file, tmp_path / "new" / "data", validation_share=share)
    assert facts(kept) == expected
    assert facts(TextCorpus.read(file, validation_share=share)) == expected
    opened = TextCorpus.open(tmp_path / "new" / "data", kept.vocabulary, share)
    assert facts(opened)[:4] == expected[:4]
    assert os.listdir(tmp_path / "new" / "data") == ["tokens.bin"]


def test_the_end_is_held_out_and_lends_no_character():
    prepared = TextCorpus.from_text(TEXT)
    length = len(TEXT)
    assert len(prepared.validation) == length // 10
    decode = prepared.vocabulary.decode
    assert decode(prepared.train[:]) == TEXT[: length - length // 10]
    assert decode(prepared.validation[:]).endswith("wo<unk>st <unk> <unk>")
    assert prepared.unknown == ("r", "😀", "é")


@pytest.mark.parametrize("count", [200, 300, 70_000])
def test_numbers_of_every_width(tmp_path, count):
    text = "".join(chr(0x10000 + code) for code in range(count))
    (tmp_path / "text.txt").write_text(text, encoding="utf-32")
    prepared = TextCorpus.read(tmp_path / "text.txt", tmp_path, validation_share=0)
    assert prepared.train[:].tolist() == list(range(1, count + 1))
    width = (tmp_path / "tokens.bin").stat().st_size // count
    assert width == {200: 1, 300: 2, 70_000: 4}[count]


def test_a_file_of_tokens_may_be_moved_while_it_is_used(file, tmp_path):
    prepared = TextCorpus.read(file, tmp_path)
    (tmp_path / "tokens.bin").rename(tmp_path / "moved")
    assert prepared.vocabulary.decode(prepared.train[:6]) == TEXT[:6]


def test_fingerprint_differs_when_anything_does():
    prints = [
        TextCorpus.from_text(text, share).fingerprint
        for text, share in [
            ("abab" * 9, 0.1),
            ("abaa" * 9, 0.1),
            ("cdcd" * 9, 0.1),
            ("abab" * 9, 0),
        ]
    ]
    assert len(set(prints)) == 4
    assert TextCorpus.from_text("abab" * 9).fingerprint == prints[0]


def test_a_given_vocabulary_is_kept_and_what_it_lacks_is_named(file):
    vocabulary = Vocabulary.from_counts("It was")
    with pytest.warns(UnknownCharacterWarning, match="'h' 'e' 'b'"):
        prepared = TextCorpus.read(file, validation_share=0, vocabulary=vocabulary)
    assert prepared.vocabulary is vocabulary
    assert prepared.vocabulary.decode(prepared.train[:8]) == "It was t"
    with pytest.warns(UnknownCharacterWarning):
        assert facts(TextCorpus.from_text(TEXT, 0, vocabulary)) == facts(prepared)


class TestBadTexts:
    @pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\xff\xfe"])
    def test_empty(self, tmp_path, content):
        (tmp_path / "text.txt").write_bytes(content)
        with pytest.raises(DataError, match=r"text\.txt is empty"):
            TextCorpus.read(tmp_path / "text.txt", tmp_path / "data")
        assert not (tmp_path / "data").exists()

    def test_empty_in_memory(self):
        with pytest.raises(DataError, match="is empty"):
            TextCorpus.from_text("")

    def test_one_character_is_all_there_is_to_learn_from(self):
        prepared = TextCorpus.from_text("a")
        assert (len(prepared.train), len(prepared.validation)) == (1, 0)

    @pytest.mark.parametrize("share", [-0.1, 1, 2, float("nan")])
    def test_share(self, file, share):
        for make in (TextCorpus.from_text, TextCorpus.read):
            with pytest.raises(UsageError, match="validation_share"):
                make(str(file), validation_share=share)

    def test_a_mistake_far_inside_leaves_nothing(self, tmp_path):
        (tmp_path / "text.txt").write_bytes(b"a" * 3_000_000 + b"\xff")
        with pytest.raises(DataError, match="offset 3,000,000"):
            TextCorpus.read(tmp_path / "text.txt", tmp_path / "data")
        assert not (tmp_path / "data").exists()

    def test_a_text_that_changes_meanwhile(self, file, tmp_path, monkeypatch):
        file.write_bytes(TEXT.encode() * 300)
        (tmp_path / "tokens.bin").write_bytes(b"old")
        encode = Vocabulary.encode

        def cutting(self, text, dtype=np.int64):
            os.truncate(file, 150_000)
            return encode(self, text, dtype)

        monkeypatch.setattr(Vocabulary, "encode", cutting)
        monkeypatch.setattr(reading, "BLOCK", 100_000)
        with pytest.raises(DataError, match="changed while it was read"):
            TextCorpus.read(file, tmp_path)
        assert (tmp_path / "tokens.bin").read_bytes() == b"old"
        assert sorted(os.listdir(tmp_path)) == ["text.txt", "tokens.bin"]


class TestBadFolders:
    def test_a_file_in_the_way(self, file):
        with pytest.raises(RunError, match="cannot write the prepared text"):
            TextCorpus.read(file, file / "data")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("times", [1, 400])
    def test_full_disk(self, file, tmp_path, times):
        file.write_bytes(TEXT.encode() * times)
        (tmp_path / "tokens.bin").write_bytes(b"old")
        (tmp_path / ".tokens.bin.tmp").symlink_to("/dev/full")
        with pytest.raises(RunError, match=os.strerror(errno.ENOSPC)):
            TextCorpus.read(file, tmp_path)
        assert (tmp_path / "tokens.bin").read_bytes() == b"old"
        assert sorted(os.listdir(tmp_path)) == ["text.txt", "tokens.bin"]

    def test_nothing_prepared(self, tmp_path):
        with pytest.raises(CheckpointError, match="cannot read the prepared text"):
            TextCorpus.open(tmp_path, Vocabulary.from_counts("ab"))

    @pytest.mark.parametrize("content", [b"", b"\1\2\7"])
    def test_damaged(self, tmp_path, content):
        (tmp_path / "tokens.bin").write_bytes(content)
        with pytest.raises(CheckpointError, match="is damaged"):
            TextCorpus.open(tmp_path, Vocabulary.from_counts("ab"))

    def test_half_a_number(self, tmp_path):
        (tmp_path / "tokens.bin").write_bytes(b"\1\0\2")
        vocabulary = Vocabulary.from_counts(chr(code) for code in range(300))
        with pytest.raises(CheckpointError, match="is damaged"):
            TextCorpus.open(tmp_path, vocabulary)

    def test_cut_while_it_is_used(self, file, tmp_path):
        prepared = TextCorpus.read(file, tmp_path)
        os.truncate(tmp_path / "tokens.bin", 10)
        with pytest.raises(DataError, match="ends before token 20"):
            prepared.train[5:20]
