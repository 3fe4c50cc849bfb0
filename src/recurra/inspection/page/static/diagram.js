/** The drawing of a cell, moved by the numbers of the chosen step and unit. */

import { colourOf } from "./colour.js";
import { labels } from "./labels.js";
import { honest, plain } from "./numbers.js";

/** @typedef {{x: number, error: number, most: number}} Number  `most`: its size at full width */

/** The largest size of a unit over all steps, where its equation sets no bound. */
function most(value, unit) {
  if (value.within === null) return Math.max(Math.abs(value.low), Math.abs(value.high));
  value.largest = value.largest || new Map();
  if (!value.largest.has(unit)) {
    let size = 0;
    for (let t = 0; t < value.place.steps; t++) {
      const x = Math.abs(value.number(t, unit).x);
      if (x > size && x < Infinity) size = x;
    }
    value.largest.set(unit, size || 1);
  }
  return value.largest.get(unit);
}

/** Functions of one value, by what a drawing writes into their node; none is steeper than 1. */
const FUNCTIONS = {
  tanh: Math.tanh,
  "σ": (x) => 1 / (1 + Math.exp(-x)),
  "1−": (x) => 1 - x,
};

/** What the nodes of a drawing give out; a node without a name is computed from its operands. */
class Network {
  constructor(drawing, place) {
    this.place = place;
    this.nodes = new Map([...drawing.querySelectorAll("[data-node]")].map((n) => [n.dataset.node, n]));
    this.edges = [...drawing.querySelectorAll(".edge[data-from]")];
  }

  /** @returns {Number | null} */
  number(key, t, unit) {
    const node = this.nodes.get(key);
    const { value: name, kind, time } = node ? node.dataset : {};
    if (!node || kind === "input" || kind === "join") return null;
    if (!name) return this.computed(key, node, t, unit);
    const value = this.place.byName.get(name);
    if (!value || !value.has(unit)) return null;
    const number = time === "before" ? value.earlier(t, unit) : value.number(t, unit);
    return Number.isFinite(number.x) ? { ...number, most: most(value, unit) } : null;
  }

  computed(key, node, t, unit) {
    const operands = this.edges.filter((e) => e.dataset.to === key)
      .map((e) => this.number(e.dataset.from, t, unit));
    if (!operands.length || operands.some((o) => !o)) return null;
    if (node.dataset.kind === "product" && operands.length === 2) {
      const [a, b] = operands;
      const error = Math.abs(a.x) * b.error + Math.abs(b.x) * a.error;
      return { x: a.x * b.x, error, most: a.most * b.most };
    }
    const run = FUNCTIONS[node.querySelector("text")?.textContent];
    if (!run || operands.length !== 1) return null;
    const [{ x, error, most: size }] = operands;
    return { x: run(x), error, most: Math.max(1, Math.abs(run(size))) };
  }
}

/**
 * Colour the nodes and lines of a drawing by the chosen unit, and write its numbers beside them.
 * @param {HTMLElement} drawing  holds the SVG of `recurra.inspection.diagram`
 * @param {any} place
 * @param {any} scope
 */
export function animate(drawing, place, scope) {
  const network = new Network(drawing, place);
  /** @type {Map<string, SVGTextElement>} */
  let texts = new Map();
  const show = ({ t, unit, theme }) => {
    for (const [key, node] of network.nodes) {
      const number = network.number(key, t, unit);
      const value = place.byName.get(node.dataset.value);
      if (node.dataset.kind === "gate" && number) {
        node.style.setProperty("--gate", colourOf(value, number.x, theme, true));
      }
      const text = texts.get(key);
      if (text) text.textContent = number ? short(number) : "";
    }
    for (const edge of network.edges) {
      const number = network.number(edge.dataset.from, t, unit);
      edge.classList.toggle("live", Boolean(number));
      if (!number) continue;
      const flow = Math.min(1, Math.abs(number.x) / number.most);
      edge.style.setProperty("--flow", `${(1 + 4.5 * flow).toFixed(2)}px`);
      edge.classList.toggle("negative", number.x < 0);
    }
  };
  // A drawing has sizes once it stands in the page.
  requestAnimationFrame(() => { texts = labels(drawing, network); show(scope.state); });
  scope.on(["t", "unit", "theme"], show);
}

/** Two decimals are enough in a drawing; the equations have all. */
function short(number) {
  if (number.error > 0.005) return honest(number);
  const size = Math.abs(number.x);
  if (size < 1e5) return number.x.toFixed(size >= 100 ? 0 : 2).replace(/^-(0\.00)?/, (sign, zero) => zero ?? "−");
  return plain(number.x);
}
