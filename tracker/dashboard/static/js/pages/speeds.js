// Speeds: percentiles and both means of passages over lines that measure them, by line, direction and class.
import { html } from "../../vendor/preact.js";
import { get } from "../api.js";
import { Bars } from "../chart.js";
import { Download, Filters, streamsPage, useChosen } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Check, Empty, Field, Loaded, Notice, PageHead, Scroller, Select } from "../parts.js";
import { decimal, number, t } from "../texts.js";
import { Figure } from "./counts.js";

const UNITS = ["km/h", "mph", "m/s"];
const FIGURES = ["v15", "v50", "v85", "time_mean", "space_mean"];

export default streamsPage("nav.speeds", Body);

function Body({ streams }) {
  const { query, set, chosen, first, span } = useChosen(streams);
  const unit = UNITS.includes(query.get("unit")) ? query.get("unit") : UNITS[0];
  const free = query.get("free") === "1";
  const filter = { stream: chosen, place: query.getAll("place"), direction: query.getAll("direction"), class: query.getAll("class"), from_ms: span.from_ms, to_ms: span.to_ms, unit, free_flow: free || null };
  const speeds = useLoad((signal) => get("/api/speeds", filter, signal), [JSON.stringify(filter)], { every_s: span.span === "today" ? 30 : 0 });
  return html`<${PageHead} title=${t("nav.speeds")} sub=${t("speeds.sub")}><${Download} what="speeds" filter=${filter} /><//>
    <${Filters} streams=${streams} with=${["place", "direction", "class"]} first=${first}>
      <${Select} label=${t("speeds.unit")} value=${unit} options=${UNITS.map((one) => [one, one])} onChange=${(value) => set({ unit: value === UNITS[0] ? null : value })} />
      <${Field} label=${t("speeds.which")}><${Check} label=${t("speeds.free")} checked=${free} onChange=${(on) => set({ free: on })} /><//>
    <//>
    <${Loaded} of=${speeds}>${(data) => html`<${Found} data=${data} />`}<//>`;
}

function Found({ data }) {
  if (!data.lines.length) return html`<${Empty} icon="speeds" title=${t("speeds.none")}>${t("speeds.none_text")}<//>`;
  if (!data.all) return html`<${Empty} icon="speeds" title=${t("speeds.empty")}>${t("speeds.empty_text", { lines: [...new Set(data.lines.map((one) => one.place))].join(", ") })}<//>`;
  const rows = data.histogram.map((one) => ({ name: `${trim(one.from)}–${trim(one.to)}`, count: one.count }));
  const unit = html` <span class="unit">${data.unit}</span>`;
  const value = (one) => (one === null ? "–" : html`${decimal(one, 1)}${unit}`);
  return html`<dl class="figures"><${Figure} name=${t("speeds.v85")} value=${value(data.all.v85)} note=${t("speeds.v85_note")} /><${Figure} name=${t("speeds.v50")} value=${value(data.all.v50)} />
      <${Figure} name=${t("speeds.time_mean")} value=${value(data.all.time_mean)} note=${t("speeds.time_mean_note")} /><${Figure} name=${t("speeds.space_mean")} value=${value(data.all.space_mean)} note=${t("speeds.space_mean_note")} />
      <${Figure} name=${t("speeds.n")} value=${number(data.all.n)} note=${data.all.unknown ? t("speeds.unknown", { count: number(data.all.unknown) }) : null} /></dl>
    ${data.all.n < data.least_n && html`<${Notice}>${t("speeds.few", { count: data.least_n })}<//>`}
    ${rows.length > 0 && html`<section class="card after"><header><h2>${t("speeds.histogram", { unit: data.unit })}</h2></header><${Bars} rows=${rows} label=${t("speeds.histogram", { unit: data.unit })} /></section>`}
    <section class="card flush after"><header><h2>${t("speeds.by_line", { unit: data.unit })}</h2></header><${Table} data=${data} /></section>`;
}

function Table({ data }) {
  const quiet = data.lines.filter((line) => !data.groups.some((one) => one.stream === line.stream && one.place === line.place));
  return html`<${Scroller} label=${t("speeds.by_line", { unit: data.unit })}><table class="listing"><thead><tr><th scope="col">${t("speeds.line")}</th><th scope="col">${t("speeds.direction")}</th><th scope="col">${t("speeds.class")}</th><th scope="col">${t("speeds.stream")}</th>
      ${["n", ...FIGURES].map((name) => html`<th class="num" scope="col">${t(`speeds.${name}_short`)}</th>`)}</tr></thead>
    <tbody>${data.groups.map((one) => html`<tr><th scope="row">${one.place}</th><td>${one.direction}</td><td>${one.class}</td><td class="soft">${one.stream}</td><td class="num">${number(one.n)}${one.unknown ? html` <span class="soft">+ ${number(one.unknown)}</span>` : ""}</td>
      ${FIGURES.map((name) => html`<td class="num">${decimal(one[name], 1)}</td>`)}</tr>`)}
    ${quiet.map((line) => html`<tr><th scope="row">${line.place}</th><td></td><td></td><td class="soft">${line.stream}</td><td class="num">0</td>${FIGURES.map(() => html`<td class="num">–</td>`)}</tr>`)}</tbody></table><//>`;
}

const trim = (value) => String(Math.round(value * 10) / 10);
