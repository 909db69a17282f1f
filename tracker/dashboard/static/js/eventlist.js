// Rows of the ledger in words: used by the camera's page and the list of events.
import { html } from "../vendor/preact.js";
import { identityColour } from "./colour.js";
import { Badge } from "./parts.js";
import { Link, streamUrl } from "./router.js";
import { clock, duration, mediaClock, stamp } from "./time.js";
import { t, word } from "./texts.js";

export const OUTAGES = ["gap", "camera_moved", "frozen", "covered", "dark"];
export const KINDS = ["crossing", "enter", "leave", "loitering", "flow", "identity_start", "identity_end", "reclassified", "rekeyed", "speed", "headway", "time_gap", "time_to_collision", "post_encroachment", "stopped", "wrong_way", "size", "queue_join", "queue_leave", "bay_taken", "bay_free", "group", "group_member", "staff", "re_entry", "passing", "alert", ...OUTAGES];
const LASTING = ["stopped", "wrong_way", "alert"];

// One event as a sentence without its time and identity.
export function sentence(event) {
  const values = { place: event.place, direction: event.direction, was: event.was_class, class: event.class, kind: word("kind", event.kind), value: event.value === null || event.value === undefined ? "" : Math.round(event.value * 10) / 10, other: event.other_identity || "" };
  if (event.kind === "leave" && event.stay && event.stay.dwell_s !== null && event.stay.dwell_s !== undefined) return t("event.leave_after", { ...values, time: duration(event.stay.dwell_s) });
  if (event.since_ms !== null && event.since_ms !== undefined && OUTAGES.includes(event.kind)) return t("event.outage_over", { ...values, time: duration((event.at_ms - event.since_ms) / 1000) });
  if (event.since_ms !== null && event.since_ms !== undefined && event.kind === "flow") return t("event.flow", { ...values, time: duration((event.at_ms - event.since_ms) / 1000) });
  if (event.since_ms !== null && event.since_ms !== undefined && LASTING.includes(event.kind)) return t("event.lasting_over", { ...values, time: duration((event.at_ms - event.since_ms) / 1000) });
  const key = `event.${event.kind}`;
  const text = t(key, values);
  return text === key ? `${values.kind} ${event.place}` : text;
}

export const Identity = ({ identity, name }) => html`<span class="identity"><span class="identity-dot" ref=${(element) => element && element.style.setProperty("background", identityColour(identity))} aria-hidden="true"></span>${identity}${name ? html` <span class="soft">${name}</span>` : ""}</span>`;

export const when = (event, zone, short) => (event.utc ? (short ? clock(event.at_ms, zone) : stamp(event.at_ms, zone)) : mediaClock(event.at_ms / 1000));

// `onPick(identity, event)` makes rows buttons; without it they link to the stream's page.
export function EventRow({ event, zone, short, showStream, onPick, current }) {
  const inner = html`<time class="num">${when(event, zone, short)}</time>
    ${event.identity ? html`<${Identity} identity=${event.identity} name=${event.class} />` : html`<span class="soft">${t("event.camera")}</span>`}
    <span class="event-text">${showStream && html`<b>${event.stream}</b> · `}${sentence(event)}${event.bridged && html` <${Badge}>${t("event.bridged")}<//>`}</span>`;
  const cls = `event-row ${OUTAGES.includes(event.kind) ? "is-outage" : ""} ${current ? "current" : ""}`;
  if (onPick) return html`<li><button type="button" class=${cls} onClick=${() => onPick(event.identity || null, event)}>${inner}</button></li>`;
  const query = event.identity ? `?identity=${event.identity}` : "";
  return html`<li><${Link} class=${cls} href=${streamUrl(event.stream) + query}>${inner}<//></li>`;
}
