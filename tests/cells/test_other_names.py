"""A cell is found under the names that papers and other libraries give it."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from recurra import cells, nn
from recurra.errors import UnknownNameError

OTHERS = files("recurra.cells").joinpath("other_names.txt").read_text(encoding="utf-8")

# What torchrecurrent 0.2.5 exports, read from the library (without the ending Cell).
TORCHRECURRENT = (
    "ATR AntisymmetricRNN BR CFN DSGU FastGRNN FastRNN GatedAntisymmetricRNN IndRNN "
    "IntersectionRNN JANET LEM LiGRU LightRU MCLSTM MGU MUT1 MUT2 MUT3 MiRU1 MiRU2 MinimalRNN "
    "MultiplicativeLSTM NAS NBR OriginalLSTM PeepholeLSTM RAN ResLSTM SCRN SGRN SGU STAR TGRU "
    "TLSTM TRNN UGRNN UnICORNN WMCLSTM coRNN tauGRU"
)


@pytest.mark.parametrize("name", TORCHRECURRENT.split())
def test_every_cell_of_torchrecurrent(name: str) -> None:
    assert cells.elsewhere()[cells.plain(name)] in cells.names()


def test_the_list_of_torchrecurrent_is_whole() -> None:
    library = pytest.importorskip(
        "torchrecurrent", reason="torchrecurrent is not installed (pip install recurra[test])"
    )
    exported = {name.removesuffix("Cell") for name in library.__all__ if name.endswith("Cell")}
    assert exported == set(TORCHRECURRENT.split())


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("NP", "lstm"),  # Greff et al. 2015: the names of their variants
        ("FGR", "lstm_fgr"),
        ("CIFG", "lstm_cifg_peephole"),
        ("Peephole-LSTM", "lstm_peephole"),
        ("Min GRU", "mingru"),
        ("LSTM", "lstm"),
        ("conv_lstm", "the layer recurra.nn.ConvLSTM"),
    ],
)
def test_an_error_says_what_it_is_here(given: str, ours: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"unknown cell '{given}'\. Here it is {ours}\."):
        cells.get(given)


def test_every_other_name_leads_somewhere_and_hides_no_cell() -> None:
    for ours in cells.elsewhere().values():
        layer = re.fullmatch(r"the layer recurra\.nn\.(\w+)", ours)
        assert hasattr(nn, layer[1]) if layer else ours.split(",")[0] in cells.names()
    assert all(cells.elsewhere()[cells.plain(name)] == name for name in cells.names())
    others = re.findall(r"^(?!#)(.+?) = ", OTHERS, re.MULTILINE)
    assert len({cells.plain(name) for name in others}) == len(others)
