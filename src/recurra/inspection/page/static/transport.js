/** The bar that stays in sight: which step, which layer, which unit, light or dark. */

import { h, visible } from "./dom.js";
import { choice } from "./figure.js";

const SPEED = 180; // milliseconds of a step while it plays

/** Items around the chosen one. */
function context(run, t) {
  const { items, kind } = run.sequence;
  if (kind === "steps" || kind === "numbers") return [kind === "numbers" ? items[t].replace(/-/g, "−") : ""];
  const reach = kind === "words" ? 3 : 12;
  const join = (from, to) => items.slice(Math.max(0, from), Math.max(0, to)).map(visible)
    .join(kind === "words" ? " " : "");
  return [h("bdi", { class: "past" }, join(t - reach, t).slice(-40)),
    h("bdi", { class: "present" }, visible(items[t].slice(0, 24))),
    h("bdi", { class: "future" }, join(t + 1, t + 1 + reach).slice(0, 40))];
}

function player(store, last) {
  let timer = 0;
  const button = h("button", { type: "button", "aria-label": "Play", title: "Play the steps", onclick: () => toggle() }, "▶");
  const stop = () => { clearInterval(timer); timer = 0; show(); };
  const show = () => {
    button.textContent = timer ? "❚❚" : "▶";
    button.setAttribute("aria-label", timer ? "Pause" : "Play");
  };
  const toggle = () => {
    if (timer) { stop(); return; }
    if (store.state.t >= last) store.set({ t: 0 });
    timer = setInterval(() => {
      if (store.state.t >= last) stop();
      else store.set({ t: store.state.t + 1 });
    }, SPEED);
    show();
  };
  return button;
}

/** Which unit: a number among those that the page holds. */
function unitPicker(run, store) {
  const placeOf = ({ place }) => run.places[Math.min(place, run.places.length - 1)];
  const input = h("input", { type: "number", inputmode: "numeric", "aria-label": "unit", onchange: () => pick(Number(input.value)) });
  const pick = (wanted) => {
    const { units } = placeOf(store.state);
    const near = units.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a));
    store.set({ unit: near });
    input.value = String(near);
  };
  store.on(["unit", "place"], (state) => {
    const { units } = placeOf(state);
    input.min = String(units[0]);
    input.max = String(units.at(-1));
    input.value = String(state.unit);
  });
  store.on(["place"], (state) => {
    const place = placeOf(state);
    if (!place.units.includes(state.unit)) store.set({ unit: place.leading });
  });
  return h("label", { class: "choice" }, h("span", {}, "unit"), input);
}

/** @param {any[]} runs @param {any} store */
export function transport(runs, store) {
  const run = runs.reduce((a, b) => (b.steps > a.steps ? b : a));
  const last = run.steps - 1;
  const go = (t) => store.set({ t: Math.min(last, Math.max(0, t)) });
  const slider = h("input", { type: "range", min: 0, max: last, "aria-label": "step", oninput: () => go(Number(slider.value)) });
  const where = h("span", { class: "where" });
  const text = h("span", { class: "context", dir: "ltr" });
  const live = h("span", { class: "hidden", "aria-live": "polite" });
  const places = choice("layer", run.places.map((place, k) => /** @type {[string, string]} */ ([String(k), place.name])),
    (k) => store.set({ place: Number(k) }));
  const theme = h("button", { type: "button", class: "theme", onclick: () => {
    store.set({ theme: store.state.theme === "dark" ? "light" : "dark" });
  } });
  store.on(["theme"], (state) => {
    theme.textContent = state.theme === "dark" ? "light" : "dark";
    theme.setAttribute("aria-label", `Show the page ${theme.textContent}`);
  });
  store.on(["place"], ({ place }) => { places.select.value = String(place); });
  store.on(["t"], ({ t }) => {
    slider.value = String(t);
    const said = `step ${run.first + t}`;
    where.replaceChildren(said, h("span", { class: "why" }, ` of ${run.first + last}`));
    slider.setAttribute("aria-valuetext", said);
    text.replaceChildren(...context(run, t));
    live.textContent = `${said} ${visible(run.sequence.items[t].slice(0, 24))}`;
  });
  const move = (label, sign, by) => h("button", { type: "button", "aria-label": label, title: label, onclick: () => go(store.state.t + by) }, sign);
  return h("nav", { class: "transport", "aria-label": "Choose what is shown" },
    h("div", { class: "steps" }, move("Step back", "‹", -1), player(store, last), move("Step forward", "›", 1), where),
    slider, text, places.element, unitPicker(run, store), theme, live);
}

/** Arrow keys anywhere on the page, except where they already mean something. */
export function keys(runs, store) {
  const last = Math.max(...runs.map((run) => run.steps)) - 1;
  const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.altKey || event.ctrlKey || event.metaKey || target.matches("input, select, textarea")) return;
    const inList = target.getAttribute("role") === "listbox";
    const by = moves[event.key];
    if (by !== undefined && (inList || event.key.startsWith("Arrow"))) {
      store.set({ t: Math.min(last, Math.max(0, store.state.t + by)) });
    } else if (inList && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      const { units } = runs[0].places[Math.min(store.state.place, runs[0].places.length - 1)];
      const k = units.indexOf(store.state.unit) + (event.key === "ArrowUp" ? -1 : 1);
      store.set({ unit: units[(k + units.length) % units.length] });
    } else {
      return;
    }
    event.preventDefault();
  });
}
