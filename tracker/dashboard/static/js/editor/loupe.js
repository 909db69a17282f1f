// Magnifier while a finger covers the point: a piece of the picture, four times as large, in the corner away from it.
import { html, useEffect, useRef } from "../../vendor/preact.js";
import { placesIn, rings, SHAPES } from "./model.js";

const SIZE = 120;
const ZOOM = 4;

export function Loupe({ picture, point, state }) {
  const canvas = useRef(null);
  useEffect(() => {
    const source = picture();
    const context = canvas.current.getContext("2d");
    context.fillStyle = "#05080a";
    context.fillRect(0, 0, SIZE, SIZE);
    if (source) {
      const shown = source.getBoundingClientRect();
      const [sx, sy] = [source.width / shown.width, source.height / shown.height];
      const span = SIZE / ZOOM;
      context.drawImage(source, point[0] * source.width - (span * sx) / 2, point[1] * source.height - (span * sy) / 2, span * sx, span * sy, 0, 0, SIZE, SIZE);
      context.strokeStyle = "#ffb000";
      context.lineWidth = 2;
      for (const kind of SHAPES) for (const place of placesIn(state.site, kind)) for (const ring of rings(kind, place)) {
        context.beginPath();
        ring.forEach(([x, y], at) => context[at ? "lineTo" : "moveTo"](SIZE / 2 + (x - point[0]) * shown.width * ZOOM, SIZE / 2 + (y - point[1]) * shown.height * ZOOM));
        if (kind !== "lines") context.closePath();
        context.stroke();
      }
    }
    context.strokeStyle = "#ffffff";
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(SIZE / 2, 0);
    context.lineTo(SIZE / 2, SIZE);
    context.moveTo(0, SIZE / 2);
    context.lineTo(SIZE, SIZE / 2);
    context.stroke();
  });
  return html`<canvas ref=${canvas} class=${`loupe ${point[0] < 0.5 ? "right" : "left"}`} width=${SIZE} height=${SIZE} aria-hidden="true"></canvas>`;
}
