"""The names that the literature has are here, and every cell has what a cell must have."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from recurra import cells, nn
from recurra.backends import choose
from recurra.citations import cite
from recurra.errors import UnknownNameError

HERE = Path(__file__).parent
PAGES = HERE.parent.parent / "docs" / "cells"

# What it is called where it was published: what it is here.
CLASSICS = {
    "Elman with tanh": "elman",
    "Elman with ReLU": "elman_relu",
    "IRNN": "irnn",
    "Jordan": "jordan",
    "LSTM of 1997": "lstm_1997",
    "LSTM with forget gate": "lstm",
    "peepholes on all gates": "lstm_peephole",
    "peepholes on input and forget gate": "lstm_peephole_if",
    "peepholes on the output gate": "lstm_peephole_o",
    "coupled input and forget gate": "lstm_cifg",
    "recurrent projection": "lstm_projection",
    "GRU, reset before": "gru_reset_before",
    "GRU, reset after": "gru",
    "minimal gated unit": "mgu",
    "MGU1": "mgu1",
    "MGU2": "mgu2",
    "MGU3": "mgu3",
    "NIG": "lstm_nig",
    "NFG": "lstm_nfg",
    "NOG": "lstm_nog",
    "NIAF": "lstm_niaf",
    "NOAF": "lstm_noaf",
    "CIFG": "lstm_cifg_peephole",
    "NP": "lstm",
    "FGR": "lstm_fgr",
    "MUT1": "mut1",
    "MUT2": "mut2",
    "MUT3": "mut3",
    "LSTM with a forget bias of 0": "lstm_forget_zero",
    "depth-gated LSTM": "lstm_depth_gated",
    "clockwork": "clockwork",
    "grid LSTM": "lstm_grid",
    "grid LSTM with priority": "lstm_grid_priority",
    "LSTM of the lecture": "lstm_selective",
    "GRU of the lecture": "gru_selective",
}
NEWER = {
    "recurrent highway": "rhn_2",
    "UGRNN": "ugrnn",
    "intersection RNN": "intersection_rnn",
    "NAS": "nas",
    "IndRNN": "indrnn",
    "multiplicative LSTM": "lstm_multiplicative",
    "JANET": "janet",
    "LiGRU": "ligru",
    "RAN": "ran",
    "ATR": "atr",
    "SCRN": "scrn",
    "BRC": "brc",
    "nBRC": "nbrc",
    "antisymmetric": "antisymmetric",
    "coRNN": "cornn",
    "LEM": "lem",
    "UnICORNN": "unicornn",
    "phased LSTM": "lstm_phased",
    "layer-norm LSTM": "lstm_layernorm",
    "layer-norm GRU": "gru_layernorm",
    "nested LSTM": "lstm_nested",
    "SRU": "sru",
    "QRNN": "qrnn",
    "minGRU": "mingru",
    "minLSTM": "minlstm",
    "RG-LRU": "rg_lru",
    "HGRN": "hgrn",
    "sLSTM": "slstm",
    "mLSTM": "mlstm",
    "LTC": "ltc",
    "CfC": "cfc",
}


@pytest.mark.parametrize(("usual", "ours"), [*CLASSICS.items(), *NEWER.items()])
def test_a_published_cell_is_here(usual: str, ours: str) -> None:
    assert cells.get(ours).name == ours
    if usual in NEWER:  # these are names, not descriptions: who asks for them is led here
        assert cells.elsewhere()[cells.plain(usual)] == ours


@pytest.mark.parametrize("name", ["ConvLSTM", "ConvGRU"])
def test_what_is_a_layer_and_no_cell(name: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"Here it is the layer recurra\.nn\.{name}\."):
        cells.get(name)
    for dims in (1, 2):
        layer = getattr(nn, name)(2, 3, 3, dims=dims)
        assert "reference" in layer.explain()
        assert "convol" in layer.explain()
    assert cite(name).startswith("@")


def test_a_grid_of_many_dimensions_says_that_it_runs_on_the_reference() -> None:
    told = nn.GridLSTM(2, 3, 4).explain()
    assert told.startswith("reference: ")
    assert "2 dimensions on cpu in float32; not cpu: " in told


def test_every_cell_has_a_kernel() -> None:
    cpu, float32 = torch.device("cpu"), torch.float32
    choices = {n: choose(cells.get(n).graph, cpu, float32) for n in cells.names()}
    assert not [name for name, choice in choices.items() if choice.backend.name != "cpu"]
    assert len(choices) >= 85


def examples(file: str) -> ModuleType:
    """The tests with examples by hand, as a module."""
    spec = spec_from_file_location(f"examples_{file}", HERE / f"test_{file}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows(test: Callable[..., None]) -> set[str]:
    """The first of the values with which a test is run."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    return {row if isinstance(row, str) else row[0] for mark in marks for row in mark.args[1]}


def test_every_cell_has_an_example_by_hand() -> None:
    classics, zoo, modern = map(examples, ("classics_by_hand", "zoo_by_hand", "modern_by_hand"))
    small = examples("by_hand")
    found = rows(classics.test_two_units_by_hand) | rows(zoo.test_two_units_by_hand)
    found |= rows(classics.test_two_units_that_read_the_layer_below) | rows(modern.test_two_steps)
    found |= rows(small.test_long_short_term_memories)
    alone = {name.removeprefix("test_") for name in vars(small) if name.startswith("test_")}
    assert found | (alone & set(cells.names())) == set(cells.names())


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("elman", "paper's units are logistic"),
        ("fastgrnn", "some libraries"),
        ("gru", "Keras"),
        ("gru_reset_before", "Keras"),
        ("indrnn", "some libraries"),
        ("lem", "some libraries"),
        ("lstm", "papers of 1997 and 2000"),
        ("lstm_1997", "some libraries"),
        ("lstm_multiplicative", "some programs"),
        ("lstm_peephole", "paper of 2002"),
        ("mut1", "libraries"),
        ("mut2", "some libraries"),
        ("nas", "some libraries"),
        ("scrn", "h is fed back, y is not"),
        ("sgu", "where torch has"),
        ("dsgu", "where torch has"),
    ],
)
def test_a_page_says_where_sources_differ(name: str, who: str) -> None:
    """Where an oracle of these tests, or another source, computes something else."""
    page = " ".join((PAGES / f"{name}.md").read_text(encoding="utf-8").split())
    note = re.search(r"## Source and form (.*?) ## States", page)
    assert note is not None
    assert who.lower() in note[1].lower()
