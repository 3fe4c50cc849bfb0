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
 * @returns {Float32Array | number | null}
 */
function evaluate([op, ...rest], place, t) {
  if (op === "number") return rest[0];
  if (op === "unknown") return null;
  if (op === "value" || op === "before") {
    const value = place.byName.get(rest[0]);
    if (!value || !value.array) return null;
    return op === "value" ? value.vector(t) : value.vectorBefore(t);
  }
  const run = FUNCTIONS[op];
  const parts = rest.map((part) => evaluate(part, place, t));
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
  const keep = evaluate(flow.keep, place, t);
  const value = place.byName.get(flow.state);
  if (keep === null || !value?.array) return [];
  const [before, after] = [value.vectorBefore(t), value.vector(t)];
  const at = (k) => (typeof keep === "number" ? keep : keep[k]);
  const wrote = evaluate(flow.write, place, t);
  const known = wrote instanceof Float32Array && wrote.length === after.length;
  const lost = before.map((_, k) => 1 - Math.min(1, Math.abs(at(k))));
  const fresh = after.map((x, k) => {
    const kept = Math.abs(at(k) * before[k]);
    const added = Math.abs(known ? wrote[k] : x - at(k) * before[k]);
    return added / (added + kept);
  });
  return [
    { name: "forgotten", of: flow.state, share: mean(lost), what: "the memory before" },
    { name: "written", of: flow.state, share: mean(fresh), what: "the memory after" },
  ];
}

function output(place, flow, t) {
  const gate = place.byName.get(flow.gate);
  if (!gate?.array) return [];
  return [{ name: "let out", of: flow.state, share: mean(gate.vector(t)), what: "the memory" }];
}
