/** A heat map, unit by time, that follows what is chosen. */

import { pixels } from "./colour.js";
import { h } from "./dom.js";
import { honest } from "./numbers.js";

const BROKEN = { light: 0xff3a2ad4, dark: 0xff6a5aff };

/** Paint a value on a canvas: one pixel for each step and unit, units in this order. */
function paint(canvas, value, rows, theme) {
  const { array } = value;
  const steps = array.steps;
  canvas.width = steps;
  canvas.height = rows.length;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(steps, rows.length);
  const out = new Uint32Array(image.data.buffer);
  const list = pixels(value.scale, theme);
  const factor = 255 / (value.high - value.low);
  for (let y = 0; y < rows.length; y++) {
    const k = rows[y];
    for (let t = 0; t < steps; t++) {
      const x = array.at(t, k);
      const at = Math.round((x - value.low) * factor);
      out[y * steps + t] = x === x ? list[at < 0 ? 0 : at > 255 ? 255 : at] : BROKEN[theme];
    }
  }
  pen.putImageData(image, 0, 0);
}

/**
 * @param {import("./values.js").Value} value
 * @param {any} store
 * @param {{rows: () => number[], first: number, label: (t: number) => string}} about
 *   rows: of the array from top to bottom; first: number of the first step
 */
export function heatMap(value, store, about) {
  const canvas = h("canvas", {
    role: "img",
    "aria-label": `Heat map of ${value.address}: ${value.units.length} units by `
      + `${value.array.steps} steps. The table of numbers says the same for the chosen step.`,
  });
  const line = h("div", { class: "cursor", "data-screen": true });
  const mark = h("div", { class: "mark", "data-screen": true });
  const hover = h("output", { class: "hover", "aria-hidden": "true" });
  const frame = h("div", { class: "heat" }, canvas, line, mark, hover);
  let rows = about.rows();

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const t = Math.floor(((event.clientX - box.x) / box.width) * value.array.steps);
    const y = Math.floor(((event.clientY - box.y) / box.height) * rows.length);
    const inside = (n, size) => Math.min(size - 1, Math.max(0, n));
    return { t: inside(t, value.array.steps), unit: value.units[rows[inside(y, rows.length)]] };
  };
  frame.addEventListener("click", (event) => store.set(place(event)));
  frame.addEventListener("pointermove", (event) => {
    const { t, unit } = place(event);
    hover.textContent = `step ${about.first + t} ${about.label(t)}  `
      + `unit ${unit}  ${value.name} = ${honest(value.number(t, unit))}`;
    const box = frame.getBoundingClientRect();
    const left = event.clientX - box.x;
    hover.style.left = left > box.width / 2 ? "auto" : `${left + 12}px`;
    hover.style.right = left > box.width / 2 ? `${box.width - left + 12}px` : "auto";
  });

  store.on(["theme", "order"], ({ theme }) => {
    rows = about.rows();
    canvas.classList.toggle("coarse", rows.length < 100);
    paint(canvas, value, rows, theme);
  });
  store.on(["t"], ({ t }) => {
    line.style.left = `${(100 * (t + 0.5)) / value.array.steps}%`;
  });
  store.on(["unit", "order"], ({ unit }) => {
    const y = rows.indexOf(value.row.get(unit) ?? -1);
    mark.style.display = y < 0 ? "none" : "";
    mark.style.top = `${(100 * (y + 0.5)) / rows.length}%`;
  });
  return frame;
}
