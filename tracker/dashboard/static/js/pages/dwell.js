// Dwell: how long identities stay in zones; stays that were not seen whole are kept apart.
import { html } from "../../vendor/preact.js";
import { get } from "../api.js";
import { Bars } from "../chart.js";
import { Download, Filters, streamsPage, useChosen } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Badge, Empty, Loaded, PageHead, Scroller } from "../parts.js";
import { duration } from "../time.js";
import { number, t } from "../texts.js";
import { Figure } from "./counts.js";

export default streamsPage("nav.dwell", Body);

function Body({ streams }) {
  const { query, chosen, first, span } = useChosen(streams);
  const filter = { stream: chosen, place: query.getAll("place"), class: query.getAll("class"), from_ms: span.from_ms, to_ms: span.to_ms };
  const stays = useLoad((signal) => get("/api/dwell", filter, signal), [JSON.stringify(filter)], { every_s: span.span === "today" ? 30 : 0 });
  const now = useLoad((signal) => get("/api/occupancy", { stream: chosen }, signal), [chosen.join()], { every_s: 5 });
  return html`<${PageHead} title=${t("nav.dwell")} sub=${t("dwell.sub")}><${Download} what="stays" filter=${filter} /><//>
    <${Filters} streams=${streams} with=${["class"]} first=${first} />
    <${Loaded} of=${now}>${(data) => html`<${Present} data=${data} />`}<//>
    <${Loaded} of=${stays}>${(data) => (data.n ? html`<${Stays} data=${data} />` : html`<${Empty} icon="dwell" title=${t("dwell.empty")}>${t("dwell.empty_text")}<//>`)}<//>`;
}

// Three numbers with three names: present now, and the balance over doors with its drift.
function Present({ data }) {
  const places = [...new Set(data.zones.map((one) => `${one.stream}\n${one.place}`))];
  if (!places.length && !data.balances.length) return null;
  return html`<dl class="figures">${places.map((key) => {
    const [stream, place] = key.split("\n");
    const rows = data.zones.filter((one) => one.stream === stream && one.place === place);
    return html`<${Figure} name=${t("dwell.present", { place, stream })} value=${number(rows.reduce((sum, one) => sum + one.present, 0))} note=${rows.map((one) => `${one.class} ${one.present}`).join(", ")} />`;
  })}${data.balances.map((one) => html`<${Figure} name=${t("dwell.balance", { name: one.name, stream: one.stream })} value=${number(one.balance)} note=${t("dwell.drift", { count: number(one.drift) })} />`)}</dl>`;
}

function Stays({ data }) {
  const rows = data.histogram.map((one) => ({ name: one.to_s === null ? t("dwell.over", { from: duration(one.from_s) }) : t("dwell.range", { from: short(one.from_s), to: short(one.to_s) }), count: one.count }));
  return html`<dl class="figures"><${Figure} name=${t("dwell.median")} value=${duration(data.median_s)} /><${Figure} name=${t("dwell.mean")} value=${duration(data.mean_s)} note=${t("dwell.closed_only")} />
      <${Figure} name=${t("dwell.p90")} value=${duration(data.p90_s)} /><${Figure} name=${t("dwell.stays")} value=${number(data.n)} note=${t("dwell.censored", { count: number(data.censored) })} /></dl>
    <div class="columns even"><section class="card"><header><h2>${t("dwell.histogram")}</h2></header><${Bars} rows=${rows} label=${t("dwell.histogram")} /></section>
    <section class="card flush"><header><h2>${t("dwell.by_zone")}</h2></header><${Scroller} label=${t("dwell.by_zone")}><table><thead><tr><th scope="col">${t("dwell.zone")}</th><th scope="col">${t("dwell.class")}</th><th class="num" scope="col">${t("dwell.stays")}</th><th class="num" scope="col">${t("dwell.median")}</th><th class="num" scope="col">${t("dwell.mean")}</th></tr></thead>
      <tbody>${data.by.map((one) => html`<tr><th scope="row">${one.place} <span class="soft">${one.stream}</span></th><td>${one.class}</td><td class="num">${number(one.n)}${one.closed < one.n ? html` <${Badge}>${t("dwell.censored", { count: one.n - one.closed })}<//>` : ""}</td><td class="num">${duration(one.median_s)}</td><td class="num">${duration(one.mean_s)}</td></tr>`)}</tbody></table><//></section></div>`;
}

const short = (seconds) => duration(seconds).replace(".0", "");
