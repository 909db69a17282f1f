// Side panel of the editor: list of places, properties of the selected one, doors, flows and the site's time zone.
import { html } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { Badge, Button, Field, Notice, Num, Select, Several, Swatch, Text } from "../parts.js";
import { number, t } from "../texts.js";
import { GroundCard } from "./ground.js";
import { isMute, placeOf, placesIn, SHAPES } from "./model.js";

const SWAY_SHARE = 0.05; // where a site does not say it
const ICON = { lines: "line", zones: "zone", occluders: "occluder", privacy: "privacy", ground: "ground" };

export function Panel({ state, dispatch, classes, dry, dryState, problems, warnings, view, recorded, more }) {
  const place = placeOf(state);
  return html`<div class="stack editor-panel">
    ${problems.length > 0 && html`<${Notice} kind="problem"><ul>${problems.map((one) => html`<li>${one.at ? html`<b>${one.at}</b>: ` : ""}${one.message}</li>`)}</ul><//>`}
    ${warnings.length > 0 && html`<${Notice} kind="warn"><ul>${warnings.map((one) => html`<li>${typeof one === "string" ? one : `${one.at ? `${one.at}: ` : ""}${one.message}`}</li>`)}</ul><//>`}
    ${state.selected?.kind === "ground" && html`<${GroundCard} state=${state} dispatch=${dispatch} view=${view} />`}
    ${place && state.selected.kind !== "ground" && html`<${Properties} key=${`${state.selected.kind}${state.selected.index}`} state=${state} dispatch=${dispatch} classes=${classes} dry=${dry.get(place.name)} dryState=${dryState} recorded=${recorded} />`}
    <section class="card"><header><h2>${t("editor.places")}</h2></header><${PlaceList} state=${state} dispatch=${dispatch} dry=${dry} /></section>
    ${more}<${SiteCard} state=${state} dispatch=${dispatch} />
  </div>`;
}

function PlaceList({ state, dispatch, dry }) {
  const rows = SHAPES.flatMap((kind) => placesIn(state.site, kind).map((place, index) => ({ kind, place, index })));
  if (!rows.length) return html`<p class="soft">${t("editor.no_places")}</p>`;
  const chosen = (row) => state.selected && state.selected.kind === row.kind && state.selected.index === row.index;
  return html`<ul class="place-list">${rows.map((row) => html`<li><button type="button" aria-pressed=${Boolean(chosen(row))} onClick=${() => dispatch({ type: "select", kind: row.kind, index: row.index })}>
    <${Icon} name=${ICON[row.kind]} />${isMute(row.kind) ? "" : html`<${Swatch} index=${row.kind === "lines" ? row.index : state.site.lines.length + row.index} />`}<span>${row.kind === "ground" ? t("editor.one.ground") : row.place.name}</span><span class="soft num">${sumText(dry.get(row.place.name))}</span></button></li>`)}</ul>`;
}

const sumText = (dry) => (dry ? dry.rows.filter((row) => !row.class).map((row) => number(row.would)).join(" / ") : "");

function Properties({ state, dispatch, classes, dry, dryState, recorded }) {
  const { kind, index, vertex, ring } = state.selected;
  const place = placeOf(state);
  const patch = (changes) => dispatch({ type: "patch", kind, index, changes });
  return html`<section class="card properties"><header><h2>${t(`editor.one.${kind}`)}</h2><div class="row">
      ${kind === "lines" && html`<${Button} small icon="swap" onClick=${() => dispatch({ type: "reverse", index })}>${t("editor.reverse")}<//>`}
      ${vertex !== null && html`<${Button} small icon="minus" onClick=${() => dispatch({ type: "cut", kind, index, ring, vertex })}>${t("editor.cut")}<//>`}
      <${Button} small kind="danger" icon="trash" onClick=${() => dispatch({ type: "remove", kind, index })}>${t("action.delete")}<//></div></header>
    <div class="stack"><${Text} label=${t("editor.name")} value=${place.name} onChange=${(name) => patch({ name })} maxlength="100" />
    ${kind === "lines" && html`<div class="form-row"><${Text} label=${t("editor.to_left")} value=${place.to_left} onChange=${(to_left) => patch({ to_left })} maxlength="100" /><${Text} label=${t("editor.to_right")} value=${place.to_right} onChange=${(to_right) => patch({ to_right })} maxlength="100" /></div>
      <p class="soft">${t("editor.direction_text", { left: place.to_left, right: place.to_right })}</p>`}
    ${!isMute(kind) && html`<${Several} label=${t("editor.classes")} all=${t("editor.all_classes")} options=${[...new Set([...classes, ...(place.classes || [])])].map((one) => [one, one])} chosen=${place.classes || []} onChange=${(value) => patch({ classes: value })} />`}
    ${kind === "zones" && html`<div class="form-row"><${Num} label=${t("editor.enter_s")} value=${place.enter_s} min="0" step="0.1" onChange=${(enter_s) => patch({ enter_s })} /><${Num} label=${t("editor.leave_s")} value=${place.leave_s} min="0" step="0.1" onChange=${(leave_s) => patch({ leave_s })} /></div>
      <${Num} label=${t("editor.loiter_s")} hint=${t("editor.loiter_hint")} optional value=${place.loiter_s} min="0" step="1" onChange=${(loiter_s) => patch({ loiter_s })} />`}
    ${kind === "lines" && html`<details><summary>${t("editor.finer")}</summary><div class="form-row"><${Num} label=${t("editor.dead_band")} hint=${t("editor.dead_band_hint")} value=${place.dead_band} min="0.000001" max="0.5" step="0.001" onChange=${(dead_band) => patch({ dead_band })} />
      <${Num} label=${t("editor.sway_share")} hint=${t("editor.sway_share_hint")} value=${place.sway_share ?? SWAY_SHARE} min="0" max="1" step="0.01" onChange=${(sway_share) => patch({ sway_share })} />
      <${Num} label=${t("editor.settle_s")} value=${place.settle_s} min="0" step="0.1" onChange=${(settle_s) => patch({ settle_s })} /><${Num} label=${t("editor.min_rearm_s")} value=${place.min_rearm_s} min="0" step="0.1" onChange=${(min_rearm_s) => patch({ min_rearm_s })} /></div></details>`}
    ${isMute(kind) ? html`<p class="soft">${t(kind !== "privacy" ? "editor.occluder_text" : recorded ? "recorded.privacy_text" : "editor.privacy_text")}</p>` : html`<${Dry} dry=${dry} state=${dryState} recorded=${recorded} />`}</div></section>`;
}

// "This line would have counted 14 in, 11 out in the last 10 minutes", or in the whole recording.
function Dry({ dry, state, recorded }) {
  if (state.error) return html`<p class="soft">${t(recorded ? "recorded.failed" : "editor.dry_failed")}</p>`;
  if (!dry || !dry.rows.length) return html`<p class="soft" role="status">${t(!recorded ? "editor.dry_none" : recorded.has_rows ? "recorded.busy" : "recorded.no_rows")}</p>`;
  const title = recorded ? t("recorded.whole") : t("editor.dry", { minutes: Math.max(1, Math.round((state.seconds || 600) / 60)) });
  return html`<div class="dry" role="status"><p>${title}</p><table><thead><tr><th scope="col">${t("editor.dry_what")}</th><th class="num" scope="col">${t(recorded ? "recorded.was" : "editor.dry_was")}</th><th class="num" scope="col">${t("editor.dry_would")}</th></tr></thead><tbody>${dry.rows.map((row) => html`<tr class=${row.was === row.would ? "" : "other"}><th scope="row">${row.what}${row.class ? ` · ${row.class}` : ""}</th><td class="num">${row.was === null || row.was === undefined ? "–" : number(row.was)}</td><td class="num"><b>${number(row.would)}</b></td></tr>`)}</tbody></table></div>`;
}

function SiteCard({ state, dispatch }) {
  const { site } = state;
  const set = (changes, gesture) => dispatch({ type: "site", changes, gesture });
  const lines = site.lines.map((one) => one.name);
  const places = [...lines, ...site.zones.map((one) => one.name)];
  return html`<section class="card"><header><h2>${t("editor.more")}</h2></header><div class="stack">
    <${TimeZone} value=${site.timezone} onChange=${(timezone) => set({ timezone }, "timezone")} />
    <${Group} title=${t("editor.doors")} text=${t("editor.doors_text")} items=${site.doors} disabled=${!lines.length} onAdd=${() => set({ doors: [...site.doors, { name: `${t("editor.stem.doors")} ${site.doors.length + 1}`, lines: [lines[0]], entry: "in", exit: "out", reset_at: null }] })}
      onRemove=${(at) => set({ doors: site.doors.filter((_, number_) => number_ !== at) })} row=${(door, at) => html`<${Door} door=${door} lines=${lines} site=${site} onChange=${(changes) => set({ doors: site.doors.map((one, other) => (other === at ? { ...one, ...changes } : one)) }, `door ${at} ${Object.keys(changes)}`)} />`} />
    <${Group} title=${t("editor.flows")} text=${t("editor.flows_text")} items=${site.flows} disabled=${!places.length} onAdd=${() => set({ flows: [...site.flows, { name: `${t("editor.stem.flows")} ${site.flows.length + 1}`, start: places[0], end: places[1] || places[0], start_direction: null, end_direction: null }] })}
      onRemove=${(at) => set({ flows: site.flows.filter((_, number_) => number_ !== at) })} row=${(flow, at) => html`<${Flow} flow=${flow} site=${site} places=${places} onChange=${(changes) => set({ flows: site.flows.map((one, other) => (other === at ? { ...one, ...changes } : one)) }, `flow ${at} ${Object.keys(changes)}`)} />`} /></div></section>`;
}

function TimeZone({ value, onChange }) {
  const names = [...new Set(["UTC", value, ...(Intl.supportedValuesOf ? Intl.supportedValuesOf("timeZone") : [])])];
  return html`<${Select} label=${t("editor.timezone")} value=${value} options=${names.map((one) => [one, one])} onChange=${onChange} />`;
}

function Group({ title, text, items, row, onAdd, onRemove, disabled }) {
  return html`<details class="group"><summary>${title} <${Badge}>${number(items.length)}<//></summary><p class="soft">${text}</p>
    ${items.map((one, at) => html`<div class="group-row">${row(one, at)}<${Button} small icon="trash" iconOnly kind="quiet" label=${t("users.remove", { name: one.name })} onClick=${() => onRemove(at)} /></div>`)}
    <${Button} small icon="plus" disabled=${disabled} onClick=${onAdd}>${t("action.add")}<//></details>`;
}

const directionsOf = (site, name) => site.lines.filter((one) => one.name === name).flatMap((one) => [one.to_left, one.to_right]);

function Door({ door, lines, site, onChange }) {
  const ways = [...new Set([...door.lines.flatMap((name) => directionsOf(site, name)), door.entry, door.exit])].map((one) => [one, one]);
  return html`<div class="form-row"><${Text} label=${t("editor.name")} value=${door.name} onChange=${(name) => onChange({ name })} /><${Several} label=${t("editor.door_lines")} all=${t("editor.none")} options=${lines.map((one) => [one, one])} chosen=${door.lines} onChange=${(value) => onChange({ lines: value })} />
    <${Select} label=${t("editor.entry")} value=${door.entry} options=${ways} onChange=${(entry) => onChange({ entry })} /><${Select} label=${t("editor.exit")} value=${door.exit} options=${ways} onChange=${(exit) => onChange({ exit })} />
    <${Field} label=${t("editor.reset_at")}><input type="time" value=${door.reset_at || ""} onInput=${(event) => onChange({ reset_at: event.currentTarget.value || null })} /><//></div>`;
}

function Flow({ flow, site, places, onChange }) {
  const end = (key, label) => {
    const ways = directionsOf(site, flow[key]);
    return html`<${Select} label=${label} value=${flow[key]} options=${places.map((one) => [one, one])} onChange=${(value) => onChange({ [key]: value, [`${key}_direction`]: null })} />
      ${ways.length > 0 && html`<${Select} label=${t("editor.direction_over", { name: flow[key] })} value=${flow[`${key}_direction`] || ""} options=${[["", t("editor.both")], ...ways.map((one) => [one, one])]} onChange=${(value) => onChange({ [`${key}_direction`]: value || null })} />`}`;
  };
  return html`<div class="form-row"><${Text} label=${t("editor.name")} value=${flow.name} onChange=${(name) => onChange({ name })} />${end("start", t("editor.flow_start"))}${end("end", t("editor.flow_end"))}</div>`;
}
