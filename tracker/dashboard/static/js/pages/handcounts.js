// Counts by hand beside those of the ledger, and a form for a new one.
import { html, useState } from "../../vendor/preact.js";
import { get, post, remove } from "../api.js";
import { useLoad } from "../hooks.js";
import { Button, Dialog, Empty, Field, Loaded, Notice, problemText, Scroller, Select } from "../parts.js";
import { mediaClock, minuteClock, stamp, toLocal, toUtc } from "../time.js";
import { decimal, number, t } from "../texts.js";

const HOUR_MS = 3_600_000;
const QUARTER_MS = 900_000;

export function HandCounts({ chosen, streams, zone }) {
  const found = useLoad((signal) => get("/api/validation", { stream: chosen }, signal).then((answer) => answer.validations), [chosen.join()]);
  const [open, setOpen] = useState(false);
  const [problem, setProblem] = useState(null);
  const drop = async (id) => {
    await remove(`/api/validation/${id}`).catch((error) => setProblem(problemText(error).title));
    found.reload();
  };
  const span = (one) => (one.utc ? `${stamp(one.from_ms, zone)} – ${minuteClock(one.to_ms, zone)}` : `${mediaClock(one.from_ms / 1000)} – ${mediaClock(one.to_ms / 1000)}`);
  return html`${problem && html`<${Notice} kind="problem" onClose=${() => setProblem(null)}>${problem}<//>`}
    <div class="card flush"><header><h2>${t("audit.hand_counts")}</h2><${Button} icon="plus" kind="primary" disabled=${!streams.length} onClick=${() => setOpen(true)}>${t("audit.add")}<//></header>
    <${Loaded} of=${found}>${(rows) => (rows.length ? html`<${Scroller} label=${t("audit.hand_counts")}><table><thead><tr><th scope="col">${t("audit.stream")}</th><th scope="col">${t("audit.place")}</th><th scope="col">${t("audit.time")}</th><th class="num" scope="col">${t("audit.by_hand")}</th><th class="num" scope="col">${t("audit.by_program")}</th><th class="num" scope="col">${t("audit.error")}</th><th scope="col">${t("audit.who_counted")}</th><td></td></tr></thead>
      <tbody>${rows.map((one) => html`<tr><th scope="row">${one.stream}</th><td>${[one.place, one.direction, one.class].filter(Boolean).join(" · ")}</td><td>${span(one)}</td><td class="num">${number(one.truth)}</td><td class="num">${number(one.counted)}</td><td class="num">${error(one)}</td><td>${one.by}</td><td class="actions"><${Button} small icon="trash" iconOnly kind="quiet" label=${t("audit.remove", { place: one.place })} onClick=${() => drop(one.id)} /></td></tr>`)}</tbody></table><//>`
      : html`<${Empty} icon="check" title=${t("audit.no_validation")}>${t("audit.no_validation_text")}<//>`)}<//></div>
    ${open && html`<${NewCount} streams=${streams} first=${chosen[0]} onClose=${() => setOpen(false)} onDone=${() => { setOpen(false); found.reload(); }} />`}`;
}

// Of the count by hand, in percent; of nothing counted by hand there is none.
const error = (one) => (one.truth ? `${one.counted > one.truth ? "+" : ""}${decimal((100 * (one.counted - one.truth)) / one.truth, 1)} %` : "–");

function NewCount({ streams, first, onClose, onDone }) {
  const now = Math.floor(Date.now() / QUARTER_MS) * QUARTER_MS;
  const [form, setForm] = useState({ stream: first || streams[0].id, place: "", direction: "", class: "", truth: "", from: null, to: null });
  const [problem, setProblem] = useState(null);
  const stream = streams.find((one) => one.id === form.stream);
  const zone = stream.timezone || "UTC";
  // Recordings without a clock are counted in seconds from their start.
  const utc = stream.kind === "camera" || Boolean(stream.began_ms);
  const known = useLoad((signal) => get("/api/places", { stream: form.stream }, signal), [form.stream]).data || { places: [], directions: [], classes: [] };
  const set = (key) => (event) => setForm({ ...form, [key]: event.currentTarget.value });
  const from = form.from ?? (utc ? toLocal((stream.began_ms || now - HOUR_MS), zone) : "0");
  const to = form.to ?? (utc ? toLocal(stream.began_ms ? stream.began_ms + HOUR_MS : now, zone) : String(Math.ceil(stream.duration_s || 60)));
  const place = form.place || known.places[0] || "";
  const submit = async (event) => {
    event.preventDefault();
    const at = (text) => (utc ? toUtc(text, zone) : Math.round(Number(text) * 1000));
    try {
      await post("/api/validation", { stream: form.stream, place, direction: form.direction, class: form.class, from_ms: at(from), to_ms: at(to), utc, truth: Number(form.truth) });
      onDone();
    } catch (refusal) {
      const text = problemText(refusal);
      setProblem([text.title, text.detail, text.remedy].filter(Boolean).join(" "));
    }
  };
  const some = (names, every) => [["", every], ...names.map((one) => [one, one])];
  const timeField = (key, label, value) => html`<${Field} label=${label}><input type=${utc ? "datetime-local" : "number"} min=${utc ? undefined : 0} step=${utc ? undefined : "0.1"} required value=${value} onInput=${set(key)} /><//>`;
  return html`<${Dialog} title=${t("audit.add")} onClose=${onClose}><p class="soft">${t("audit.add_text")}</p><form class="form" onSubmit=${submit}>
    ${problem && html`<${Notice} kind="problem">${problem}<//>`}
    <${Select} label=${t("audit.stream")} value=${form.stream} options=${streams.map((one) => [one.id, one.id])} onChange=${(value) => setForm({ ...form, stream: value, place: "", from: null, to: null })} />
    <div class="form-row"><${Select} label=${t("audit.place")} value=${place} options=${known.places.map((one) => [one, one])} onChange=${(value) => setForm({ ...form, place: value })} />
      <${Select} label=${t("audit.direction")} value=${form.direction} options=${some(known.directions, t("editor.both"))} onChange=${(value) => setForm({ ...form, direction: value })} />
      <${Select} label=${t("audit.class")} value=${form.class} options=${some(known.classes, t("editor.all_classes"))} onChange=${(value) => setForm({ ...form, class: value })} /></div>
    <div class="form-row">${timeField("from", utc ? t("filter.from", { zone }) : t("audit.from_s"), from)}${timeField("to", utc ? t("filter.to") : t("audit.to_s"), to)}</div>
    <${Field} label=${t("audit.truth")}><input type="number" min="0" max="1000000" step="1" required value=${form.truth} onInput=${set("truth")} /><//>
    <footer class="row end"><${Button} onClick=${onClose}>${t("action.cancel")}<//><${Button} type="submit" kind="primary" disabled=${!place}>${t("action.save")}<//></footer></form><//>`;
}
