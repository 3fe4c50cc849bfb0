/** The section on one step: what flows, the cell with its numbers, equations, strips, a table. */

import { animate } from "./diagram.js";
import { pixels } from "./colour.js";
import { h, written } from "./dom.js";
import { equationList } from "./equation.js";
import { figure } from "./figure.js";
import { shares } from "./flows.js";
import { legend } from "./legend.js";
import { honest, percent, plain } from "./numbers.js";
import { rowsOf } from "./order.js";

const BROAD = 700; // pixels of a drawing from which it has the page's width

/** Bars for what is forgotten, written and let out. */
function flowBars(place, scope) {
  const list = h("dl", { class: "flows" });
  scope.on(["t"], ({ t }) => {
    const found = shares(place, Math.min(t, place.steps - 1));
    list.replaceChildren(...found.flatMap(({ name, of, share, what }) => [
      h("dt", {}, name, " ", h("i", {}, of)),
      h("dd", {}, h("span", { class: "meter" }, h("span", { style: { width: `${100 * (share || 0)}%` } })),
        h("b", {}, percent(share)), h("span", { class: "why" }, ` of ${what}`)),
    ]));
    list.hidden = !found.length;
  });
  return list;
}

/** One strip for each value: all units of this step side by side. */
function strip(value, scope) {
  const canvas = h("canvas", { height: 1, role: "img", "aria-label": `${value.name} of all units in this step` });
  const mark = h("span", { class: "mark", "data-screen": true });
  const number = h("span", { class: "number" });
  const bar = h("div", { class: "strip" }, canvas, mark);
  let rows = [];
  bar.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const at = Math.floor(((event.clientX - box.x) / box.width) * rows.length);
    scope.set({ unit: value.units[rows[Math.min(rows.length - 1, Math.max(0, at))]] });
  });
  scope.on(["order"], ({ order }) => { rows = rowsOf(value, order); canvas.width = rows.length; });
  scope.on(["t", "order", "theme"], ({ t, theme }) => {
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(rows.length, 1);
    const out = new Uint32Array(image.data.buffer);
    const list = pixels(value.scale, theme);
    rows.forEach((k, x) => {
      const at = (value.array.at(t, k) - value.low) / (value.high - value.low);
      out[x] = list[Math.round(255 * Math.min(1, Math.max(0, at || 0)))];
    });
    pen.putImageData(image, 0, 0);
  });
  scope.on(["t", "unit", "order"], ({ t, unit }) => {
    const at = rows.indexOf(value.row.get(unit) ?? -1);
    mark.style.left = `${(100 * (at + 0.5)) / rows.length}%`;
    mark.style.display = at < 0 ? "none" : "";
    number.textContent = honest(value.number(t, unit));
  });
  return [written("span", { class: "name" }, value.symbol), bar, number];
}

function strips(place, scope) {
  const grid = h("div", { class: "strips" }, place.mapped.map((value) => strip(value, scope)));
  const scales = h("div", { class: "legends" });
  scope.on(["theme"], ({ theme }) => {
    const kinds = new Map();
    for (const value of place.mapped) {
      const key = `${value.low} ${value.high}`;
      kinds.set(key, { value, names: [...(kinds.get(key)?.names ?? []), value.symbol] });
    }
    scales.replaceChildren(...[...kinds.values()].map(({ value, names }) =>
      h("span", { class: "scale" }, written("span", {}, names.join(", ")), legend(value, theme))));
  });
  return [grid, scales];
}

/** The numbers of the chosen unit beside those of all units. */
function table(place, scope) {
  const values = [...place.byName.values()];
  const rows = values.map((value) => {
    const cells = Array.from({ length: 5 }, () => h("td", { class: "number" }));
    return { value, cells, row: h("tr", {}, written("th", { scope: "row", "data-name": value.name }, value.symbol), cells) };
  });
  const unitHead = h("th", { scope: "col" });
  const body = h("table", { class: "numbers" },
    h("caption", {}, "Numbers of this step"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "value"), unitHead,
      h("th", { scope: "col" }, "step before"),
      ["least", "mean", "largest"].map((word) => h("th", { scope: "col" }, `${word} of all`)))),
    h("tbody", {}, rows.map(({ row }) => row)));
  scope.on(["t", "unit"], ({ t, unit }) => {
    unitHead.textContent = `unit ${unit}`;
    for (const { value, cells } of rows) {
      const all = value.array ? value.vector(t) : [];
      cells[0].textContent = value.has(unit) || value.size === 1 ? honest(value.number(t, unit)) : "not kept";
      cells[1].textContent = value.has(unit) || value.size === 1 ? honest(value.earlier(t, unit)) : "";
      const mean = all.length ? all.reduce((a, b) => a + b, 0) / all.length : NaN;
      const ends = [all.length ? Math.min(...all) : NaN, mean, all.length ? Math.max(...all) : NaN];
      ends.forEach((x, k) => { cells[2 + k].textContent = all.length ? plain(x, 3) : "–"; });
    }
  });
  return h("div", { class: "wide" }, body);
}

/** @param {any} run @param {any} scope @param {any} place */
export function stepPanel(run, scope, place) {
  const parts = [flowBars(place, scope)];
  const equations = equationList(place, scope);
  if (place.diagram) {
    const drawing = written("div", { class: "drawing" }, place.diagram);
    animate(drawing, place, scope);
    const wide = Number((drawing.firstElementChild.getAttribute("viewBox") ?? "").split(" ")[2]);
    drawing.firstElementChild.style.minWidth = `${Math.round(0.6 * wide)}px`;
    parts.push(h("div", { class: wide > BROAD || place.equations.length > 8 ? "cell broad" : "cell" },
      figure({ name: `cell ${place.name}`, body: drawing, caption: "The numbers of one unit: lines "
        + "are as wide as their number is large, orange above 0, blue below; gates have the colour of "
        + "their value." }), equations));
  } else {
    parts.push(equations);
  }
  parts.push(figure({
    name: `units ${place.name}`, body: strips(place, scope),
    caption: "Every unit of the layer in this step, side by side. Click a unit to choose it; its "
      + "number stands at the end of the line.",
  }));
  parts.push(h("details", {}, h("summary", {}, "All numbers of this step as a table"), table(place, scope)));
  return parts;
}
