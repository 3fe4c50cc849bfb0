/** Where the numbers of a drawing stand: beside their node, where the fewest lines pass. */

import { s } from "./dom.js";

const WIDE = 32; // pixels that a number takes
const HIGH = 12;

/** Points on all lines, and the boxes of all nodes and names: what a number should not cover. */
function obstacles(drawing, network) {
  const points = [];
  for (const path of drawing.querySelectorAll(".edge > path:not(.head)")) {
    const length = path.getTotalLength();
    for (let at = 0; at <= length; at += 4) points.push(path.getPointAtLength(at));
  }
  const boxes = [...network.nodes.values(), ...drawing.querySelectorAll("text.on")]
    .map((element) => element.getBBox()).filter((box) => box.width);
  return { points, boxes };
}

/** How much a number at this place would cover. */
function covered([x, y, anchor], { points, boxes }, frame) {
  const left = x - { start: 0, middle: WIDE / 2, end: WIDE }[anchor];
  const [right, top, bottom] = [left + WIDE, y - HIGH + 2, y + 2];
  const lines = points.filter((p) => p.x > left && p.x < right && p.y > top && p.y < bottom).length;
  const over = boxes.filter((b) =>
    b.x < right && b.x + b.width > left && b.y < bottom && b.y + b.height > top).length;
  const outside = left < frame.x || right > frame.x + frame.width;
  return lines + 20 * over + (outside ? 50 : 0);
}

/** Places for a number, the usual one first: x, y of its foot, and how it is aligned. */
function places(node) {
  const { x, y, width, height } = node.getBBox();
  const middle = { x: x + width / 2, y: y + height / 2 + 4 };
  const all = {
    above: [middle.x, y - 6, "middle"],
    below: [middle.x, y + height + 15, "middle"],
    left: [x - 5, middle.y, "end"],
    right: [x + width + 5, middle.y, "start"],
    corner: [middle.x - 5, y - 6, "end"],
    under: [middle.x, y + height + 20, "middle"],
    ahead: [x + width + 14, y + height - 3, "start"],
    behind: [x - 14, y + height - 3, "end"],
  };
  const { kind, time } = node.dataset;
  const order = kind === "gate" ? ["corner", "left", "right"]
    : kind === "state" ? ["under", time === "before" ? "ahead" : "behind"]
      : ["above", "left", "right", "below"];
  return order.map((side) => all[side]);
}

/**
 * An empty text beside every node that gives out a number.
 * @returns {Map<string, SVGTextElement>}
 */
export function labels(drawing, network) {
  const found = new Map();
  const things = obstacles(drawing, network);
  const { x, width } = drawing.querySelector("svg").viewBox.baseVal;
  for (const [key, node] of network.nodes) {
    if (["input", "output", "join"].includes(node.dataset.kind) || !node.getBBox().width) continue;
    const costs = places(node).map((place) => ({ place, cost: covered(place, things, { x: x - offset(node), width }) }));
    const { place } = costs.reduce((a, b) => (b.cost < a.cost ? b : a));
    const text = s("text", { class: "live-number", x: place[0], y: place[1], style: { textAnchor: place[2] } });
    node.parentNode.append(text);
    found.set(key, text);
    things.boxes.push({
      x: place[0] - { start: 0, middle: WIDE / 2, end: WIDE }[place[2]], y: place[1] - HIGH + 2, width: WIDE, height: HIGH,
    });
  }
  return found;
}

/** How far the group of a node is moved within its drawing. */
function offset(node) {
  const moved = node.parentNode.transform?.baseVal;
  return moved?.numberOfItems ? moved.getItem(0).matrix.e : 0;
}
