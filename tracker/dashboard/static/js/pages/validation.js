// Validation: sheets of random intervals that people count, and single counts by hand.
import { html, useState } from "../../vendor/preact.js";
import { get, post, remove } from "../api.js";
import { streamsPage, useChosen } from "../filters.js";
import { useLoad } from "../hooks.js";
import { Badge, Button, Confirm, Dialog, Empty, Field, Loaded, Notice, Num, PageHead, problemText, Scroller, Select, Several } from "../parts.js";
import { Link, navigate } from "../router.js";
import { browserZone, mediaClock, stamp, toLocal, toUtc } from "../time.js";
import { number, t } from "../texts.js";
import { HandCounts } from "./handcounts.js";
import { SheetView } from "./sheet.js";

const DAY_MS = 86_400_000;

export default streamsPage("nav.validation", Body);

function Body({ streams, id }) {
  return id ? html`<${SheetView} id=${id} streams=${streams} />` : html`<${Sheets} streams=${streams} />`;
}

function Sheets({ streams }) {
  const { set, chosen, zone } = useChosen(streams);
  const [open, setOpen] = useState(null);
  const [problem, setProblem] = useState(null);
  const found = useLoad((signal) => get("/api/validation/sheets", { stream: chosen }, signal).then((answer) => answer.sheets), [chosen.join()]);
  const drop = async (id) => {
    setOpen(null);
    await remove(`/api/validation/sheets/${id}`).catch((error) => setProblem(problemText(error).title));
    found.reload();
  };
  const zoneOf = (one) => streams.find((stream) => stream.id === one.stream)?.timezone || browserZone();
  const span = (one) => (one.clock === "utc" ? `${stamp(one.from_ms, zoneOf(one))} – ${stamp(one.to_ms, zoneOf(one))}` : `${mediaClock(one.from_ms / 1000)} – ${mediaClock(one.to_ms / 1000)}`);
  return html`<${PageHead} title=${t("nav.validation")} sub=${t("validation.sub")}><${Button} icon="plus" kind="primary" disabled=${!streams.length} onClick=${() => setOpen({ kind: "draw" })}>${t("validation.draw")}<//><//>
    <div class="filters"><${Several} label=${t("filter.streams")} all=${t("filter.all")} options=${streams.map((one) => [one.id, one.id])} chosen=${chosen} onChange=${(value) => set({ stream: value })} /></div>
    ${problem && html`<${Notice} kind="problem" onClose=${() => setProblem(null)}>${problem}<//>`}
    <div class="stack"><section class="card flush"><header><h2>${t("validation.sheets")}</h2></header>
    <${Loaded} of=${found}>${(rows) => (rows.length ? html`<${Scroller} label=${t("validation.sheets")}><table><thead><tr><th scope="col">${t("audit.stream")}</th><th scope="col">${t("validation.drawn_from")}</th><th scope="col">${t("validation.counted")}</th><th scope="col">${t("validation.drawn_by")}</th><td></td></tr></thead>
      <tbody>${rows.map((one) => html`<tr key=${one.id}><th scope="row"><${Link} href=${`/validation/${one.id}`}>${one.stream}<//></th><td>${span(one)}</td>
        <td><${Badge} kind=${one.counted === one.intervals ? "good" : ""}>${t("validation.of", { counted: number(one.counted), all: number(one.intervals) })}<//></td><td>${t("alerts.by", { name: one.by, time: stamp(one.at_ms, browserZone()) })}</td>
        <td class="actions"><${Link} class="button small" href=${`/validation/${one.id}?view=report`}>${t("validation.report")}<//><${Button} small icon="trash" iconOnly kind="quiet" label=${t("validation.remove", { name: one.stream })} onClick=${() => setOpen({ kind: "delete", one })} /></td></tr>`)}</tbody></table><//>`
      : html`<${Empty} icon="validation" title=${t("validation.none")}>${t("validation.none_text")}<//>`)}<//></section>
    <${HandCounts} chosen=${chosen} streams=${streams} zone=${zone} /></div>
    ${open?.kind === "draw" && html`<${Draw} streams=${streams} first=${chosen[0]} onClose=${() => setOpen(null)} />`}
    ${open?.kind === "delete" && html`<${Confirm} title=${t("validation.remove", { name: open.one.stream })} text=${t("validation.remove_text", { counted: number(open.one.counted) })} action=${t("action.delete")} onConfirm=${() => drop(open.one.id)} onClose=${() => setOpen(null)} />`}`;
}

// What to draw from: of a camera the last day, of a recording all of it, until other times are chosen.
function Draw({ streams, first, onClose }) {
  const [name, setName] = useState(first || streams[0].id);
  const [form, setForm] = useState({ intervals: 20, length_s: 60, from: null, to: null });
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const stream = streams.find((one) => one.id === name);
  const zone = stream.timezone || browserZone();
  const utc = stream.kind === "camera" || Boolean(stream.began_ms);
  const from = form.from ?? (stream.kind === "camera" ? toLocal(Date.now() - DAY_MS, zone) : "");
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const at = (text) => (text === "" || text === null ? null : utc ? toUtc(text, zone) : Math.round(Number(text) * 1000));
    try {
      const { id } = await post("/api/validation/sheets", { stream: name, intervals: form.intervals, length_s: form.length_s, from_ms: at(from), to_ms: at(form.to), timezone: zone });
      navigate(`/validation/${id}`);
    } catch (refusal) {
      const text = problemText(refusal);
      setProblem([text.detail || text.title, text.remedy].filter(Boolean).join(" "));
      setBusy(false);
    }
  };
  const time = (key, label, value) => html`<${Field} label=${label}><input type=${utc ? "datetime-local" : "number"} min=${utc ? undefined : 0} step=${utc ? undefined : "any"} value=${value ?? ""} onInput=${(event) => setForm({ ...form, [key]: event.currentTarget.value })} /><//>`;
  return html`<${Dialog} title=${t("validation.draw")} onClose=${onClose}><p class="soft">${t("validation.draw_text")}</p><form class="form" onSubmit=${submit}>
    ${problem && html`<${Notice} kind="problem">${problem}<//>`}
    <${Select} label=${t("audit.stream")} value=${name} options=${streams.map((one) => [one.id, one.id])} onChange=${(value) => { setName(value); setForm({ ...form, from: null, to: null }); }} />
    <div class="form-row"><${Num} label=${t("validation.intervals")} value=${form.intervals} min="1" max="500" step="1" onChange=${(intervals) => setForm({ ...form, intervals })} /><${Num} label=${t("validation.length_s")} value=${form.length_s} min="1" step="any" onChange=${(length_s) => setForm({ ...form, length_s })} /></div>
    <div class="form-row">${time("from", utc ? t("filter.from", { zone }) : t("audit.from_s"), from)}${time("to", utc ? t("filter.to") : t("audit.to_s"), form.to)}</div><p class="soft">${t("validation.empty_time")}</p>
    <footer class="row end"><${Button} onClick=${onClose}>${t("action.cancel")}<//><${Button} type="submit" kind="primary" disabled=${busy}>${busy ? t("validation.drawing") : t("validation.draw")}<//></footer></form><//>`;
}
