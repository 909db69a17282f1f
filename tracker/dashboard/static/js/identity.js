// One identity: its path over the picture, its times, events and cut-outs.
import { html } from "../vendor/preact.js";
import { identityColour } from "./colour.js";
import { EventRow } from "./eventlist.js";
import { useSession } from "./hooks.js";
import { Button, Empty, Failure, Loading } from "./parts.js";
import { clock, duration, mediaClock } from "./time.js";
import { t } from "./texts.js";

const BREAK_MS = 1500;

// The path, or where only the ledger is left, where it stood about its events.
function pathOf(identity) {
  if (identity.path.length) return identity.path;
  const seen = identity.events.flatMap((event) => [event.before, event.after]).filter(Boolean);
  return seen.map((one) => [one.t_ms, one.x, one.y]).sort((a, b) => a[0] - b[0]);
}

// The path as SVG lines, broken where it was not seen.
export function PathOverlay({ identity, width, height }) {
  const parts = [];
  for (const [at_ms, x, y] of pathOf(identity)) {
    const last = parts[parts.length - 1];
    if (last && at_ms - last.end <= BREAK_MS) {
      last.points.push(`${(x * width).toFixed(1)},${(y * height).toFixed(1)}`);
      last.end = at_ms;
    } else parts.push({ end: at_ms, points: [`${(x * width).toFixed(1)},${(y * height).toFixed(1)}`] });
  }
  const colour = identityColour(identity.identity);
  const first = parts[0] && parts[0].points[0].split(",");
  const end = parts.length ? parts[parts.length - 1].points.slice(-1)[0].split(",") : null;
  return html`<svg class="places path" viewBox=${`0 0 ${width} ${height}`} aria-hidden="true">
    ${parts.map((part) => html`<polyline class="path-halo" points=${part.points.join(" ")} /><polyline class="path-line" stroke=${colour} points=${part.points.join(" ")} />`)}
    ${first && html`<circle cx=${first[0]} cy=${first[1]} r="5" fill=${colour} stroke="#fff" />`}
    ${end && html`<rect x=${end[0] - 5} y=${end[1] - 5} width="10" height="10" fill=${colour} stroke="#fff" />`}</svg>`;
}

export function IdentityCard({ load, chosen, zone, utc = true, onClose, onPickEvent }) {
  const { user } = useSession();
  const close = html`<${Button} icon="close" label=${t("action.close")} iconOnly small kind="quiet" onClick=${onClose} />`;
  const head = (title) => html`<header><h2>${title}</h2>${close}</header>`;
  if (load.error && !load.data) return html`<section class="card">${head(t("identity.title", { id: chosen, name: "" }))}
    ${load.error.status === 404 ? html`<${Empty} title=${t("identity.gone")}>${t("identity.gone_text")}<//>` : html`<${Failure} error=${load.error} retry=${load.reload} />`}</section>`;
  if (!load.data) return html`<section class="card">${head(t("identity.title", { id: chosen, name: "" }))}<${Loading} /></section>`;
  const one = load.data;
  const say = (at_ms) => (at_ms === null || at_ms === undefined ? t("identity.still") : utc ? clock(at_ms, zone) : mediaClock(at_ms / 1000));
  const lasted = one.ended_ms ? (one.ended_ms - one.started_ms) / 1000 : null;
  return html`<section class="card identity-card" aria-live="polite">${head(t("identity.title", { id: one.identity, name: one.class }))}
    <dl class="facts"><div><dt>${t("identity.first")}</dt><dd>${say(one.started_ms)}</dd></div><div><dt>${t("identity.last")}</dt><dd>${say(one.ended_ms)}</dd></div>
      <div><dt>${t("identity.lasted")}</dt><dd>${lasted === null ? "–" : duration(lasted)}</dd></div>${one.path.length > 0 && html`<div><dt>${t("identity.points")}</dt><dd>${one.path.length}</dd></div>`}</dl>
    ${one.live_cut_out && html`<div class="cut-outs"><img src=${one.live_cut_out} loading="lazy" alt=${t("identity.live_cut_out", { id: one.identity })} /></div>`}
    ${user.see_people && one.cut_outs.length > 0 && html`<div class="cut-outs">${one.cut_outs.map((source, at) => html`<img src=${source} loading="lazy" alt=${t("identity.cut_out", { number: at + 1, id: one.identity })} />`)}</div>`}
    ${one.events.length ? html`<ol class="events short">${one.events.map((event) => html`<${EventRow} key=${event.key} event=${event} zone=${zone} short onPick=${onPickEvent || (() => {})} />`)}</ol>` : html`<p class="soft">${t("identity.no_events")}</p>`}</section>`;
}
