"""What the README says is true: its Python runs, its table is the registry, its files exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from recurra import cells
from recurra.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").rglob("*.md"))


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert "fused kernels" in capsys.readouterr().out
    assert (tmp_path / "runs/small/metrics.jsonl").exists()


def test_its_list_is_the_registry():
    found = re.search(r"^(\d+) published cells.*?:\n\n(.*?)\.\n\n", README, re.M | re.S)
    assert tuple(re.findall(r"`(\w+)`", found[2])) == cells.names()
    assert int(found[1]) == len(cells.names())


def test_its_commands_are_known(capsys):
    verbs = set(re.findall(r"^    recurra (\w+)", README, re.MULTILINE))
    assert verbs == {
        "train",
        "generate",
        "eval",
        "inspect",
        "search",
        "info",
        "cells",
        "show",
        "draw",
        "cite",
    }
    for verb in verbs:
        assert main([verb, "--help"]) == 0
    before = README.partition("## Speed")[0]  # from there on it is the benchmarks' options
    options = set(re.findall(r"(--[a-z][a-z-]+)", before)) - {"--nproc-per-node", "--json"}
    capsys.readouterr()
    for verb in (
        ["train", "text"],
        ["generate"],
        ["eval"],
        ["inspect"],
        ["search"],
        ["show"],
        ["draw"],
    ):
        main([*verb, "--help"])
    shown = capsys.readouterr().out
    assert all(option in shown for option in options)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS], ids=str)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
        assert (page.parent / target).stat().st_size > 0, target


def test_the_page_on_adding_a_cell_runs(capsys):
    page = (ROOT / "docs/add-a-cell.md").read_text(encoding="utf-8")
    first = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    exec(compile(first, "add-a-cell.md", "exec"), {})
    assert "h[t] = g[t] * h[t-1] + (1 - g[t]) * n[t]" in capsys.readouterr().out
