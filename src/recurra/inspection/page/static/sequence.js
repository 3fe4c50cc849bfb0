/** The section on the sequence: its items or curves, coloured by a unit, and what was predicted. */

import { visible, h } from "./dom.js";
import { choice, figure } from "./figure.js";
import { legend } from "./legend.js";
import { lineChart } from "./lines.js";
import { percent } from "./numbers.js";
import { guess, ribbon, tint } from "./ribbon.js";

/** The place that is chosen, in this run. */
export function placeOf(run, state) {
  return run.places[Math.min(state.place, run.places.length - 1)];
}

/** The items, coloured by the chosen unit of a chosen value. */
function text(run, store) {
  const { element, elements } = ribbon(run, store, {
    label: "The sequence. Arrow keys choose a step.", predicted: true,
  });
  const names = [...new Set(run.places.flatMap((p) => p.mapped.map((v) => v.name)))];
  const pick = choice("colour by", [["", "nothing"], ...names.map((n) => /** @type {[string, string]} */ ([n, n]))],
    (value) => store.set({ value }));
  const scale = h("span", { class: "scale" });
  store.on(["value", "place", "unit", "theme"], (state) => {
    pick.select.value = state.value;
    const value = placeOf(run, state).byName.get(state.value);
    tint(elements, value?.has(state.unit) ? value : null, state.unit, state.theme);
    scale.replaceChildren(...(value ? [legend(value, state.theme, true),
      h("span", { class: "why" }, `${value.address}[${state.unit}]`)] : []));
  });
  const under = run.prediction
    ? ["Below each item hangs its surprisal, −log₂ of the probability that the step before gave it "
      + "(a full bar is 12 bits), and under it the item that was expected instead; a dot where "
      + "the expectation was right."]
    : null;
  const body = [element, h("div", { class: "under" }, scale)];
  return figure({ name: "sequence", body, controls: pick.element, caption: under });
}

/** Numeric inputs as curves. */
function curves(run, store) {
  const { channels } = run.sequence;
  const body = lineChart(store, {
    curves: channels.map((values, k) => ({ label: channels.length > 1 ? `input ${k}` : "", values })),
    axis: "input", first: run.first, height: 170,
    label: `The ${channels.length} input curves over ${run.steps} steps.`,
  });
  return figure({ name: "inputs", body });
}

/** What the chosen step expects, and how surprising its own item was. */
function predicted(run, store) {
  const { prediction, sequence } = run;
  const panel = h("div", { class: "predicted" });
  store.on(["t"], (state) => {
    const t = Math.min(state.t, run.steps - 1);
    const next = sequence.items[t + 1];
    const rows = prediction.top[t].map((k, n) => {
      const item = prediction.vocabulary[k];
      const p = prediction.probability[t][n];
      return h("tr", { class: item === next ? "came" : null },
        h("th", { scope: "row" }, h("bdi", {}, visible(item))),
        h("td", { class: "meter" }, h("span", { style: { width: `${100 * p}%` } })),
        h("td", { class: "number" }, percent(p)));
    });
    const bits = prediction.surprisal[t];
    const said = typeof bits === "number"
      ? ["This item was ", h("b", {}, `${bits.toFixed(2)} bits`), " surprising; expected was ",
        h("bdi", { class: "sign" }, visible(guess(run, t))), "."]
      : ["Nothing was predicted before this item."];
    panel.replaceChildren(
      h("h3", {}, "After ", h("bdi", { class: "sign" }, visible(sequence.items[t])), " the model expects"),
      h("table", {}, h("caption", { class: "hidden" }, "The likeliest next items"), h("tbody", {}, rows)),
      h("p", {}, next === undefined ? "This is the last item." : ["What came: ", h("bdi", { class: "sign" }, visible(next)), "."]),
      h("p", {}, said));
  });
  return panel;
}

/** @param {any} run @param {any} store */
export function sequencePanel(run, store) {
  const main = run.sequence.kind === "numbers" ? curves(run, store) : text(run, store);
  return run.prediction ? h("div", { class: "beside" }, main, predicted(run, store)) : main;
}

/** A word for the item at step t. */
export function itemLabel(run, t) {
  const { kind, items } = run.sequence;
  if (kind === "steps") return "";
  const item = items[Math.min(t, items.length - 1)];
  if (kind === "numbers") return `(${item.replace(/-/g, "−")})`;
  return `“${visible([...item].slice(0, 24).join(""))}”`;
}

