// Queues: how long they are over time, and how long those in them wait.
import { html } from "../../vendor/preact.js";
import { get } from "../api.js";
import { Chart } from "../chart.js";
import { Download, Filters, LeftOut, streamsPage, useChosen } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Empty, Field, Loaded, Notice, PageHead, Scroller, Segments, Select } from "../parts.js";
import { duration } from "../time.js";
import { decimal, number, plural, t } from "../texts.js";
import { Figure } from "./counts.js";

export const FINE_BINS_S = [60, 300, 900, 3600];
const DAY_S = 86_400;
const MOST_LINES = 8;
const ABOVE = 7;
const MOST_HOURS = 2000; // of more, each has less than a pixel of a chart

// The finest of the bins of an hour at most that gives a few hundred of them; days where even hours are too many.
export const fineBin = (from_ms, to_ms) => (from_ms === null || to_ms === null ? 900 : FINE_BINS_S.find((one) => (to_ms - from_ms) / 1000 / one <= 200) || ((to_ms - from_ms) / 3_600_000 <= MOST_HOURS ? 3600 : DAY_S));

// Spans to hatch: whole bins that an outage touches.
export const outSpans = (data) => data.starts_ms.filter((at) => data.outages.some((one) => one.from_ms < at + data.bin_s * 1000 && one.to_ms >= at)).map((at) => [at, at + data.bin_s * 1000]);

export const BinSelect = ({ bin_s, onChange }) => html`<${Select} label=${t("counts.bin")} value=${String(bin_s)} options=${[...new Set([...FINE_BINS_S, bin_s])].sort((a, b) => a - b).map((one) => [String(one), duration(one).replace(".0", "")])} onChange=${onChange} />`;

export default streamsPage("nav.queues", Body);

function Body({ streams }) {
  const { query, set, chosen, zone, first, span } = useChosen(streams);
  const bin_s = Number(query.get("bin")) || fineBin(span.from_ms, span.to_ms);
  const asked = query.get("above");
  const above = asked === null || !/^\d{1,3}$/.test(asked) ? ABOVE : Number(asked);
  const filter = { stream: chosen, from_ms: span.from_ms, to_ms: span.to_ms, bin_s, above };
  const queues = useLoad((signal) => get("/api/queues", filter, signal), [JSON.stringify(filter)], { every_s: span.span === "today" ? 15 : 0 });
  return html`<${PageHead} title=${t("nav.queues")} sub=${t("queues.sub")}><${Download} what="queues" filter=${filter} /><//>
    <${Filters} streams=${streams} first=${first}><${BinSelect} bin_s=${bin_s} onChange=${(value) => set({ bin: value })} />
      <${Field} label=${t("queues.limit")}><input type="number" min="0" max="999" value=${above} onChange=${(event) => set({ above: event.currentTarget.value === String(ABOVE) ? null : event.currentTarget.value })} /><//><//>
    <${Loaded} of=${queues}>${(data) => html`<${LeftOut} names=${data.left_out.filter((id) => data.queues.some((one) => one.stream === id))} /><${Found} data=${data} zone=${zone} shown=${query.get("show") || "mean"} onShow=${(value) => set({ show: value === "mean" ? null : value })} />`}<//>`;
}

function Found({ data, zone, shown, onShow }) {
  if (!data.queues.length) return html`<${Empty} icon="queues" title=${t("queues.none")}>${t("queues.none_text")}<//>`;
  if (!data.queues.some((one) => one.known)) return html`<${Empty} icon="queues" title=${t("queues.empty")}>${t("queues.empty_text", { queues: data.queues.map((one) => one.place).join(", ") })}<//>`;
  const key = shown === "most" ? "most" : "mean";
  const ranked = [...data.queues].sort((a, b) => b.mean_length - a.mean_length).slice(0, MOST_LINES);
  const lines = ranked.map((one, at) => ({ name: ranked.filter((other) => other.place === one.place).length > 1 ? `${one.place} (${one.stream})` : one.place, values: one[key], colour: at, digits: key === "mean" ? 1 : 0 }));
  return html`<dl class="figures">${ranked.slice(0, 4).map((one) => html`<${Figure} name=${t("queues.wait_at", { place: one.place })} value=${duration(one.median_wait_s)} note=${t("queues.wait_note", { p90: duration(one.p90_wait_s), longest: number(one.longest) })} />`)}</dl>
    ${data.outages.length > 0 && html`<${Notice} kind="warn">${plural("counts.outages", data.outages.length)} ${t("counts.outage_text")}<//>`}
    ${data.starts_ms.length > 0 && html`<section class="card"><header><h2>${t("queues.length", { bin: duration(data.bin_s).replace(".0", "") })}</h2><${Segments} label=${t("queues.shown")} value=${key} onChange=${onShow} options=${[["mean", t("queues.mean")], ["most", t("queues.most")]]} /></header>
      <${Chart} starts_ms=${data.starts_ms} bin_s=${data.bin_s} lines=${lines} spans=${outSpans(data)} zone=${data.timezone || zone} utc=${data.utc} label=${t("queues.chart_label")} /></section>`}
    <section class="card flush after"><header><h2>${t("queues.table")}</h2></header><${Table} data=${data} /></section><p class="soft after">${t("queues.note")}</p>`;
}

function Table({ data }) {
  return html`<${Scroller} label=${t("queues.table")}><table class="listing"><thead><tr><th scope="col">${t("queues.queue")}</th><th scope="col">${t("speeds.stream")}</th>${["served", "abandoned", "other", "mean_wait", "median", "p90", "worst"].map((name) => html`<th class="num" scope="col">${t(`queues.${name}`)}</th>`)}<th class="num" scope="col">${t("queues.mean")}</th><th class="num" scope="col">${t("queues.most")}</th><th class="num" scope="col">${t("queues.above", { count: data.above })}</th></tr></thead>
    <tbody>${data.queues.map((one) => html`<tr><th scope="row">${one.place}</th><td class="soft">${one.stream}</td>${one.known ? html`<td class="num">${number(one.served)}</td><td class="num">${number(one.abandoned)}</td><td class="num">${number(one.lost + one.waiting)}</td><td class="num">${duration(one.mean_wait_s)}</td><td class="num">${duration(one.median_wait_s)}</td><td class="num">${duration(one.p90_wait_s)}</td><td class="num">${duration(one.longest_wait_s)}</td><td class="num">${decimal(one.mean_length, 1)}</td><td class="num">${number(one.longest)}</td><td class="num">${decimal(100 * one.share_above, 1)} %</td>` : html`<td colspan="10" class="soft">${t("chart.unknown")}</td>`}</tr>`)}</tbody></table><//>`;
}
