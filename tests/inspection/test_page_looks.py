"""The page for every eye and hand: widths, light and dark, keyboard, names, paper, pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import pytest

from recurra.inspection.findings import Finding, Series
from support.recordings import predicting, recorded

# The least contrast (WCAG 2.1) of visible words with what is behind them.
CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (x) => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = (top, alpha, under) => top.map((x, k) => alpha * x + (1 - alpha) * under[k]);
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
      if (a) layers.push([[r, g, b], a]);
      if (a === 1) break;
    }
    return layers.reverse().reduce((under, [colour, a]) => over(colour, a, under), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.getElementById("page"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const style = getComputedStyle(element);
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    if (element.closest(".hidden, svg, option, [aria-hidden=true]")) continue;
    const back = behind(element);
    let alpha = 1;
    for (let e = element; e; e = e.parentElement) alpha *= Number(getComputedStyle(e).opacity);
    const [a, b] = [light(over(parse(style.color).slice(0, 3), alpha, back)), light(back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, element.className + ": " + walker.currentNode.data.slice(0, 20)]);
  }
  return found.sort((a, b) => a[0] - b[0])[0];
}"""


def long_recording():
    return predicting(recorded(steps=120, units=40, layers=2))


def findings():
    values = [0.01 * t for t in range(120)]
    rows = tuple((f"recurrent_layer.{k}.forward.forget_gate", 0.5, 0.25, 3.0) for k in range(3))
    return (
        Finding("kept", "Contributions", "Near ones.", view="items", series=(Series("c", values),)),
        Finding("table", "Gates", "Fine.", columns=("a", "b", "c", "d"), rows=rows, level="good"),
        Finding("warn", "Radius", "Large.", columns=("a", "b", "c", "d"), rows=rows,
                level="warning"),
    )  # fmt: skip


@pytest.mark.parametrize("width", [360, 900, 1440])
def test_nothing_is_wider_than_the_window(open_page, width):
    opened = open_page(long_recording(), width=width, findings=findings())
    assert opened.run("document.documentElement.scrollWidth") <= width
    both = open_page(long_recording(), width=width, compare=long_recording())
    assert both.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(open_page, scheme):
    opened = open_page(long_recording(), scheme=scheme, findings=findings())
    assert opened.run("document.documentElement.dataset.theme") == scheme
    opened.run("document.querySelector('details').open = true")
    opened.page.wait_for_timeout(400)  # colours of the equations fade in
    ratio, where = opened.page.evaluate(CONTRAST)
    assert ratio >= 4.5, where


def test_the_button_changes_light_and_dark(open_page):
    opened = open_page(recorded())
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = opened.run(background)
    opened.page.locator("button.theme").click()
    assert opened.run("document.documentElement.dataset.theme") == "dark"
    assert opened.run(background) != light


def test_everything_can_be_reached_and_used_by_keyboard(open_page):
    opened = open_page(long_recording(), findings=findings())
    reached = set()
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.add(
            opened.run("""(e => e.getAttribute('aria-label') || e.innerText
            || e.closest('label')?.innerText || e.tagName)(document.activeElement)""")
        )
    for name in ("Step back", "Play", "Step forward", "step", "unit"):
        assert any(name in one for one in reached), (name, reached)
    ribbon = opened.page.locator(".ribbon").first
    ribbon.focus()
    before = opened.page.locator("input[type=number]").input_value()
    opened.page.keyboard.press("ArrowDown")
    assert opened.page.locator("input[type=number]").input_value() != before
    for key, step in (("Home", 0), ("PageDown", 10), ("ArrowRight", 11), ("End", 119)):
        opened.page.keyboard.press(key)
        assert f"step {step} " in opened.text(".where") + " "
    opened.page.locator("[aria-label=Play]").focus()
    opened.page.keyboard.press("Enter")
    opened.until("document.querySelector('.where').innerText.includes('step 2')")
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("[aria-label=Play]").count() == 1


def test_everything_has_a_name_for_screen_readers(open_page):
    opened = open_page(long_recording(), findings=findings())
    nameless = opened.run("""[...document.querySelectorAll(
        'button, select, input, canvas, svg, [role=listbox], [role=option], table')].filter((e) =>
        !e.closest('[aria-hidden=true]') && !e.getAttribute('aria-label')
        && !(e.matches('button') && e.innerText.trim())
        && !e.closest('label') && !e.querySelector('title, caption')).map((e) => e.outerHTML)""")
    assert nameless == []
    levels = opened.run("[...document.querySelectorAll('h1, h2, h3')].map((e) => +e.tagName[1])")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert opened.run("document.documentElement.lang") == "en"
    opened.page.keyboard.press("ArrowRight")
    assert "step 61" in opened.page.locator("[aria-live]").inner_text()


def test_paper_gets_the_whole_text_and_no_buttons(open_page):
    long = predicting(recorded(steps=1500, units=4))
    opened = open_page(long, scheme="dark")
    scrolls = "(r => r.scrollHeight - r.clientHeight)(document.querySelector('.ribbon'))"
    assert opened.run(scrolls) > 100
    opened.page.emulate_media(media="print")
    opened.until("document.documentElement.dataset.theme === 'light'")
    assert not opened.page.locator(".transport").is_visible()
    assert not opened.page.locator(".save").first.is_visible()
    assert opened.run(scrolls) <= 4
    assert opened.page.pdf()[:5] == b"%PDF-"
    opened.page.emulate_media(media="screen")
    opened.until("document.documentElement.dataset.theme === 'dark'")


@pytest.mark.parametrize("form", ["PNG", "SVG"])
def test_every_figure_can_be_saved(open_page, form, tmp_path: Path):
    opened = open_page(long_recording(), findings=findings())
    buttons = opened.page.locator(f"button[aria-label$='as {form}']")
    assert buttons.count() >= 6
    every = 1 if form == "SVG" else 3  # painting takes time
    for k in range(0, buttons.count(), every):
        with opened.page.expect_download() as download:
            buttons.nth(k).click()
        path = tmp_path / f"{k}.{form}"
        download.value.save_as(path)
        data = path.read_bytes()
        if form == "PNG":
            assert data[:8] == b"\x89PNG\r\n\x1a\n"
            assert len(data) > 2000
        else:
            root = ElementTree.fromstring(data)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert len(list(root.iter())) > 5
            assert b"var(--" not in data
            assert b"rgb(" in data
        if "cell" in download.value.suggested_filename and form == "SVG":
            gates = [e for e in root.iter() if e.tag.endswith("rect") and e.get("rx") == "5"]
            assert len(gates) == 4  # i, f, g and o, in the colours of their numbers
            assert all(gate.get("fill", "").startswith("rgb(") for gate in gates)


def test_the_saved_text_is_the_text(open_page, tmp_path: Path):
    opened = open_page(long_recording())
    with opened.page.expect_download() as download:
        opened.page.locator("button[aria-label='Save “sequence” as SVG']").click()
    download.value.save_as(tmp_path / "text.svg")
    words = "".join(ElementTree.parse(tmp_path / "text.svg").getroot().itertext())
    for item in ("c", "m", "␣"):
        assert item in words
    images = (tmp_path / "text.svg").read_text().count("<rect")
    assert images > 100
