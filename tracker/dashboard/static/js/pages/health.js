// Health: cameras, stages, models, store and disk, as the engine reports them.
import { html } from "../../vendor/preact.js";
import { get } from "../api.js";
import { useLoad, useTitle } from "../hooks.js";
import { Badge, Empty, Loaded, Notice, PageHead, Scroller } from "../parts.js";
import { Link, streamUrl } from "../router.js";
import { LOST_SHARE } from "../stage.js";
import { decimal, number, percent, plural, t, word } from "../texts.js";
import { duration } from "../time.js";
import { Figure } from "./counts.js";

const GOOD = ["live", "ended", "ok"];
const kindOf = (state) => (GOOD.includes(state) ? "good" : ["lost", "failed", "stuck"].includes(state) ? "bad" : "warn");
const STAGES = ["decode", "segment", "associate", "analytics", "render"];

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${decimal(size, unit && size < 100 ? 1 : 0)} ${units[unit]}`;
}

export default function Health() {
  const health = useLoad((signal) => get("/api/health", {}, signal), [], { every_s: 2 });
  useTitle(t("nav.health"));
  return html`<${PageHead} title=${t("nav.health")} sub=${t("health.sub")}>${health.data && health.data.engine.status && html`<${State} engine=${health.data.engine} />`}<//>
    <${Loaded} of=${health}>${(data) => html`<${Dropping} engine=${data.engine} /><${Store} data=${data} /><${Cameras} cameras=${data.engine.cameras || {}} /><${Models} models=${data.engine.models || {}} />`}<//>`;
}

function State({ engine }) {
  const losing = engine.status === "ok" && engine.losing_frames.length > 0;
  return html`<${Badge} kind=${losing ? "warn" : kindOf(engine.status)}>${losing ? t("health.losing") : word("health", engine.status)}<//>`;
}

// The cameras that come faster than they are worked on, the worst first.
function Dropping({ engine }) {
  const all = engine.losing_frames.map((name) => ({ name, ...engine.cameras[name] })).sort((a, b) => b.lost_share - a.lost_share);
  if (!all.length) return null;
  const [{ name, lost_share: share, lost_share_s: seconds }] = all;
  return html`<${Notice} kind="warn">${t("health.losing_worst", { name, share: percent(share), time: duration(seconds) })} ${all.length > 1 ? plural("health.losing_others", all.length - 1) : ""} ${t("health.losing_remedy")}<//>`;
}

function Store({ data }) {
  const { store, disk } = data;
  const share = disk && disk.total_bytes ? 1 - disk.free_bytes / disk.total_bytes : null;
  return html`${(store.problems || []).map((one) => html`<${Notice} kind="problem">${typeof one === "string" ? one : `${one.ledger}: ${one.problem}`}<//>`)}<dl class="figures"><${Figure} name=${t("health.events")} value=${number(store.events)} /><${Figure} name=${t("health.store")} value=${bytes(store.bytes)} note=${plural("health.ledgers", store.ledgers)} />
    ${disk && html`<${Figure} name=${t("health.disk")} value=${bytes(disk.free_bytes)} note=${share === null ? null : html`<span class="meter" role="img" aria-label=${t("health.disk_used", { share: Math.round(share * 100) })}><svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width=${share * 100} height="6" /></svg></span>${t("health.disk_used", { share: Math.round(share * 100) })}`} />`}
  </dl>`;
}

const drops = (one) => [["dropped", one.dropped], ["late", one.late], ["broken", one.broken], ["reconnects", one.reconnects]].filter(([, count]) => count).map(([key, count]) => plural(`health.${key}`, count)).join(", ");

function Cameras({ cameras }) {
  const names = Object.keys(cameras).sort();
  if (!names.length) return html`<${Empty} icon="health" title=${t("health.empty")}>${t("health.empty_text")}<//>`;
  const stages = [...new Set([...STAGES.filter((stage) => names.some((name) => cameras[name].stage_ms?.[stage] !== undefined)), ...names.flatMap((name) => Object.keys(cameras[name].stage_ms || {}))])];
  return html`<section class="card flush"><header><h2>${t("health.cameras")}</h2></header><${Scroller} label=${t("health.cameras")}><table class="cards"><thead><tr><th scope="col">${t("health.camera")}</th><th scope="col">${t("health.state")}</th><th class="num" scope="col">${t("health.fps")}</th><th class="num" scope="col">${t("health.age")}</th><th scope="col">${t("health.drops")}</th><th scope="col">${t("health.outputs")}</th>${stages.map((stage) => html`<th class="num" scope="col">${t("health.stage", { stage: word("stage", stage) })}</th>`)}<th scope="col">${t("health.video")}</th></tr></thead>
    <tbody>${names.map((name) => {
      const one = cameras[name];
      return html`<tr><th scope="row"><${Link} href=${streamUrl(name)}>${name}<//></th><td><${Badge} kind=${kindOf(one.state)}>${word("state", one.state)}<//>${one.problem ? html`<br /><small>${one.problem}</small>` : ""}</td><td class="num" data-label=${t("health.fps")}>${decimal(one.fps, 1)}</td>
        <td class="num" data-label=${t("health.age")}>${one.age_p50_s === null || one.age_p50_s === undefined ? "–" : t("health.ages", { p50: decimal(one.age_p50_s, 2), p99: decimal(one.age_p99_s, 2) })}</td><td class="still-text" data-label=${t("health.drops")}>${one.lost_share >= LOST_SHARE && html`<${Badge} kind="warn">${t("health.losing_share", { share: percent(one.lost_share), time: duration(one.lost_share_s) })}<//> `}${drops(one) || t("health.none")}</td><td data-label=${t("health.outputs")}>${one.output_failures ? html`<${Badge} kind="bad">${number(one.output_failures)}<//> <small>${one.output_problem}</small>` : t("health.none")}</td>
        ${stages.map((stage) => html`<td class="num" data-label=${t("health.stage", { stage: word("stage", stage) })}>${one.stage_ms?.[stage] === undefined ? "–" : decimal(one.stage_ms[stage], 1)}</td>`)}<td class="soft still-text">${[one.size && one.size.join(" × "), one.codec, one.decoder].filter(Boolean).join(" · ")}</td></tr>`;
    })}</tbody></table><//></section>`;
}

function Models({ models }) {
  const names = Object.keys(models);
  if (!names.length) return null;
  return html`<section class="card flush after"><header><h2>${t("health.models")}</h2></header><${Scroller} label=${t("health.models")}><table><thead><tr><th scope="col">${t("health.model")}</th><th scope="col">${t("health.device")}</th><th class="num" scope="col">${t("health.gpu")}</th><th class="num" scope="col">${t("health.cameras")}</th><th class="num" scope="col">${t("health.batch")}</th><th class="num" scope="col">${t("health.batch_ms")}</th></tr></thead>
    <tbody>${names.map((name) => html`<tr><th scope="row">${name}</th><td>${models[name].device}</td><td class="num">${models[name].device === "cpu" || models[name].gpu_share === null || models[name].gpu_share === undefined ? "–" : `${decimal(100 * models[name].gpu_share, 0)} %`}</td><td class="num">${models[name].cameras}</td><td class="num">${decimal(models[name].frames_per_batch, 1)}</td><td class="num">${decimal(models[name].batch_ms, 1)}</td></tr>`)}</tbody></table><//></section>`;
}
