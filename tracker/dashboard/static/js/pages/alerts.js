// Alerts of the rules in sites: those under way first, with their acknowledgement.
import { html, useState } from "../../vendor/preact.js";
import { get, post } from "../api.js";
import { when } from "../eventlist.js";
import { Download, zoneOf, streamsPage } from "../filters.js";
import { atLeast, useLoad, useSession } from "../hooks.js";
import { Badge, Button, Empty, Loaded, Notice, PageHead, problemText, Scroller, Several } from "../parts.js";
import { Link, streamUrl, useQuery } from "../router.js";
import { decimal, t } from "../texts.js";
import { duration, stamp } from "../time.js";
import { Rules } from "./rules.js";

const EVERY_S = 5;

export default streamsPage("nav.alerts", Body);

function Body({ streams }) {
  const [query, set] = useQuery();
  const chosen = query.getAll("stream");
  const tab = query.get("tab") === "rules" ? "rules" : "alerts";
  return html`<${PageHead} title=${t("nav.alerts")} sub=${t("alerts.sub", { zone: zoneOf(streams, chosen) })}><${Download} what="alerts" filter=${{ stream: chosen }} /><//>
    <div class="filters"><${Several} label=${t("filter.streams")} all=${t("filter.all")} options=${streams.map((one) => [one.id, one.id])} chosen=${chosen} onChange=${(value) => set({ stream: value })} /></div>
    <div class="tabs" role="tablist" aria-label=${t("nav.alerts")}>${["alerts", "rules"].map((one) => html`<button role="tab" id=${`tab-${one}`} aria-selected=${tab === one} aria-controls="tab-panel" onClick=${() => set({ tab: one === "rules" ? one : null })}>${t(`alerts.tab.${one}`)}</button>`)}</div>
    <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${tab}`}>${tab === "rules" ? html`<${Rules} chosen=${chosen} />` : html`<${Alerts} chosen=${chosen} zone=${zoneOf(streams, chosen)} />`}</div>`;
}

function Alerts({ chosen, zone }) {
  const may = atLeast(useSession().user, "operator");
  const [problem, setProblem] = useState(null);
  const found = useLoad((signal) => get("/api/alerts", { stream: chosen }, signal).then((answer) => answer.alerts), [chosen.join()], { every_s: EVERY_S });
  const acknowledge = async (one) => {
    setProblem(null);
    await post("/api/alerts/acknowledge", { stream: one.stream, key: one.key }).catch((error) => setProblem(problemText(error).title));
    found.reload();
    dispatchEvent(new Event("masktrail-acknowledged"));
  };
  return html`${problem && html`<${Notice} kind="problem" onClose=${() => setProblem(null)}>${problem}<//>`}
    <${Loaded} of=${found}>${(rows) => (rows.length ? html`<div class="card flush"><${Table} rows=${rows} zone=${zone} may=${may} onAcknowledge=${acknowledge} /></div>`
      : html`<${Empty} icon="check" title=${t("alerts.empty")}>${t("alerts.empty_text")}<//>`)}<//>`;
}

function Table({ rows, zone, may, onAcknowledge }) {
  return html`<${Scroller} label=${t("nav.alerts")}><table class="cards"><thead><tr><th scope="col">${t("alerts.rule")}</th><th scope="col">${t("alerts.stream")}</th><th scope="col">${t("alerts.began")}</th><th scope="col">${t("alerts.lasted")}</th><th class="num" scope="col">${t("alerts.value")}</th><th scope="col">${t("alerts.acknowledged")}</th></tr></thead>
    <tbody>${rows.map((one) => html`<tr key=${one.key}><th scope="row">${one.rule}</th><td><${Link} href=${streamUrl(one.stream)}>${one.stream}<//></td>
      <td>${when({ utc: one.utc, at_ms: one.began_ms }, zone)}</td>
      <td>${one.under_way ? html`<${Badge} kind="bad">${t("alerts.under_way")}<//>` : one.ended_ms === null ? "–" : duration((one.ended_ms - one.began_ms) / 1000)}</td>
      <td class="num" data-label=${t("alerts.value")}>${one.value === null ? "–" : decimal(one.value, Number.isInteger(one.value) ? 0 : 1)}</td>
      <td>${one.acknowledged ? t("alerts.by", { name: one.acknowledged.by, time: stamp(one.acknowledged.at_ms, zone) }) : may ? html`<${Button} small icon="check" onClick=${() => onAcknowledge(one)}>${t("alerts.acknowledge")}<//>` : "–"}</td></tr>`)}</tbody></table><//>`;
}
