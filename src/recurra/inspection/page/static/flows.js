/** What a step forgets, writes and lets out, computed from the recorded values of a place. */

const FUNCTIONS = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
  greater: (a, b) => (a > b ? 1 : 0),
  where: (a, b, c) => (a !== 0 ? b : c),
  negate: (a) => -a,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  tanh: Math.tanh,
  sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  relu: (a) => Math.max(a, 0),
  softplus: (a) => Math.log1p(Math.exp(-Math.abs(a))) + Math.max(a, 0),
  floor: Math.floor,
};

/**
 * An expression as one number for each unit; null where the page does not know a part of it.
 * @param {any[]} tree
 * @param {import("./values.js").Place} place
 * @param {number} t
 * @param {boolean} empty  with the states before the step taken as 0
 * @returns {Float32Array | number | null}
 */
function evaluate([op, ...rest], place, t, empty) {
  if (op === "number") return rest[0];
  if (op === "unknown") return null;
  if (op === "value" || op === "before") {
    const value = place.byName.get(rest[0]);
    if (op === "before" && empty) return 0;
    if (!value || !value.array) return null;
    return op === "value" ? value.vector(t) : value.vectorBefore(t);
  }
  const run = FUNCTIONS[op];
  const parts = rest.map((part) => evaluate(part, place, t, empty));
  if (!run || parts.some((part) => part === null)) return null;
  const long = parts.find((part) => typeof part !== "number");
  if (long === undefined) return run(...parts);
  const size = /** @type {Float32Array} */ (long).length;
  if (parts.some((part) => typeof part !== "number" && part.length !== size)) return null;
  return Float32Array.from({ length: size }, (_, k) =>
    run(...parts.map((part) => (typeof part === "number" ? part : part[k]))));
}

/** Mean of what is finite. */
function mean(list) {
  let sum = 0;
  let count = 0;
  for (const x of list) if (Number.isFinite(x)) { sum += x; count += 1; }
  return count ? sum / count : NaN;
}

/**
 * Shares of one step.
 * @returns {{name: string, of: string, share: number, what: string}[]}
 */
export function shares(place, t) {
  const found = [];
  for (const flow of place.flows) {
    if (flow.kind === "memory") found.push(...memory(place, flow, t));
    else found.push(...output(place, flow, t));
  }
  return found;
}

function memory(place, flow, t) {
  const whole = evaluate(flow.tree, place, t, false);
  const wrote = evaluate(flow.tree, place, t, true);
  const value = place.byName.get(flow.state);
  if (!(whole instanceof Float32Array) || wrote === null || !value) return [];
  const before = value.vectorBefore(t);
  if (before.length !== whole.length) return [];
  const at = (k) => (typeof wrote === "number" ? wrote : wrote[k]);
  const share = (part, rest) => part / (part + rest);
  const lost = before.map((x, k) => Math.min(1, Math.abs((x - (whole[k] - at(k))) / x)));
  const fresh = whole.map((x, k) => share(Math.abs(at(k)), Math.abs(x - at(k))));
  const state = flow.state;
  return [
    { name: "forgotten", of: state, share: mean(lost), what: "the memory before" },
    { name: "written", of: state, share: mean(fresh), what: "the memory after" },
  ];
}

function output(place, flow, t) {
  const inner = evaluate(flow.tree, place, t, false);
  const gate = place.byName.get(flow.gate);
  if (!(inner instanceof Float32Array) || !gate || !gate.array) return [];
  return [{ name: "let out", of: flow.state, share: mean(gate.vector(t)), what: "the memory" }];
}
