// Conflicts: pairs of road users that came close in time, what stopped, what went the wrong way.
import { html } from "../../vendor/preact.js";
import { get } from "../api.js";
import { Bars } from "../chart.js";
import { Download, Filters, streamsPage, useChosen } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Empty, Loaded, PageHead, Scroller, Select } from "../parts.js";
import { Link, streamUrl } from "../router.js";
import { duration, moment } from "../time.js";
import { decimal, number, t, word } from "../texts.js";
import { Figure } from "./counts.js";

const BELOW_S = ["1", "1.5", "2", "3", "5", "10"];

export default streamsPage("nav.conflicts", Body);

function Body({ streams }) {
  const { query, set, chosen, zone, first, span } = useChosen(streams);
  const below = BELOW_S.includes(query.get("below")) ? query.get("below") : "3";
  const filter = { stream: chosen, place: query.getAll("place"), class: query.getAll("class"), from_ms: span.from_ms, to_ms: span.to_ms, below_s: below };
  const conflicts = useLoad((signal) => get("/api/conflicts", filter, signal), [JSON.stringify(filter)], { every_s: span.span === "today" ? 15 : 0 });
  return html`<${PageHead} title=${t("nav.conflicts")} sub=${t("conflicts.sub")}><${Download} what="conflicts" filter=${filter} /><//>
    <${Filters} streams=${streams} with=${["place", "class"]} first=${first}><${Select} label=${t("conflicts.below")} value=${below} options=${BELOW_S.map((one) => [one, t("conflicts.seconds", { count: one })])} onChange=${(value) => set({ below: value === "3" ? null : value })} /><//>
    <${Loaded} of=${conflicts}>${(data) => html`<${Found} data=${data} zone=${zone} />`}<//>`;
}

function Found({ data, zone }) {
  if (!data.streams.length) return html`<${Empty} icon="conflicts" title=${t("conflicts.none")}>${t("conflicts.none_text")}<//>`;
  if (!data.pairs.length && !data.lasting.length) return html`<${Empty} icon="conflicts" title=${t("conflicts.empty")}>${t("conflicts.empty_text", { streams: data.streams.join(", ") })}<//>`;
  const drawn = data.kinds.filter((one) => one.n);
  return html`<dl class="figures">${data.kinds.map((one) => html`<${Figure} name=${word("kind", one.kind)} value=${number(one.n)} note=${one.n ? t("conflicts.least", { median: decimal(one.median_s, 1), least: decimal(one.least_s, 1) }) : t("conflicts.no_pair", { below: data.below_s })} />`)}
      ${Object.entries(data.lasting_n).map(([kind, count]) => html`<${Figure} name=${word("kind", kind)} value=${number(count)} note=${t("conflicts.began")} />`)}</dl>
    ${drawn.length > 0 && html`<div class="columns even">${drawn.map((one) => html`<section class="card"><header><h2>${t("conflicts.histogram", { kind: word("kind", one.kind) })}</h2></header><${Bars} rows=${one.histogram.map((row) => ({ name: `${decimal(row.from_s, 1)}–${decimal(row.to_s, 1)}`, count: row.count }))} label=${t("conflicts.histogram", { kind: word("kind", one.kind) })} /></section>`)}</div>`}
    ${data.pairs.length > 0 && html`<section class="card flush after"><header><h2>${t("conflicts.pairs")}</h2></header><${Pairs} rows=${data.pairs} zone=${zone} /></section>`}
    ${data.lasting.length > 0 && html`<section class="card flush after"><header><h2>${t("conflicts.lasting")}</h2></header><${Lasting} rows=${data.lasting} zone=${zone} /></section>`}<p class="soft after">${t("conflicts.note")}</p>`;
}

const Numbered = ({ stream, identity, children }) => html`<${Link} href=${streamUrl(stream, `?identity=${identity}`)}>${children || `#${identity}`}<//>`;

function Pairs({ rows, zone }) {
  return html`<${Scroller} label=${t("conflicts.pairs")}><table class="listing"><thead><tr><th class="num" scope="col">${t("conflicts.value")}</th><th scope="col">${t("conflicts.what")}</th><th scope="col">${t("conflicts.first")}</th><th scope="col">${t("conflicts.other")}</th><th scope="col">${t("conflicts.when")}</th><th scope="col">${t("conflicts.place")}</th><th scope="col">${t("speeds.stream")}</th></tr></thead>
    <tbody>${rows.map((one) => html`<tr><td class="num"><b>${decimal(one.value_s, 2)} s</b></td><td>${word("kind", one.kind)}</td><td><${Numbered} stream=${one.stream} identity=${one.identity}>${`${one.class} #${one.identity}`}<//></td><td><${Numbered} stream=${one.stream} identity=${one.other_identity} /></td><td>${moment(one.at_ms, one.utc, zone)}</td><td>${one.place || "–"}</td><td class="soft">${one.stream}</td></tr>`)}</tbody></table><//>`;
}

function Lasting({ rows, zone }) {
  return html`<${Scroller} label=${t("conflicts.lasting")}><table class="listing"><thead><tr><th scope="col">${t("conflicts.what")}</th><th scope="col">${t("conflicts.first")}</th><th scope="col">${t("conflicts.when")}</th><th class="num" scope="col">${t("conflicts.lasted")}</th><th scope="col">${t("conflicts.place")}</th><th scope="col">${t("speeds.stream")}</th></tr></thead>
    <tbody>${rows.map((one) => html`<tr><td>${word("kind", one.kind)}</td><td><${Numbered} stream=${one.stream} identity=${one.identity}>${`${one.class} #${one.identity}`}<//></td><td>${moment(one.at_ms, one.utc, zone)}</td><td class="num">${one.lasted_s === null ? t("conflicts.lasts") : duration(one.lasted_s)}</td><td>${one.place}</td><td class="soft">${one.stream}</td></tr>`)}</tbody></table><//>`;
}
