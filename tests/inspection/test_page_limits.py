"""The page at its limits: how large it may be, how soon it is ready, how fast a click answers."""

from __future__ import annotations

import torch

from recurra.inspection.page import to_html
from support.recordings import predicting, recorded

# From the click to the frame after everything has changed.
CLICK = """async (selector) => {
  const target = document.querySelector(selector);
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame();
  const times = [];
  for (let round = 0; round < 7; round++) {
    const from = performance.now();
    target.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: 400 + 30 * round,
      clientY: target.getBoundingClientRect().y + 5 }));
    document.body.getBoundingClientRect();
    times.push(performance.now() - from);
    await frame();
  }
  return times.sort((a, b) => a - b)[3];
}"""


def test_500_characters_of_two_layers_of_300(open_page):
    recording = predicting(recorded(steps=500, units=300, layers=2))
    assert len(to_html(recording)) < 3e6
    opened = open_page(recording, width=1200)
    assert int(opened.run("document.documentElement.dataset.ready")) < 5000
    for selector in (".ribbon [data-t='100']", ".ribbon [data-t='400']", ".heat", ".strip"):
        assert opened.page.evaluate(CLICK, selector) < 50


def test_2000_steps_of_1024_units(open_page):
    recording = recorded(steps=2000, units=1024)
    assert len(to_html(recording)) < 10e6
    opened = open_page(recording)
    assert "1\u202f024" in opened.text(".summary")
    about = opened.text("#about")
    assert "those are kept whose values vary most" in about
    assert "rounded to 8 bits" in about
    opened.page.keyboard.press("ArrowRight")
    assert "step 1001" in opened.text(".where")


def test_a_smaller_page_keeps_fewer_units():
    recording = recorded(steps=400, units=256)
    whole, small = to_html(recording), to_html(recording, max_mb=0.6)
    assert len(small) < 0.6e6 < len(whole)


def test_a_million_characters_are_shown_from_their_beginning(open_page):
    recording = recorded(steps=2, units=2)
    steps = 1_000_000
    values = {address: torch.zeros(steps, 1, 1) for address in recording.values}
    before = {address: torch.zeros(1, 1) for address in recording.before}
    text = "The first words of a long book. " * (steps // 32)
    long = type(recording)(values, before, recording.parts, items=(tuple(text),))
    opened = open_page(long)
    assert opened.page.locator("#sequence .item").count() == 5000
    assert "Steps 0 to 4,999 of 1,000,000 are here" in opened.text("#about")
    other = open_page(long, steps=slice(999_990, None))
    assert other.page.locator("#sequence .item").count() == 10
    assert "of 999999" in other.text(".where")


def test_values_that_are_not_finite_are_marked(open_page):
    recording = recorded(steps=60, units=600)
    recording.values["rnn.0.forward.c"][30:] = float("nan")
    recording.values["rnn.0.forward.h"][31:] = float("inf")
    opened = open_page(recording)
    opened.page.keyboard.press("ArrowRight")
    opened.run("document.querySelector('details').open = true")
    rows = opened.page.locator("#step table.numbers tbody tr").all_inner_texts()
    assert any("NaN" in row for row in rows)
