// A live camera: picture with own overlay switches, today's counts, events as they happen, one identity on demand.
import { html, useState } from "../../vendor/preact.js";
import { get, streamPath } from "../api.js";
import { identityColour } from "../colour.js";
import { EventRow } from "../eventlist.js";
import { atLeast, useLoad, useSession } from "../hooks.js";
import { Icon } from "../icons.js";
import { IdentityCard, PathOverlay } from "../identity.js";
import { Badge, Check, Empty, PageHead, Segments } from "../parts.js";
import { Places } from "../places.js";
import { usePref } from "../prefs.js";
import { Link, streamUrl, useQuery } from "../router.js";
import { downWord, isDown, losesFrames, Stage, TOGGLES } from "../stage.js";
import { browserZone, duration } from "../time.js";
import { decimal, number, percent, t, word } from "../texts.js";
import { TodayCounts } from "./wall.js";

const KEPT_EVENTS = 60;
const SHOWN_KINDS = new Set(["identity_start", "identity_end"]);

export function Toggles({ value, onChange }) {
  return html`<fieldset class="toggles"><legend class="sr">${t("toggle.label")}</legend>${Object.keys(TOGGLES).map((key) => html`<${Check} key=${key} label=${t(`toggle.${key}`)} checked=${value[key]} onChange=${(on) => onChange({ ...value, [key]: on })} />`)}</fieldset>`;
}

export function CameraView({ stream }) {
  const { user } = useSession();
  const [toggles, setToggles] = usePref("toggles", TOGGLES);
  const [variant, setVariant] = usePref("variant", "masked");
  const [query, setQuery] = useQuery();
  const [events, setEvents] = useState([]);
  const [counts, setCounts] = useState(null);
  const [now, setNow] = useState(null);
  const zone = stream.timezone || browserZone();
  const site = useLoad((signal) => get(streamPath(stream.id, "/site"), {}, signal).then((found) => found.site), [stream.id, stream.site_revision]);
  const past = useLoad((signal) => get("/api/events", { stream: stream.id, limit: KEPT_EVENTS }, signal), [stream.id]);
  const chosen = Number(query.get("identity")) || null;
  const identity = useLoad((signal) => (chosen ? get(streamPath(stream.id, `/identities/${chosen}`), {}, signal) : Promise.resolve(null)), [chosen]);
  const pick = (number) => setQuery({ identity: number || null });
  const hear = (message) => {
    if (message.type === "event") setEvents((old) => [message.event, ...old].slice(0, KEPT_EVENTS));
    else if (message.type === "counts") setCounts(message.places);
  };
  const fresh = new Set(events.map((event) => event.key));
  const rows = [...events, ...(past.data ? past.data.events.filter((event) => !fresh.has(event.key)) : [])].filter((event) => !SHOWN_KINDS.has(event.kind)).slice(0, KEPT_EVENTS);
  const allowed = user.see_people ? variant : "masked";
  return html`<${PageHead} title=${stream.id} sub=${figures(stream, now)} back=${html`<${Link} class="button quiet icon-only" href="/" aria-label=${t("action.back_wall")}><${Icon} name="back" /><//>`}>
      ${user.see_people && html`<${Segments} label=${t("camera.variant")} value=${allowed} onChange=${setVariant} options=${[["masked", t("camera.masked")], ["clear", t("camera.clear")]]} />`}
      <${Link} class="button" href=${`/counts?stream=${encodeURIComponent(stream.id)}`}><${Icon} name="counts" /><span>${t("nav.counts")}</span><//>
      ${atLeast(user, "operator") && html`<${Link} class="button primary" href=${streamUrl(stream.id, "/site")}><${Icon} name="edit" /><span>${t("camera.edit")}</span><//>`}<//>
    <div class="columns camera"><div class="stack">
      <div class="card flush"><${Stage} stream=${stream} toggles=${toggles} variant=${allowed} fps=${10} chosen=${chosen} onPick=${pick} onMessage=${hear} onState=${setNow}>
        ${({ width, height }) => html`${toggles.places && html`<${Places} site=${site.data} width=${width} height=${height} counts=${counts || stream.today} present=${now && now.present} />`}
          ${identity.data && html`<${PathOverlay} identity=${identity.data} width=${width} height=${height} />`}`}<//>
        <div class="stage-foot"><${Toggles} value=${toggles} onChange=${setToggles} /></div></div>
      ${chosen && html`<${IdentityCard} load=${identity} chosen=${chosen} zone=${zone} onClose=${() => pick(null)} />`}
      ${!isDown(stream) && html`<${Living} state=${now} chosen=${chosen} onPick=${pick} />`}
    </div><div class="stack">
      <section class="card"><header><h2>${t("camera.today")}</h2></header><${TodayCounts} counts=${counts || stream.today} most=${12} /></section>
      <section class="card flush"><header><h2>${t("camera.events")}</h2><${Link} href=${`/events?stream=${encodeURIComponent(stream.id)}`}>${t("camera.all_events")}<//></header>
        ${rows.length ? html`<ol class="events" tabindex="0" aria-label=${t("camera.events")}>${rows.map((event) => html`<${EventRow} key=${event.key} event=${event} zone=${zone} short onPick=${pick} current=${chosen !== null && event.identity === chosen} />`)}</ol>`
          : html`<${Empty} title=${t("camera.no_events")}>${t("camera.no_events_text")}<//>`}</section>
    </div></div>`;
}

function figures(stream, now) {
  const lost = losesFrames(stream) && t("camera.dropped", { share: percent(stream.lost_share) });
  if (isDown(stream)) return [downWord(stream), lost, stream.problem].filter(Boolean).join(" · ");
  const { fps, age_s } = now || stream;
  return [word("state", stream.state), t("wall.fps", { fps: decimal(fps, 1) }), t("camera.age", { time: duration(age_s) }), lost, stream.size && stream.size.join(" × ")].filter(Boolean).join(" · ");
}

// The same as a click in the picture, by keyboard and for screen readers.
function Living({ state, chosen, onPick }) {
  const tracks = state ? [...state.tracks].sort((a, b) => a.id - b.id) : [];
  return html`<section class="card"><header><h2>${t("camera.living")}</h2><${Badge}>${number(tracks.length)}<//></header>
    ${tracks.length ? html`<div class="row">${tracks.map((track) => html`<button type="button" key=${track.id} class="button small" aria-pressed=${track.id === chosen} onClick=${() => onPick(track.id === chosen ? null : track.id)}>
      <span class="identity-dot" ref=${dot(track.id)} aria-hidden="true"></span>${track.id} <span class="soft">${track.class}</span></button>`)}</div>` : html`<p class="soft">${t("camera.nobody")}</p>`}</section>`;
}

const dot = (id) => (element) => element && element.style.setProperty("background", identityColour(id));
