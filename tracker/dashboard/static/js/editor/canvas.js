// Drawing surface of the editor: SVG over the live picture, pointer, touch and keyboard.
import { html, useRef, useState } from "../../vendor/preact.js";
import { Arrow, cornerOf, crowded, middleOf, svgPoints, Tag } from "../places.js";
import { unit } from "../prefs.js";
import { number, t } from "../texts.js";
import { GroundPlace } from "./ground.js";
import { Loupe } from "./loupe.js";
import { fewest, isMute, placesIn, rings, snapped } from "./model.js";

const DRAG_PX = 5;
const CLOSE_PX = 14;
const LONG_PRESS_MS = 550;
const STEP_PX = { false: 1, true: 10 };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let gestures = 0;

// Props: state, dispatch, width, height, dry (places by name), view (of the ground), onMenu({x, y, target}), viewport (scrolling element), onZoom(factor, x, y), picture (canvas).
export function Canvas({ state, dispatch, width, height, dry, view, onMenu, viewport, onZoom, picture }) {
  const svg = useRef(null);
  const pointers = useRef(new Map());
  const drag = useRef(null);
  const press = useRef(0);
  const [hover, setHover] = useState(null);
  const [loupe, setLoupe] = useState(null);
  const drawing = state.tool !== "select";
  const silent = crowded(state.site, width);
  const share = (event) => {
    const box = svg.current.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  // What was measured lies where it was measured.
  const snap = (point, event, except) => (event.altKey || state.tool === "ground" || except?.kind === "ground" ? point : snapped(state.site, point, width, height, except));
  const stem = t(`editor.stem.${drawing ? state.tool : "lines"}`);

  const down = (event) => {
    if (event.button > 0) return;
    svg.current.setPointerCapture?.(event.pointerId);
    pointers.current.set(event.pointerId, [event.clientX, event.clientY]);
    if (pointers.current.size === 2) return pinch();
    const target = targetOf(event.target);
    const start = share(event);
    drag.current = { target, start, last: start, x: event.clientX, y: event.clientY, moved: false, gesture: (gestures += 1), scroll: viewport.current && [viewport.current.scrollLeft, viewport.current.scrollTop] };
    if (event.pointerType === "touch") setLoupe({ point: start });
    clearTimeout(press.current);
    if (!drawing && target) {
      dispatch({ type: "select", ...target, vertex: target.part === "vertex" ? target.vertex : null });
      const [x, y] = [event.clientX, event.clientY];
      press.current = setTimeout(() => drag.current && !drag.current.moved && event.pointerType !== "mouse" && ((drag.current = null), setLoupe(null), onMenu({ x, y, target })), LONG_PRESS_MS);
    }
  };
  const pinch = () => {
    clearTimeout(press.current);
    drag.current = null;
    setLoupe(null);
  };
  const move = (event) => {
    const point = share(event);
    if (pointers.current.has(event.pointerId)) {
      if (pointers.current.size === 2) {
        const before = spread(pointers.current);
        pointers.current.set(event.pointerId, [event.clientX, event.clientY]);
        const after = spread(pointers.current);
        return onZoom(after.size / before.size, after.x, after.y);
      }
      pointers.current.set(event.pointerId, [event.clientX, event.clientY]);
    }
    if (drawing) setHover(snap(point, event));
    const now = drag.current;
    if (!now) return;
    if (event.pointerType === "touch") setLoupe({ point });
    if (!now.moved && Math.hypot(event.clientX - now.x, event.clientY - now.y) < DRAG_PX) return;
    now.moved = true;
    if (!drawing) dragTo(now, point, event);
    now.last = point;
  };
  const dragTo = (now, point, event) => {
    const { target, gesture } = now;
    if (!target) {
      if (viewport.current && now.scroll) [viewport.current.scrollLeft, viewport.current.scrollTop] = [now.scroll[0] - (event.clientX - now.x), now.scroll[1] - (event.clientY - now.y)];
    } else if (target.part === "vertex") dispatch({ type: "vertex", ...target, point: snap(point, event, target), gesture });
    else if (target.part === "middle") {
      dispatch({ type: "insert", ...target, point: snap(point, event, target), gesture });
      now.target = { ...target, part: "vertex" };
    } else dispatch({ type: "shift", ...target, dx: point[0] - now.last[0], dy: point[1] - now.last[1], gesture });
  };
  const up = (event) => {
    pointers.current.delete(event.pointerId);
    clearTimeout(press.current);
    setLoupe(null);
    const now = drag.current;
    drag.current = null;
    if (!now || event.type === "pointercancel") return;
    const point = snap(share(event), event);
    if (!drawing) {
      if (!now.moved && !now.target) dispatch({ type: "select" });
      else if (!now.moved && now.target.part === "middle") dispatch({ type: "insert", ...now.target, point });
      return;
    }
    if (state.tool === "ground" && state.site.ground) return dispatch({ type: "known", point, known: view?.points });
    if (now.moved && !state.draft.length) dispatch({ type: "point", point: snap(now.start, event), stem });
    const first = state.draft[0];
    const close = state.tool !== "lines" && state.draft.length >= fewest(state.tool) && first && Math.hypot((first[0] - point[0]) * width, (first[1] - point[1]) * height) <= CLOSE_PX;
    dispatch(close ? { type: "finish", stem } : { type: "point", point, stem });
  };
  const menu = (event) => {
    event.preventDefault();
    const target = targetOf(event.target);
    if (target && !drawing) {
      dispatch({ type: "select", ...target, vertex: target.part === "vertex" ? target.vertex : null });
      onMenu({ x: event.clientX, y: event.clientY, target });
    }
  };
  const wheel = (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    onZoom(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
  };
  const key = (event) => {
    const target = targetOf(event.target);
    if (!target) return;
    const step = STEP_PX[event.shiftKey];
    if (ARROWS[event.key]) {
      event.preventDefault();
      const [dx, dy] = [(ARROWS[event.key][0] * step) / width, (ARROWS[event.key][1] * step) / height];
      const gesture = `key ${target.kind} ${target.index} ${target.ring} ${target.vertex}`;
      if (target.part === "vertex") {
        const [x, y] = rings(target.kind, placesIn(state.site, target.kind)[target.index])[target.ring][target.vertex];
        dispatch({ type: "vertex", ...target, point: [x + dx, y + dy], gesture });
      } else if (target.part === "place") dispatch({ type: "shift", ...target, dx, dy, gesture });
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      dispatch(target.part === "vertex" ? { type: "cut", ...target } : { type: "remove", ...target });
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (target.part === "middle") dispatch({ type: "insert", ...target, point: middlePoint(state.site, target) });
      else dispatch({ type: "select", ...target, vertex: target.part === "vertex" ? target.vertex : null });
    }
  };
  return html`<svg ref=${svg} class=${`editor-svg ${drawing ? "drawing" : ""}`} viewBox=${`0 0 ${width} ${height}`} role="group" aria-label=${t("editor.canvas")}
    onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${up} onPointerLeave=${() => setHover(null)} onContextMenu=${menu} onWheel=${wheel} onKeyDown=${key}>
    <rect class="ground" width=${width} height=${height} />
    <${GroundPlace} state=${state} view=${view} width=${width} height=${height} />
    ${["privacy", "zones", "occluders", "lines"].map((kind) => state.site[kind].map((place, index) => html`<${Place} key=${`${kind}${index}`} kind=${kind} place=${place} index=${index} state=${state} width=${width} height=${height} dry=${dry.get(place.name)} silent=${silent} />`))}
    ${state.selected && !drawing && html`<${Handles} state=${state} width=${width} height=${height} />`}
    ${drawing && html`<${Draft} state=${state} hover=${hover} width=${width} height=${height} />`}</svg>
    ${loupe && html`<${Loupe} picture=${picture} point=${loupe.point} state=${state} />`}`;
}

// What an element of the drawing stands for: `{part: vertex|middle|place, kind, index, ring, vertex}`.
function targetOf(element) {
  const { part, kind, index, ring = 0, vertex = 0 } = element?.dataset || {};
  return part ? { part, kind, index: Number(index), ring: Number(ring), vertex: Number(vertex) } : null;
}

function spread(pointers) {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  return { size: Math.max(1, Math.hypot(ax - bx, ay - by)), x: (ax + bx) / 2, y: (ay + by) / 2 };
}

function middlePoint(site, { kind, index, ring, vertex }) {
  const points = rings(kind, site[kind][index])[ring];
  const [a, b] = [points[vertex - 1], points[vertex % points.length]];
  return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
}

const colourOf = (site, kind, index) => (isMute(kind) ? "" : `s${((kind === "lines" ? index : site.lines.length + index) % 8) + 1}`);

function Place({ kind, place, index, state, width, height, dry, silent }) {
  const chosen = state.selected && state.selected.kind === kind && state.selected.index === index;
  const named = chosen || !silent;
  const cls = `edit-${kind} ${colourOf(state.site, kind, index)} ${chosen ? "chosen" : ""}`;
  const attributes = { "data-part": "place", "data-kind": kind, "data-index": index, tabindex: 0, role: "button", "aria-label": t(`editor.place.${kind}`, { name: place.name }), "aria-pressed": String(Boolean(chosen)) };
  if (kind === "lines") {
    const middle = middleOf(place.points, width, height);
    const at = (side) => ({ x: middle.x + middle.nx * side * 42 * unit(), y: middle.y + middle.ny * side * 42 * unit() });
    const points = svgPoints(place.points, width, height);
    return html`<g class=${cls}><polyline class="halo" points=${points} /><polyline class="own" points=${points} /><polyline class="hit" points=${points} ...${attributes} />
      <${Arrow} from=${middle} dx=${middle.nx} dy=${middle.ny} /><${Arrow} from=${middle} dx=${-middle.nx} dy=${-middle.ny} cls="back" />
      ${named && html`<${Tag} ...${at(1)} text=${counted(dry, place.to_left)} width=${width} height=${height} /><${Tag} ...${at(-1)} text=${counted(dry, place.to_right)} width=${width} height=${height} />`}
      ${chosen && html`<text class="end-letter" x=${place.points[0][0] * width + 12} y=${place.points[0][1] * height + 16}>A</text><text class="end-letter" x=${place.points[place.points.length - 1][0] * width + 12} y=${place.points[place.points.length - 1][1] * height + 16}>B</text>`}</g>`;
  }
  const all = rings(kind, place);
  const path = all.map((ring) => `M${svgPoints(ring, width, height).replaceAll(" ", "L")}Z`).join("");
  const middle = cornerOf(all[0], width, height);
  return html`<g class=${cls}><path class="own" d=${path} ...${attributes} />${kind === "zones" && named && html`<${Tag} x=${middle.x} y=${middle.y} text=${zoneText(place, dry)} width=${width} height=${height} />`}</g>`;
}

// `in 14`, or `in 14 → 16` while a change would count otherwise; of all classes together.
function counted(dry, direction) {
  const row = dry && dry.rows.find((one) => one.what === direction && !one.class);
  if (!row) return direction;
  return row.was === null || row.was === row.would ? `${direction} ${number(row.would)}` : `${direction} ${number(row.was)} → ${number(row.would)}`;
}

function zoneText(zone, dry) {
  const first = dry && dry.rows.find((one) => !one.class);
  return first ? counted({ rows: [{ ...first, what: zone.name }] }, zone.name) : zone.name;
}

function Handles({ state, width, height }) {
  const { kind, index } = state.selected;
  const place = placesIn(state.site, kind)[index];
  const name = kind === "ground" ? t("editor.one.ground") : place.name;
  const closed = kind !== "lines";
  return html`<g class="handles">${rings(kind, place).map((ring, at) => html`
    ${ring.map(([x, y], vertex) => {
      const next = ring[(vertex + 1) % ring.length];
      if (kind === "ground" || (!closed && vertex === ring.length - 1)) return null;
      const data = { "data-part": "middle", "data-kind": kind, "data-index": index, "data-ring": at, "data-vertex": vertex + 1 };
      return html`<g class="middle"><circle class="dot" cx=${((x + next[0]) / 2) * width} cy=${((y + next[1]) / 2) * height} r=${4 * unit()} /><circle class="hit" cx=${((x + next[0]) / 2) * width} cy=${((y + next[1]) / 2) * height} r=${12 * unit()} tabindex="0" role="button" aria-label=${t("editor.insert", { number: vertex + 1 })} ...${data} /></g>`;
    })}
    ${ring.map(([x, y], vertex) => {
      const data = { "data-part": "vertex", "data-kind": kind, "data-index": index, "data-ring": at, "data-vertex": vertex };
      const chosen = state.selected.vertex === vertex && state.selected.ring === at;
      return html`<g class=${chosen ? "vertex chosen" : "vertex"}><circle class="dot" cx=${x * width} cy=${y * height} r=${6.5 * unit()} /><circle class="hit" cx=${x * width} cy=${y * height} r=${14 * unit()} tabindex="0" role="button" aria-label=${t("editor.vertex", { number: vertex + 1, all: ring.length, name, x: Math.round(x * 100), y: Math.round(y * 100) })} ...${data} /></g>`;
    })}`)}</g>`;
}

function Draft({ state, hover, width, height }) {
  const points = hover ? [...state.draft, hover] : state.draft;
  if (!points.length) return null;
  const ready = state.tool !== "lines" && state.draft.length >= fewest(state.tool);
  return html`<g class="draft">${state.tool !== "lines" && points.length > 2 && html`<polygon points=${svgPoints(points, width, height)} />`}<polyline class="halo" points=${svgPoints(points, width, height)} /><polyline class="own" points=${svgPoints(points, width, height)} />
    ${state.draft.map(([x, y], at) => html`<circle cx=${x * width} cy=${y * height} r=${at === 0 && ready ? 10 : 5} />`)}</g>`;
}

