// Heatmaps: where identities spend their time, over the masked picture of the camera or on the ground from above.
import { html, useEffect, useState } from "../../vendor/preact.js";
import { address, get, streamPath } from "../api.js";
import { Download, Filters, streamsPage, useChosen } from "../filters.js";
import { useLoad, useSize } from "../hooks.js";
import { Icon } from "../icons.js";
import { Check, Empty, Failure, Field, Loaded, Loading, PageHead, Select } from "../parts.js";
import { Link, streamUrl } from "../router.js";
import { duration, moment } from "../time.js";
import { number, t } from "../texts.js";
import { Figure } from "./counts.js";

export default streamsPage("nav.heatmap", Body);

function Body({ streams }) {
  const { query, set, chosen, zone, first, span } = useChosen(streams);
  const measure = query.get("measure") === "visits" ? "visits" : "seconds";
  const moving = query.get("moving") === "1";
  const ground = query.get("ground") === "1";
  const filter = { from_ms: span.from_ms, to_ms: span.to_ms, class: query.getAll("class"), measure, moving: moving || null };
  const wanted = streams.filter((one) => !chosen.length || chosen.includes(one.id));
  const load = (signal) => Promise.all(wanted.map((one) => get(streamPath(one.id, "/heatmap"), filter, signal).then((facts) => ({ id: one.id, facts }))));
  const found = useLoad(load, [JSON.stringify(filter), wanted.map((one) => one.id).join("\n")], { every_s: span.span === "today" ? 60 : 0 });
  return html`<${PageHead} title=${t("nav.heatmap")} sub=${t("heatmap.sub")}><${Download} what="heatmap" filter=${{ ...filter, stream: chosen }} /><//>
    <${Filters} streams=${streams} with=${["class"]} first=${first}>
      <${Select} label=${t("heatmap.measure")} value=${measure} options=${["seconds", "visits"].map((one) => [one, t(`heatmap.${one}`)])} onChange=${(value) => set({ measure: value === "seconds" ? null : value })} />
      <${Field} label=${t("heatmap.which")}><${Check} label=${t("heatmap.moving")} checked=${moving} onChange=${(on) => set({ moving: on })} /><//>
      <${Field} label=${t("heatmap.view")}><${Check} label=${t("heatmap.ground")} checked=${ground} onChange=${(on) => set({ ground: on })} /><//><//>
    <${Loaded} of=${found}>${(data) => {
      const kept = data.filter((one) => one.facts.classes.length);
      if (!kept.length) return html`<${Empty} icon="heatmap" title=${t("heatmap.none")}>${t("heatmap.none_text")}<//>`;
      return html`<div class="heatmaps">${kept.map((one) => html`<${One} key=${one.id} id=${one.id} facts=${one.facts} filter=${filter} ground=${ground} zone=${zone} />`)}</div>`;
    }}<//>`;
}

function One({ id, facts, filter, ground, zone }) {
  const above = ground && facts.ground;
  const source = (shown_px) => address(streamPath(id, "/heatmap/picture"), { ...filter, ground: above || null, shown_px });
  const seconds = facts.classes.reduce((sum, one) => sum + one.seconds, 0);
  const sum = filter.measure === "visits" ? number(facts.sum) : duration(facts.sum);
  return html`<section class="card flush"><header><h2><${Link} href=${streamUrl(id)}>${id}<//></h2><a class="button small" href=${source(null)} download=${`heatmap-${id}.png`}><${Icon} name="download" /><span>PNG</span></a></header>
    ${facts.sum > 0 ? html`<${Picture} source=${source} label=${t("heatmap.alt", { name: id, sum })} />` : html`<p class="state">${t("heatmap.nothing")}</p>`}
    ${ground && !facts.ground && html`<p class="soft note">${t("heatmap.no_ground")}</p>`}
    <dl class="figures note"><${Figure} name=${t(`heatmap.${filter.measure}`)} value=${sum} note=${t("heatmap.span", { from: moment(facts.from_ms, facts.utc, zone), to: moment(facts.to_ms, facts.utc, zone) })} />
      ${facts.top !== null && html`<${Figure} name=${t("heatmap.top")} value=${filter.measure === "visits" ? number(facts.top) : duration(facts.top)} note=${t("heatmap.top_note")} />`}
      ${facts.classes.map((one) => html`<${Figure} name=${one.class} value=${duration(one.seconds)} note=${t("heatmap.class_note", { still: duration(one.still_s) })} />`)}
      ${facts.unplaced_s >= 1 && html`<${Figure} name=${t("heatmap.unplaced")} value=${duration(facts.unplaced_s)} note=${t("heatmap.unplaced_note", { share: number((100 * facts.unplaced_s) / (seconds + facts.unplaced_s)) })} />`}</dl></section>`;
}

// The old picture stays until the next one is there; one that cannot be drawn says why.
function Picture({ source: sourceOf, label }) {
  const [box, size] = useSize();
  const source = size.width ? sourceOf(Math.max(160, 80 * Math.round(size.width / 80))) : null; // not another one for each pixel
  const [state, setState] = useState("loading");
  const [error, setError] = useState(null);
  useEffect(() => setState("loading"), [source]);
  const failed = () => get(source).then(() => setState("failed"), setError).finally(() => setState("failed"));
  if (state === "failed") return html`<${Failure} error=${error || { message: t("heatmap.failed") }} retry=${() => { setError(null); setState("loading"); }} />`;
  return html`<div class="heat" ref=${box}>${state === "loading" && html`<${Loading} what=${t("heatmap.drawing")} />`}${source && html`<img src=${source} alt=${label} class=${state} onLoad=${() => setState("shown")} onError=${failed} />`}</div>`;
}
