// Audit: what came close and was not counted, with reasons.
import { html } from "../../vendor/preact.js";
import { get } from "../api.js";
import { Identity } from "../eventlist.js";
import { Filters, zoneOf, streamsPage } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Badge, Empty, Loaded, PageHead, Scroller } from "../parts.js";
import { Link, streamUrl, useQuery } from "../router.js";
import { moment, stamp } from "../time.js";
import { hasText, number, t, word } from "../texts.js";

export default streamsPage("nav.audit", Body);

function Body({ streams }) {
  const [query] = useQuery();
  const chosen = query.getAll("stream");
  const zone = zoneOf(streams, chosen);
  const audits = useLoad((signal) => get("/api/audit", { stream: chosen, place: query.getAll("place") }, signal), [chosen.join(), query.getAll("place").join()]);
  return html`<${PageHead} title=${t("nav.audit")} sub=${t("audit.sub")} /><${Filters} streams=${streams} spans=${[]} with=${["place"]} />
    <${Loaded} of=${audits}>${(data) => (data.audits.length ? data.audits.map((one) => html`<${OneAudit} key=${one.stream} audit=${one} zone=${zone} />`) : html`<${Empty} icon="audit" title=${t("audit.empty")}>${t("audit.empty_text")}<//>`)}<//>`;
}

const titleOf = (audit, reason) => (audit.titles && audit.titles[reason]) || word("reason", reason);

function OneAudit({ audit, zone }) {
  return html`<section class="audit-stream"><h2 class="section"><${Link} href=${streamUrl(audit.stream)}>${audit.stream}<//> ${audit.ran_ms && html`<small>${t("audit.ran", { time: stamp(audit.ran_ms, zone) })}</small>`}</h2>
    <div class="audit-places">${audit.places.map((place) => html`<article class="card"><header><h3>${place.place}</h3><${Badge} kind="good">${t("audit.counted", { count: number(place.counted) })}<//></header>
      ${place.reasons.length ? place.reasons.map((one) => html`<div class="reason"><b>${titleOf(audit, one.reason)}</b><b class="num">${number(one.count)}</b>${hasText(`reason_text.${one.reason}`) && html`<p>${t(`reason_text.${one.reason}`)}</p>`}</div>`) : html`<p class="soft">${t("audit.none")}</p>`}</article>`)}</div>
    ${audit.near_misses.length > 0 && html`<div class="card flush"><${Scroller} label=${t("audit.list")}><table class="cards"><thead><tr><th scope="col">${t("audit.when")}</th><th scope="col">${t("audit.place")}</th><th scope="col">${t("audit.who")}</th><th scope="col">${t("audit.why")}</th></tr></thead>
      <tbody>${audit.near_misses.map((one) => html`<tr><td>${moment(one.at_ms, one.utc, zone)}</td><td>${one.place}</td><td>${one.identity ? html`<${Link} href=${`${streamUrl(audit.stream)}?identity=${one.identity}`}><${Identity} identity=${one.identity} name=${one.class} /><//>` : "–"}</td><td class="sentence"><b>${titleOf(audit, one.reason)}.</b> ${one.sentence}</td></tr>`)}</tbody></table><//></div>`}</section>`;
}
