/** The page: reads its document, and puts its sections together. */

import { h } from "./dom.js";
import { section } from "./figure.js";
import { findingPanel } from "./found.js";
import { lineStyles } from "./lines.js";
import { count } from "./numbers.js";
import { timePanel } from "./overtime.js";
import { itemLabel, sequencePanel } from "./sequence.js";
import { stepPanel } from "./step.js";
import { createStore, perPlace } from "./store.js";
import { keys, transport } from "./transport.js";
import { loadRun } from "./values.js";

const MOST_VERDICTS = 5;

/** The same panel for each run: one alone, two side by side. */
function pair(runs, build) {
  if (runs.length === 1) return h("div", {}, build(runs[0]));
  return h("div", { class: "pair" }, runs.map((run) =>
    h("div", { class: "side" }, h("p", { class: "side-title" }, run.title), build(run))));
}

/** What was run, in a line. */
function summary(run) {
  const kinds = { characters: "characters", words: "words", numbers: "steps of numbers", steps: "steps" };
  const sizes = [...new Set(run.places.map((place) => place.size))].map(count).join(", ");
  const ways = new Set(run.places.map((place) => place.reverse)).size;
  const number = run.places.length / ways;
  const layers = `${number} ${number === 1 ? "layer" : "layers"}${ways === 2 ? " in both directions" : ""}`;
  return `${[...new Set(run.places.map((p) => p.cell))].join(", ")} · ${layers} of ${sizes} units · `
    + `${count(run.steps)} ${kinds[run.sequence.kind]}`;
}

function header(content, runs) {
  const rank = { warning: 0, note: 1, good: 2 };
  const verdicts = runs.length > 1 ? [] : runs[0].findings.filter((f) => f.verdict && !f.missing)
    .sort((a, b) => rank[a.level] - rank[b.level]).slice(0, MOST_VERDICTS);
  return h("header", {}, h("h1", {}, content.title),
    runs.map((run) => h("p", { class: "summary" }, runs.length > 1 ? h("b", {}, `${run.title}: `) : null, summary(run))),
    verdicts.length ? h("ul", { class: "verdicts" }, verdicts.map((f) =>
      h("li", { class: f.level }, h("a", { href: `#finding-${f.key}` }, f.verdict)))) : null);
}

/** The sections on what was measured; those under the items come first. */
function findings(runs, store) {
  const keysOf = (test) => [...new Set(runs.flatMap((run) => run.findings.filter(test).map((f) => f.key)))];
  const group = (key, title, lead, test) => {
    const wanted = keysOf(test);
    return wanted.length ? section(key, title, lead, wanted.map((k) => h("div", { id: `finding-${k}` },
      pair(runs, (run) => {
        const finding = run.findings.find((f) => f.key === k);
        return finding ? findingPanel(run, finding, store) : h("p", { class: "missing" }, "Not measured here.");
      })))) : null;
  };
  return [
    group("remembered", "What is remembered", "How much of the last state, and of a prediction, each item has left behind.", (f) => f.view === "items"),
    group("health", "How it learns and forgets", "Measures of the whole run, each with what it means here.", (f) => f.view !== "items"),
  ];
}

function about(content, runs) {
  const left = runs.flatMap((run) => run.left_out.map((said) => (runs.length > 1 ? `${run.title}: ${said}` : said)));
  const rounded = runs[0].places[0].mapped.some((value) => value.array.scales);
  return section("about", "About this page", null,
    h("ul", {}, left.map((said) => h("li", {}, said)),
      h("li", {}, rounded ? "A number behind ≈ is rounded; its digits are right to one in the last place. Numbers without ≈ are those of the recording." : "All numbers are those of the recording (float32)."),
      h("li", {}, "Colours are built in OKLCH, so that equal differences look equal. The scale of each is stated beside it, and never depends on the part of the text that is shown."),
      h("li", {}, "Keys: ← → choose the step; in the text also ↑ ↓ the unit, Home, End, Page Up and Page Down."),
      h("li", {}, `Written by ${content.made}. This file fetches nothing and sends nothing.`)));
}

/** Light or dark as the system wishes, light on paper. */
function themes(store) {
  const wish = matchMedia("(prefers-color-scheme: dark)");
  const paper = matchMedia("print");
  let before = store.state.theme;
  wish.addEventListener("change", () => store.set({ theme: wish.matches ? "dark" : "light" }));
  paper.addEventListener("change", () => {
    if (paper.matches) before = store.state.theme;
    store.set({ theme: paper.matches ? "light" : before });
  });
  store.on(["theme"], ({ theme }) => { document.documentElement.dataset.theme = theme; });
}

async function start() {
  const page = document.getElementById("page");
  const content = JSON.parse(document.getElementById("document").textContent);
  const runs = await Promise.all(content.runs.map(loadRun));
  const places = runs[0].places;
  const top = places.length - 1;
  const states = places[top].mapped.filter((value) => value.state);
  const store = createStore({
    t: Math.min(runs[0].steps - 1, Math.floor(runs[0].steps / 2)), place: top,
    unit: places[top].leading, value: (states.at(-1) ?? places[top].mapped.at(-1)).name,
    order: "alike", pinned: [], theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
  });
  document.head.append(h("style", {}, lineStyles()));
  themes(store);
  if (runs.length > 1) document.documentElement.classList.add("two");
  const where = h("span");
  store.on(["t"], ({ t }) => { where.textContent = `step ${runs[0].first + t} ${runs.map((run) => itemLabel(run, t)).join(" and ")}`; });
  page.replaceChildren(
    header(content, runs),
    transport(runs, store),
    section("sequence", "The sequence", "Choose a step here, with the arrow keys, or in any figure below.", pair(runs, (run) => sequencePanel(run, store))),
    section("step", "Inside one step", ["What the cell does at ", where, "."],
      pair(runs, (run) => perPlace(store, run, (scope, place) => stepPanel(run, scope, place), h("div", { class: "panel" })))),
    section("time", "Over time", "Every value of every unit at every step.",
      pair(runs, (run) => perPlace(store, run, (scope, place) => timePanel(run, scope, place), h("div", { class: "panel" })))),
    ...findings(runs, store).filter(Boolean),
    about(content, runs));
  keys(runs, store);
  page.removeAttribute("aria-busy");
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start().catch((error) => {
  document.getElementById("page").replaceChildren(h("p", { class: "missing" },
    `This page could not be drawn: ${error.message}. It needs a browser from 2023 or later.`));
  throw error;
});
