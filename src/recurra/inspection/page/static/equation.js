/** The equations of a cell with the numbers of the chosen step and unit. */

import { colourOf } from "./colour.js";
import { h, written } from "./dom.js";
import { honest } from "./numbers.js";

/** Write the numbers of a step into the places that an equation holds for them. */
function fillIn(numbers, place, { t, unit, theme }) {
  for (const data of numbers) {
    const value = place.byName.get(data.dataset.value);
    const earlier = data.dataset.ago === "1";
    const number = value && (earlier ? value.earlier(t, unit) : value.number(t, unit));
    const known = number && Number.isFinite(number.x);
    data.textContent = known ? honest(number) : "…";
    data.title = known
      ? `${value.address}[${unit}]${earlier ? ", step before" : ""}`
      : `${data.dataset.value} is not kept for unit ${unit}`;
    const tinted = known && !data.dataset.value.endsWith("_pre");
    data.classList.toggle("tinted", Boolean(tinted));
    data.style.backgroundColor = tinted ? colourOf(value, number.x, theme, true) : "";
  }
}

/** @param {any} place @param {any} scope */
export function equationList(place, scope) {
  const rows = place.equations.map((row) => {
    const numbers = row.numbers.includes("<data")
      ? written("span", { class: "filled" }, `<span class="equals">=</span> ${row.numbers}`)
      : null;
    const result = place.byName.has(row.name)
      ? written("span", {}, ` <span class="equals">=</span> <data data-value="${row.name}" data-ago="0"></data>`)
      : null;
    return h("div", { class: "equation" },
      written("span", { class: "left" }, row.left),
      written("span", { class: "symbols" }, `<span class="equals">=</span> ${row.symbols}`),
      h("span", { class: "row" }, numbers, result));
  });
  const unit = h("b", {});
  const list = h("div", { class: "equations" },
    h("h3", {}, "Its equations, with the numbers of ", unit), rows);
  const numbers = [...list.querySelectorAll("data")];
  scope.on(["t", "unit", "theme"], (state) => {
    unit.textContent = `unit ${state.unit}`;
    fillIn(numbers, place, state);
  });
  return list;
}
