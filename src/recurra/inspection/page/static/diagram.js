/** The drawing of a cell, moved by the numbers of the chosen step. */

import { colourOf } from "./colour.js";
import { s } from "./dom.js";
import { honest } from "./numbers.js";

/**
 * Colour the nodes and lines of a drawing by the chosen unit.
 * @param {HTMLElement} drawing  holds an SVG with `data-value` on its nodes, `data-from` on its lines
 * @param {any} place
 * @param {any} scope
 */
export function animate(drawing, place, scope) {
  const nodes = [...drawing.querySelectorAll("[data-value]")];
  const lines = [...drawing.querySelectorAll("[data-from]")];
  scope.on(["t", "unit", "theme"], ({ t, unit, theme }) => {
    for (const node of nodes) {
      const value = place.byName.get(node.dataset.value);
      const number = value?.number(t, unit);
      if (!number || !Number.isFinite(number.x)) continue;
      node.style.setProperty("--now", colourOf(value, number.x, theme, true));
      node.classList.add("live");
      let title = node.querySelector(":scope > title");
      if (!title) node.prepend((title = s("title")));
      title.textContent = `${value.address}[${unit}] = ${honest(number)}`;
    }
    for (const line of lines) {
      const value = place.byName.get(line.dataset.from);
      const number = value?.number(t, unit);
      if (!number || !Number.isFinite(number.x)) continue;
      const most = Math.max(Math.abs(value.low), Math.abs(value.high));
      line.style.setProperty("--flow", String(Math.min(1, Math.abs(number.x) / most)));
      line.classList.add("live");
    }
  });
}
