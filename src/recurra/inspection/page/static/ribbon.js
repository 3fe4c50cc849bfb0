/** The sequence in a line that wraps: items, and under each of them what belongs to it. */

import { colourOf } from "./colour.js";
import { h, visible } from "./dom.js";

const MOST_BITS = 12;
const SHOWN = 40; // characters of an item; the rest is in its title

/** @param {string} item */
function clipped(item) {
  const signs = [...item];
  return signs.length > SHOWN ? `${signs.slice(0, SHOWN).join("")}…` : item;
}

/** What a screen reader says about an item. */
function spoken(run, t) {
  const { items, kind } = run.sequence;
  const parts = [`step ${run.first + t}`];
  if (kind !== "steps") parts.push(visible(items[t].slice(0, SHOWN)));
  const bits = run.prediction?.surprisal[t];
  if (typeof bits === "number") parts.push(`surprisal ${bits.toFixed(1)} bits`);
  return parts.join(", ");
}

/** What the step before expected in the place of item t; "" at the start. */
export function guess(run, t) {
  const { prediction } = run;
  return prediction && t > 0 ? prediction.vocabulary[prediction.top[t - 1][0]] : "";
}

/** The surprisal of an item as a bar that hangs, and the item that was expected. */
function expectation(run, t) {
  const bits = run.prediction.surprisal[t];
  const expected = guess(run, t);
  const right = t > 0 && expected === run.sequence.items[t];
  return [
    h("span", { class: "bits" }, h("span", {
      style: { height: `${(100 * Math.min(MOST_BITS, bits ?? 0)) / MOST_BITS}%` },
    })),
    h("span", { class: right ? "guess right" : "guess" }, right ? "·" : expected && visible(clipped(expected))),
  ];
}

/**
 * @param {any} run
 * @param {any} store
 * @param {{label: string, predicted?: boolean, bars?: boolean}} about
 */
export function ribbon(run, store, about) {
  const { items, kind } = run.sequence;
  const id = `r${Math.random().toString(36).slice(2, 8)}`;
  const list = h("div", {
    class: `ribbon ${kind}${about.bars ? " with-bars" : ""}`, role: "listbox", tabindex: 0,
    "aria-label": about.label, "aria-orientation": "horizontal", dir: "ltr",
  });
  const elements = items.map((item, t) => h("span", {
    class: "item", role: "option", id: `${id}-${t}`, "aria-label": spoken(run, t), "data-t": t,
    title: item.length > SHOWN ? item : null,
  },
  h("bdi", { class: /^\s*$/.test(item) ? "glyph blank" : "glyph" }, visible(clipped(item))),
  about.bars ? h("span", { class: "contribution" }, h("span")) : null,
  about.predicted && run.prediction ? expectation(run, t) : null));
  elements.forEach((element, t) => {
    list.append(element);
    if (items[t] === "\n") list.append(h("br"));
  });

  list.addEventListener("click", (event) => {
    const item = event.target.closest?.("[data-t]");
    if (item) store.set({ t: Number(item.dataset.t) });
  });
  requestAnimationFrame(() => scroll(list, elements[Math.min(store.state.t, elements.length - 1)]));
  let chosen = null;
  store.on(["t"], ({ t }) => {
    chosen?.setAttribute("aria-selected", "false");
    chosen = elements[Math.min(t, elements.length - 1)];
    chosen.setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", chosen.id);
    if (list.scrollHeight > list.clientHeight + 4) scroll(list, chosen);
  });
  return { element: list, elements };
}

/** Bring an item into the visible part of its list, without moving the page. */
function scroll(list, item) {
  const top = item.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + item.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 3;
  }
}

/** Colour the items by the numbers of one unit. */
export function tint(elements, value, unit, theme) {
  elements.forEach((element, t) => {
    const glyph = element.firstChild;
    glyph.style.backgroundColor = value ? colourOf(value, value.number(t, unit).x, theme, true) : "";
  });
}

/** Draw a bar under each item: up above 0, down below. */
export function bars(elements, values) {
  const most = values.reduce((a, x) => (Number.isFinite(x) ? Math.max(a, Math.abs(x)) : a), 0) || 1;
  const up = Math.max(0, ...values.filter(Number.isFinite));
  const down = -Math.min(0, ...values.filter(Number.isFinite));
  const zero = (100 * down) / (up + down || 1);
  elements.forEach((element, t) => {
    const size = values[t] ?? 0;
    const high = (100 * Math.abs(size)) / (up + down || 1);
    const bar = element.querySelector(".contribution > span");
    bar.parentElement.style.setProperty("--zero", `${100 - zero}%`);
    bar.style.height = `${high}%`;
    bar.style.bottom = `${size < 0 ? zero - high : zero}%`;
    bar.className = size < 0 ? "below" : "above";
  });
  return most;
}
