/** Elements of the page: made by name, filled with text, never with markup of a recording. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {Element} element
 * @param {Record<string, any>} attributes  "on..." are listeners, `style` is an object
 * @param {any[]} children  elements and texts; null is nothing
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(/** @type {any} */ (element).style, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/**
 * An HTML element.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...any} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...any} children
 * @returns {any}
 */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * An element whose content is markup that recurra itself wrote (an equation, a diagram).
 * @param {string} tag
 * @param {Record<string, any>} attributes
 * @param {string} markup
 * @returns {any}
 */
export function written(tag, attributes, markup) {
  const element = h(tag, attributes);
  element.innerHTML = markup;
  return element;
}

/** An item of a sequence as it can be seen: spaces and control characters get a sign. */
export function visible(item) {
  if (item === " ") return "␣";
  if (item === "\n") return "↵";
  if (item === "\t") return "⇥";
  if (item === "") return "∅";
  return item.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) =>
    c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : "\ufffd");
}

/** Run `work` once in the next frame, however often it is asked for. */
export function inFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; work(); });
  };
}
