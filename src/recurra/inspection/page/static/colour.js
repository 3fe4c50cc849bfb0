/** Scales of colour, built in OKLCH so that equal differences look equal; safe for colour blindness.
 *  Björn Ottosson 2020, "A perceptual color space for image processing". */

/** @typedef {"up" | "both"} Scale  from 0 up, or both ways from 0 */

// Lightness and chroma at 0 and at the end; hue of each end. Blue and orange differ for all eyes.
const ENDS = {
  light: { zero: [0.98, 0.004], both: [0.53, 0.15], up: [0.46, 0.1], soft: [0.8, 0.105] },
  dark: { zero: [0.225, 0.008], both: [0.7, 0.135], up: [0.7, 0.09], soft: [0.46, 0.1] },
};
const HUES = { below: 255, above: 50, up: 195 };

/** @returns {[number, number, number] | null}  null outside sRGB */
function rgb(lightness, chroma, hue) {
  const angle = (hue * Math.PI) / 180;
  const a = chroma * Math.cos(angle);
  const b = chroma * Math.sin(angle);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const n = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * n,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * n,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * n,
  ];
  if (linear.some((x) => x < -1e-4 || x > 1.0001)) return null;
  const whole = linear.map((x) => {
    const held = Math.min(1, Math.max(0, x));
    return Math.round(255 * (held <= 0.0031308 ? 12.92 * held : 1.055 * held ** (1 / 2.4) - 0.055));
  });
  return /** @type {[number, number, number]} */ (whole);
}

/** The colour with this lightness and hue, with as much of the chroma as a screen can show. */
function inGamut(lightness, chroma, hue) {
  for (let c = chroma; c > 0; c -= 0.004) {
    const found = rgb(lightness, c, hue);
    if (found) return found;
  }
  return rgb(lightness, 0, hue) || [0, 0, 0];
}

/** @type {Map<string, [number, number, number][]>} */
const made = new Map();

/**
 * 256 colours of a scale.
 * @param {Scale} scale
 * @param {"light"|"dark"} theme
 * @param {boolean} [soft]  behind text: ends that leave the letters readable
 */
export function colours(scale, theme, soft = false) {
  const key = `${scale} ${theme} ${soft}`;
  const known = made.get(key);
  if (known) return known;
  const { zero } = ENDS[theme];
  const end = ENDS[theme][soft ? "soft" : scale];
  const list = Array.from({ length: 256 }, (_, k) => {
    const at = k / 255;
    const far = scale === "both" ? Math.abs(2 * at - 1) : at;
    const hue = scale === "up" ? HUES.up : at < 0.5 ? HUES.below : HUES.above;
    const chroma = zero[1] + (end[1] - zero[1]) * far ** 0.8;
    return inGamut(zero[0] + (end[0] - zero[0]) * far, chroma, hue);
  });
  made.set(key, list);
  return list;
}

/** The same colours as numbers for ImageData. */
export function pixels(scale, theme) {
  const list = colours(scale, theme).map(([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r);
  return new Uint32Array(list);
}

/** A colour in CSS. */
export function css([r, g, b]) {
  return `rgb(${r} ${g} ${b})`;
}

/**
 * The colour of a number on the scale of its value.
 * @param {{low: number, high: number, scale: Scale}} value
 */
export function colourOf(value, x, theme, soft = false) {
  if (!Number.isFinite(x)) return "var(--broken)";
  const at = (x - value.low) / (value.high - value.low);
  return css(colours(value.scale, theme, soft)[Math.round(255 * Math.min(1, Math.max(0, at)))]);
}

/** Colours of lines, told apart by all eyes, also by lightness (after Okabe and Ito 2008). */
export const LINES = {
  light: ["#0072b2", "#c2500a", "#00785a", "#8a4fa3", "#7a5c00", "#3f4652"],
  dark: ["#6cb8f0", "#f0975a", "#4cc9a0", "#d3a0ea", "#dcbc52", "#c3c9d2"],
};
