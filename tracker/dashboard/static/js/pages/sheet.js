// One sheet: its intervals with the video where it may be seen, what was counted in each, and the report.
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { address, get, put, streamPath } from "../api.js";
import { useLoad, useSession } from "../hooks.js";
import { Icon } from "../icons.js";
import { Badge, Button, Loaded, Notice, PageHead, problemText, Scroller, Segments } from "../parts.js";
import { Link, useLeaving, useQuery } from "../router.js";
import { browserZone, clock, mediaClock, stamp } from "../time.js";
import { decimal, number, t } from "../texts.js";

const MOST = 100_000;
const KEYS = 9;
const RATES = [1, 2, 4];
const VERDICT = { good: "good", weak: "bad", "too few": "" };

export function SheetView({ id, streams }) {
  const [query, set] = useQuery();
  const found = useLoad((signal) => get(`/api/validation/sheets/${id}`, {}, signal), [id]);
  const view = query.get("view") === "report" ? "report" : "count";
  return html`<${Loaded} of=${found} page>${(sheet) => html`<${PageHead} title=${t("validation.of_stream", { name: sheet.stream })} sub=${t("validation.seed", { count: number(sheet.intervals.length), seed: sheet.seed })} back=${html`<${Link} class="button quiet icon-only" href="/validation" aria-label=${t("validation.back")}><${Icon} name="back" /><//>`}>
      <${Segments} label=${t("validation.view")} value=${view} options=${["count", "report"].map((one) => [one, t(`validation.view.${one}`)])} onChange=${(one) => set({ view: one === "report" ? one : null })} />
      <a class="button" href=${`/api/validation/sheets/${id}/export`} download><${Icon} name="download" /><span>${t("validation.export")}</span></a><//>
    ${view === "report" ? html`<${Report} id=${id} />` : html`<${Counting} sheet=${sheet} stream=${streams.find((one) => one.id === sheet.stream)} reload=${found.reload} />`}`}<//>`;
}

function spanText(sheet, one, zone) {
  return sheet.clock === "utc" ? `${stamp(one.from_ms, zone)} – ${clock(one.to_ms, zone)}` : `${mediaClock(one.from_ms / 1000)} – ${mediaClock(one.to_ms / 1000)}`;
}

// What is typed stays with its interval until it is saved.
function Counting({ sheet, stream, reload }) {
  const { user } = useSession();
  const [query, set] = useQuery();
  const [drafts, setDrafts] = useState({});
  const [conflict, setConflict] = useState(null);
  const [problem, setProblem] = useState(null);
  const zone = stream?.timezone || browserZone();
  const first = sheet.intervals.find((one) => !one.counts) || sheet.intervals[0];
  const one = sheet.intervals.find((other) => other.number === Number(query.get("interval"))) || first;
  const counts = drafts[one.number] || one.counts || sheet.asked.map(() => 0);
  const dirty = Object.keys(drafts).length > 0;
  useLeaving(dirty);
  const go = (next) => {
    setConflict(null);
    setProblem(null);
    set({ interval: next });
  };
  const change = (at, value) => setDrafts({ ...drafts, [one.number]: counts.map((old, other) => (other === at ? Math.min(MOST, Math.max(0, value)) : old)) });
  const send = async (values, revision) => {
    setProblem(null);
    try {
      await put(`/api/validation/sheets/${sheet.id}/intervals/${one.number}`, { revision, counts: values });
    } catch (error) {
      if (error.status === 409 && error.body.interval) return setConflict(error.body.interval);
      const text = problemText(error);
      return setProblem([text.title, text.detail, text.remedy].filter(Boolean).join(" "));
    }
    settled();
    if (values) go((sheet.intervals.find((other) => other.number > one.number && !other.counts) || sheet.intervals.find((other) => other.number !== one.number && !other.counts) || one).number);
    return undefined;
  };
  const settled = () => {
    setConflict(null);
    const { [one.number]: _, ...rest } = drafts;
    setDrafts(rest);
    reload();
  };
  useKeys((at, by) => at < sheet.asked.length && change(at, counts[at] + by));
  return html`<div class="columns counting"><div class="stack"><div class="card flush"><${Clip} sheet=${sheet} one=${one} stream=${stream} user=${user} />
        <div class="stage-foot"><b>${t("validation.interval", { number: number(one.number), time: spanText(sheet, one, zone) })}</b><span class="soft">${one.stratum}</span></div></div>
      <nav class="intervals" aria-label=${t("validation.all_intervals")}>${sheet.intervals.map((other) => html`<button type="button" class=${`button small ${other.counts ? "done" : ""}`} aria-current=${other.number === one.number ? "true" : undefined} aria-label=${t(drafts[other.number] ? "validation.interval_draft" : other.counts ? "validation.interval_done" : "validation.interval_open", { number: other.number })} onClick=${() => go(other.number)}>${other.number}${drafts[other.number] ? "*" : other.counts ? html`<${Icon} name="check" />` : ""}</button>`)}</nav></div>
    <section class="card"><header><h2>${t("validation.passed")}</h2>${one.counts && !drafts[one.number] && html`<${Badge} kind="good">${t("validation.counted_by", { name: one.by })}<//>`}</header>
      ${problem && html`<${Notice} kind="problem">${problem}<//>`}
      ${conflict && html`<${Notice} kind="warn"><p>${conflict.counts ? t("validation.conflict", { name: conflict.by, counts: conflict.counts.map(number).join(", ") }) : t("validation.conflict_cleared", { name: conflict.by })}</p><div class="row"><${Button} small onClick=${settled}>${t("validation.take_theirs")}<//><${Button} small onClick=${() => send(counts, conflict.revision)}>${t("validation.keep_mine")}<//></div><//>`}
      <ul class="tally">${sheet.asked.map(([place, direction, name], at) => html`<li><span class="tally-name"><b>${place}</b> ${direction} <span class="soft">${name}</span>${at < KEYS && html` <kbd>${at + 1}</kbd>`}</span>
        <${Button} icon="minus" iconOnly label=${t("validation.less", { name: `${place} ${direction} ${name}` })} disabled=${!counts[at]} onClick=${() => change(at, counts[at] - 1)} />
        <input type="number" inputmode="numeric" min="0" max=${MOST} step="1" aria-label=${`${place} ${direction} ${name}`} value=${counts[at]} onInput=${(event) => /^[0-9]+$/.test(event.currentTarget.value) && change(at, Number(event.currentTarget.value))} />
        <${Button} icon="plus" iconOnly label=${t("validation.more", { name: `${place} ${direction} ${name}` })} onClick=${() => change(at, counts[at] + 1)} /></li>`)}</ul>
      <div class="row end">${one.counts && html`<${Button} kind="quiet" onClick=${() => send(null, one.revision)}>${t("validation.clear")}<//>`}<${Button} icon="save" kind="primary" onClick=${() => send(counts, one.revision)}>${t("validation.save")}<//></div><p class="soft keys">${t("validation.keys")}</p></section></div>`;
}

// Keys 1 to 9 count one more, with Shift one less.
function useKeys(add) {
  const latest = useRef(null);
  latest.current = (event) => {
    const digit = /^Digit([1-9])$/.exec(event.code);
    if (!digit || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    event.preventDefault();
    add(Number(digit[1]) - 1, event.shiftKey ? -1 : 1);
  };
  useEffect(() => {
    const listener = (event) => latest.current(event);
    addEventListener("keydown", listener);
    return () => removeEventListener("keydown", listener);
  }, []);
}

// The video of a recording from the interval's begin to its end; words where there is none or it may not be seen.
function Clip({ sheet, one, stream, user }) {
  const video = useRef(null);
  const [rate, setRate] = useState(1);
  const shown = stream && stream.has_video && user.see_people && one.media_s !== null;
  const end_s = one.media_s + (one.to_ms - one.from_ms) / 1000;
  const seek = () => video.current && (video.current.currentTime = one.media_s);
  useEffect(() => {
    if (!shown) return;
    video.current.pause();
    seek();
  }, [one.number, shown]);
  if (!shown) return html`<div class="pad-all"><${Notice}>${stream && stream.has_video && !user.see_people ? t("recording.no_right") : t("validation.no_video")}<//></div>`;
  const stop = (event) => {
    if (event.currentTarget.currentTime >= end_s) event.currentTarget.pause();
  };
  const play = () => {
    seek();
    video.current.play();
  };
  return html`<div class="player"><video ref=${video} src=${address(streamPath(sheet.stream, "/video"))} controls muted playsinline preload="metadata" aria-label=${t("recording.video", { name: sheet.stream })} onLoadedMetadata=${seek} onTimeUpdate=${stop}></video></div>
    <div class="stage-foot"><${Button} icon="play" onClick=${play}>${t("validation.play")}<//><${Segments} label=${t("validation.rate")} value=${rate} options=${RATES.map((value) => [value, t("validation.times", { rate: value })])} onChange=${(value) => { setRate(value); video.current.playbackRate = value; }} /></div>`;
}

const percent = (ratio) => (ratio === null ? "–" : `${ratio > 1 ? "+" : ""}${decimal(100 * (ratio - 1), 1)} %`);

function Report({ id }) {
  const found = useLoad((signal) => get(`/api/validation/sheets/${id}/report`, {}, signal), [id]);
  return html`<${Loaded} of=${found}>${(report) => html`${report.counted < report.intervals - report.deleted && html`<${Notice} kind="warn">${t("validation.not_all", { counted: number(report.counted), all: number(report.intervals) })}<//>`}
    ${report.deleted > 0 && html`<${Notice} kind="warn">${t("validation.deleted", { count: number(report.deleted) })}<//>`}
    ${report.words.length > 0 ? html`<${Notice} kind="warn"><ul>${report.words.map((words) => html`<li>${words}</li>`)}</ul><//>` : report.rows.length > 0 && html`<${Notice} kind="good">${t("validation.no_weak")}<//>`}
    <div class="card flush"><${Scroller} label=${t("validation.view.report")}><table><thead><tr><th scope="col">${t("audit.place")}</th><th scope="col">${t("audit.direction")}</th><th scope="col">${t("audit.class")}</th><th class="num" scope="col">${t("validation.intervals")}</th><th class="num" scope="col">${t("audit.by_program")}</th><th class="num" scope="col">${t("audit.by_hand")}</th><th class="num" scope="col">${t("validation.bias")}</th><th class="num" scope="col">${t("validation.confidence")}</th><th class="num" scope="col">GEH</th><th scope="col">${t("validation.verdict")}</th></tr></thead>
      <tbody>${report.rows.map((one) => html`<tr><th scope="row">${one.place}</th><td>${one.direction}</td><td>${one.class}</td><td class="num">${number(one.intervals)}</td><td class="num">${number(one.ledger)}</td><td class="num">${number(one.person)}</td><td class="num">${percent(one.ratio)}</td><td class="num">${one.low === null ? "–" : t("validation.range", { low: percent(one.low), high: percent(one.high) })}</td><td class="num">${decimal(one.geh, 1)}</td><td><${Badge} kind=${VERDICT[one.verdict]}>${t(`validation.verdict.${one.verdict.replace(" ", "_")}`)}<//></td></tr>`)}</tbody></table><//></div>
    <p class="soft keys">${t("validation.method")}</p>`}<//>`;
}
