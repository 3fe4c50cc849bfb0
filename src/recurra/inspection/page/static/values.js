/** The numbers of a page: decoded, and asked for by step and by unit. */

/** The bytes of a base64 text. @param {string} text */
function bytes(text) {
  const raw = atob(text);
  const found = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) found[k] = raw.charCodeAt(k);
  return found;
}

/** @param {string} data  base64 of zlib */
async function inflated(data) {
  const stream = new Blob([bytes(data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Bytes that lie in planes (all first bytes, all second ...) put together again. */
function joined(planes, width) {
  if (width === 1) return planes;
  const size = planes.length / width;
  const found = new Uint8Array(planes.length);
  for (let part = 0; part < width; part++) {
    for (let k = 0; k < size; k++) found[k * width + part] = planes[part * size + k];
  }
  return found;
}

/** A packed array: units times steps, one unit after another. */
export class Packed {
  constructor(head, raw, scales) {
    const whole = joined(raw, head.bits / 8);
    const types = { 8: Uint8Array, 16: Uint16Array, 32: Float32Array };
    this.codes = new types[head.bits](whole.buffer, 0, head.steps * head.units);
    this.steps = head.steps;
    this.units = head.units;
    this.top = 2 ** head.bits - 2;
    this.scales = scales;
  }

  /** @returns {Promise<Packed>} */
  static async from(head) {
    const [raw, scales] = await Promise.all([
      inflated(head.data), head.scales ? inflated(head.scales) : null,
    ]);
    return new Packed(head, raw, scales && new Float64Array(scales.buffer));
  }

  /** The number of the k-th unit at step t (the last where t is later); NaN if not finite. */
  at(t, k) {
    const code = this.codes[k * this.steps + (t < this.steps ? t : this.steps - 1)];
    if (!this.scales) return code;
    return code > this.top ? NaN : this.scales[2 * k] + code * this.scales[2 * k + 1];
  }

  /** How far a number of the k-th unit may be from the recording. */
  error(k) {
    return this.scales ? this.scales[2 * k + 1] / 2 : 0;
  }
}

/** One named value of a place. */
export class Value {
  constructor(head, array, exact, place) {
    this.name = head.name;
    this.symbol = head.symbol;
    this.address = head.address;
    this.op = head.op;
    this.state = head.state;
    this.within = head.within;
    this.low = head.low;
    this.high = head.high;
    /** @type {"up" | "both"} */
    this.scale = head.low >= 0 ? "up" : "both";
    this.units = head.units;
    this.size = head.size;
    this.array = array;
    this.exact = exact;
    this.exactUnits = head.exact ? head.exact.units : [];
    this.before = head.before;
    this.place = place;
    this.row = new Map(this.units.map((unit, k) => [unit, k]));
    this.exactRow = new Map(this.exactUnits.map((unit, k) => [unit, k]));
  }

  static async from(head, place) {
    const array = head.array && (await Packed.from(head.array));
    const exact = head.exact && (await Packed.from(head.exact.array));
    return new Value(head, array, exact, place);
  }

  /** Whether the page knows this unit of this value. */
  has(unit) {
    return this.size === 1 || this.row.has(unit) || this.exactRow.has(unit);
  }

  /** @returns {{x: number, error: number}} the number and how far it may be from the recording */
  number(t, wanted) {
    const unit = this.size === 1 ? 0 : wanted;
    const exactly = this.exactRow.get(unit);
    if (exactly !== undefined) return { x: this.exact.at(t, exactly), error: 0 };
    const k = this.row.get(unit);
    if (k === undefined) return { x: NaN, error: 0 };
    return { x: this.array.at(t, k), error: this.array.error(k) };
  }

  /** The number that this unit of a state had before step t. */
  earlier(t, unit) {
    const step = this.place.before(t);
    if (step !== null) return this.number(step, unit);
    const k = this.row.get(unit);
    return { x: this.before && k !== undefined ? this.before[k] : 0, error: 0 };
  }

  /** All numbers of one step, in the order of `units`. */
  vector(t) {
    const found = new Float32Array(this.units.length);
    for (let k = 0; k < found.length; k++) found[k] = this.array.at(t, k);
    return found;
  }

  /** All numbers before one step. */
  vectorBefore(t) {
    const step = this.place.before(t);
    if (step !== null) return this.vector(step);
    return Float32Array.from(this.units, (_, k) => (this.before ? this.before[k] : 0));
  }
}

/** A layer in one direction, with its values by name. */
export class Place {
  constructor(head, steps) {
    Object.assign(this, head);
    this.steps = steps;
    /** @type {Map<string, Value>} */
    this.byName = new Map();
  }

  static async from(head, steps) {
    const place = new Place(head, steps);
    const values = await Promise.all(head.values.map((value) => Value.from(value, place)));
    place.byName = new Map(values.map((value) => [value.name, value]));
    return place;
  }

  /** The step before t, in this place's own direction; null at its start. */
  before(t) {
    const step = /** @type {any} */ (this).reverse ? t + 1 : t - 1;
    return step >= 0 && step < this.steps ? step : null;
  }

  /** Values with a heat map. */
  get mapped() {
    return [...this.byName.values()].filter((value) => value.array);
  }

  /** Units of the widest value. */
  get units() {
    return this.mapped.reduce((a, b) => (b.units.length > a.units.length ? b : a)).units;
  }
}

/** A run with its numbers decoded. */
export async function loadRun(head) {
  const places = await Promise.all(head.places.map((place) => Place.from(place, head.steps)));
  const findings = await Promise.all(head.findings.map(async (finding) => ({
    ...finding,
    matrix: finding.matrix && Object.assign(await Packed.from(finding.matrix), {
      low: finding.matrix.low, high: finding.matrix.high, within: finding.matrix.within,
    }),
  })));
  return { ...head, places, findings };
}
