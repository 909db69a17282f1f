// Site groups: how many are in a place that several cameras see, with the drift of each period and its correction.
import { html } from "../../vendor/preact.js";
import { get } from "../api.js";
import { Chart } from "../chart.js";
import { Download, Filters, spanOf } from "../filters.js";
import { useLoad, useTitle } from "../hooks.js";
import { Badge, Empty, Loaded, Notice, PageHead, Scroller, Several } from "../parts.js";
import { useQuery } from "../router.js";
import { browserZone, stamp } from "../time.js";
import { decimal, number, plural, t } from "../texts.js";
import { Figure } from "./counts.js";
import { BinSelect, fineBin, outSpans } from "./queues.js";

const MOST_DRIFT = 0.1;

export default function Groups() {
  const [query, set] = useQuery();
  useTitle(t("nav.groups"));
  const chosen = query.getAll("group");
  const known = useLoad((signal) => get("/api/groups", { from_ms: 0, to_ms: 0 }, signal), []);
  const zone = known.data && known.data.groups.length ? known.data.groups[0].timezone : browserZone();
  const span = spanOf(query, zone, "today");
  const bin_s = Math.max(60, Number(query.get("bin")) || fineBin(span.from_ms, span.to_ms));
  const filter = { group: chosen, from_ms: span.from_ms, to_ms: span.to_ms, bin_s };
  const groups = useLoad((signal) => get("/api/groups", filter, signal), [JSON.stringify(filter)], { every_s: span.span === "today" ? 15 : 0 });
  const names = known.data ? known.data.groups.map((one) => [one.name, one.name]) : [];
  return html`<${PageHead} title=${t("nav.groups")} sub=${t("groups.sub")}><${Download} what="groups" filter=${filter} /><//>
    <${Filters} streams=${[{ id: "", timezone: zone }]} bare=${true}><${Several} label=${t("groups.which")} all=${t("groups.all")} options=${names} chosen=${chosen} onChange=${(value) => set({ group: value })} /><${BinSelect} bin_s=${bin_s} onChange=${(value) => set({ bin: value })} /><//>
    <${Loaded} of=${groups}>${(data) => {
      if (!data.groups.length) return html`<${Empty} icon="groups" title=${t("groups.none")}>${data.configured ? t("groups.none_seen") : t("groups.none_text")}<//>`;
      return data.groups.map((one) => html`<${One} key=${one.name} one=${one} bin_s=${data.bin_s} />`);
    }}<//>`;
}

function One({ one, bin_s }) {
  const head = html`<h2 class="section">${one.name}<small class="soft">${one.cameras.join(", ")}</small></h2>`;
  if (!one.doors) return html`<section class="after">${head}<${Notice}>${t("groups.no_doors")}<//></section>`;
  if (!one.known) return html`<section class="after">${head}<${Notice}>${t("groups.unknown")}<//></section>`;
  const lines = [{ name: t("groups.inside"), values: one.inside, colour: 0 }];
  if (one.corrected.some((value) => value !== null)) lines.push({ name: t("groups.corrected"), values: one.corrected, colour: 1, dashed: true, digits: 1 });
  const spans = outSpans({ ...one, bin_s });
  const closed = one.open.length > 0 && !one.open[one.open.length - 1];
  return html`<section class="after">${head}<dl class="figures"><${Figure} name=${t("groups.inside_last")} value=${number(one.inside_last)} note=${closed ? t("groups.closed") : one.lost_last ? plural("groups.lost", one.lost_last) : null} />
      <${Figure} name=${t("groups.most")} value=${number(one.most)} /><${Figure} name=${t("groups.entries")} value=${number(one.entries)} /><${Figure} name=${t("groups.exits")} value=${number(one.exits)} /></dl>
    ${one.outages.length > 0 && html`<${Notice} kind="warn">${plural("counts.outages", one.outages.length)} ${t("groups.outage_text")}<//>`}
    ${one.starts_ms.length > 0 ? html`<div class="card"><${Chart} starts_ms=${one.starts_ms} bin_s=${bin_s} lines=${lines} spans=${spans} zone=${one.timezone} label=${t("groups.chart_label", { name: one.name })} /></div>` : html`<${Notice}>${t("groups.no_passage")}<//>`}
    ${one.periods.length > 0 && html`<div class="card flush after"><${Periods} one=${one} /></div>`}</section>`;
}

function Periods({ one }) {
  const share = (row) => Math.abs(row.drift) / Math.max(row.entries, row.exits, 1);
  return html`<${Scroller} label=${t("groups.periods", { name: one.name })}><table class="listing"><thead><tr><th scope="col">${one.reset_at ? t("groups.since_quiet") : t("groups.since")}</th><th class="num" scope="col">${t("groups.entries")}</th><th class="num" scope="col">${t("groups.exits")}</th><th class="num" scope="col">${t("groups.drift")}</th><th scope="col">${t("groups.state")}</th></tr></thead>
    <tbody>${one.periods.map((row) => html`<tr><th scope="row">${stamp(row.from_ms, one.timezone)}</th><td class="num">${number(row.entries)}</td><td class="num">${number(row.exits)}</td><td class="num">${row.drift === null ? "–" : `${row.drift > 0 ? "+" : ""}${number(row.drift)} (${decimal(100 * share(row), 1)} %)`}</td><td>${row.drift === null ? t("groups.lasts") : share(row) > MOST_DRIFT ? html`<${Badge} kind="warn">${t("groups.check")}<//>` : ""}</td></tr>`)}</tbody></table><//>`;
}
