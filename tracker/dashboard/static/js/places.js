// Lines, zones and occluders of a site as SVG over a picture, with arrows for directions and counts beside them.
import { html } from "../vendor/preact.js";
import { unit } from "./prefs.js";
import { number, t } from "./texts.js";

const CROWDED_PX = 90;

// Whether tags of all places would hide the picture; the numbers stand beside it too.
export const crowded = (site, width) => width < CROWDED_PX * unit() * Math.max(2, site.lines.length + site.zones.length);

// Points in shares as SVG points in pixels.
export const svgPoints = (points, width, height) => points.map(([x, y]) => `${(x * width).toFixed(1)},${(y * height).toFixed(1)}`).join(" ");

// Polygons of a zone, whether it has one or several.
export const ringsOf = (zone) => (zone.polygons.length && typeof zone.polygons[0][0] === "number" ? [zone.polygons] : zone.polygons.length && typeof zone.polygons[0][0][0] === "number" ? zone.polygons : [zone.polygons]);

// Middle of a polyline by length, with the unit normal onto its left as seen on screen, in pixels.
export function middleOf(points, width, height) {
  const px = points.map(([x, y]) => [x * width, y * height]);
  const lengths = px.slice(1).map((point, at) => Math.hypot(point[0] - px[at][0], point[1] - px[at][1]));
  let left = lengths.reduce((sum, one) => sum + one, 0) / 2;
  for (let at = 0; at < lengths.length; at += 1) {
    if (left <= lengths[at] || at === lengths.length - 1) {
      const share = lengths[at] ? Math.min(1, left / lengths[at]) : 0;
      const [dx, dy] = [px[at + 1][0] - px[at][0], px[at + 1][1] - px[at][1]];
      const length = Math.hypot(dx, dy) || 1;
      return { x: px[at][0] + dx * share, y: px[at][1] + dy * share, nx: dy / length, ny: -dx / length };
    }
    left -= lengths[at];
  }
  return { x: px[0]?.[0] ?? 0, y: px[0]?.[1] ?? 0, nx: 0, ny: -1 };
}

export function centreOf(ring, width, height) {
  const sum = ring.reduce(([x, y], point) => [x + point[0], y + point[1]], [0, 0]);
  return { x: (sum[0] / ring.length) * width, y: (sum[1] / ring.length) * height };
}

// Where a zone's label stands: inside, at its upper left corner, away from lines through its middle.
export function cornerOf(ring, width, height) {
  const middle = centreOf(ring, width, height);
  const [x, y] = ring.reduce((best, point) => (point[0] * width + 2 * point[1] * height < best[0] * width + 2 * best[1] * height ? point : best));
  const away = Math.hypot(middle.x - x * width, middle.y - y * height) || 1;
  const step = Math.min(30, away) / away;
  return { x: x * width + (middle.x - x * width) * step + 12, y: y * height + (middle.y - y * height) * step };
}

// Number of the colour of a place: its position among the site's lines and zones.
export const placeIndex = (site, name) => [...site.lines, ...site.zones].findIndex((one) => one.name === name);

export function Arrow({ from, dx, dy, length = 26, cls = "" }) {
  const k = unit();
  const [x, y] = [from.x + dx * length * k, from.y + dy * length * k];
  const [px, py] = [-dy * 5 * k, dx * 5 * k];
  const base = [x - dx * 9 * k, y - dy * 9 * k];
  return html`<g class=${`arrow ${cls}`}><line x1=${from.x} y1=${from.y} x2=${base[0]} y2=${base[1]} />
    <polygon points=${`${x},${y} ${base[0] + px},${base[1] + py} ${base[0] - px},${base[1] - py}`} /></g>`;
}

// A label kept inside the picture, with a plate for contrast.
export function Tag({ x, y, text, width, height, cls = "" }) {
  const k = unit();
  const wide = (text.length * 6.7 + 12) * k;
  const left = Math.min(Math.max(x - wide / 2, 2), Math.max(2, width - wide - 2));
  const top = Math.min(Math.max(y - 9 * k, 2), Math.max(2, height - 20 * k));
  return html`<g class=${`tag ${cls}`}><rect x=${left} y=${top} width=${wide} height=${18 * k} rx=${3 * k} />
    <text x=${left + wide / 2} y=${top + 13 * k} text-anchor="middle">${text}</text></g>`;
}

function LinePlace({ line, site, width, height, counts, quiet }) {
  const middle = middleOf(line.points, width, height);
  const cls = `place-line s${(placeIndex(site, line.name) % 8) + 1}`;
  const count = (direction) => {
    const found = counts && counts.find((one) => one.place === line.name && one.direction === direction);
    return found ? `${direction} ${number(found.count)}` : direction;
  };
  const at = (side) => ({ x: middle.x + middle.nx * side * 38 * unit(), y: middle.y + middle.ny * side * 38 * unit() });
  return html`<g class=${cls}><polyline class="halo" points=${svgPoints(line.points, width, height)} /><polyline points=${svgPoints(line.points, width, height)} />
    <${Arrow} from=${middle} dx=${middle.nx} dy=${middle.ny} /><${Arrow} from=${middle} dx=${-middle.nx} dy=${-middle.ny} cls="back" />
    ${!quiet && html`<${Tag} ...${at(1)} text=${count(line.to_left)} width=${width} height=${height} /><${Tag} ...${at(-1)} text=${count(line.to_right)} width=${width} height=${height} />`}</g>`;
}

export function Places({ site, width, height, counts, present, quiet, bare }) {
  if (!site || !width) return null;
  const silent = quiet || crowded(site, width);
  return html`<svg class=${bare ? "places bare" : "places"} viewBox=${`0 0 ${width} ${height}`} aria-hidden="true">
    ${site.zones.map((zone) => {
      const rings = ringsOf(zone);
      const middle = cornerOf(rings[0], width, height);
      const inside = present && present[zone.name] ? Object.values(present[zone.name]).reduce((sum, one) => sum + one, 0) : null;
      return html`<g class=${`place-zone s${(placeIndex(site, zone.name) % 8) + 1}`}>
        <path d=${rings.map((ring) => `M${svgPoints(ring, width, height).replaceAll(" ", "L")}Z`).join("")} />
        ${!silent && html`<${Tag} x=${middle.x} y=${middle.y} width=${width} height=${height} text=${inside === null ? zone.name : t("place.present", { name: zone.name, count: inside })} />`}</g>`;
    })}
    ${site.occluders.map((one) => html`<polygon class="place-occluder" points=${svgPoints(one.polygon, width, height)} />`)}
    ${site.lines.map((line) => html`<${LinePlace} line=${line} site=${site} width=${width} height=${height} counts=${counts} quiet=${silent} />`)}
  </svg>`;
}
