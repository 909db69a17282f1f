// Charts of bins: uPlot with the page's colours, local-time axis, hatched outages, gaps where nothing is known.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import uPlot from "../vendor/uplot.js";
import { useSize } from "./hooks.js";
import { Swatch } from "./parts.js";
import { token, useTheme } from "./prefs.js";
import { axisLabels, binClock, localParts, mediaClock, minuteClock, MONTH_S, offsetText, dayText, startOfDay, startOfMonth } from "./time.js";
import { decimal, number, t } from "./texts.js";

const HOUR = 3600;
const MOST_DOTS = 60; // of a series; more are a thick line
const DAY = 24 * HOUR;
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120];
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 1800, ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR), ...[1, 2, 3, 7, 14].map((days) => days * DAY), ...MONTHS.map((months) => months * MONTH_S)];

// Instants of an axis: round in local time of the place also where the clock is changed between them.
export function splitsOf(from_ms, to_ms, most, zone, utc) {
  const span_s = (to_ms - from_ms) / 1000;
  const step_s = STEPS_S.find((one) => span_s / one <= most) || STEPS_S[STEPS_S.length - 1];
  return { splits: !utc || step_s < HOUR ? even(from_ms, to_ms, step_s * 1000) : local(from_ms, to_ms, step_s, zone), step_s };
}

function even(from_ms, to_ms, step) {
  const splits = [];
  for (let at = Math.ceil(from_ms / step) * step; at <= to_ms; at += step) splits.push(at);
  return splits;
}

// Round hours, days from the first one on, or firsts of months.
function local(from_ms, to_ms, step_s, zone) {
  if (step_s < DAY) {
    return even(from_ms, to_ms, HOUR * 250).filter((at) => { // quarters: zones are off by these
      const [hour, minute] = minuteClock(at, zone).split(":").map(Number);
      return minute === 0 && hour % (step_s / HOUR) === 0;
    });
  }
  const splits = [];
  const first = localParts(from_ms, zone);
  for (let number = 0; ; number += 1) {
    const at = step_s < MONTH_S ? startOfDay(from_ms, zone, number * (step_s / DAY)) : startOfMonth(Number(first.year), number * (step_s / MONTH_S), zone);
    if (at > to_ms) return splits;
    if (at >= from_ms) splits.push(at);
  }
}

function hatch(context, ratio, colour) {
  const size = 8 * ratio;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5 * ratio;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

// Draws spans in which the camera did not see, over the whole height.
const outagePlugin = (spans) => ({
  hooks: {
    drawAxes: [(plot) => {
      const { ctx, bbox } = plot;
      const ratio = window.devicePixelRatio || 1;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.fillStyle = hatch(ctx, ratio, token("hatch"));
      for (const [from, to] of spans) {
        const left = plot.valToPos(from, "x", true);
        ctx.fillRect(left, bbox.top, Math.max(2 * ratio, plot.valToPos(to, "x", true) - left), bbox.height);
      }
      ctx.restore();
    }],
  },
});

// Props: starts_ms, bin_s, lines [{name, values, colour (0..7), dashed}], spans [[from_ms, to_ms]], zone, utc, shape "bars"|"line".
export function Chart({ starts_ms, bin_s, lines, spans = [], zone, utc = true, shape = "line", height = 300, label }) {
  const [box, size] = useSize();
  const mount = useRef(null);
  const [hidden, setHidden] = useState([]);
  const [cursor, setCursor] = useState(null);
  const dark = useTheme();
  const end_ms = starts_ms.length ? starts_ms[starts_ms.length - 1] + bin_s * 1000 : 0;
  useEffect(() => {
    if (!mount.current || size.width < 50 || !starts_ms.length) return undefined;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const font = `${Math.round(12 * rem)}px ${token("font")}`;
    const most = Math.max(2, Math.floor(size.width / (76 * rem)));
    const { splits, step_s } = splitsOf(starts_ms[0], end_ms, most, zone, utc);
    const x = starts_ms.map((at) => (at + bin_s * 500) / 1000); // middles of the bins
    const bars = shape === "bars";
    const drawn = bars ? stacked(lines, hidden) : lines;
    const axis = { stroke: token("ink-soft"), grid: { stroke: token("grid-line"), width: 1 }, ticks: { stroke: token("grid-line"), width: 1 }, font };
    const labels = utc ? axisLabels(splits, zone, step_s) : splits.map((at) => mediaClock(at / 1000));
    const options = {
      width: size.width, height: height * rem, ms: 1, pxAlign: 1,
      cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } }, legend: { show: false },
      scales: { x: { time: false, range: () => [starts_ms[0] / 1000, end_ms / 1000] }, y: { range: (plot, low, high) => [0, Math.max(4, high * 1.08 || 4)] } },
      axes: [
        { ...axis, size: 48 * rem, gap: 6, splits: () => splits.map((at) => at / 1000), values: () => labels, lineGap: 1.3 },
        { ...axis, size: 52 * rem, values: (plot, values) => values.map((one) => number(one)), incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000] },
      ],
      series: [{}, ...drawn.map((line) => ({
        label: line.name, show: !hidden.includes(line.name), spanGaps: false, points: pointsOf(line, bars && !line.dashed),
        stroke: token(`series-${(line.colour % 8) + 1}`), width: bars && !line.dashed ? 0 : 2, dash: line.dashed ? [6, 5] : undefined,
        fill: bars && !line.dashed ? token(`series-${(line.colour % 8) + 1}`) : undefined,
        paths: bars && !line.dashed ? uPlot.paths.bars({ size: [0.8, 60] }) : uPlot.paths.linear(),
      }))],
      hooks: { setCursor: [(plot) => setCursor(plot.cursor.idx === null || plot.cursor.idx === undefined ? null : plot.cursor.idx)] },
      plugins: [outagePlugin(spans.map(([from, to]) => [from / 1000, to / 1000]))],
    };
    const plot = new uPlot(options, [x, ...drawn.map((line) => line.values)], mount.current);
    return () => plot.destroy();
  }, [size.width, JSON.stringify(starts_ms.slice(0, 2)), end_ms, JSON.stringify(lines), JSON.stringify(spans), zone, utc, shape, hidden.join(), dark, height]);
  const flip = (name) => setHidden(hidden.includes(name) ? hidden.filter((one) => one !== name) : [...hidden, name]);
  const span = (at) => (utc ? `${dayText(at, zone)} ${binClock(at, zone, bin_s)}–${binClock(at + bin_s * 1000, zone, bin_s)} (UTC${offsetText(at, zone)})` : `${mediaClock(at / 1000)}–${mediaClock(at / 1000 + bin_s)}`);
  return html`<figure class="chart-box"><div class="chart" ref=${box}><div ref=${mount} role="img" aria-label=${label}></div></div>
    <p class="readout" aria-hidden="true">${cursor === null ? t("chart.hint") : html`${span(starts_ms[cursor])} · ${lines.filter((line) => !hidden.includes(line.name)).map((line, at) => html`${at ? " · " : ""}${line.name} ${line.values[cursor] === null ? t("chart.unknown") : line.digits ? decimal(line.values[cursor], line.digits) : number(line.values[cursor])}`)}`}</p>
    <div class="legend">${lines.map((line) => html`<button type="button" key=${line.name} aria-pressed=${!hidden.includes(line.name)} onClick=${() => flip(line.name)}>${line.dashed ? html`<span class=${`dashed s${(line.colour % 8) + 1}`} aria-hidden="true"></span>` : html`<${Swatch} index=${line.colour} />`}${line.name}</button>`)}
      ${spans.length > 0 && html`<span class="row soft"><span class="hatched" aria-hidden="true"></span><small>${t("chart.outage")}</small></span>`}</div></figure>`;
}

// Dots of a series: of short ones all, of long ones those between two gaps, which no line reaches.
export function alone(values) {
  const known = (at) => values[at] !== null && values[at] !== undefined;
  return values.flatMap((value, at) => (known(at) && !known(at - 1) && !known(at + 1) ? [at] : []));
}

function pointsOf(line, bar) {
  const shown = line.values.length < MOST_DOTS ? null : alone(line.values);
  return { show: !bar && (shown === null || shown.length > 0), size: shown === null ? 5 : 8, filter: () => shown };
}

// Bars of several series stand on each other: sums from below, the tallest drawn first.
function stacked(lines, hidden) {
  const sums = [];
  const solid = [];
  for (const line of lines.filter((one) => !one.dashed && !hidden.includes(one.name))) {
    line.values.forEach((value, at) => (sums[at] = value === null ? sums[at] ?? null : (sums[at] || 0) + value));
    solid.unshift({ ...line, values: sums.map((sum, at) => (line.values[at] === null ? null : sum)) });
  }
  return [...solid, ...lines.filter((one) => one.dashed)];
}

// A histogram as rows, readable as text too.
export function Bars({ rows, label }) {
  const most = Math.max(1, ...rows.map((row) => row.count));
  return html`<div class="bars" role="list" aria-label=${label}>${rows.map((row) => html`<span class="num soft" role="listitem">${row.name}</span>
    <span class="bar" aria-hidden="true"><svg viewBox="0 0 100 10" preserveAspectRatio="none"><rect width=${(row.count / most) * 100} height="10" /></svg></span><b class="num">${number(row.count)}</b>`)}</div>`;
}
