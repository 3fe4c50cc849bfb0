/** What was measured: a verdict in a sentence, its curves, bars, matrix or table. */

import { pixels } from "./colour.js";
import { h } from "./dom.js";
import { choice, figure } from "./figure.js";
import { legend } from "./legend.js";
import { lineChart } from "./lines.js";
import { plain } from "./numbers.js";
import { bars, ribbon } from "./ribbon.js";

const LEVELS = { good: "fine", note: "", warning: "look here" };

/** Bars under the items, for one of several series. */
function underItems(run, finding, store) {
  if (run.sequence.kind === "numbers") return overTime(run, finding, store);
  const { element, elements } = ribbon(run, store, { label: `${finding.title}, under each item`, bars: true });
  const scale = h("span", { class: "why" });
  let shown = 0;
  const number = h("output", { class: "why" });
  const tell = ({ t }) => {
    const at = Math.min(t, run.steps - 1);
    number.textContent = `step ${run.first + at}: ${plain(finding.series[shown].values[at], 4)}`;
  };
  const show = (k) => {
    shown = k;
    tell(store.state);
    requestAnimationFrame(() => reveal(element, elements, finding.series[k].values));
    const most = bars(elements, finding.series[k].values);
    scale.textContent = `${finding.series[k].label}: the longest bar is ${plain(most, 3)} ${finding.axis}`;
    element.setAttribute("aria-label", `${finding.series[k].label}, under each item`);
  };
  const pick = choice("contribution", finding.series.map(({ label }, k) =>
    /** @type {[string, string]} */ ([String(k), label])), (k) => show(Number(k)));
  show(0);
  store.on(["t"], tell);
  const body = [element, h("div", { class: "under" }, scale)];
  return figure({ name: finding.key, body, controls: pick.element, caption: number });
}

/** Scroll to the longest bar. */
function reveal(list, elements, values) {
  const best = values.reduce((a, x, t) => (Math.abs(x ?? 0) > Math.abs(values[a] ?? 0) ? t : a), 0);
  list.scrollTop = elements[best].offsetTop - list.offsetTop - list.clientHeight / 2;
}

function overTime(run, finding, store) {
  const body = lineChart(store, {
    curves: finding.series, axis: finding.axis, log: finding.log, first: run.first,
    label: `${finding.title}: ${finding.verdict}`,
  });
  return figure({ name: finding.key, body });
}

/** Output steps downwards, input steps to the right. */
function matrix(run, finding, store) {
  const { matrix: array } = finding;
  const canvas = h("canvas", { width: array.units, height: array.steps, role: "img",
    "aria-label": `${finding.title}: ${finding.verdict}` });
  const scale = h("span");
  const value = { low: array.low, high: array.high, scale: array.low < 0 ? "both" : "up", op: "", within: array.within };
  store.on(["theme"], ({ theme }) => {
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(array.units, array.steps);
    const out = new Uint32Array(image.data.buffer);
    const list = pixels(value.scale, theme);
    for (let y = 0; y < array.steps; y++) {
      for (let x = 0; x < array.units; x++) {
        const at = (array.at(y, x) - array.low) / (array.high - array.low);
        out[y * array.units + x] = list[Math.round(255 * Math.min(1, Math.max(0, at || 0)))];
      }
    }
    pen.putImageData(image, 0, 0);
    scale.replaceChildren(legend(value, theme));
  });
  const cross = h("div", { class: "cursor", "data-screen": true });
  store.on(["t"], ({ t }) => { cross.style.left = `${(100 * (t + 0.5)) / array.units}%`; });
  const frame = h("div", { class: "heat matrix" }, canvas, cross);
  return figure({ name: finding.key, body: frame, controls: scale,
    caption: `${finding.axis}. Input steps from left to right, output steps from top to bottom.` });
}

/** @param {any} finding */
function table(finding) {
  const cell = (x) => (typeof x === "number" ? plain(x, Number.isInteger(x) ? 0 : 3) : x);
  const isNumber = (x) => typeof x === "number" || /^[×+−-]?\s?\d/.test(x) || x === "" || x === "-" || x === "ever" || x === "never";
  const right = finding.columns.map((_, k) => k > 0 && finding.rows.every((row) => isNumber(row[k])));
  return h("div", { class: "wide" }, h("table", { class: "numbers" },
    h("caption", { class: "hidden" }, finding.title),
    h("thead", {}, h("tr", {}, finding.columns.map((name, k) =>
      h("th", { scope: "col", class: right[k] ? "number" : null }, name)))),
    h("tbody", {}, finding.rows.map((row) => h("tr", {}, row.map((x, k) => (k === 0
      ? h("th", { scope: "row" }, cell(x))
      : h("td", { class: right[k] ? "number" : null }, cell(x)))))))));
}

/** @param {any} run @param {any} finding @param {any} store */
export function findingPanel(run, finding, store) {
  const word = LEVELS[finding.level];
  const head = [
    h("h3", {}, finding.title, word && h("span", { class: `level ${finding.level}` }, word)),
    finding.missing
      ? h("p", { class: "missing" }, `Not computed: ${finding.missing}`)
      : h("p", { class: "verdict" }, finding.verdict),
  ];
  const views = { items: underItems, lines: overTime, matrix };
  const view = views[finding.view];
  const ready = finding.view === "matrix" ? finding.matrix : finding.series.length;
  const shown = !finding.missing && view && ready ? view(run, finding, store) : null;
  const words = h("div", {}, head, finding.definition && h("p", { class: "definition" }, finding.definition));
  return h("article", { class: shown ? "finding" : "finding short", "data-key": finding.key },
    words, shown, finding.rows.length ? table(finding) : null);
}
