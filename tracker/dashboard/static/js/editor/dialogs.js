// Dialogs of the editor: two editors in conflict, revisions with their differences, import and export.
import { html, useState } from "../../vendor/preact.js";
import { address, get, sendText, streamPath } from "../api.js";
import { useLoad } from "../hooks.js";
import { Icon } from "../icons.js";
import { Badge, Button, Dialog, Empty, Field, Loaded, Notice, problemText, Scroller, Select } from "../parts.js";
import { browserZone, stamp } from "../time.js";
import { decimal, plural, t, word } from "../texts.js";
import { conflicts, differences, idOf, merged } from "./diff.js";

const READ = ["frigate", "supervision", "ultralytics", "opendatacam", "nvdsanalytics", "dlstreamer", "viseron", "otflow"];
const WRITTEN = ["masktrail", "frigate", "opendatacam", "nvdsanalytics", "dlstreamer", "pipeline-server", "otflow"];
const LARGEST_FILE = 1_000_000;

// A value of a site in short: lists of points by their number.
function short(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (value.rectangle) return t("ground.short", { width: decimal(value.rectangle.width_m), length: decimal(value.rectangle.length_m) });
  if (Array.isArray(value.points)) return plural("editor.points", value.points.length);
  if (!Array.isArray(value)) return typeof value === "object" ? JSON.stringify(value) : String(value);
  if (Array.isArray(value[0])) return plural("editor.points", value.flat(Array.isArray(value[0][0]) ? 1 : 0).length);
  return value.join(", ") || "–";
}

export function DiffList({ rows }) {
  if (!rows.length) return html`<p class="soft">${t("diff.none")}</p>`;
  return html`<ul class="diff">${rows.map((one) => html`<li><${Badge} kind=${one.what === "added" ? "good" : one.what === "removed" ? "bad" : "warn"}>${t(`diff.${one.what}`)}<//> <b>${word("group", one.group)} ${one.name}</b>
    ${one.what === "changed" && html`<ul>${one.keys.map((key) => html`<li><span class="soft">${word("key", key)}</span> <del>${short(one.before[key])}</del> → <ins>${short(one.after[key])}</ins></li>`)}</ul>`}</li>`)}</ul>`;
}

// Somebody else saved in between: for each place that differs, mine or theirs.
export function Conflict({ base, mine, theirs, title = t("conflict.title"), text = t("conflict.text", { revision: theirs.revision }), action = t("conflict.merge"), onTake, onClose }) {
  const rows = conflicts(base, mine, theirs);
  const [taken, setTaken] = useState(new Set(rows.filter((one) => one.side === "theirs" && !one.both).map(idOf)));
  const flip = (id, on) => {
    const next = new Set(taken);
    if (on) next.add(id);
    else next.delete(id);
    setTaken(next);
  };
  return html`<${Dialog} wide title=${title} onClose=${onClose}><p>${text}</p>
    ${rows.length ? html`<${Scroller} label=${title}><table class="conflict cards"><thead><tr><th scope="col">${t("conflict.place")}</th><th scope="col">${t("conflict.difference")}</th><th scope="col">${t("conflict.keep")}</th></tr></thead><tbody>${rows.map((one) => {
      const id = idOf(one);
      return html`<tr><th scope="row">${word("group", one.group)} ${one.name}${one.both && html` <${Badge} kind="warn">${t("conflict.both")}<//>`}</th><td>${describe(one)}</td><td><fieldset class="either"><legend class="sr">${one.name}</legend>
        <label><input type="radio" name=${id} checked=${!taken.has(id)} onChange=${() => flip(id, false)} /> ${t("conflict.mine")}</label><label><input type="radio" name=${id} checked=${taken.has(id)} onChange=${() => flip(id, true)} /> ${t("conflict.theirs")}</label></fieldset></td></tr>`;
    })}</tbody></table><//>` : html`<p class="soft">${t("diff.none")}</p>`}
    <footer><${Button} onClick=${onClose}>${t("action.cancel")}<//><${Button} onClick=${() => onTake(theirs, true)}>${t("conflict.discard")}<//><${Button} kind="primary" onClick=${() => onTake(merged(mine, theirs, taken), false)}>${action}<//></footer><//>`;
}

function describe(one) {
  if (!one.mine) return t("conflict.only_theirs");
  if (!one.theirs) return t("conflict.only_mine");
  return html`<ul class="diff">${one.keys.map((key) => html`<li><span class="soft">${word("key", key)}</span> ${short(one.mine[key])} / ${short(one.theirs[key])}</li>`)}</ul>`;
}

export function Revisions({ id, site, history, zone, onRestore, onClose }) {
  const [chosen, setChosen] = useState(null);
  const old = useLoad((signal) => (chosen === null ? Promise.resolve(null) : get(streamPath(id, `/site/${chosen}`), {}, signal).then((found) => found.site)), [chosen]);
  return html`<${Dialog} wide title=${t("revisions.title", { name: id })} onClose=${onClose}><div class="columns even"><ul class="place-list">${history.length ? history.map((one) => html`<li><button type="button" aria-pressed=${one.revision === chosen} onClick=${() => setChosen(one.revision)}><${Icon} name="history" /><span>${t("revisions.one", { revision: one.revision })}</span><span class="soft">${one.by} · ${one.saved_ms ? stamp(one.saved_ms, zone || browserZone()) : "–"}</span></button></li>`) : html`<li class="soft">${t("revisions.none")}</li>`}</ul>
    <div class="stack">${chosen === null ? html`<${Empty} icon="history" title=${t("revisions.choose")} />` : html`<${Loaded} of=${old}>${(found) => html`<h3>${t("revisions.since", { revision: chosen })}</h3><${DiffList} rows=${differences(found, site)} /><${Button} onClick=${() => onRestore(found)}>${t("revisions.restore", { revision: chosen })}<//>`}<//>`}</div></div><//>`;
}

export function Exchange({ id, onTake, onClose }) {
  const [format, setFormat] = useState("auto");
  const [written, setWritten] = useState("masktrail");
  const [file, setFile] = useState(null);
  const [state, setState] = useState({ problem: null, warnings: null, site: null });
  const read = async () => {
    if (file.size > LARGEST_FILE) return setState({ problem: t("exchange.large"), warnings: null, site: null });
    try {
      const found = await sendText(streamPath(id, "/site/import"), await file.text(), { format: format === "auto" ? null : format });
      if (found.warnings.length) setState({ problem: null, ...found });
      else onTake(found.site);
    } catch (error) {
      const text = problemText(error);
      setState({ problem: [text.title, text.detail, text.remedy].filter(Boolean).join(" "), warnings: null, site: null });
    }
  };
  return html`<${Dialog} title=${t("exchange.title")} onClose=${onClose}>
    <h3>${t("exchange.import")}</h3><p class="soft">${t("exchange.import_text")}</p>
    <${Select} label=${t("exchange.format")} value=${format} options=${["auto", ...READ].map((one) => [one, t(`format.${one}`)])} onChange=${setFormat} />
    ${state.problem && html`<${Notice} kind="problem">${state.problem}<//>`}
    ${state.warnings && html`<${Notice} kind="warn"><ul>${state.warnings.map((one) => html`<li>${one}</li>`)}</ul><//>`}
    <${Field} label=${t("exchange.file")}><input type="file" onChange=${(event) => { setFile(event.currentTarget.files[0] || null); setState({ problem: null, warnings: null, site: null }); }} /><//>
    <div class="row">${state.site ? html`<${Button} kind="primary" onClick=${() => onTake(state.site)}>${t("exchange.take_anyway")}<//>` : html`<${Button} icon="upload" kind="primary" disabled=${!file} onClick=${read}>${t("exchange.import")}<//>`}</div>
    <h3>${t("exchange.export")}</h3><p class="soft">${t("exchange.export_text")}</p>
    <${Select} label=${t("exchange.format_out")} value=${written} options=${WRITTEN.map((one) => [one, t(`format.${one}`)])} onChange=${setWritten} />
    <div class="row"><a class="button" href=${address(streamPath(id, "/site/export"), { format: written === "masktrail" ? null : written })} download><${Icon} name="download" /><span>${t("exchange.export")}</span></a></div><//>`;
}
