// The editor of a stream's site: draw on its picture, see at once what would have been counted, save a revision.
import { html, useCallback, useEffect, useMemo, useReducer, useRef, useState } from "../../vendor/preact.js";
import { get, post, put, streamPath } from "../api.js";
import { atLeast, useLoad, useSession, useSettled, useTitle } from "../hooks.js";
import { Icon } from "../icons.js";
import { Button, Loaded, Notice, PageHead, problemText } from "../parts.js";
import { Link, navigate, streamUrl, useEntry, useLeaving } from "../router.js";
import { useRuns } from "../runs.js";
import { Stage } from "../stage.js";
import { t } from "../texts.js";
import { browserZone } from "../time.js";
import { Canvas } from "./canvas.js";
import { Conflict, Exchange, Revisions } from "./dialogs.js";
import { useGround } from "./ground.js";
import { fewest, fresh, isDirty, KINDS, placeOf, placesIn, reduce, SHAPES } from "./model.js";
import { CountPanel } from "./count.js";
import { Panel } from "./panel.js";
import { RecordedStage, ScopeCard, Scrub, useMoment, WholeCard } from "./recorded.js";

const DRY_RUN_S = 600;
const SETTLE_MS = 200;
const MOST_ZOOM = 6;
const SHOWN = { masks: true, trails: false, labels: false, contacts: true, places: false };
const DEFAULT_SHAPES = { lines: [[0.3, 0.5], [0.7, 0.5]], zones: [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]], occluders: [[0.45, 0.4], [0.55, 0.4], [0.55, 0.7], [0.45, 0.7]], privacy: [[0.4, 0.1], [0.6, 0.1], [0.6, 0.3], [0.4, 0.3]], ground: [[0.3, 0.8], [0.7, 0.8], [0.6, 0.5], [0.4, 0.5]] };
const MIDDLE = [0.5, 0.65];

export default function SitePage({ id }) {
  const loaded = useLoad((signal) => Promise.all([get(streamPath(id), {}, signal), get(streamPath(id, "/site"), {}, signal)]), [id]);
  useTitle(t("editor.title"), id);
  return html`<${Loaded} of=${loaded} page>${([stream, found]) => html`<${Editor} key=${id} stream=${stream} first=${found} />`}<//>`;
}

function Editor({ stream, first }) {
  const { user } = useSession();
  useEntry(stream.kind === "recording" ? "recordings" : "wall");
  const [state, dispatch] = useReducer(reduce, first, started);
  const [history, setHistory] = useState(first.history || []);
  const [recorded, setRecorded] = useState(first.recording || null);
  const [of, setOf] = useState(first.recording ? first.recording.scope : null);
  const [scope, setScope] = useState(() => startScope(first.recording));
  const [dialog, setDialog] = useState(null);
  const [menu, setMenu] = useState(null);
  const [notice, setNotice] = useState(null);
  const [busy, setBusy] = useState(false);
  const [zoom, setZoom] = useState(1);
  const viewport = useRef(null);
  const editable = atLeast(user, "operator");
  const dirty = isDirty(state) || (scope !== of && state.site.revision > 0);
  const check = useDryRun(stream.id, state.site, editable, recorded);
  const moment = useMoment(stream.id, recorded);
  const reload = () => get(streamPath(stream.id, "/site")).then((found) => (setHistory(found.history), setRecorded(found.recording || null)), () => {});
  const runs = useRuns((run) => {
    if (run.recording !== recorded.name) return;
    setNotice({ kind: "good", text: t("count.done", { revision: state.saved.revision }) });
    // A recording that had no events had another name.
    if (run.stream === stream.id) reload();
    else navigate(streamUrl(run.stream, "/site"), { replace: true });
  }, Boolean(recorded));
  const ground = useGround(stream.id, state.site.ground, editable);
  // What is wrong with the ground is known while one drags; the rest a moment later.
  const problems = [...ground.problems, ...check.problems.filter((one) => one.at !== "ground")];
  useLeaving(dirty);
  const save = useCallback(async (site = state.site) => {
    setBusy(true);
    setNotice(null);
    try {
      const { revision } = await put(streamPath(stream.id, "/site"), { revision: site.revision, site, ...(recorded ? { scope, of } : {}) });
      dispatch({ type: "saved", revision });
      setOf(scope);
      setDialog(null);
      setNotice({ kind: "good", text: t("editor.saved", { revision }) });
      reload();
    } catch (error) {
      if (error.status === 409 && error.body.site) setDialog({ kind: "conflict", theirs: { ...error.body.site, revision: error.body.revision }, scope: error.body.scope });
      else {
        const text = problemText(error);
        setNotice({ kind: "problem", text: [text.title, text.detail, text.remedy].filter(Boolean).join(" ") });
      }
    }
    setBusy(false);
  }, [state.site, stream.id, scope, of]);
  useKeys(state, dispatch, () => editable && dirty && !busy && save());
  const resolve = (site, discard) => {
    const theirs = dialog.theirs;
    if (recorded) setOf(dialog.scope);
    if (discard) dispatch({ type: "load", site: theirs });
    else dispatch({ type: "rebase", site: theirs, mine: site });
    setDialog(null);
    setNotice({ kind: "good", text: t(discard ? "conflict.discarded" : "conflict.merged") });
  };
  const scale = (factor, x, y) => {
    const element = viewport.current;
    const next = Math.min(MOST_ZOOM, Math.max(1, zoom * factor));
    if (next === zoom || !element) return;
    const box = element.getBoundingClientRect();
    const [ox, oy] = x === undefined ? [box.width / 2, box.height / 2] : [x - box.left, y - box.top];
    const [left, top] = [((element.scrollLeft + ox) / zoom) * next - ox, ((element.scrollTop + oy) / zoom) * next - oy];
    setZoom(next);
    requestAnimationFrame(() => ([element.scrollLeft, element.scrollTop] = [left, top]));
  };
  return html`<${PageHead} title=${t("editor.heading", { name: stream.id })} sub=${editable ? t("editor.sub", { revision: state.site.revision }) : t("editor.read_only")} back=${html`<${Link} class="button quiet icon-only" href=${streamUrl(stream.id)} aria-label=${t("action.back")}><${Icon} name="back" /><//>`}>
      <${Button} icon="history" onClick=${() => setDialog({ kind: "revisions" })}>${t("editor.revisions")}<//>
      ${editable && html`<${Button} icon="upload" onClick=${() => setDialog({ kind: "exchange" })}>${t("exchange.title")}<//><${Button} icon="save" kind="primary" disabled=${!dirty || busy || problems.length > 0} onClick=${() => save()}>${dirty ? t("action.save") : t("editor.is_saved")}<//>`}<//>
    ${notice && html`<${Notice} kind=${notice.kind} onClose=${() => setNotice(null)}>${notice.text}<//>`}
    <div class="columns editor"><div class="card flush editor-stage">
      ${editable && html`<${Tools} state=${state} dispatch=${dispatch} known=${ground.view?.points} zoom=${zoom} onZoom=${scale} />`}
      <div class="viewport" ref=${viewport}><div class="zoomed" ref=${(element) => element && element.style.setProperty("width", `${zoom * 100}%`)}>
        <${recorded ? RecordedStage : Stage} stream=${stream} recorded=${recorded} moment=${moment} toggles=${SHOWN} fps=${5} label=${t("editor.picture", { name: stream.id })}>${({ width, height }) => width > 0 && html`<${Canvas} state=${state} dispatch=${editable ? dispatch : () => {}} width=${width} height=${height} dry=${check.dry} view=${ground.view} viewport=${viewport} onZoom=${scale} onMenu=${editable ? setMenu : () => {}} picture=${() => viewport.current && viewport.current.querySelector(".picture")} />`}<//></div></div>
      ${recorded && html`<${Scrub} moment=${moment} hasPicture=${recorded.has_picture} see=${user.see_people} />`}<p class="hint" role="status">${hint(state)}</p></div>
      <${Panel} recorded=${recorded} more=${recorded && html`<${WholeCard} recorded=${recorded} revision=${state.site.revision} dirty=${isDirty(state)} dryState=${check}><${CountPanel} stream=${stream} recorded=${recorded} revision=${state.site.revision} dirty=${dirty} editable=${editable} runs=${runs} /><//><${ScopeCard} recorded=${recorded} scope=${scope} onScope=${setScope} editable=${editable} />`} state=${state} dispatch=${dispatch} classes=${stream.classes || []} dry=${check.dry} dryState=${check} problems=${problems} warnings=${check.warnings} view=${ground.view} /></div>
    ${menu && html`<${Menu} menu=${menu} state=${state} dispatch=${dispatch} onClose=${() => setMenu(null)} />`}
    ${dialog?.kind === "conflict" && html`<${Conflict} base=${state.saved} mine=${state.site} theirs=${dialog.theirs} ...${recorded && dialog.scope !== of ? { title: t("recorded.other"), text: t(`recorded.other_text.${dialog.scope}`, { revision: dialog.theirs.revision }) } : {}} onTake=${resolve} onClose=${() => setDialog(null)} />`}
    ${dialog?.kind === "revisions" && html`<${Revisions} id=${stream.id} site=${state.site} history=${history} zone=${state.site.timezone} onRestore=${(site) => { dispatch({ type: "site", changes: { ...site, revision: state.site.revision } }); setDialog(null); }} onClose=${() => setDialog(null)} />`}
    ${dialog?.kind === "exchange" && html`<${Exchange} id=${stream.id} onTake=${(site) => { dispatch({ type: "join", site }); setDialog(null); setNotice({ kind: "good", text: t("exchange.taken") }); }} onClose=${() => setDialog(null)} />`}`;
}

// A camera without a site starts with its own picture's size and the time zone of whoever draws.
function started({ site, size }) {
  const untouched = !site.revision && !site.ground && !KINDS.some((kind) => (site[kind] || []).length);
  return fresh(untouched ? { ...site, reference_size: site.reference_size || size || null, timezone: site.timezone === "UTC" ? browserZone() : site.timezone } : site);
}

// For what a recording's site is saved at first: for what it is, if that is allowed.
const startScope = (recorded) => (recorded ? (recorded.scopes.includes(recorded.scope) ? recorded.scope : "recording") : null);

// Checks and dry-runs the site a moment after each change; the last answer stays until the next one.
function useDryRun(id, site, editable, recorded) {
  const settled = useSettled(site, SETTLE_MS);
  const [state, setState] = useState({ dry: new Map(), problems: [], warnings: [], seconds: recorded ? 0 : DRY_RUN_S, error: null, busy: false });
  const counts = !recorded || recorded.has_rows;
  useEffect(() => {
    if (!editable) return undefined;
    const stop = new AbortController();
    const run = async () => {
      try {
        const checked = await post(streamPath(id, "/site/check"), { site: settled }, { signal: stop.signal });
        setState((old) => ({ ...old, ...checked }));
        if (checked.problems.length || !counts) return setState((old) => ({ ...old, busy: false }));
        setState((old) => ({ ...old, busy: true }));
        const found = await post(streamPath(id, "/site/dry-run"), { site: settled, seconds: DRY_RUN_S }, { signal: stop.signal });
        return setState((old) => ({ ...old, dry: new Map(found.places.map((one) => [one.place, one])), seconds: found.seconds, error: null, busy: false }));
      } catch (error) {
        return error.name !== "AbortError" && setState((old) => ({ ...old, error, busy: false }));
      }
    };
    run();
    return () => stop.abort();
  }, [settled, id, editable, counts, recorded?.counted_revision]);
  return state;
}

function useKeys(state, dispatch, save) {
  const latest = useRef(null);
  latest.current = (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (document.querySelector("dialog[open]")) return;
    if (command && key === "s") save();
    else if (typing) return;
    else if (command && key === "z" && !event.shiftKey) dispatch({ type: "undo" });
    else if (command && (key === "y" || (key === "z" && event.shiftKey))) dispatch({ type: "redo" });
    else if (event.key === "Escape") dispatch({ type: "cancel" });
    else if (event.key === "Enter" && state.draft.length) dispatch({ type: "finish", stem: t(`editor.stem.${state.tool}`) });
    else return;
    event.preventDefault();
  };
  useEffect(() => {
    const listener = (event) => latest.current(event);
    addEventListener("keydown", listener);
    return () => removeEventListener("keydown", listener);
  }, []);
}

function Tools({ state, dispatch, known, zoom, onZoom }) {
  // A click by keyboard has no place in the picture: it puts a shape in the middle, ready for the arrow keys.
  const start = (kind) => (event) => (event.detail === 0 && kind === "ground" && state.site.ground ? dispatch({ type: "known", point: MIDDLE, known }) : event.detail === 0 ? dispatch({ type: "add", kind, points: DEFAULT_SHAPES[kind], stem: t(`editor.stem.${kind}`) }) : dispatch({ type: "tool", tool: state.tool === kind ? "select" : kind }));
  const drafting = state.draft.length > 0;
  return html`<div class="tools" role="toolbar" aria-label=${t("editor.tools")}>
    <div class="row">${SHAPES.map((kind) => html`<${Button} icon=${{ lines: "line", zones: "zone", occluders: "occluder", privacy: "privacy", ground: "ground" }[kind]} aria-pressed=${state.tool === kind} onClick=${start(kind)}>${t(`editor.draw.${kind}`)}<//>`)}</div>
    <div class="row">${drafting && html`<${Button} icon="check" kind="primary" disabled=${state.draft.length < fewest(state.tool)} onClick=${() => dispatch({ type: "finish", stem: t(`editor.stem.${state.tool}`) })}>${t("editor.finish")}<//>`}
      <${Button} icon="undo" iconOnly label=${t("editor.undo")} disabled=${!state.past.length && !drafting} onClick=${() => dispatch({ type: "undo" })} /><${Button} icon="redo" iconOnly label=${t("editor.redo")} disabled=${!state.future.length} onClick=${() => dispatch({ type: "redo" })} />
      <${Button} icon="minus" iconOnly label=${t("editor.zoom_out")} disabled=${zoom <= 1} onClick=${() => onZoom(1 / 1.5)} /><${Button} icon="plus" iconOnly label=${t("editor.zoom_in")} disabled=${zoom >= MOST_ZOOM} onClick=${() => onZoom(1.5)} /></div></div>`;
}

function hint(state) {
  if (state.tool === "lines") return t(state.draft.length ? "hint.line_second" : "hint.line");
  if (state.tool === "ground") return t(state.site.ground ? "hint.ground_point" : `hint.ground_corner.${state.draft.length + 1}`);
  if (state.tool !== "select") return t(state.draft.length < 3 ? "hint.polygon" : "hint.polygon_close");
  if (state.selected?.kind === "ground") return t("hint.ground");
  return placeOf(state) ? t("hint.selected") : t("hint.idle");
}

// What a long press or a right click offers.
function Menu({ menu, state, dispatch, onClose }) {
  const { target } = menu;
  const ref = useCallback((element) => {
    if (!element) return;
    const box = element.getBoundingClientRect();
    element.style.setProperty("left", `${Math.max(8, Math.min(menu.x, innerWidth - box.width - 8))}px`);
    element.style.setProperty("top", `${Math.max(8, Math.min(menu.y, innerHeight - box.height - 8))}px`);
    element.querySelector("button").focus();
  }, [menu]);
  useEffect(() => {
    const key = (event) => event.key === "Escape" && onClose();
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const items = useMemo(() => [
    target.part === "vertex" && target.kind !== "ground" && ["minus", "editor.cut", { type: "cut", ...target }],
    target.kind === "lines" && ["swap", "editor.reverse", { type: "reverse", index: target.index }],
    ["trash", "action.delete", { type: "remove", kind: target.kind, index: target.index }],
  ].filter(Boolean), [menu]);
  return html`<button class="menu-veil" aria-label=${t("action.close")} onClick=${onClose}></button><div class="menu" role="menu" ref=${ref}><p>${target.kind === "ground" ? t("editor.one.ground") : placesIn(state.site, target.kind)[target.index]?.name}</p>
    ${items.map(([icon, key, action]) => html`<button role="menuitem" onClick=${() => { dispatch(action); onClose(); }}><${Icon} name=${icon} />${t(key)}</button>`)}</div>`;
}
