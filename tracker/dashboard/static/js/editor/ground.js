// Calibration of the ground in the editor: known points or a rectangle, the metric grid and residuals that the server finds.
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { post, streamPath } from "../api.js";
import { Button, Num, problemText, Segments } from "../parts.js";
import { svgPoints, Tag } from "../places.js";
import { unit } from "../prefs.js";
import { decimal, number, t } from "../texts.js";
import { asPoints, fewest, rings, unmeasured } from "./model.js";

const CLEAR_OF_EDGE = 0.03;
const LABEL_STEPS = 60;

// `{view, problems}` of a ground from the server, as fast as it answers: of changes meanwhile only the last one is asked.
export function useGround(id, ground, editable) {
  const [state, setState] = useState({ view: null, problems: [] });
  const asking = useRef({ wanted: null, busy: false, gone: false });
  useEffect(() => {
    const now = asking.current;
    now.wanted = editable && ground && !unmeasured(ground).length ? ground : null;
    if (!now.wanted) setState({ view: null, problems: ground ? missing(ground) : [] });
    else if (!now.busy) run();
    async function run() {
      now.busy = true;
      for (let sent = null; now.wanted && now.wanted !== sent && !now.gone; ) {
        sent = now.wanted;
        const found = await post(streamPath(id, "/site/ground"), { ground: sent }).catch((error) => ({ ground: null, problems: [{ at: "ground", message: problemText(error).title }] }));
        if (now.wanted && !now.gone) setState({ view: found.ground, problems: found.problems });
      }
      now.busy = false;
    }
  }, [ground, editable]);
  useEffect(() => () => (asking.current.gone = true), []);
  return state;
}

function missing(ground) {
  const numbers = unmeasured(ground);
  if (!numbers.length) return [];
  return [{ at: "ground", message: ground.rectangle ? t("ground.no_lengths") : t("ground.no_metres", { numbers: numbers.map(number).join(", ") }) }];
}

// The ground over the picture: outline or marks, and while it is chosen the grid and how far each point lies off.
export function GroundPlace({ state, view, width, height }) {
  const { ground } = state.site;
  if (!ground) return null;
  const chosen = state.selected?.kind === "ground";
  const points = rings("ground", ground)[0];
  const [x, y, r] = [(point) => point[0] * width, (point) => point[1] * height, 8 * unit()];
  const marks = points.map((point) => `M${x(point) - r},${y(point)}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`).join("");
  const outline = `M${svgPoints(points, width, height).replaceAll(" ", "L")}Z`;
  const known = view && view.points.length === points.length ? view.points : [];
  return html`<g class=${`edit-ground ${chosen ? "chosen" : ""}`}>
    ${chosen && view && html`<g class="grid">${view.lines.map(({ ends: [from, to], is_strong }) => html`<line class=${is_strong ? "strong" : ""} x1=${x(from)} y1=${y(from)} x2=${x(to)} y2=${y(to)} />`)}</g>`}
    <path class="own" d=${ground.rectangle ? outline : marks} data-part="place" data-kind="ground" data-index="0" tabindex="0" role="button" aria-label=${t("editor.one.ground")} aria-pressed=${String(chosen)} />
    ${chosen && known.map(({ put_at }, at) => put_at && html`<line class="off" x1=${x(points[at])} y1=${y(points[at])} x2=${x(put_at)} y2=${y(put_at)} />`)}
    ${chosen && view && view.lines.filter((line) => line.is_strong).map((line) => html`<${Metres} line=${line} width=${width} height=${height} />`)}
    ${points.map((point, at) => html`<${Tag} x=${x(point)} y=${y(point) - 20 * unit()} text=${chosen && view?.is_checked && known[at] ? t("ground.tag_off", { number: at + 1, off: decimal(known[at].off_m, 2) }) : number(at + 1)} width=${width} height=${height} />`)}</g>`;
}

// Metres of a line where it comes into the picture.
function Metres({ line, width, height }) {
  const [[ax, ay], [bx, by]] = line.ends;
  for (let step = 0; step <= LABEL_STEPS; step += 1) {
    const [px, py] = [ax + ((bx - ax) * step) / LABEL_STEPS, ay + ((by - ay) * step) / LABEL_STEPS];
    if (Math.min(px, py, 1 - px, 1 - py) > CLEAR_OF_EDGE) return html`<${Tag} cls="metres" x=${px * width} y=${py * height} text=${t("ground.m", { metres: decimal(line.metres, Number.isInteger(line.metres) ? 0 : 1) })} width=${width} height=${height} />`;
  }
  return null;
}

// Properties of the ground: what is known of it in metres, and how well that fits.
export function GroundCard({ state, dispatch, view }) {
  const { ground } = state.site;
  const { vertex, ring } = state.selected;
  const set = (next, what) => dispatch({ type: "ground", ground: { ...ground, ...next }, gesture: what && `ground ${what}` });
  const turn = (form) => {
    if ((form === "rectangle") === Boolean(ground.rectangle)) return;
    if (form === "points") set({ points: asPoints(ground, view?.points), rectangle: null });
    else set({ points: [], rectangle: { corners: ground.points.slice(0, 4).map((point) => point.at), width_m: null, length_m: null } });
  };
  const select = (at) => () => dispatch({ type: "select", kind: "ground", index: 0, ring, vertex: at });
  const measure = (at, axis) => (value) => set({ points: ground.points.map((point, other) => (other === at ? { ...point, metres: point.metres.map((old, one) => (one === axis ? value : old)) } : point)) }, `${at} ${axis}`);
  const removable = vertex !== null && !ground.rectangle && ground.points.length > fewest("ground");
  return html`<section class="card properties"><header><h2>${t("editor.one.ground")}</h2><div class="row">
      ${removable && html`<${Button} small icon="minus" onClick=${() => dispatch({ type: "cut", kind: "ground", index: 0, ring, vertex })}>${t("ground.cut", { number: vertex + 1 })}<//>`}
      <${Button} small kind="danger" icon="trash" onClick=${() => dispatch({ type: "remove", kind: "ground", index: 0 })}>${t("action.delete")}<//></div></header>
    <div class="stack"><div class="row"><${Segments} label=${t("ground.form")} value=${ground.rectangle ? "rectangle" : "points"} options=${["rectangle", "points"].map((one) => [one, t(`ground.${one}`)])} onChange=${turn} /></div>
    ${ground.rectangle ? html`<p class="soft">${t("ground.rectangle_text")}</p><div class="form-row">${["width_m", "length_m"].map((key) => html`<${Num} label=${t(`ground.${key}`)} optional value=${ground.rectangle[key]} min="0.01" step="any" onChange=${(value) => set({ rectangle: { ...ground.rectangle, [key]: value } }, key)} />`)}</div>`
      : html`<p class="soft">${t("ground.points_text")}</p>${ground.points.map((point, at) => html`<fieldset class=${`ground-point ${vertex === at ? "chosen" : ""}`}><legend>${t("ground.point", { number: at + 1 })}${view?.is_checked && view.points[at] && html` <span class="soft">${t("ground.off", { off: decimal(view.points[at].off_m, 2) })}</span>`}</legend>
        <div class="form-row">${["x_m", "y_m"].map((key, axis) => html`<${Num} label=${t(`ground.${key}`)} optional value=${point.metres[axis]} step="any" onFocus=${select(at)} onChange=${measure(at, axis)} />`)}</div></fieldset>`)}`}
    <div class="row"><${Button} small icon="plus" aria-pressed=${state.tool === "ground"} onClick=${() => dispatch({ type: "tool", tool: "ground" })}>${t("ground.add")}<//></div>
    <${Fit} view=${view} /></div></section>`;
}

function Fit({ view }) {
  if (!view) return html`<p class="soft" role="status">${t("ground.no_grid")}</p>`;
  return html`<div class="dry" role="status"><p><b>${view.is_checked ? t("ground.residual", { metres: decimal(view.residual_m, 2) }) : t("ground.unchecked")}</b></p>
    <p>${t("ground.step", { metres: decimal(view.step_m, view.step_m < 1 ? 2 : 0) })}</p>${view.pixel_m && html`<p>${t("ground.pixel", { least: decimal(view.pixel_m[0], 3), most: decimal(view.pixel_m[1], 3) })}</p>`}</div>`;
}
