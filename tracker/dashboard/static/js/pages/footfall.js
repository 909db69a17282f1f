// Footfall: visitors without staff and re-entries, groups, passers-by, and both capture rates by their names.
import { html } from "../../vendor/preact.js";
import { get } from "../api.js";
import { Chart } from "../chart.js";
import { Download, Filters, LeftOut, streamsPage, useChosen } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Empty, Loaded, Notice, PageHead, Scroller } from "../parts.js";
import { duration } from "../time.js";
import { decimal, number, plural, t } from "../texts.js";
import { Figure } from "./counts.js";
import { BinSelect, fineBin, outSpans } from "./queues.js";

const COUNTS = ["visitors", "entries", "staff", "re_entries", "groups", "grouped", "parties", "passers_by"];

export default streamsPage("nav.footfall", Body);

function Body({ streams }) {
  const { query, set, chosen, zone, first, span } = useChosen(streams);
  const bin_s = Number(query.get("bin")) || Math.max(900, fineBin(span.from_ms, span.to_ms));
  const filter = { stream: chosen, from_ms: span.from_ms, to_ms: span.to_ms, bin_s };
  const footfall = useLoad((signal) => get("/api/footfall", filter, signal), [JSON.stringify(filter)], { every_s: span.span === "today" ? 15 : 0 });
  return html`<${PageHead} title=${t("nav.footfall")} sub=${t("footfall.sub")}><${Download} what="footfall" filter=${filter} /><//>
    <${Filters} streams=${streams} first=${first}><${BinSelect} bin_s=${bin_s} onChange=${(value) => set({ bin: value })} /><//>
    <${Loaded} of=${footfall}>${(data) => html`<${LeftOut} names=${data.left_out.filter((id) => data.footfall.some((one) => one.stream === id))} /><${Found} data=${data} zone=${zone} />`}<//>`;
}

const share = (value) => (value === null ? "–" : `${decimal(100 * value, 1)} %`);

function Found({ data, zone }) {
  if (!data.footfall.length) return html`<${Empty} icon="footfall" title=${t("footfall.none")}>${t("footfall.none_text")}<//>`;
  const known = data.footfall.filter((one) => one.known);
  if (!known.length) return html`<${Empty} icon="footfall" title=${t("footfall.empty")}>${t("footfall.empty_text", { places: data.footfall.map((one) => one.place).join(", ") })}<//>`;
  return html`${data.outages.length > 0 && html`<${Notice} kind="warn">${plural("counts.outages", data.outages.length)} ${t("counts.outage_text")}<//>`}
    ${known.map((one) => html`<${One} key=${`${one.stream}/${one.place}`} one=${one} data=${data} zone=${data.timezone || zone} />`)}
    <section class="card flush after"><header><h2>${t("footfall.table")}</h2></header><${Table} rows=${data.footfall} /></section><p class="soft after">${t("footfall.note")}</p>`;
}

function One({ one, data, zone }) {
  const lines = [{ name: t("footfall.visitors"), values: one.bins.visitors, colour: 0 }];
  if (one.bins.passers_by) lines.push({ name: t("footfall.passers_by"), values: one.bins.passers_by, colour: 1 });
  return html`<section class="after"><h2 class="section">${one.place}<small class="soft">${one.stream}</small></h2>
    <dl class="figures"><${Figure} name=${t("footfall.visitors")} value=${number(one.visitors)} note=${t("footfall.without", { staff: number(one.staff), again: number(one.re_entries) })} />
      <${Figure} name=${t("footfall.parties")} value=${number(one.parties)} note=${t("footfall.in_groups", { groups: number(one.groups), grouped: number(one.grouped) })} />
      <${Figure} name=${t("footfall.passers_by")} value=${number(one.passers_by)} note=${one.passers_by === null ? t("footfall.no_line") : null} />
      <${Figure} name=${t("footfall.capture_of_passing")} value=${share(one.capture_of_passing)} note=${t("footfall.of_passing_note")} /><${Figure} name=${t("footfall.capture_of_all")} value=${share(one.capture_of_all)} note=${t("footfall.of_all_note")} /></dl>
    ${data.starts_ms.length > 0 && html`<div class="card"><header><h3>${t("footfall.over_time", { bin: duration(data.bin_s).replace(".0", "") })}</h3></header><${Chart} starts_ms=${data.starts_ms} bin_s=${data.bin_s} lines=${lines} spans=${outSpans(data)} zone=${zone} utc=${data.utc} label=${t("footfall.chart_label", { place: one.place })} /></div>`}</section>`;
}

function Table({ rows }) {
  return html`<${Scroller} label=${t("footfall.table")}><table class="listing"><thead><tr><th scope="col">${t("footfall.place")}</th><th scope="col">${t("speeds.stream")}</th>${COUNTS.map((name) => html`<th class="num" scope="col">${t(`footfall.${name}`)}</th>`)}<th class="num" scope="col">${t("footfall.capture_of_passing")}</th><th class="num" scope="col">${t("footfall.capture_of_all")}</th></tr></thead>
    <tbody>${rows.map((one) => html`<tr><th scope="row">${one.place}</th><td class="soft">${one.stream}</td>${one.known ? html`${COUNTS.map((name) => html`<td class="num">${number(one[name])}</td>`)}<td class="num">${share(one.capture_of_passing)}</td><td class="num">${share(one.capture_of_all)}</td>` : html`<td colspan="10" class="soft">${t("chart.unknown")}</td>`}</tr>`)}</tbody></table><//>`;
}
