/** A figure as a file: what stands on the screen, written as SVG, or painted as PNG. */

import { s } from "./dom.js";

const TEXT = ["font-family", "font-size", "font-weight", "font-style", "letter-spacing"];
const SHAPE = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity",
  "stroke-linejoin", "stroke-linecap", "opacity", "visibility", "text-anchor", "dominant-baseline",
  "paint-order", "marker-end", "marker-start", "display", ...TEXT,
];
const CLEAR = new Set(["rgba(0, 0, 0, 0)", "transparent"]);

/** A copy of an SVG with its style written into its elements. */
function styled(original) {
  const copy = original.cloneNode(true);
  const from = [original, ...original.querySelectorAll("*")];
  const to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((element, k) => {
    const style = getComputedStyle(element);
    for (const name of SHAPE) {
      const value = style.getPropertyValue(name);
      if (value) to[k].setAttribute(name, value);
    }
    to[k].removeAttribute("style");
    to[k].removeAttribute("class");
  });
  copy.querySelectorAll("style, title").forEach((element) => element.remove());
  return copy;
}

/** Whether nothing of an element belongs into a picture. */
function hidden(element, style) {
  return style.display === "none" || style.visibility === "hidden" || style.opacity === "0"
    || element.matches("button, select, input, [data-screen], .hidden, .hover");
}

/** The background and the borders of an element. */
function box(element, style, at, into, alpha) {
  const { x, y, width, height } = at(element.getBoundingClientRect());
  if (!width || !height) return;
  if (!CLEAR.has(style.backgroundColor)) {
    into.append(s("rect", {
      x, y, width, height, rx: parseFloat(style.borderTopLeftRadius) || 0,
      fill: style.backgroundColor, opacity: alpha,
    }));
  }
  const edges = [
    ["Top", x, y, x + width, y], ["Bottom", x, y + height, x + width, y + height],
    ["Left", x, y, x, y + height], ["Right", x + width, y, x + width, y + height],
  ];
  for (const [side, x1, y1, x2, y2] of edges) {
    const thick = parseFloat(style[`border${side}Width`]);
    const colour = style[`border${side}Color`];
    if (thick && style[`border${side}Style`] !== "none" && !CLEAR.has(colour)) {
      into.append(s("line", { x1, y1, x2, y2, stroke: colour, "stroke-width": thick }));
    }
  }
}

/** A text where the browser has put it, one element for each line. */
function text(node, style, at, into) {
  const range = document.createRange();
  const words = node.data.match(/\S+\s*/g) || [];
  let from = 0;
  for (const word of words) {
    const start = node.data.indexOf(word, from);
    from = start + word.length;
    range.setStart(node, start);
    range.setEnd(node, start + word.trimEnd().length);
    const rect = range.getBoundingClientRect();
    if (!rect.width) continue;
    const { x, y, height } = at(rect);
    const line = s("text", { x, y: y + height * 0.78, fill: style.color });
    for (const name of TEXT) line.setAttribute(name, style.getPropertyValue(name));
    line.textContent = word.trimEnd();
    into.append(line);
  }
}

function walk(element, at, into, above = 1) {
  const style = getComputedStyle(element);
  if (hidden(element, style)) return;
  const alpha = above * Number(style.opacity);
  if (element instanceof SVGSVGElement) {
    const { x, y, width, height } = at(element.getBoundingClientRect());
    const copy = styled(element);
    const view = element.getAttribute("viewBox") || `0 0 ${width} ${height}`;
    for (const [name, value] of Object.entries({ x, y, width, height, viewBox: view })) {
      copy.setAttribute(name, String(value));
    }
    into.append(copy);
    return;
  }
  box(element, style, at, into, alpha);
  if (element instanceof HTMLCanvasElement) {
    const { x, y, width, height } = at(element.getBoundingClientRect());
    into.append(s("image", {
      x, y, width, height, href: element.toDataURL(), preserveAspectRatio: "none",
      style: { imageRendering: getComputedStyle(element).imageRendering },
    }));
    return;
  }
  for (const child of element.childNodes) {
    if (child instanceof Text) text(child, style, at, into);
    else if (child instanceof Element) walk(child, at, into, alpha);
  }
}

/** An element as the text of an SVG file. @param {HTMLElement} element */
export function asSvg(element) {
  element.classList.add("exporting");
  const frame = element.getBoundingClientRect();
  const margin = 12;
  const width = Math.ceil(element.scrollWidth + 2 * margin);
  const height = Math.ceil(frame.height + 2 * margin);
  const at = (rect) => ({
    x: rect.x - frame.x + margin, y: rect.y - frame.y + margin,
    width: rect.width, height: rect.height,
  });
  const paper = getComputedStyle(document.documentElement).backgroundColor;
  const picture = s("svg", {
    xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}`,
  }, s("rect", { width, height, fill: paper }));
  walk(element, at, picture);
  element.classList.remove("exporting");
  return { text: new XMLSerializer().serializeToString(picture), width, height };
}

/** An SVG painted. @returns {Promise<Blob>} */
async function painted({ text: source, width, height }) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * width;
  canvas.height = 2 * height;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("too large"))), "image/png"));
}

/**
 * Hand a figure to the reader as a file.
 * @param {HTMLElement} element
 * @param {string} name  of the file, without its ending
 * @param {"png"|"svg"} form
 */
export async function save(element, name, form) {
  const picture = asSvg(element);
  const blob = form === "svg"
    ? new Blob([picture.text], { type: "image/svg+xml" })
    : await painted(picture);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name}.${form}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
