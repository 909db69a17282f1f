// Counts: bins over a line or of a zone, by place, direction and class, beside the week before.
import { html, useMemo } from "../../vendor/preact.js";
import { address, get } from "../api.js";
import { Chart } from "../chart.js";
import { Filters, firstSpan, LeftOut, recordedSpan, spanOf, SPANS, zoneOf, streamsPage } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Icon } from "../icons.js";
import { Check, Empty, Field, Loaded, Notice, PageHead, Scroller, Segments, Select } from "../parts.js";
import { useQuery } from "../router.js";
import { binClock, duration, dayText, offsetText, mediaClock } from "../time.js";
import { number, decimal, plural, t, word } from "../texts.js";

const WEEK_S = 604_800;
const BINS_S = [60, 300, 900, 3600, 86_400];
const MOST_LINES = 8;
const MOST_BINS = 1500;
const BY = ["direction", "place", "class", "stream"];
const COUNTED = ["crossing", "enter", "leave", "flow", "loitering"];

// The finest of the bins that gives a chart of a few hundred at most.
export function autoBin(from_ms, to_ms) {
  const span_s = from_ms === null || to_ms === null ? 86_400 * 28 : (to_ms - from_ms) / 1000;
  return BINS_S.find((one) => span_s / one <= 200) || 86_400;
}

export default streamsPage("nav.counts", Body);

function Body({ streams }) {
  const [query, set] = useQuery();
  const chosen = query.getAll("stream");
  const recording = (chosen.length === 1 && streams.find((one) => one.id === chosen[0] && one.kind === "recording")) || null;
  const zone = zoneOf(streams, chosen);
  const span = spanOf(query, zone, firstSpan(streams, chosen));
  const whole = span.span === "all" ? recordedSpan(streams, chosen) : span;
  const media_s = recording ? recording.duration_s || 600 : null;
  const bin_s = Number(query.get("bin")) || (media_s ? [1, 5, 10, 60, 300, 900].find((one) => media_s / one <= 60) || 3600 : autoBin(whole.from_ms, whole.to_ms));
  const by = query.get("by") || "direction";
  const compare = query.get("compare") === "1" && !recording;
  const kind = query.get("kind") || "crossing";
  const filter = { stream: chosen, kind, place: query.getAll("place"), direction: query.getAll("direction"), class: query.getAll("class"), from_ms: span.from_ms, to_ms: span.to_ms };
  const counts = useLoad((signal) => get("/api/counts", { ...filter, bin_s, by, timezone: zone, compare_s: compare ? WEEK_S : null }, signal), [JSON.stringify(filter), bin_s, by, compare, zone], { every_s: span.span === "today" ? 15 : 0 });
  const exportUrl = (format) => address(`/api/export/counts.${format}`, { ...filter, bin_s, by, timezone: zone });
  return html`<${PageHead} title=${t("nav.counts")} sub=${counts.data ? t("counts.sub", { zone: counts.data.utc ? counts.data.timezone : t("counts.media") }) : " "}>
      <a class="button" href=${exportUrl("csv")} download><${Icon} name="download" /><span>CSV</span></a>
      <a class="button" href=${exportUrl("json")} download><span>JSON</span></a><a class="button" href=${exportUrl("parquet")} download><span>Parquet</span></a><//>
    <${Filters} streams=${streams} with=${["place", "direction", "class"]} first=${firstSpan(streams, chosen)} spans=${recording && !recording.began_ms ? [] : SPANS}>
      <${Select} label=${t("counts.what")} value=${kind} options=${COUNTED.map((one) => [one, word("kind", one)])} onChange=${(value) => set({ kind: value === "crossing" ? null : value })} />
      <${Select} label=${t("counts.bin")} value=${String(bin_s)} options=${[...new Set([...(recording ? [1, 5, 10] : []), ...BINS_S, bin_s])].sort((a, b) => a - b).map((one) => [String(one), duration(one).replace(".0", "")])} onChange=${(value) => set({ bin: value })} />
      <${Select} label=${t("counts.by")} value=${by} options=${BY.map((one) => [one, t(`by.${one}`)])} onChange=${(value) => set({ by: value === "direction" ? null : value })} />
      ${!recording && html`<${Field} label=${t("counts.compare")}><${Check} label=${t("counts.week_before")} checked=${compare} onChange=${(on) => set({ compare: on })} /><//>`}
    <//>
    <${Loaded} of=${counts}>${(data) => html`<${LeftOut} names=${data.left_out} /><${Numbers} data=${data} by=${by} zone=${zone} shape=${query.get("shape") || "line"} onShape=${(value) => set({ shape: value === "line" ? null : value })} />`}<//>`;
}

const nameOf = (group, by) => group[by] || t("counts.none");

function Numbers({ data, by, zone, shape, onShape }) {
  const ranked = useMemo(() => [...data.series].sort((a, b) => b.total - a.total), [data]);
  const shown = ranked.slice(0, MOST_LINES);
  const before = (group) => data.compared && data.compared.find((one) => JSON.stringify(one.group) === JSON.stringify(group));
  const local = data.timezone || zone;
  if (!data.series.length) return html`<${Empty} icon="counts" title=${t("counts.empty")}>${t("counts.empty_text")}<//>`;
  // An outage that touches a bin hatches the whole bin: its number is too low.
  const spans = data.outage_bins.flatMap((out, at) => (out ? [[data.starts_ms[at], data.starts_ms[at] + data.bin_s * 1000]] : []));
  const hidden = (row) => row.map((value, at) => (value === null || (data.outage_bins[at] && value === 0) || (data.utc && data.starts_ms[at] > Date.now()) ? null : value));
  const lines = [
    ...shown.map((one, at) => ({ name: nameOf(one.group, by), values: hidden(one.counts), colour: at })),
    ...(data.compared ? shown.flatMap((one, at) => (before(one.group) ? [{ name: t("counts.before", { name: nameOf(one.group, by) }), values: before(one.group).counts, colour: at, dashed: true }] : [])) : []),
  ];
  const total = data.series.reduce((sum, one) => sum + one.total, 0);
  const known = data.compared ? comparable(data) : null;
  return html`<dl class="figures"><${Figure} name=${t("counts.total")} value=${number(total)} note=${known && change(known.now, known.before)} />
      ${ranked.slice(0, 4).map((one) => html`<${Figure} name=${nameOf(one.group, by)} value=${number(one.total)} />`)}<${Peak} data=${data} zone=${local} /></dl>
    ${data.outages.length > 0 && html`<${Notice} kind="warn">${plural("counts.outages", data.outages.length)} ${t("counts.outage_text")}<//>`}
    ${ranked.length > MOST_LINES && html`<${Notice}>${t("counts.top", { count: MOST_LINES, all: ranked.length })}<//>`}
    <section class="card"><header><h2>${t("counts.chart", { bin: duration(data.bin_s).replace(".0", "") })}</h2><${Segments} label=${t("counts.shape")} value=${shape} onChange=${onShape} options=${[["line", t("shape.line")], ["bars", t("shape.bars")]]} /></header>
      <${Chart} starts_ms=${data.starts_ms} bin_s=${data.bin_s} lines=${lines} spans=${spans} zone=${local} utc=${data.utc} shape=${shape} label=${t("counts.chart_label", { total: number(total) })} /></section>
    <details class="card table-fold"><summary>${t("counts.table")}</summary><${Table} data=${data} rows=${shown} by=${by} zone=${local} /></details>`;
}

export const Figure = ({ name, value, note }) => html`<div class="figure"><dt>${name}</dt><dd>${value}${note && html`<small>${note}</small>`}</dd></div>`;

// Sums of the bins that are known in both periods: an outage or the rest of today must not look like a loss.
function comparable(data) {
  let now = 0;
  let before = 0;
  data.series.forEach((one) => {
    const old = data.compared.find((row) => JSON.stringify(row.group) === JSON.stringify(one.group));
    one.counts.forEach((value, at) => {
      if (value === null || data.outage_bins[at] || !old || old.counts[at] === null || data.starts_ms[at] + data.bin_s * 1000 > Date.now()) return;
      now += value;
      before += old.counts[at];
    });
  });
  return { now, before };
}

function change(now, before) {
  if (!before) return t("counts.no_before");
  const share = (100 * (now - before)) / before;
  return html`<span class=${share >= 0 ? "rise" : "fall"}>${share >= 0 ? "▲" : "▼"} ${decimal(Math.abs(share), 1)} %</span> ${t("counts.than_before")}`;
}

function Peak({ data, zone }) {
  const sums = data.starts_ms.map((_, at) => data.series.reduce((sum, one) => sum + (one.counts[at] || 0), 0));
  const at = sums.indexOf(Math.max(...sums));
  if (at < 0 || !sums[at]) return null;
  const start = data.starts_ms[at];
  return html`<${Figure} name=${t("counts.peak")} value=${number(sums[at])} note=${data.utc ? `${dayText(start, zone)} ${binClock(start, zone, data.bin_s)}` : mediaClock(start / 1000)} />`;
}

function Table({ data, rows, by, zone }) {
  const starts = data.starts_ms.slice(0, MOST_BINS);
  return html`<${Scroller} label=${t("counts.table")}><table><thead><tr><th scope="col">${t("counts.start")}</th>${rows.map((one) => html`<th class="num" scope="col">${nameOf(one.group, by)}</th>`)}</tr></thead>
    <tbody>${starts.map((at, row) => html`<tr><th scope="row">${data.utc ? `${dayText(at, zone)} ${binClock(at, zone, data.bin_s)} ${offsetText(at, zone)}` : mediaClock(at / 1000)}</th>
      ${rows.map((one) => html`<td class="num">${one.counts[row] === null ? html`<span class="soft">${t("chart.unknown")}</span>` : number(one.counts[row])}${data.outage_bins[row] && one.counts[row] !== null ? html` <span class="soft" title=${t("chart.outage")}>*</span>` : ""}</td>`)}</tr>`)}</tbody></table><//>`;
}
