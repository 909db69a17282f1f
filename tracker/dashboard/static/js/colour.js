// Colours of identities: the same numbers as tracker/render/colour.py gives, as hexadecimal sRGB.
const GOLDEN_ANGLE_DEG = 180 * (3 - Math.sqrt(5));
const FIRST_HUE_DEG = 250;
const TIERS = [[0.77, 0.18], [0.65, 0.21], [0.74, 0.19], [0.62, 0.21]];
const known = new Map();

const gamma = (channel) => (channel <= 0.0031308 ? 12.92 * channel : 1.055 * channel ** (1 / 2.4) - 0.055);

// OKLCH to gamma-coded sRGB; channels outside 0..1 are out of gamut.
function srgb(lightness, chroma, hue) {
  const a = chroma * Math.cos(hue);
  const b = chroma * Math.sin(hue);
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    gamma(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
    gamma(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
    gamma(-0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short),
  ];
}

export function identityColour(identity) {
  let colour = known.get(identity);
  if (colour) return colour;
  const [lightness, chroma] = TIERS[identity % TIERS.length];
  const hue = (((FIRST_HUE_DEG + GOLDEN_ANGLE_DEG * (identity - 1)) % 360) * Math.PI) / 180;
  let channels = [0, 0, 0];
  for (let step = 0; step < 20; step += 1) {
    channels = srgb(lightness, chroma * (1 - step / 20), hue);
    if (channels.every((one) => one >= -0.001 && one <= 1.001)) break;
  }
  const byte = (channel) => Math.round(Math.min(Math.max(channel, 0), 1) * 255);
  colour = `#${channels.map((one) => byte(one).toString(16).padStart(2, "0")).join("")}`;
  if (known.size > 4096) known.clear();
  known.set(identity, colour);
  return colour;
}

const linear = (channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);

// Relative luminance (WCAG 2) of `#rrggbb`.
export function luminance(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => linear(parseInt(colour.slice(at, at + 2), 16) / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// Near black or white, whichever reads better on a colour.
export function inkFor(colour) {
  const surface = luminance(colour);
  const dark = "#121418";
  return (surface + 0.05) / (luminance(dark) + 0.05) >= 1.05 / (surface + 0.05) ? dark : "#ffffff";
}

// Categorical colour number `index` of the theme: 8, then again.
export const categorical = (index) => `var(--series-${(index % 8) + 1})`;
