/** Curves over the steps, with axes, direct labels and a cursor. */

import { LINES } from "./colour.js";
import { h, inFrame, s } from "./dom.js";
import { plain, power, ticks } from "./numbers.js";

/**
 * @typedef {object} Curve
 * @property {string} label
 * @property {(number | null)[] | Float32Array} values
 */

const PAD = { left: 46, right: 8, top: 10, bottom: 26 };

/** The range of all numbers. */
function range(curves, log, low, high) {
  let [least, most] = [low ?? Infinity, high ?? -Infinity];
  for (const { values } of curves) {
    for (const x of values) {
      if (x === null || !Number.isFinite(x) || (log && x <= 0)) continue;
      if (low === undefined && x < least) least = x;
      if (high === undefined && x > most) most = x;
    }
  }
  if (!(least <= most)) return log ? [0.1, 1] : [0, 1];
  if (log) return [Math.max(least, most * 1e-12), most > least ? most : most * 10];
  return most > least ? [least, most] : [least - 1, most + 1];
}

/** The path of a curve; gaps where there is no number; thinned where many steps share a pixel. */
function path(values, x, y, valid) {
  let text = "";
  let drawing = false;
  for (let t = 0; t < values.length; t++) {
    const value = values[t];
    if (value === null || !Number.isFinite(value) || !valid(value)) { drawing = false; continue; }
    text += `${drawing ? "L" : "M"}${x(t).toFixed(1)},${y(value).toFixed(1)}`;
    drawing = true;
  }
  return text;
}

/**
 * @param {any} store
 * @param {object} about
 * @param {Curve[]} about.curves
 * @param {string} about.axis  what the numbers are
 * @param {number} about.first  number of the first step
 * @param {string} about.label  for screen readers
 * @param {boolean} [about.log]
 * @param {number} [about.low]
 * @param {number} [about.high]
 * @param {number} [about.height]
 * @param {string} [about.below]  what the steps are
 */
export function lineChart(store, about) {
  const { curves, log = false, height = 190, first } = about;
  const steps = curves[0] ? curves[0].values.length : 1;
  const [low, high] = range(curves, log, about.low, about.high);
  const svg = s("svg", { class: "chart", height, role: "img", "aria-label": about.label });
  const names = h("ul", { class: "keys" }, curves.map(({ label }, k) =>
    h("li", {}, s("svg", { width: 18, height: 8, "aria-hidden": "true" },
      s("line", { x1: 0, x2: 18, y1: 4, y2: 4, class: `line line-${k % 6}` })), h("span", {}, label),
      h("span", { class: "now", "data-screen": true }))));
  const frame = h("div", { class: "lines" }, h("div", { class: "axis-name" }, about.axis), svg,
    curves.length > 1 || curves[0]?.label ? names : null);
  const cursor = s("line", { class: "cursor-line", "data-screen": true });
  let width = 0;
  const inner = () => Math.max(10, width - PAD.left - PAD.right);
  const x = (t) => PAD.left + ((t + 0.5) / steps) * inner();
  const y = (value) => {
    const at = log
      ? Math.log(value / low) / Math.log(high / low)
      : (value - low) / (high - low);
    return height - PAD.bottom - Math.min(1, Math.max(0, at)) * (height - PAD.top - PAD.bottom);
  };

  function draw() {
    const wide = Math.round(svg.getBoundingClientRect().width || frame.clientWidth);
    if (!wide || wide === width) return;
    width = wide;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    const marks = log ? decades(low, high) : ticks(low, high, 4);
    const decimals = Math.max(...marks.map((at) => (String(at).split(".")[1] ?? "").length));
    for (const at of marks) {
      svg.append(s("line", { class: at === 0 ? "zero" : "grid", x1: PAD.left, x2: width - PAD.right, y1: y(at), y2: y(at) }),
        s("text", { class: "tick", x: PAD.left - 8, y: y(at), "text-anchor": "end", "dominant-baseline": "central" }, log ? power(at) : plain(at, decimals)));
    }
    for (const at of ticks(first, first + steps - 1, Math.max(2, width / 110)).filter(Number.isInteger)) {
      svg.append(s("text", { class: "tick", x: x(at - first), y: height - 8, "text-anchor": "middle" }, String(at)));
    }
    svg.append(s("text", { class: "tick name", x: PAD.left - 8, y: height - 8, "text-anchor": "end" }, about.below ?? "step"));
    curves.forEach(({ values }, k) => svg.append(
      s("path", { class: `line line-${k % 6}`, d: path(values, x, y, (v) => !log || v > 0) })));
    svg.append(cursor);
    move(store.state);
  }

  function move({ t }) {
    for (const [name, value] of Object.entries({ x1: x(t), x2: x(t), y1: PAD.top, y2: height - PAD.bottom })) {
      cursor.setAttribute(name, String(value));
    }
    names.querySelectorAll(".now").forEach((element, k) => {
      const value = curves[k].values[t];
      element.textContent = value === null || value === undefined ? "" : plain(value, 3);
    });
  }

  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const t = Math.floor(((event.clientX - box.x - PAD.left) / inner()) * steps);
    store.set({ t: Math.min(steps - 1, Math.max(0, t)) });
  });
  new ResizeObserver(inFrame(draw)).observe(frame);
  store.on(["t"], move);
  return frame;
}

/** Powers of ten between two numbers. */
function decades(low, high) {
  const from = Math.ceil(Math.log10(low));
  const to = Math.floor(Math.log10(high));
  const every = Math.max(1, Math.ceil((to - from) / 5));
  const found = [];
  for (let k = from; k <= to; k += every) found.push(10 ** k);
  return found.length ? found : [low, high];
}

/** Rules of CSS for the colours of lines. */
export function lineStyles() {
  return ["light", "dark"].map((theme) => LINES[theme].map((colour, k) =>
    `[data-theme="${theme}"] .line-${k}{stroke:${colour}}`).join("")).join("");
}
