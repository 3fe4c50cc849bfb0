"""The page in Chromium: what it shows is what was recorded, and keys and clicks change it."""

from __future__ import annotations

import re

import pytest
import torch

from recurra.inspection import Recording
from recurra.inspection.findings import Finding, Series
from support.recordings import predicting, recorded

RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def parts(text: str) -> tuple[str, int]:
    """The digits and the power of ten of a number as the page writes it."""
    digits, _, power = text.strip().lstrip("≈").replace("−", "-").partition("·10")
    return digits, int(power.translate(RAISED) or 0)


def number(text: str) -> float:
    """A number as the page writes it; ≈ says that it is rounded."""
    digits, power = parts(text)
    return float(digits) * 10.0**power


def last_place(text: str) -> float:
    """One in the last place of a number that the page writes."""
    digits, power = parts(text)
    return 10.0 ** (power - len(digits.partition(".")[2]))


def table(opened) -> dict[str, list[str]]:
    """The numbers of the chosen step, by the name of the value."""
    opened.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    rows = opened.page.locator("#step table.numbers tbody tr").all()
    return {
        row.locator("th").get_attribute("data-name"): [
            text.strip() for text in row.locator("td").all_inner_texts()
        ]
        for row in rows
    }


def assert_is(text: str, truth: torch.Tensor) -> None:
    """A number of the page is that of the recording, to its last digit."""
    slack = 1.01 if text.startswith("≈") else 0.51
    assert abs(number(text) - float(truth)) <= slack * last_place(text), (text, float(truth))


def chosen(opened) -> tuple[int, int]:
    step = int(re.search(r"step (\d+)", opened.text(".where")).group(1))
    return step, int(opened.page.locator("input[type=number]").input_value())


def assert_shows(opened, recording: Recording, place: str) -> None:
    step, unit = chosen(opened)
    rows = table(opened)
    names = [a.rsplit(".", 1)[1] for a in recording.values if a.startswith(f"{place}.")]
    assert set(rows) == set(names)
    for name in names:
        value = recording[f"{place}.{name}"]
        assert_is(rows[name][0], value[step, 0, unit])
        if step > 0:
            assert_is(rows[name][1], value[step - 1, 0, unit])


def test_small_pages_show_the_numbers_of_the_recording(open_page):
    recording = recorded(steps=12, units=5, layers=2)
    opened = open_page(recording)
    assert_shows(opened, recording, "rnn.1.forward")
    assert not any("≈" in text for row in table(opened).values() for text in row)


def test_the_arrow_keys_change_the_numbers(open_page):
    recording = recorded(steps=12, units=5)
    opened = open_page(recording)
    before, old = chosen(opened), table(opened)
    opened.page.keyboard.press("ArrowRight")
    assert chosen(opened)[0] == before[0] + 1
    assert table(opened)["f"][0] != old["f"][0]
    assert table(opened)["f"][1] == old["f"][0]
    assert_shows(opened, recording, "rnn.0.forward")
    for _ in range(4):
        opened.page.keyboard.press("ArrowLeft")
    assert chosen(opened)[0] == before[0] - 3
    assert_shows(opened, recording, "rnn.0.forward")


def test_the_equations_hold_with_the_numbers_in_them(open_page):
    recording = recorded(steps=12, units=5)
    opened = open_page(recording)
    step, unit = chosen(opened)
    shown = opened.page.locator(".equation").nth(4)  # c = f * c[t-1] + i * g
    found = [number(text) for text in shown.locator("data").all_inner_texts()]
    at = {n: float(recording[f"rnn.0.forward.{n}"][step, 0, unit]) for n in ("f", "i", "g", "c")}
    earlier = float(recording["rnn.0.forward.c"][step - 1, 0, unit])
    assert found == pytest.approx([at["f"], earlier, at["i"], at["g"], at["c"]], abs=6e-5)


def test_the_state_before_the_first_step_is_shown(open_page):
    opened = open_page(recorded(steps=6, units=4))
    opened.page.locator(".ribbon").first.focus()
    opened.page.keyboard.press("Home")
    assert chosen(opened)[0] == 0
    assert table(opened)["c"][1] == "0.2500"


def test_the_reverse_direction_comes_from_the_step_behind(open_page):
    recording = recorded(steps=6, units=4, reverse=True)
    opened = open_page(recording)
    step, unit = chosen(opened)
    rows = table(opened)
    assert_is(rows["c"][1], recording["rnn.0.reverse.c"][step + 1, 0, unit])
    opened.page.locator(".ribbon").first.press("End")
    assert table(opened)["c"][1] == "0.2500"


def test_rounded_numbers_say_so_and_are_right_to_the_last_place(open_page):
    recording = recorded(steps=300, units=200, layers=2)
    opened = open_page(recording)
    for unit in ("0", "77", "199"):
        opened.page.locator("input[type=number]").fill(unit)
        opened.page.locator("input[type=number]").press("Enter")
        rows, (step, at) = table(opened), chosen(opened)
        for name in ("i", "f", "g", "o", "c", "h"):
            assert_is(rows[name][0], recording[f"rnn.1.forward.{name}"][step, 0, at])
    assert any("≈" in row[0] for row in rows.values())
    assert "rounded to 16 bits" in opened.text("#about")


def test_a_click_on_an_item_a_map_or_a_strip_chooses(open_page):
    recording = recorded(steps=24, units=8)
    opened = open_page(recording)
    opened.page.locator(".ribbon [data-t='3']").first.click()
    assert chosen(opened)[0] == 3
    assert opened.page.locator("[aria-selected=true]").first.get_attribute("data-t") == "3"
    opened.page.locator("#time select").first.select_option("index")
    heat = opened.page.locator(".heat").first
    box = heat.bounding_box()
    heat.click(position={"x": box["width"] * 20.5 / 24, "y": box["height"] * 0.99})
    assert chosen(opened) == (20, 7)
    strip = opened.page.locator(".strip").first
    last = strip.bounding_box()["width"] - 2
    strip.click(position={"x": 2, "y": 5})
    first_unit = chosen(opened)[1]
    strip.click(position={"x": last, "y": 5})
    assert chosen(opened)[1] != first_unit
    assert_shows(opened, recording, "rnn.0.forward")


def test_predictions_and_surprisal_are_those_of_the_logits(open_page):
    recording = predicting(recorded(steps=20))
    opened = open_page(recording)
    step, _ = chosen(opened)
    p = torch.softmax(recording.logits[:, 0].double(), -1)
    best = p[step].topk(5)
    rows = opened.page.locator(".predicted tbody tr").all()
    names = [row.locator("th").inner_text().replace("␣", " ") for row in rows]
    assert names == [recording.vocabulary[k] for k in best.indices]
    shares = [row.locator("td.number").inner_text().rstrip(" %") for row in rows]
    assert [float(x) / 100 for x in shares] == pytest.approx(best.values.tolist(), abs=6e-3)
    item = recording.vocabulary.index(recording.items[0][step])
    bits = float(-torch.log2(p[step - 1, item]))
    assert f"{bits:.2f} bits" in opened.text(".predicted")


def test_findings_stand_with_their_verdict_and_their_numbers(open_page):
    recording = recorded(steps=24)
    kept = torch.linspace(-1, 2, 24).numpy()
    opened = open_page(
        recording,
        findings=(
            Finding("kept", "Contributions", "The last word counts.", view="items",
                    series=(Series("to the last state", kept),)),
            Finding("decay", "Gradients", "They vanish.", view="lines", log=True, axis="norm",
                    series=(Series("dL/dh", 10.0 ** kept),)),
            Finding("matrix", "Influence", "Near steps count.", view="matrix", axis="norm",
                    matrix=torch.rand(24, 24).numpy()),
            Finding("none", "Radius", missing="the weights were not kept"),
            Finding("table", "Saturation", "No gate is stuck.", columns=("gate", "share"),
                    rows=(("f", 0.125),)),
        ),
    )  # fmt: skip
    assert "They vanish." in opened.text("header")
    bars = opened.page.locator("#finding-kept .contribution > span")
    tall = [float(h.rstrip("%")) for h in bars.evaluate_all("b => b.map(x => x.style.height)")]
    assert tall == pytest.approx((abs(kept) / 3 * 100).tolist(), abs=0.01)
    feet = [float(h.rstrip("%")) for h in bars.evaluate_all("b => b.map(x => x.style.bottom)")]
    assert feet == pytest.approx([100 / 3 + 100 / 3 * min(x, 0) for x in kept], abs=0.01)
    assert bars.first.get_attribute("class") == "below"
    assert "Not computed: the weights were not kept" in opened.text("#finding-none")
    assert opened.text("#finding-table td") == "0.125"
    assert opened.page.locator("#finding-matrix .heat canvas").first.evaluate("c => c.width") == 24
    assert "M" in opened.page.locator("#finding-decay path.line").get_attribute("d")


def test_two_recordings_stand_side_by_side_on_one_scale(open_page):
    one, two = recorded(steps=12, units=4), recorded(steps=9, units=4, cell="gru")
    opened = open_page(one, width=1300, compare=two, titles=("first", "second"))
    sides = opened.page.locator("#step .side")
    assert sides.count() == 2
    left, right = sides.nth(0).bounding_box(), sides.nth(1).bounding_box()
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    opened.page.locator(".ribbon").first.press("End")
    assert chosen(opened)[0] == 11
    assert "second" in opened.text("#sequence .side:nth-child(2) .side-title")


def test_numeric_inputs_are_curves(open_page):
    items = [f"{0.1 * t:.3f} {t % 2}" for t in range(30)]
    opened = open_page(recorded(steps=30, items=items))
    assert opened.page.locator("#sequence path.line").count() == 2
    assert opened.page.locator("#sequence .ribbon").count() == 0


@pytest.mark.parametrize("cell", ["gru", "elman", "mgu", "indrnn", "lstm_peephole", "rhn_2"])
def test_every_kind_of_cell_has_a_page(open_page, cell):
    recording = recorded(steps=8, units=4, cell=cell)
    opened = open_page(recording)
    opened.page.keyboard.press("ArrowRight")
    assert_shows(opened, recording, "rnn.0.forward")
    assert opened.page.locator("#step svg.recurra-cell").count() == 1
