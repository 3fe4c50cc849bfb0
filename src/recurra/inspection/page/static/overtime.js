/** The section on all steps: what flows, every unit by time, and the lines of chosen units. */

import { h, written } from "./dom.js";
import { choice, figure } from "./figure.js";
import { shares } from "./flows.js";
import { heatMap } from "./heat.js";
import { legend } from "./legend.js";
import { lineChart } from "./lines.js";
import { ticks } from "./numbers.js";
import { ORDERS, rowsOf } from "./order.js";
import { itemLabel } from "./sequence.js";

/** What is forgotten, written and let out, over all steps; computed when it comes into view. */
function flowLines(run, place, scope) {
  const holder = h("div", { class: "waiting" });
  const draw = () => {
    const columns = Array.from({ length: run.steps }, (_, t) => shares(place, t));
    const names = columns[0] ?? [];
    if (!names.length) { holder.parentElement?.closest("figure")?.remove(); return; }
    holder.replaceChildren(lineChart(scope, {
      curves: names.map(({ name, of }, k) => ({
        label: `${name}, ${of}`, values: columns.map((column) => column[k].share),
      })),
      axis: "share", low: 0, high: 1, first: run.first, height: 160,
      label: "Shares forgotten, written and let out over the steps",
    }));
  };
  whenSeen(holder, draw);
  return figure({
    name: `flows ${place.name}`, body: holder,
    caption: "Means over the units: of the memory before the step, the share that is forgotten; of "
      + "the memory after it, the share that was written; of the memory, the share that is let out.",
  });
}

/** Call `work` once, when an element comes near the window. */
export function whenSeen(element, work) {
  const watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    work();
  }, { rootMargin: "400px" });
  watcher.observe(element);
}

/** Heat maps of all values of a place, one under the other on one axis of time. */
function maps(run, place, scope) {
  const label = (t) => itemLabel(run, t);
  const rows = place.mapped.map((value) => {
    const scale = h("span");
    scope.on(["theme"], ({ theme }) => scale.replaceChildren(legend(value, theme)));
    const about = { rows: () => rowsOf(value, scope.state.order), first: run.first, label };
    return [h("div", { class: "heat-name" }, written("span", { class: "symbol" }, value.symbol), scale), heatMap(value, scope, about)];
  });
  const last = run.first + run.steps - 1;
  const axis = h("div", { class: "heat-axis", "aria-hidden": "true" },
    ticks(run.first, last, 8).filter(Number.isInteger).map((at) => h("span", {
      style: { left: `${(100 * (at - run.first + 0.5)) / run.steps}%` } }, String(at))));
  const pick = choice("order of units", ORDERS, (order) => scope.set({ order }));
  scope.on(["order"], ({ order }) => { pick.select.value = order; });
  const kept = place.units.length < place.size ? `${place.units.length} of ${place.size}` : `all ${place.size}`;
  return figure({
    name: `heat maps ${place.name}`, controls: pick.element,
    body: h("div", { class: "maps" }, rows, h("div", { class: "heat-name axis-name" }, "step"), axis),
    caption: `From top to bottom ${kept} units, from left to right the steps. Click a point to `
      + "choose its step and unit. Red marks numbers that are not finite.",
  });
}

/** The chosen and the pinned units, one line each. */
function unitLines(run, place, scope) {
  const holder = h("div");
  const names = place.mapped.map((value) => /** @type {[string, string]} */ ([value.name, value.name]));
  const own = { value: (place.mapped.filter((value) => value.state).at(0) ?? place.mapped.at(-1)).name };
  const pin = h("button", { type: "button", onclick: () => {
    const { pinned, unit } = scope.state;
    scope.set({ pinned: pinned.includes(unit) ? pinned.filter((u) => u !== unit) : [...pinned, unit].slice(-5) });
  } });
  const clear = h("button", { type: "button", onclick: () => scope.set({ pinned: [] }) }, "clear");
  let inner = null;
  const draw = ({ unit, pinned }) => {
    const value = place.byName.get(own.value);
    const units = [...new Set([...pinned, unit])].filter((u) => value.has(u));
    inner?.dispose();
    inner = scope.scope();
    pin.textContent = pinned.includes(unit) ? `unpin unit ${unit}` : `keep unit ${unit}`;
    clear.hidden = !pinned.length;
    holder.replaceChildren(lineChart(inner, {
      curves: units.map((u) => ({
        label: `unit ${u}`, values: Float32Array.from({ length: run.steps }, (_, t) => value.number(t, u).x),
      })),
      axis: value.address, first: run.first, label: `Lines of ${value.address} for the units ${units.join(", ")}`,
      ...(value.within === null ? { low: value.low, high: value.high } : {}),
    }));
  };
  const pick = choice("value", names, (value) => { own.value = value; draw(scope.state); });
  pick.select.value = own.value;
  scope.on(["unit", "pinned"], draw);
  return figure({ name: `units over time ${place.name}`, controls: [pick.element, pin, clear], body: holder });
}

/** @param {any} run @param {any} scope @param {any} place */
export function timePanel(run, scope, place) {
  return [place.flows.length ? flowLines(run, place, scope) : null, maps(run, place, scope), unitLines(run, place, scope)];
}
