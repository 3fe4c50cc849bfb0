"""The program behind docs/choosing.md: equal weights, a text of its rules, an honest table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("benchmarks")
DOCS = Path(__file__).parent.parent / "docs"
CELLS = "elman irnn gru lstm lstm_peephole clockwork hgrn indrnn slstm".split()  # noqa: SIM905


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_has_about_as_many_weights(name: str) -> None:
    import choosing

    for make, _ in choosing.TASKS.values():
        task = make()
        units = choosing.units_for(name, task)
        network = choosing.Network(name, task, units)
        counted = sum(weight.numel() for weight in network.parameters())
        assert counted == choosing.weights(name, task, units)
        assert abs(counted - choosing.WEIGHTS) < 0.05 * choosing.WEIGHTS


def test_a_training_is_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import choosing

    make, _ = choosing.TASKS["parity"]
    monkeypatch.setitem(choosing.TASKS, "parity", (make, 3))
    first, second = (choosing.train("gru", "parity", 0, 0.01) for _ in range(2))
    other = choosing.train("gru", "parity", 1, 0.01)
    assert (first.loss, first.score) == (second.loss, second.score)
    assert other.loss != first.loss


def test_the_text_keeps_its_rules() -> None:
    from sentences import ALPHABET, NAMES, text

    found = text(20_000, 0)
    assert found == text(20_000, 0)
    assert found != text(20_000, 1)
    assert set(found) <= set(ALPHABET)
    for line in found.splitlines()[:-1]:
        assert line.count("(") == line.count(")")
        assert line.count('"') in (0, 2)
        named = re.findall("|".join(NAMES), line)
        assert len(named) in (0, 2)
        assert len(set(named)) <= 1


def run(**changed: Any) -> Any:
    import choosing

    setting = {"cell": "gru", "task": "parity", "seed": 0, "rate": 0.01, "units": 9}
    result = {"weights": 99, "score": 0.5, "loss": 1.0, "step": 0.001}
    return choosing.Run(**(setting | result | changed))


def test_the_table_shows_the_better_rate_with_its_spread() -> None:
    import choosing

    runs = [
        run(loss=0.2, score=0.25),
        run(rate=0.003, loss=0.3, score=1.0),  # lost in training: a lucky test does not count
        run(seed=1, score=0.75),
    ]
    assert "| `gru` | 9..9 | 50 (25..75) | 1.0 |" in choosing.table(runs, ["gru"], ["parity"])


def test_the_page_shows_the_runs_beside_it() -> None:
    import choosing

    docs = DOCS
    runs = choosing.read(docs / "choosing.json")
    page = (docs / "choosing.md").read_text(encoding="utf-8")
    assert choosing.table(runs, choosing.CELLS.split(","), list(choosing.TASKS)) in page
