/** The drawing of a cell, moved by the numbers of the chosen step and unit. */

import { colourOf } from "./colour.js";
import { s } from "./dom.js";
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
    if (node.dataset.kind === "function" && node.textContent.trim().endsWith("tanh")) {
      return { x: Math.tanh(operands[0].x), error: operands[0].error, most: 1 };
    }
    return null;
  }
}

/** Sides of a node on which no line ends, the best for a number first. */
function freeSide(node, edges) {
  const box = node.getBBox();
  const taken = new Set();
  for (const edge of edges) {
    const key = node.dataset.node;
    if (edge.dataset.from !== key && edge.dataset.to !== key) continue;
    const path = edge.querySelector("path:not(.head)");
    const length = path.getTotalLength();
    const reach = Math.min(length, Math.max(box.width, box.height) / 2 + 8);
    const point = path.getPointAtLength(edge.dataset.from === key ? reach : length - reach / 2);
    const dx = point.x - (box.x + box.width / 2);
    const dy = point.y - (box.y + box.height / 2);
    if (Math.abs(dx) * box.height > Math.abs(dy) * box.width) taken.add(dx > 0 ? "right" : "left");
    else taken.add(dy > 0 ? "below" : "above");
  }
  if (node.dataset.kind === "gate") return "corner";
  return ["above", "left", "right", "below"].find((side) => !taken.has(side)) ?? "above";
}

/** An empty text beside a node. */
function label(node, edges) {
  const box = node.getBBox();
  const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  const side = node.dataset.kind === "state" ? "under" : freeSide(node, edges);
  const [x, y, anchor] = {
    above: [middle.x, box.y - 6, "middle"],
    below: [middle.x, box.y + box.height + 15, "middle"],
    left: [box.x - 5, middle.y + 4, "end"],
    right: [box.x + box.width + 5, middle.y + 4, "start"],
    corner: [middle.x - 5, box.y - 6, "end"],
    under: [middle.x, box.y + box.height + 21, "middle"],
  }[side];
  return s("text", { class: "live-number", x, y, style: { textAnchor: anchor } });
}

/**
 * Colour the nodes and lines of a drawing by the chosen unit, and write its numbers beside them.
 * @param {HTMLElement} drawing  holds the SVG of `recurra.inspection.diagram`
 * @param {any} place
 * @param {any} scope
 */
export function animate(drawing, place, scope) {
  const network = new Network(drawing, place);
  const labels = new Map();
  const layOut = () => {
    for (const [key, node] of network.nodes) {
      if (["input", "output", "join"].includes(node.dataset.kind)) continue;
      if (!node.getBBox().width) continue;
      const text = label(node, network.edges);
      node.parentNode.append(text);
      labels.set(key, text);
    }
  };
  const show = ({ t, unit, theme }) => {
    for (const [key, node] of network.nodes) {
      const number = network.number(key, t, unit);
      const value = place.byName.get(node.dataset.value);
      if (node.dataset.kind === "gate" && number) {
        node.style.setProperty("--gate", colourOf(value, number.x, theme, true));
      }
      const text = labels.get(key);
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
  requestAnimationFrame(() => { layOut(); show(scope.state); });
  scope.on(["t", "unit", "theme"], show);
}

/** Two decimals are enough in a drawing; the equations have all. */
function short(number) {
  if (number.error > 0.005) return honest(number);
  const size = Math.abs(number.x);
  if (size < 1e5) return number.x.toFixed(size >= 100 ? 0 : 2).replace(/^-(0\.00)?/, (sign, zero) => zero ?? "−");
  return plain(number.x);
}
