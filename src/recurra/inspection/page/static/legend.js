/** The bar that states a scale of colours, with its ends. */

import { colours, css } from "./colour.js";
import { h } from "./dom.js";
import { plain } from "./numbers.js";

/** Where the ends of a value's scale come from. */
function reason(value) {
  if (value.op === "sigmoid") return "range of σ";
  if (value.op === "tanh") return "range of tanh";
  if (value.within === null) return "range of its equation";
  return value.within < 1 ? `${Math.floor(1000 * value.within) / 10} % lie within` : "largest size recorded";
}

const short = (x) => plain(x, Math.abs(x) < 10 && x % 1 ? 2 : Math.abs(x) < 100 && x % 1 ? 1 : 0);

/**
 * @param {{low: number, high: number, scale: "up"|"both", op: string, within: number | null}} value
 * @param {"light"|"dark"} theme
 * @param {boolean} [soft]
 */
export function legend(value, theme, soft = false) {
  const list = colours(value.scale, theme, soft);
  const stops = Array.from({ length: 17 }, (_, k) => css(list[Math.min(255, k * 16)]));
  const canvas = h("canvas", { width: 64, height: 1, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  for (let x = 0; x < 64; x++) {
    pen.fillStyle = css(list[Math.round((x * 255) / 63)]);
    pen.fillRect(x, 0, 1, 1);
  }
  const text = `${short(value.low)} to ${short(value.high)}, ${reason(value)}`;
  return h("span", { class: "legend", title: text, "data-stops": stops.length },
    h("span", {}, short(value.low)), canvas, h("span", {}, short(value.high)),
    h("span", { class: "why" }, reason(value)));
}
