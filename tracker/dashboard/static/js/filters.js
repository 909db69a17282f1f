// Filters of the pages of numbers, kept in the address: streams, places, classes, a span of time.
import { html } from "../vendor/preact.js";
import { address, get } from "./api.js";
import { useLoad, useTitle } from "./hooks.js";
import { Icon } from "./icons.js";
import { Button, Field, Loaded, Notice, Segments, Several } from "./parts.js";
import { useQuery } from "./router.js";
import { browserZone, startOfDay, toLocal, toUtc } from "./time.js";
import { plural, t } from "./texts.js";

export const SPANS = ["today", "yesterday", "7d", "28d", "all"];
const DAY_MS = 86_400_000;
const MOST_NAMED = 5;

// Streams with their places and classes, once per page.
export function useStreams() {
  return useLoad((signal) => get("/api/streams", {}, signal).then((found) => found.streams), [], { every_s: 60 });
}

// `{from_ms, to_ms, span}` of the query: a named span, or local times of the place.
export function spanOf(query, zone, first = "today", now_ms = Date.now()) {
  const from = toUtc(query.get("from"), zone);
  const to = toUtc(query.get("to"), zone);
  if (from !== null || to !== null) return { from_ms: from, to_ms: to, span: "own" };
  const span = SPANS.includes(query.get("span")) ? query.get("span") : first;
  if (span === "all") return { from_ms: null, to_ms: null, span };
  const end = startOfDay(now_ms, zone, 1);
  if (span === "today") return { from_ms: startOfDay(now_ms, zone), to_ms: end, span };
  if (span === "yesterday") return { from_ms: startOfDay(now_ms, zone, -1), to_ms: startOfDay(now_ms, zone), span };
  return { from_ms: startOfDay(now_ms, zone, 1 - parseInt(span, 10)), to_ms: end, span };
}

// The span that a page opens with: recordings lie in the past, so where there is nothing else all of it is shown.
export function firstSpan(streams, chosen) {
  const mine = (streams || []).filter((one) => !chosen.length || chosen.includes(one.id));
  return mine.length && mine.every((one) => one.kind === "recording") ? "all" : "today";
}

// From and to of recordings whose times are known; of cameras the ledgers know more than the page.
export function recordedSpan(streams, chosen) {
  const mine = (streams || []).filter((one) => !chosen.length || chosen.includes(one.id)).filter((one) => one.kind !== "recording" || one.began_ms);
  if (!mine.length || mine.some((one) => one.kind !== "recording" || !one.duration_s)) return { from_ms: null, to_ms: null };
  return { from_ms: Math.min(...mine.map((one) => one.began_ms)), to_ms: Math.max(...mine.map((one) => one.began_ms + 1000 * one.duration_s)) };
}

// Streams that an answer has no numbers of, since they have no time of day and the others do.
export function LeftOut({ names }) {
  const [, set] = useQuery();
  if (!names.length) return null;
  return html`<${Notice} kind="warn">${plural("left_out", names.length, { name: names[0] })} ${t("left_out.remedy")} ${names.slice(0, MOST_NAMED).map((name, at) => html`${at ? ", " : ""}<button type="button" class="as-link" onClick=${() => set({ stream: [name], place: null })}>${name}</button>`)}${names.length > MOST_NAMED ? " …" : ""}<//>`;
}

export function zoneOf(streams, chosen) {
  const found = (streams || []).find((one) => (!chosen.length || chosen.includes(one.id)) && one.timezone);
  return found ? found.timezone : browserZone();
}

// A page of numbers: `Body({ streams, id })` under a title, once the streams are known.
export const streamsPage = (title, Body) => function Page({ id }) {
  const streams = useStreams();
  useTitle(t(title));
  return html`<${Loaded} of=${streams} page>${(found) => html`<${Body} streams=${found} id=${id} />`}<//>`;
};

// What the address chooses: `{query, set, chosen, zone, first, span}`.
export function useChosen(streams) {
  const [query, set] = useQuery();
  const chosen = query.getAll("stream");
  const zone = zoneOf(streams, chosen);
  const first = firstSpan(streams, chosen);
  return { query, set, chosen, zone, first, span: spanOf(query, zone, first) };
}

// Places, directions and classes of which the chosen streams have events.
const NOTHING = { places: [], directions: [], classes: [] };
const pairs = (names) => names.map((one) => [one, one]);

export function Filters({ streams, with: parts = [], spans = SPANS, first = "today", bare = false, children }) {
  const [query, set] = useQuery();
  const chosen = query.getAll("stream");
  const zone = zoneOf(streams, chosen);
  const { from_ms, to_ms, span } = spanOf(query, zone, first);
  const known = useLoad((signal) => (parts.length ? get("/api/places", { stream: chosen }, signal) : Promise.resolve(NOTHING)), [chosen.join("\n")]).data || NOTHING;
  const options = (key) => pairs([...new Set([...known[key], ...query.getAll(SINGULAR[key])])]);
  // A span that is chosen by name and does not move is written as times: the address means the same tomorrow.
  const choose = (next) => {
    if (next === "own") return;
    const fixed = next === "yesterday" ? spanOf(new URLSearchParams({ span: next }), zone) : null;
    set(fixed ? { span: null, from: toLocal(fixed.from_ms, zone), to: toLocal(fixed.to_ms, zone) } : { span: next === first ? null : next, from: null, to: null });
  };
  const shift = (days) => set({ span: null, from: toLocal(startOfDay(from_ms, zone, days * lengthDays(from_ms, to_ms)), zone), to: toLocal(startOfDay(to_ms, zone, days * lengthDays(from_ms, to_ms)), zone) });
  const named = span === "own" && isDay(from_ms, to_ms, zone, -1) ? "yesterday" : span;
  return html`<form class="filters" aria-label=${t("filter.label")} onSubmit=${(event) => event.preventDefault()}>
    ${spans.length > 0 && html`<div class="filter-time"><div class="field presets"><span class="field-label">${t("filter.span")}</span><div class="row">
      ${from_ms !== null && to_ms !== null && html`<${Button} icon="back" iconOnly label=${t("filter.earlier")} onClick=${() => shift(-1)} />`}
      <${Segments} label=${t("filter.span")} value=${named} onChange=${choose} options=${spans.map((one) => [one, t(`span.${one}`)])} />
      ${from_ms !== null && to_ms !== null && html`<${Button} icon="next" iconOnly label=${t("filter.later")} onClick=${() => shift(1)} />`}</div></div>
      <${Field} label=${t("filter.from", { zone })}><input type="datetime-local" value=${from_ms === null ? "" : toLocal(from_ms, zone)} onChange=${(event) => set({ span: null, from: event.currentTarget.value, to: query.get("to") || (to_ms === null ? null : toLocal(to_ms, zone)) })} /><//>
      <${Field} label=${t("filter.to")}><input type="datetime-local" value=${to_ms === null ? "" : toLocal(to_ms, zone)} onChange=${(event) => set({ span: null, to: event.currentTarget.value, from: query.get("from") || (from_ms === null ? null : toLocal(from_ms, zone)) })} /><//></div>`}
    ${!bare && html`<${Several} label=${t("filter.streams")} all=${t("filter.all_streams")} options=${(streams || []).map((one) => [one.id, one.id])} chosen=${chosen} onChange=${(value) => set({ stream: value, place: null })} />`}
    ${parts.includes("place") && html`<${Several} label=${t("filter.places")} all=${t("filter.all")} options=${options("places")} chosen=${query.getAll("place")} onChange=${(value) => set({ place: value })} />`}
    ${parts.includes("direction") && html`<${Several} label=${t("filter.directions")} all=${t("filter.all")} options=${options("directions")} chosen=${query.getAll("direction")} onChange=${(value) => set({ direction: value })} />`}
    ${parts.includes("class") && html`<${Several} label=${t("filter.classes")} all=${t("filter.all")} options=${options("classes")} chosen=${query.getAll("class")} onChange=${(value) => set({ class: value })} />`}
    ${children}
  </form>`;
}

// The numbers of a page as a file, with the filters of its address.
export const Download = ({ what, filter }) => html`<a class="button" href=${address(`/api/export/${what}.csv`, filter)} download><${Icon} name="download" /><span>CSV</span></a>`;

const lengthDays = (from_ms, to_ms) => Math.max(1, Math.round((to_ms - from_ms) / DAY_MS));
const isDay = (from_ms, to_ms, zone, days) => from_ms === startOfDay(Date.now(), zone, days) && to_ms === startOfDay(Date.now(), zone, days + 1);

const SINGULAR = { places: "place", directions: "direction", classes: "class" };
