// Recordings: the results of a folder.
import { html } from "../../vendor/preact.js";
import { address, get, streamPath } from "../api.js";
import { useLoad, useSession, useTitle } from "../hooks.js";
import { Icon } from "../icons.js";
import { Badge, Empty, Loaded, PageHead } from "../parts.js";
import { Link, streamUrl } from "../router.js";
import { RunProblem, RunState, useRuns } from "../runs.js";
import { browserZone, mediaClock, stamp } from "../time.js";
import { plural, t } from "../texts.js";
import { TodayCounts } from "./wall.js";

export default function Recordings() {
  const recordings = useLoad((signal) => get("/api/recordings", {}, signal).then((found) => found.recordings), [], { every_s: 20 });
  const runs = useRuns();
  useTitle(t("nav.recordings"));
  return html`<${PageHead} title=${t("nav.recordings")} sub=${recordings.data ? plural("recordings.count", recordings.data.length) : " "} />
    <${RunProblem} runs=${runs} />
    <${Loaded} of=${recordings}>${(found) => (found.length ? html`<ul class="recording-list">${found.map((one) => html`<${Card} key=${one.id} one=${one} runs=${runs} />`)}</ul>` : html`<${Empty} icon="recordings" title=${t("recordings.empty")}>${t("recordings.empty_text")}<//>`)}<//>`;
}

function Card({ one, runs }) {
  const { user } = useSession();
  const facts = [one.duration_s ? mediaClock(one.duration_s) : null, one.size ? one.size.join(" × ") : null, one.identities === null || one.identities === undefined ? null : plural("recordings.identities", one.identities)].filter(Boolean);
  return html`<li class="tile card flush"><${Link} class="tile-picture" href=${streamUrl(one.id)} aria-label=${t("recordings.open", { name: one.id })}>
    <span class="still">${one.has_video && user.see_people ? html`<video src=${`${address(streamPath(one.id, "/video"))}#t=0.5`} preload="metadata" muted playsinline tabindex="-1" aria-hidden="true"></video>` : html`<${Icon} name="recordings" />`}${one.duration_s ? html`<span class="length num">${mediaClock(one.duration_s)}</span>` : ""}</span><//>
    <div class="tile-body"><header><h2><${Link} href=${streamUrl(one.id)}>${one.id}<//></h2>${one.has_video && html`<${Badge} kind="info">${t("recordings.video")}<//>`}</header>
      <p class="soft">${[...facts, one.began_ms ? stamp(one.began_ms, one.timezone || browserZone()) : null].filter(Boolean).join(" · ")}</p><${TodayCounts} counts=${one.today || []} none=${one.site_revision ? t("recordings.uncounted") : undefined} /><${RunState} runs=${runs} name=${one.id} /></div></li>`;
}

