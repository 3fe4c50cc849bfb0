/** The frame of every figure: its body, what it shows, and the buttons that save it. */

import { h } from "./dom.js";
import { save } from "./export.js";

/**
 * @param {object} parts
 * @param {string} parts.name  of the file that it is saved in
 * @param {any} parts.body
 * @param {any} [parts.caption]
 * @param {any} [parts.controls]  choices that concern this figure alone
 */
export function figure({ name, body, caption = null, controls = null }) {
  const picture = h("div", { class: "picture" }, body);
  const button = (form) => h("button", {
    type: "button", class: "quiet", "aria-label": `Save “${name}” as ${form.toUpperCase()}`,
    title: `Save as ${form.toUpperCase()}`,
    onclick: () => save(picture, `recurra-${name.replace(/\W+/g, "-")}`, form),
  }, form.toUpperCase());
  const tools = h("div", { class: "tools" }, h("div", { class: "controls" }, controls),
    h("div", { class: "save", role: "group", "aria-label": "Save this figure" },
      button("png"), button("svg")));
  return h("figure", {}, tools, picture, caption && h("figcaption", {}, caption));
}

/**
 * A section of the page.
 * @param {string} key  of its address
 * @param {string} title
 * @param {any} lead  a sentence that says what is seen
 * @param {...any} body
 */
export function section(key, title, lead, ...body) {
  return h("section", { id: key, "aria-labelledby": `${key}-title` },
    h("h2", { id: `${key}-title` }, title), lead && h("p", { class: "lead" }, lead), body);
}

/**
 * A choice among a few words.
 * @param {string} label
 * @param {[string, string][]} options  value and what it is called
 * @param {(value: string) => void} chosen
 */
export function choice(label, options, chosen) {
  const select = h("select", { onchange: () => chosen(select.value) },
    options.map(([value, text]) => h("option", { value }, text)));
  return { element: h("label", { class: "choice" }, h("span", {}, label), select), select };
}

/** Text for screen readers alone. */
export function unseen(text) {
  return h("span", { class: "hidden" }, text);
}
