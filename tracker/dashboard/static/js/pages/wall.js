// The wall: a tile per camera with picture, state and today's counts.
import { html, useState } from "../../vendor/preact.js";
import { get } from "../api.js";
import { atLeast, useLoad, useSession, useTitle } from "../hooks.js";
import { Icon } from "../icons.js";
import { Badge, Empty, Loaded, PageHead, Segments } from "../parts.js";
import { Places } from "../places.js";
import { usePref } from "../prefs.js";
import { Link, streamUrl } from "../router.js";
import { downWord, isCut, isDown, losesFrames, Stage } from "../stage.js";
import { duration } from "../time.js";
import { decimal, number, percent, plural, t } from "../texts.js";

const SLOW_AGE_S = 3;

export default function Wall() {
  const { user } = useSession();
  const streams = useLoad((signal) => get("/api/streams", {}, signal), [], { every_s: 5 });
  const [size, setSize] = usePref("wall.size", "m");
  useTitle(t("nav.wall"));
  return html`<${PageHead} title=${t("nav.wall")} sub=${streams.data ? summary(streams.data.streams) : " "}>
      <${Segments} label=${t("wall.size")} value=${size} onChange=${setSize} options=${[["s", t("wall.s")], ["m", t("wall.m")], ["l", t("wall.l")]]} /><//>
    <${Loaded} of=${streams}>${(data) => {
      const cameras = data.streams.filter((one) => one.kind === "camera");
      const recordings = data.streams.length - cameras.length;
      if (!data.streams.length) return html`<${Empty} icon="wall" title=${t("wall.empty")}>${t(atLeast(user, "admin") ? "wall.empty_text" : "wall.empty_rights")}<//>`;
      if (!cameras.length) return html`<${Empty} icon="recordings" title=${t("wall.only_recordings")}><${Link} href="/recordings">${plural("wall.recordings", recordings)}<//><//>`;
      return html`<ul class=${`wall ${size}`}>${cameras.map((one) => html`<${Tile} key=${one.id} stream=${one} />`)}</ul>`;
    }}<//>`;
}

function summary(streams) {
  const cameras = streams.filter((one) => one.kind === "camera");
  const away = cameras.filter(isDown).length;
  return [plural("wall.cameras", cameras.length), away ? plural("wall.away", away) : ""].filter(Boolean).join(" · ");
}

// Counts of today by place, with the newest number from the socket.
export function TodayCounts({ counts, most = 3, none = t("wall.no_lines") }) {
  const places = [...new Set(counts.map((one) => one.place))];
  if (!places.length) return html`<p class="soft tile-none">${none}</p>`;
  const shown = places.slice(0, most);
  return html`<dl class="today">${shown.map((place) => html`<div><dt>${place}</dt><dd>${counts.filter((one) => one.place === place).map(
    (one) => html`<span class="count"><span class="soft">${one.direction}</span> <b class="num">${number(one.count)}</b></span>`,
  )}</dd></div>`)}</dl>${places.length > most && html`<p class="soft tile-none">${t("wall.more", { count: places.length - most })}</p>`}`;
}

const Losses = ({ stream }) => losesFrames(stream) && html`<span title=${t("wall.dropped")}><${Badge} kind="warn">${t("wall.dropped_share", { share: percent(stream.lost_share) })}<//></span>`;

const TILE = { masks: true, trails: false, labels: false, contacts: false, places: true };

function Tile({ stream }) {
  const [counts, setCounts] = useState(null);
  const [figures, setFigures] = useState(null);
  const site = useLoad((signal) => get(`/api/streams/${encodeURIComponent(stream.id)}/site`, {}, signal).then((found) => found.site), [stream.id, stream.site_revision]);
  const down = isDown(stream);
  const hear = (message) => {
    if (message.type === "counts") setCounts(message.places);
    else if (message.type === "state") setFigures({ fps: message.fps, age_s: message.age_s, living: message.tracks.length });
  };
  const now = figures || { fps: stream.fps, age_s: stream.age_s, living: stream.living };
  const slow = !down && now.age_s > SLOW_AGE_S;
  return html`<li class=${`tile card flush ${down ? "is-down" : ""}`}>
    <${Link} class="tile-picture" href=${streamUrl(stream.id)} aria-label=${t("wall.open", { name: stream.id })}>
      <${Stage} stream=${stream} toggles=${TILE} fps=${5} onMessage=${hear}>
        ${({ width, height }) => html`<${Places} site=${site.data} width=${width} height=${height} quiet=${true} />`}<//><//>
    <div class="tile-body"><header><h2><${Link} href=${streamUrl(stream.id)}>${stream.id}<//></h2>
      ${down ? html`<span class="tile-figures"><${Losses} stream=${stream} /><${Badge} kind=${isCut(stream) ? "bad" : "warn"}>${downWord(stream)}<//></span>` : slow ? html`<${Badge} kind="warn">${t("wall.late", { time: duration(now.age_s) })}<//>`
        : html`<span class="tile-figures soft"><${Losses} stream=${stream} /><span>${t("wall.fps", { fps: decimal(now.fps, 0) })}</span><span title=${t("wall.age")}>${duration(now.age_s)}</span>
          <span title=${t("wall.living")}><${Icon} name="identity" />${number(now.living)}</span></span>`}</header>
      <${TodayCounts} counts=${counts || stream.today} /></div></li>`;
}
