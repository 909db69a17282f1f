// Flows: from where to where, as a matrix and as arrows over the picture.
import { html } from "../../vendor/preact.js";
import { get, streamPath } from "../api.js";
import { Filters, streamsPage, useChosen } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Empty, Loaded, PageHead, Scroller, Swatch } from "../parts.js";
import { centreOf, middleOf, Places, ringsOf } from "../places.js";
import { Link, streamUrl } from "../router.js";
import { Stage } from "../stage.js";
import { number, t } from "../texts.js";

const STILL = { masks: false, trails: false, labels: false, contacts: false, places: false };
const MOST_ARROWS = 12;

export default streamsPage("nav.flows", Body);

function Body({ streams }) {
  const { query, chosen, first, span } = useChosen(streams);
  const filter = { stream: chosen, from_ms: span.from_ms, to_ms: span.to_ms };
  const flows = useLoad((signal) => get("/api/flows", filter, signal), [JSON.stringify(filter)], { every_s: span.span === "today" ? 30 : 0 });
  return html`<${PageHead} title=${t("nav.flows")} sub=${t("flows.sub")} /><${Filters} streams=${streams} first=${first} />
    <${Loaded} of=${flows}>${(data) => {
      if (!data.flows.length) return html`<${Empty} icon="flows" title=${t("flows.empty")}>${t("flows.empty_text")}<//>`;
      const ids = [...new Set(data.flows.map((one) => one.stream))];
      return ids.map((id) => html`<${OneStream} key=${id} stream=${streams.find((one) => one.id === id)} id=${id} flows=${data.flows.filter((one) => one.stream === id)} />`);
    }}<//>`;
}

function OneStream({ stream, id, flows }) {
  const site = useLoad((signal) => get(streamPath(id, "/site"), {}, signal).then((found) => found.site), [id]);
  const ranked = [...flows].sort((a, b) => b.count - a.count);
  return html`<section class="flow-stream"><h2 class="section"><${Link} href=${streamUrl(id)}>${id}<//></h2><div class="columns even">
    <div class="card flush">${stream && html`<${Stage} stream=${stream} toggles=${STILL} fps=${1} label=${t("flows.map", { name: id })}>
      ${({ width, height }) => html`<${Places} site=${site.data && { ...site.data, zones: [], occluders: [] }} width=${width} height=${height} quiet=${true} bare=${true} />
        <${Arrows} site=${site.data} flows=${ranked.slice(0, MOST_ARROWS)} width=${width} height=${height} />`}<//>`}</div>
    <div class="stack"><div class="card flush"><${Matrix} flows=${flows} name=${id} /></div>
      <div class="card"><ol class="ranks">${ranked.slice(0, 8).map((one, at) => html`<li><${Swatch} index=${at} /><span>${one.name}</span><b class="num">${number(one.count)}</b></li>`)}</ol></div></div></div></section>`;
}

function Matrix({ flows, name }) {
  const starts = [...new Set(flows.map((one) => one.start))];
  const ends = [...new Set(flows.map((one) => one.end))];
  const most = Math.max(1, ...flows.map((one) => one.count));
  const cell = (start, end) => {
    const found = flows.filter((one) => one.start === start && one.end === end);
    return found.length ? found.reduce((sum, one) => sum + one.count, 0) : null;
  };
  const sum = (rows) => rows.reduce((total, one) => total + (one || 0), 0);
  const heat = (value) => (value ? `h${Math.min(4, Math.ceil((4 * value) / most))}` : "h0");
  return html`<${Scroller} label=${t("flows.matrix", { name })}><table class="matrix"><thead><tr><th scope="col">${t("flows.from_to")}</th>${ends.map((end) => html`<th scope="col">${end}</th>`)}<th scope="col">${t("flows.sum")}</th></tr></thead>
    <tbody>${starts.map((start) => html`<tr><th scope="row">${start}</th>${ends.map((end) => html`<td class=${heat(cell(start, end))}>${cell(start, end) === null ? html`<span class="soft" aria-label=${t("flows.not_measured")}>–</span>` : number(cell(start, end))}</td>`)}<td><b>${number(sum(ends.map((end) => cell(start, end))))}</b></td></tr>`)}
    <tr><th scope="row">${t("flows.sum")}</th>${ends.map((end) => html`<td><b>${number(sum(starts.map((start) => cell(start, end))))}</b></td>`)}<td><b>${number(sum(flows.map((one) => one.count)))}</b></td></tr></tbody></table><//>`;
}

function middle(site, name, width, height) {
  const line = site.lines.find((one) => one.name === name);
  if (line) return middleOf(line.points, width, height);
  const zone = site.zones.find((one) => one.name === name);
  return zone ? centreOf(ringsOf(zone)[0], width, height) : null;
}

// Curves from start to end, as wide as their share; both ways beside each other.
function Arrows({ site, flows, width, height }) {
  if (!site || !width) return null;
  const most = Math.max(1, ...flows.map((one) => one.count));
  const centre = { x: width / 2, y: height / 2 };
  return html`<svg class="places" viewBox=${`0 0 ${width} ${height}`} aria-hidden="true">${[...flows].reverse().map((flow) => {
    const at = flows.indexOf(flow);
    const [from, to] = [middle(site, flow.start, width, height), middle(site, flow.end, width, height)];
    if (!from || !to || !flow.count) return null;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = Math.hypot(dx, dy) || 1;
    const [nx, ny] = [-dy / length, dx / length];
    const bend = flow.start === flow.end ? 70 : 16;
    const mid = { x: (from.x + to.x) / 2 * 0.6 + centre.x * 0.4 + nx * bend, y: (from.y + to.y) / 2 * 0.6 + centre.y * 0.4 + ny * bend };
    const wide = 1.5 + (8 * flow.count) / most;
    const end = Math.hypot(to.x - mid.x, to.y - mid.y) || 1;
    const [ux, uy] = [(to.x - mid.x) / end, (to.y - mid.y) / end];
    const head = 7 + wide;
    const tip = { x: to.x - ux * 4, y: to.y - uy * 4 };
    const base = { x: tip.x - ux * head, y: tip.y - uy * head };
    const path = `M${from.x} ${from.y}Q${mid.x} ${mid.y} ${base.x} ${base.y}`;
    return html`<g class=${`s${(at % 8) + 1}`}><title>${flow.name}: ${flow.count}</title><path class="flow-halo" d=${path} stroke-width=${wide + 2.5} /><path class="flow-arrow" d=${path} stroke-width=${wide} />
      <polygon class="flow-head" points=${`${tip.x},${tip.y} ${base.x - uy * head * 0.6},${base.y + ux * head * 0.6} ${base.x + uy * head * 0.6},${base.y - ux * head * 0.6}`} /></g>`;
  })}</svg>`;
}
