"""Mistakes at the command line: exit code, message, and nothing on disk harmed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, and what is in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to be harmed."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def damage(path: Path, how: str) -> None:
    """Cut a file, change a byte in its middle, or empty it."""
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) * 2 // 3]
    elif how == "changed":
        content[len(content) // 2] ^= 0x55
    elif how == "emptied":
        content.clear()
    path.write_bytes(content)


TEXTS: list[tuple[str, bytes | None, list[str]]] = [
    ("missing", None, ["text.txt"]),
    ("empty", b"", ["empty"]),
    ("one character", b"x", ["--batch-size"]),
    ("only a byte order mark", b"\xef\xbb\xbf", ["empty"]),
    ("binary", b"\x7fELF\x02\x01\x00\x00\x00" * 100, ["no text", "zero byte"]),
    ("not UTF-8", b"abc \xff def " * 100, ["offset 4", "--encoding"]),
    ("cut UTF-8", b"abc " * 100 + b"\xc3", ["offset 400"]),
    ("shorter than a batch of streams", b"abcdefgh" * 4, ["--batch-size"]),
]


@pytest.mark.parametrize(("content", "said"), [t[1:] for t in TEXTS], ids=[t[0] for t in TEXTS])
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite"])
def test_a_text_that_cannot_be_trained_on(
    call: Any, run: Path, tmp_path: Path, content: bytes | None, said: list[str], overwrite: bool
) -> None:
    text = tmp_path / "text.txt"
    if content is not None:
        text.write_bytes(content)
    before = contents(tmp_path)
    out = (run, "--overwrite") if overwrite else (tmp_path / "new",)
    ended = call("train", "text", text, "-o", *out, "--batch-size", 64, "--epochs", 1)
    assert ended.code == 3
    assert ended.out == ""
    assert ended.err.startswith("recurra: error: ")
    for part in said:
        assert part in ended.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("source", [".", "http://127.0.0.1:9/book.txt"])
def test_a_source_that_is_no_file(call: Any, tmp_path: Path, source: str) -> None:
    ended = call("train", "text", source, "-o", tmp_path / "new")
    assert ended.code == 3
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cell", "lsmt"], "Did you mean 'lstm'?"),
        (["--hiden", "3"], "Did you mean '--hidden'?"),
        (["--hidden", "many"], "'--hidden'"),
        (["--hidden", "0"], "hidden"),
        (["--layers", "0"], "layers"),
        (["--dropout", "1.5"], "dropout"),
        (["--seq-len", "0"], "seq_len"),
        (["--batch-size", "-1"], "batch_size"),
        (["--epochs", "0"], "epochs"),
        (["--minutes", "0"], "minutes"),
        (["--lr", "nan"], "lr"),
        (["--clip-norm", "-1"], "clip_norm"),
        (["--device", "gpu"], "auto, cpu, cuda"),
        (["--schedule", "cosin"], "cosine"),
        (["--precision", "fp61"], "fp16"),
        (["--seed", "-1"], "seed"),
        (["--encoding", "utf-9"], "utf-9"),
        (["--resume", "--overwrite"], "Give one of them"),
        (["-c", "no.yaml"], "no.yaml"),
    ],
    ids=" ".join,
)
def test_options_that_cannot_be(
    call: Any, book: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    ended = call("train", "text", book, "-o", tmp_path / "new", *options)
    assert ended.code == 2
    assert said in ended.err
    assert contents(tmp_path) == {}


def test_an_unknown_key_of_a_configuration_file(call: Any, book: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for content, said in [
        ("training: {sequ_len: 3}", "Did you mean 'seq_len'?"),
        ("model: {hiden: 3}", "Did you mean 'hidden'?"),
        ("trainig: {}", "Did you mean 'training'?"),
        ("training: [", "not YAML"),
        ("training: 3", "training"),
        ("task: speech", "speech"),
    ]:
        file.write_text(content)
        ended = call("train", "text", book, "-o", tmp_path / "new", "-c", file)
        assert (ended.code, said in ended.err) == (2, True), (content, ended)
        assert list(contents(tmp_path)) == ["config.yaml"]


def test_no_text_at_all(call: Any, tmp_path: Path) -> None:
    ended = call("train", "text", "-o", tmp_path / "new")
    assert ended.code == 2
    assert "Give a file" in ended.err


def test_a_run_that_exists_is_refused(call: Any, book: Path, run: Path) -> None:
    before = contents(run)
    ended = call("train", "text", book, "-o", run)
    assert ended.code == 1
    assert "--resume" in ended.err
    assert "--overwrite" in ended.err
    assert contents(run) == before


@pytest.mark.parametrize("option", [[], ["--overwrite"], ["--resume"]], ids=str)
def test_a_folder_that_is_no_run_is_never_touched(
    call: Any, book: Path, tmp_path: Path, option: list[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    before = contents(tmp_path)
    assert call("train", "text", book, "-o", tmp_path, *option).code == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("how", ["cut", "changed", "emptied"])
def test_a_damaged_checkpoint_is_not_resumed(call: Any, run: Path, how: str) -> None:
    damage(run / "checkpoints" / "last.safetensors", how)
    before = contents(run)
    for words in (("train", "text", "-o", run, "--resume", "--epochs", 2), ("info", run)):
        ended = call(*words)
        assert ended.code == 1
        assert "last.safetensors" in ended.err
        assert "--overwrite" in ended.err
    assert contents(run) == before


def test_a_resume_with_another_model_or_text_is_refused(
    call: Any, book: Path, run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    other.write_text(book.read_text(encoding="utf-8")[::-1], encoding="utf-8")
    before = contents(run)
    for options, said in [(["--hidden", 13], "hidden"), (["--cell", "gru"], "cell"), ([other], "")]:
        ended = call("train", "text", *options, "-o", run, "--resume", "--epochs", 2)
        assert ended.code in (1, 2, 3), ended
        assert said in ended.err
        assert contents(run) == before


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("model.safetensors", "cut"),
        ("model.safetensors", "changed"),
        ("model.safetensors", "emptied"),
        ("vocabulary.json", "cut"),
        ("vocabulary.json", "missing"),
        ("vocabulary.json", "rewritten"),
        ("config.yaml", "emptied"),
        ("config.yaml", "missing"),
        ("config.yaml", "rewritten"),
    ],
)
def test_a_damaged_run_generates_nothing(
    call: Any, book: Path, run: Path, name: str, how: str
) -> None:
    if how == "missing":
        (run / name).unlink()
    elif how == "rewritten":
        (run / name).write_text("{]")
    else:
        damage(run / name, how)
    for words in (("generate", run), ("eval", run, book)):
        ended = call(*words)
        assert ended.code == 1, ended
        assert ended.out == ""
        assert ended.err.startswith("recurra: error: ")


@pytest.mark.parametrize("verb", [["generate"], ["info"], ["eval"]], ids=str)
def test_a_run_that_is_not_there(call: Any, book: Path, tmp_path: Path, verb: list[str]) -> None:
    words = [*verb, tmp_path / "nothing", *([book] if verb == ["eval"] else [])]
    ended = call(*words)
    assert ended.code == 1
    assert "nothing" in ended.err
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    "options",
    [
        ["--temperature", "0"],
        ["--temperature", "-1"],
        ["--temperature", "nan"],
        ["--top-k", "0"],
        ["--top-p", "0"],
        ["--top-p", "1.5"],
        ["--max-new", "-1"],
        ["--num-samples", "0"],
        ["--seed", "-1"],
    ],
    ids=" ".join,
)
def test_generation_that_cannot_be(call: Any, trained: Path, options: list[str]) -> None:
    ended = call("generate", trained, *options)
    assert ended.code == 2
    assert ended.out == ""
    assert options[0].strip("-").replace("-", "_") in ended.err.replace("-", "_")
