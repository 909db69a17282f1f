// A recording: the video beside a timeline of its events, identities on demand.
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { address, get, streamPath } from "../api.js";
import { EventRow, OUTAGES, sentence } from "../eventlist.js";
import { useLoad, useSession, useSize } from "../hooks.js";
import { Icon } from "../icons.js";
import { IdentityCard, PathOverlay } from "../identity.js";
import { Check, Empty, Loaded, Notice, PageHead } from "../parts.js";
import { Places } from "../places.js";
import { usePref } from "../prefs.js";
import { Link, streamUrl, useEntry, useQuery } from "../router.js";
import { RunProblem, RunState, useRuns } from "../runs.js";
import { browserZone, mediaClock, stamp } from "../time.js";
import { plural, t } from "../texts.js";

const MOST_EVENTS = 1000;
const LEAD_S = 1.5;
const UNLISTED = ["identity_start", "identity_end"];

export function RecordingView({ stream }) {
  const { user } = useSession();
  const runs = useRuns();
  useEntry("recordings");
  const [query, setQuery] = useQuery();
  const video = useRef(null);
  const [at_s, setAt] = useState(0);
  const [length_s, setLength] = useState(stream.duration_s || 0);
  const [places, setPlaces] = usePref("recording.places", false);
  const zone = stream.timezone || browserZone();
  const hasSite = stream.site_revision !== null && stream.site_revision !== undefined;
  const site = useLoad((signal) => (hasSite ? get(streamPath(stream.id, "/site"), {}, signal).then((found) => found.site) : Promise.resolve(null)), [stream.id, hasSite]);
  const events = useLoad((signal) => get("/api/events", { stream: stream.id, limit: MOST_EVENTS }, signal).then((found) => found.events.filter((event) => !UNLISTED.includes(event.kind)).reverse()), [stream.id]);
  const chosen = Number(query.get("identity")) || null;
  const identity = useLoad((signal) => (chosen ? get(streamPath(stream.id, `/identities/${chosen}`), {}, signal) : Promise.resolve(null)), [chosen]);
  // Media seconds of an event: from the wall clock where the ledger has it.
  const mediaOf = (event) => (event.utc && stream.began_ms ? (event.at_ms - stream.began_ms) / 1000 : event.at_ms / 1000);
  const seek = (seconds) => {
    setAt(seconds);
    if (video.current) video.current.currentTime = Math.max(0, seconds);
  };
  const pick = (number, event) => {
    setQuery({ identity: number || null });
    if (event) seek(mediaOf(event) - LEAD_S);
  };
  useEffect(() => {
    const wanted = Number(query.get("t"));
    if (wanted) seek(wanted);
  }, []);
  const playable = stream.has_video && user.see_people;
  const end_s = Math.max(length_s, ...(events.data || []).map((event) => mediaOf(event)), 1);
  const facts = [stream.duration_s ? mediaClock(stream.duration_s) : null, stream.size && stream.size.join(" × "), stream.began_ms ? stamp(stream.began_ms, zone) : null].filter(Boolean);
  return html`<${PageHead} title=${stream.id} sub=${facts.join(" · ")} back=${html`<${Link} class="button quiet icon-only" href="/recordings" aria-label=${t("action.back_recordings")}><${Icon} name="back" /><//>`}>
      <${Link} class="button" href=${`/counts?stream=${encodeURIComponent(stream.id)}`}><${Icon} name="counts" /><span>${t("nav.counts")}</span><//>
      ${(hasSite || stream.editable) && html`<${Link} class="button" href=${streamUrl(stream.id, "/site")}><${Icon} name="edit" /><span>${t(stream.editable ? "recording.draw" : "recording.site")}</span><//>`}<//>
    <${RunProblem} runs=${runs} /><${RunState} runs=${runs} name=${stream.id} />
    <div class="columns camera"><div class="stack"><div class="card flush">
      ${playable ? html`<${Player} stream=${stream} video=${video} onTime=${setAt} onLength=${setLength}>${({ width, height }) => html`${places && html`<${Places} site=${site.data} width=${width} height=${height} quiet=${true} />`}${identity.data && html`<${PathOverlay} identity=${identity.data} width=${width} height=${height} />`}`}<//>`
        : html`<${Blank} stream=${stream}>${({ width, height }) => html`<${Places} site=${site.data} width=${width} height=${height} />${identity.data && html`<${PathOverlay} identity=${identity.data} width=${width} height=${height} />`}`}<//>
          <div class="stage-foot">${!user.see_people ? html`<${Notice}>${t("recording.no_right")}<//>` : html`<${Notice}>${t("recording.no_video")}<//>`}</div>`}
      <${Timeline} events=${events.data || []} mediaOf=${mediaOf} end_s=${end_s} at_s=${at_s} chosen=${chosen} onSeek=${seek} onPick=${pick} />
      ${hasSite && html`<div class="stage-foot"><${Check} label=${t("toggle.places")} checked=${places} onChange=${setPlaces} /></div>`}</div>
      ${chosen && html`<${IdentityCard} load=${identity} chosen=${chosen} zone=${zone} utc=${Boolean(stream.began_ms)} onClose=${() => pick(null)} onPickEvent=${pick} />`}</div>
    <section class="card flush"><header><h2>${t("camera.events")}</h2>${events.data && html`<span class="soft">${plural("recording.events", events.data.length)}</span>`}</header>
      <${Loaded} of=${events}>${(rows) => (rows.length ? html`<ol class="events" tabindex="0" aria-label=${t("camera.events")}>${rows.map((event) => html`<${EventRow} key=${event.key} event=${{ ...event, utc: false, at_ms: mediaOf(event) * 1000 }} short onPick=${(number) => pick(number, event)} current=${chosen !== null && event.identity === chosen} />`)}</ol>` : html`<${Empty} title=${t("camera.no_events")}>${t(hasSite || !stream.editable ? "recording.no_events_text" : "recording.no_site_text")}<//>`)}<//></section></div>`;
}

// Where the video may not be shown or is not there: lines, zones and paths on a plain ground of its shape.
function Blank({ stream, children }) {
  const [box, size] = useSize();
  const shape = (element) => element && stream.size && element.style.setProperty("--aspect", String(stream.size[0] / stream.size[1]));
  return html`<div class="stage" ref=${(element) => { box.current = element; shape(element); }}><div class="stage-over">${children(size)}</div></div>`;
}

function Player({ stream, video, onTime, onLength, children }) {
  const [box, size] = useSize();
  const [broken, setBroken] = useState(false);
  return html`<div class="player" ref=${box}><video ref=${video} src=${address(streamPath(stream.id, "/video"))} controls muted playsinline preload="metadata" aria-label=${t("recording.video", { name: stream.id })}
      onTimeUpdate=${(event) => onTime(event.currentTarget.currentTime)} onLoadedMetadata=${(event) => onLength(event.currentTarget.duration)} onError=${() => setBroken(true)}></video>
    <div class="stage-over">${children(size)}</div>${broken && html`<${Notice} kind="problem">${t("recording.broken")}<//>`}</div>`;
}

const LANE = 22;
const LEFT = 96;

// Events as marks, one lane per line or zone; outages hatched over all lanes.
function Timeline({ events, mediaOf, end_s, at_s, chosen, onSeek, onPick }) {
  const [box, size] = useSize();
  const lanes = [...new Set(events.filter((event) => event.place && event.kind !== "flow").map((event) => event.place))].slice(0, 12);
  const width = Math.max(280, size.width);
  const height = lanes.length * LANE + 26;
  const left = width < 500 ? 64 : LEFT;
  const x = (seconds) => left + (Math.min(seconds, end_s) / end_s) * (width - left - 8);
  const toTime = (event) => {
    const rect = event.currentTarget.getBoundingClientRect();
    return Math.min(end_s, Math.max(0, (((event.clientX - rect.left) * (width / rect.width) - left) / (width - left - 8)) * end_s));
  };
  const step = [1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600].find((one) => end_s / one <= (width - left) / 70) || 7200;
  const key = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    onSeek(Math.min(end_s, Math.max(0, at_s + by)));
  };
  return html`<div class="timeline"><div ref=${box}>${size.width > 0 && html`<svg viewBox=${`0 0 ${width} ${height}`} tabindex="0" role="slider" aria-label=${t("recording.timeline")} aria-valuemin="0" aria-valuemax=${Math.round(end_s)} aria-valuenow=${Math.round(at_s)} aria-valuetext=${mediaClock(at_s)}
      onKeyDown=${key} onPointerDown=${(event) => onSeek(toTime(event))} onPointerMove=${(event) => event.buttons && onSeek(toTime(event))}>
    <defs><pattern id="gap-hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="3" height="8" class="hatch-bar" /></pattern></defs>
    ${events.filter((event) => OUTAGES.includes(event.kind) && event.since_ms !== null && event.since_ms !== undefined).map((event) => html`<rect class="gap" x=${x(mediaOf({ ...event, at_ms: event.since_ms }))} y="0" width=${Math.max(2, x(mediaOf(event)) - x(mediaOf({ ...event, at_ms: event.since_ms })))} height=${height - 20} />`)}
    ${lanes.map((place, at) => html`<g><text class="track-label" x="0" y=${at * LANE + 15}>${place.length > 13 ? `${place.slice(0, 12)}…` : place}</text><line class="lane" x1=${left} x2=${width - 8} y1=${at * LANE + 11} y2=${at * LANE + 11} />
      ${events.filter((event) => event.place === place && event.kind !== "flow").map((event) => html`<circle class=${`tick s${(directions(events, place).indexOf(event.direction || event.kind) % 8) + 1}`} cx=${x(mediaOf(event))} cy=${at * LANE + 11} r=${chosen === event.identity ? 7 : 4.5} onClick=${(click) => { click.stopPropagation(); onPick(event.identity || null, event); }}><title>${mediaClock(mediaOf(event))} ${sentence(event)}</title></circle>`)}</g>`)}
    ${Array.from({ length: Math.floor(end_s / step) + 1 }, (_, at) => html`<text class="axis" x=${x(at * step)} y=${height - 4} text-anchor=${x(at * step) > width - 28 ? "end" : "middle"}>${mediaClock(at * step)}</text>`)}
    <line class="playhead" x1=${x(at_s)} x2=${x(at_s)} y1="0" y2=${height - 18} /></svg>`}</div></div>`;
}

const directions = (events, place) => [...new Set(events.filter((event) => event.place === place).map((event) => event.direction || event.kind))].sort();
