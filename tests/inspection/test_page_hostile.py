"""Text that wants to be more than text: it is shown, and never run."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from recurra.inspection.findings import Finding
from recurra.inspection.page import notebook, to_html
from support.recordings import predicting, recorded

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'>",
    "<!--",
    "<script>",
    "]]>",
    "\u2028\u2029",
    "&lt;b&gt;",
    "مرحبا بالعالم",
    "\u202eesrever\u202c",
    "👩‍👩‍👧‍👦",
    "Z̷̢̛͙̤̫a̶l̸g̴o" + "\u0301" * 300,
    "\x00\x07\x1b[31m",
    "\ud800",
    "",
    "a" * 1_000_000,
    "${window.hacked = 3}",
    "` + alert(1) + `",
    "\\u003c",
]


def test_hostile_items_are_shown_as_text(open_page):
    recording = predicting(recorded(steps=len(HOSTILE), items=HOSTILE))
    opened = open_page(recording, width=900)
    assert opened.run("window.hacked") is None
    assert opened.page.locator("#sequence .item").count() == len(HOSTILE)
    shown = opened.texts("#sequence .glyph")
    assert shown[0].startswith("</script><script>window.hacked")
    assert shown[1].startswith("<img src=x onerror")
    assert shown[7] == "مرحبا بالعالم"
    assert len(shown[14]) < 60
    for _ in HOSTILE:
        opened.page.keyboard.press("ArrowRight")
    assert opened.page.locator("#page img, #page script, #page iframe").count() == 0
    assert opened.run("document.documentElement.scrollWidth <= innerWidth")
    assert "Items are cut after 200 characters: 2 of them" in opened.text("#about")


def test_hostile_titles_and_findings_are_shown_as_text(open_page):
    evil = "<img src=x onerror='window.hacked = 1'></title><script>window.hacked = 1</script>"
    finding = Finding(evil, evil, evil, evil, columns=(evil,), rows=((evil,),), missing="")
    recording = recorded(steps=4, units=3)
    both = replace(recording)
    opened = open_page(
        recording, title=evil, titles=(evil, evil), compare=both, findings=(finding,)
    )
    assert opened.run("window.hacked") is None
    assert opened.page.locator("#page img, #page script").count() == 0
    assert opened.text("h1").startswith("<img src=x")


def test_the_document_cannot_leave_its_element():
    page = to_html(recorded(steps=len(HOSTILE), items=HOSTILE))
    inside = re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.S)
    assert json.loads(inside.group(1))["runs"][0]["sequence"]["items"][:3] == HOSTILE[:3]
    assert not re.search("[<>&]", inside.group(1))
    assert page.isprintable() or page.replace("\n", "").isascii() or "\ud800" not in page
    page.encode("utf-8")


def test_the_policy_of_the_page_forbids_everything_but_its_own_script(open_page):
    opened = open_page(recorded(steps=4, units=3))
    blocked: list[str] = opened.page.evaluate("""async () => {
      const found = [];
      document.addEventListener("securitypolicyviolation", (e) => found.push(e.effectiveDirective));
      const script = document.createElement("script");
      script.textContent = "window.hacked = 1";
      document.body.append(script);
      const image = new Image();
      image.src = "http://localhost:9/x.png";
      await fetch("http://localhost:9/").catch(() => 0);
      await new Promise((done) => setTimeout(done, 200));
      return found;
    }""")
    assert {"script-src-elem", "img-src", "connect-src"} <= set(blocked)
    assert opened.run("window.hacked") is None
    opened.errors.clear()  # the browser reports what it has blocked
    opened.requests.clear()


def test_no_address_stands_in_the_page():
    page = to_html(recorded(steps=4, units=3))
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'<\\]*", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of SVG, which nothing fetches
    assert not re.search(r"@import|url\((?!#)|src=|<link|@font-face", page)


def test_a_notebook_shows_the_page_in_a_frame(browser, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><body>{notebook(recorded(steps=6, units=3))}")
    page = browser.new_page()
    page.goto(path.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator(".transport").wait_for(timeout=10_000)
    before = frame.locator(".where").inner_text()
    frame.locator("[aria-label='Step forward']").click()
    assert frame.locator(".where").inner_text() != before
    page.close()


@pytest.mark.parametrize("name", ["`", "${", "\\"])
def test_a_vocabulary_may_hold_anything(open_page, name):
    items = [name, "a", name, "b"]
    opened = open_page(predicting(recorded(steps=4, items=items)))
    assert opened.texts("#sequence .glyph") == items
