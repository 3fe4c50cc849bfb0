/** Numbers as a person reads them: no more digits than are true. */

const MINUS = "−";
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** @param {number} exponent */
function raised(exponent) {
  const digits = [...String(Math.abs(exponent))].map((d) => RAISED[Number(d)]).join("");
  return (exponent < 0 ? "⁻" : "") + digits;
}

/**
 * A number with a fixed count of decimals, or as a power of ten where it is very small or large.
 * @param {number | null} x
 * @param {number} [decimals]
 */
export function plain(x, decimals = 4) {
  if (x === null || x === undefined || Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x < 0 ? `${MINUS}∞` : "∞";
  const size = Math.abs(x);
  if (size !== 0 && (size >= 1e5 || size < 0.5 * 10 ** -decimals)) {
    const [digits, power] = x.toExponential(2).split("e");
    return `${digits.replace("-", MINUS)}·10${raised(Number(power))}`;
  }
  const places = size >= 1000 ? Math.max(0, decimals - 3) : decimals;
  const text = x.toFixed(places);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", MINUS);
}

/**
 * A number that may differ from the recording by `error`: only decimals that are sure, behind ≈.
 * @param {{x: number, error: number}} number
 */
export function honest({ x, error }) {
  if (!error || !Number.isFinite(x)) return plain(x);
  const decimals = Math.min(4, Math.max(0, Math.floor(-Math.log10(error))));
  const text = x.toFixed(decimals);
  return `≈${(Number(text) === 0 ? text.replace("-", "") : text).replace("-", MINUS)}`;
}

/** @param {number} share between 0 and 1 */
export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const value = 100 * share;
  if (value > 0 && value < 0.05) return "<0.1 %";
  return `${value > 0 && value < 9.5 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** A power of ten as it stands at an axis. @param {number} x */
export function power(x) {
  const exponent = Math.log10(x);
  if (!Number.isInteger(exponent) || Math.abs(exponent) < 3) return plain(x, x < 1 ? 2 : 0);
  return `10${raised(exponent)}`;
}

/** A count with thin spaces between thousands. @param {number} n */
export function count(n) {
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/**
 * Round numbers for the ticks of an axis.
 * @param {number} low
 * @param {number} high
 * @param {number} wanted
 */
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough) || rough;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}
