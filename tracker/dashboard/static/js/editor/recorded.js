// Recordings in the editor: a still of any time or a plain ground with trails, for what a site is saved, what it counts.
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { address, get } from "../api.js";
import { identityColour } from "../colour.js";
import { useLoad, useSettled, useSize } from "../hooks.js";
import { Check, Notice } from "../parts.js";
import { unit, usePref } from "../prefs.js";
import { servedWidth } from "../stage.js";
import { mediaClock } from "../time.js";
import { number, plural, t } from "../texts.js";

const SEEK_MS = 120;
const AROUND_S = 4;
const SCALE = 1.5; // of a still beside what is shown: one zooms in to draw

const recordingPath = (id, rest) => `/api/recordings/${encodeURIComponent(id)}${rest}`;

// `{at_s, seek, end_s, trails, near, shown, show}`: the moment that is shown, and ground contacts of all time and around it.
export function useMoment(id, recorded) {
  const [at_s, seek] = useState(null);
  const [shown, show] = usePref("editor.trails", true);
  const rows = Boolean(recorded && recorded.has_rows);
  const trails = useLoad((signal) => (rows ? get(recordingPath(id, "/trails"), {}, signal) : Promise.resolve(null)), [id, rows]);
  const end_s = (recorded && recorded.duration_s) || trails.data?.to_s || 0;
  const now_s = at_s ?? Math.min(1, end_s / 2);
  const settled = useSettled(now_s, SEEK_MS);
  const near = useLoad((signal) => (rows ? get(recordingPath(id, "/trails"), { from_s: Math.max(0, settled - AROUND_S), to_s: settled + AROUND_S }, signal) : Promise.resolve(null)), [id, rows, settled]);
  return { at_s: now_s, settled_s: settled, seek, end_s, trails: trails.data, near: near.data, shown, show };
}

export function RecordedStage({ stream, recorded, moment, label, children }) {
  const [ref, size] = useSize();
  const picture = useRef(null);
  const overlay = useRef(null);
  const [still, setStill] = useState(null);
  const [failed, setFailed] = useState(false);
  const source = moment.trails?.size || stream.size;
  const aspect = still ? still.naturalWidth / still.naturalHeight : source ? source[0] / source[1] : 16 / 9;
  useEffect(() => {
    if (!recorded.has_picture) return undefined;
    let gone = false;
    const image = new Image();
    image.onload = () => gone || (setStill(image), setFailed(false));
    image.onerror = () => gone || setFailed(true);
    image.src = address(recordingPath(stream.id, "/frame"), { at_s: moment.settled_s.toFixed(2), width: Math.round(servedWidth(size.width || 640) * SCALE) });
    return () => (gone = true);
  }, [stream.id, recorded.has_picture, moment.settled_s, servedWidth(size.width || 640)]);
  useEffect(() => paint(picture.current, still, aspect), [still, aspect]);
  useEffect(() => drawTrails(overlay.current, size.width, size.height, moment, Boolean(still)), [size.width, size.height, moment.trails, moment.near, moment.at_s, moment.shown, still]);
  useEffect(() => ref.current.style.setProperty("--aspect", String(aspect)), [aspect]);
  return html`<div ref=${ref} class="stage recorded"><canvas ref=${picture} class="picture" width="16" height="9" role="img" aria-label=${label}></canvas>
    <canvas ref=${overlay} class="overlay" aria-hidden="true"></canvas><div class="stage-over">${children(size)}</div>
    ${failed && html`<p class="stage-note" role="status">${t("recorded.no_still")}</p>`}</div>`;
}

// The still, or a plain ground of its shape.
function paint(canvas, still, aspect) {
  const [width, height] = still ? [still.naturalWidth, still.naturalHeight] : [960, Math.max(1, Math.round(960 / aspect))];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  if (still) return context.drawImage(still, 0, 0);
  context.fillStyle = "#5c6268";
  return context.fillRect(0, 0, width, height);
}

// Ways of all time in pale lines, those around the moment in the colours of their identities, with where they stand.
function drawTrails(canvas, width, height, moment, onPicture) {
  const ratio = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.lineJoin = context.lineCap = "round";
  if (!moment.shown) return;
  const trace = (points) => {
    context.beginPath();
    points.forEach(([, x, y], at) => (at ? context.lineTo(x * width, y * height) : context.moveTo(x * width, y * height)));
    context.stroke();
  };
  context.lineWidth = 1.5 * unit();
  context.strokeStyle = "#ffffff";
  context.globalAlpha = onPicture ? 0.22 : 0.34;
  for (const { points } of moment.trails?.trails || []) trace(points);
  for (const { identity, points } of moment.near?.trails || []) {
    context.strokeStyle = context.fillStyle = identityColour(identity);
    context.globalAlpha = 0.85;
    context.lineWidth = 2.5 * unit();
    trace(points);
    const place = placeAt(points, moment.at_s);
    if (!place) continue;
    context.globalAlpha = 1;
    context.beginPath();
    context.ellipse(place[0] * width, place[1] * height, 6 * unit(), 4 * unit(), 0, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = "#ffffff";
    context.lineWidth = 1.5 * unit();
    context.stroke();
  }
  context.globalAlpha = 1;
}

// Where a trail is at a time, between the two points around it; null before and behind it.
function placeAt(points, at_s) {
  const next = points.findIndex(([time_s]) => time_s >= at_s);
  if (next < 0 || (next === 0 && points[0][0] > at_s + 0.1)) return null;
  if (next === 0) return points[0].slice(1);
  const [before, after] = [points[next - 1], points[next]];
  const share = (at_s - before[0]) / (after[0] - before[0] || 1);
  return [before[1] + share * (after[1] - before[1]), before[2] + share * (after[2] - before[2])];
}

export function Scrub({ moment, hasPicture, see }) {
  if (!moment.end_s) return null;
  return html`<div class="scrub"><label><span class="num">${mediaClock(moment.at_s)}</span><input type="range" min="0" max=${moment.end_s} step=${Math.max(0.1, moment.end_s / 1000).toFixed(2)} value=${moment.at_s} aria-label=${t("recorded.moment")} aria-valuetext=${mediaClock(moment.at_s)} onInput=${(event) => moment.seek(Number(event.currentTarget.value))} /><span class="soft num">${mediaClock(moment.end_s)}</span></label>
    ${moment.trails && html`<${Check} label=${t("toggle.trails")} checked=${moment.shown} onChange=${moment.show} />`}
    ${!hasPicture && html`<p class="soft">${t(see ? "recorded.ground" : "recorded.ground_masked")}</p>`}</div>`;
}

// For what the site is saved: this recording, or all of its folder that have none of their own.
export function ScopeCard({ recorded, scope, onScope, editable }) {
  const { files, scopes, sharing, apart } = recorded;
  const choice = (one, words) => html`<label class="choice"><input type="radio" name="scope" checked=${scope === one} disabled=${!editable || !scopes.includes(one)} onChange=${() => onScope(one)} /><span>${t(`recorded.scope.${one}`)} <code>${files[one]}</code>${words && html`<small class="soft">${words}</small>`}</span></label>`;
  const others = scope === "folder" ? [plural("recorded.sharing", sharing.length), apart.length ? plural("recorded.apart", apart.length) : ""].filter(Boolean).join(" ") : "";
  return html`<section class="card"><header><h2>${t("recorded.scope")}</h2></header><fieldset class="choices"><legend class="sr">${t("recorded.scope")}</legend>
    ${choice("recording")}${choice("folder", scopes.includes("folder") ? others : t("recorded.scope_right"))}</fieldset></section>`;
}

// What all lines and zones would have counted over the whole recording, beside what the ledger has.
export function WholeCard({ recorded, revision, dirty, dryState, children }) {
  const rows = [...dryState.dry.values()].flatMap((place) => place.rows.filter((row) => !row.class && row.what !== "mean dwell, s").map((row) => ({ ...row, place: place.place })));
  const counted = recorded.counted_revision;
  return html`<section class="card whole"><header><h2>${t("recorded.whole")}</h2>${dryState.seconds > 0 && html`<span class="soft num">${mediaClock(dryState.seconds)}</span>`}</header>
    ${!recorded.has_rows ? html`<p class="soft">${t("recorded.no_rows")}</p>` : dryState.error ? html`<${Notice} kind="warn">${[dryState.error.expected && t("error.expected", { text: dryState.error.expected }), dryState.error.found && t("error.found", { text: dryState.error.found }), dryState.error.remedy].filter(Boolean).join(" ") || t("recorded.failed")}<//>` : ""}
    ${dryState.busy && html`<p class="soft" role="status">${t("recorded.busy")}</p>`}
    ${recorded.has_rows && rows.length > 0 && html`<div class=${`dry ${dryState.busy || dryState.error ? "stale" : ""}`}><table><thead><tr><th scope="col">${t("editor.dry_what")}</th><th class="num" scope="col">${t("recorded.was")}</th><th class="num" scope="col">${t("editor.dry_would")}</th></tr></thead><tbody>${rows.map((row) => html`<tr class=${row.was === row.would ? "" : "other"}><th scope="row">${row.place} · ${row.what}</th><td class="num">${row.was === null || row.was === undefined ? "–" : number(row.was)}</td><td class="num"><b>${number(row.would)}</b></td></tr>`)}</tbody></table></div>`}
    ${recorded.has_rows && html`<p class="soft">${counted === null ? t("recorded.uncounted") : dirty || counted !== revision ? t("recorded.counted_with", { revision: counted }) : t("recorded.counted", { revision: counted })}</p>`}${children}</section>`;
}
