/** In which order the units of a place stand in its strips and heat maps. */

export const ORDERS = /** @type {[string, string][]} */ ([
  ["alike", "alike side by side"],
  ["index", "by number"],
  ["change", "most changing first"],
  ["peak", "by time of largest value"],
  ["mean", "by mean"],
]);

/** A number for each row of an array, by which rows are sorted. */
const KEYS = {
  alike: (array, k) => component(array)[k],
  change(array, k) {
    let sum = 0;
    let squares = 0;
    for (let t = 0; t < array.steps; t++) {
      const x = array.at(t, k) || 0;
      sum += x;
      squares += x * x;
    }
    return -(squares / array.steps - (sum / array.steps) ** 2);
  },
  peak(array, k) {
    let best = 0;
    let most = -1;
    for (let t = 0; t < array.steps; t++) {
      const size = Math.abs(array.at(t, k)) || 0;
      if (size > most) [best, most] = [t, size];
    }
    return best;
  },
  mean(array, k) {
    let sum = 0;
    for (let t = 0; t < array.steps; t++) sum += array.at(t, k) || 0;
    return -sum / array.steps;
  },
};

/** The units on the first principal component of their courses over time, by power iteration. */
function component(array) {
  if (array.component) return array.component;
  const { steps, units } = array;
  const rows = Array.from({ length: units }, (_, k) => course(array, k));
  let weights = Float64Array.from({ length: units }, (_, k) => Math.cos(k + 1));
  for (let round = 0; round < 12; round++) {
    const mixed = new Float64Array(steps);
    rows.forEach((row, k) => { for (let t = 0; t < steps; t++) mixed[t] += weights[k] * row[t]; });
    weights = weights.map((_, k) => rows[k].reduce((sum, x, t) => sum + x * mixed[t], 0));
    const size = Math.hypot(...weights) || 1;
    weights = weights.map((x) => x / size);
  }
  array.component = weights;
  return weights;
}

/** The course of a unit over time, with mean 0 and length 1. */
function course(array, k) {
  const row = Float64Array.from({ length: array.steps }, (_, t) => array.at(t, k) || 0);
  const mean = row.reduce((a, b) => a + b, 0) / row.length;
  const size = Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0)) || 1;
  return row.map((x) => (x - mean) / size);
}

/**
 * Units of a place from first to last; every value of the place uses this one order.
 * @param {any} place
 * @param {string} order
 * @returns {number[]}
 */
export function orderOf(place, order) {
  place.orders = place.orders || {};
  if (!place.orders[order]) place.orders[order] = sorted(place, order);
  return place.orders[order];
}

function sorted(place, order) {
  const values = place.mapped.filter((value) => value.units.length === place.units.length);
  const leading = values.filter((value) => value.state).at(-1) ?? values.at(-1);
  const units = [...leading.units];
  const key = KEYS[order];
  if (!key) return units;
  const keys = new Map(units.map((unit, k) => [unit, key(leading.array, k)]));
  return units.sort((a, b) => keys.get(a) - keys.get(b));
}

/** The rows of one value's array in the order of its place. */
export function rowsOf(value, order) {
  return orderOf(value.place, order).map((unit) => value.row.get(unit)).filter((k) => k !== undefined);
}
