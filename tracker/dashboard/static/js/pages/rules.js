// Alert rules of the sites: list, add, change and delete; each change is a revision of the site.
import { html, useState } from "../../vendor/preact.js";
import { get, put, streamPath } from "../api.js";
import { differences } from "../editor/diff.js";
import { Conflict } from "../editor/dialogs.js";
import { atLeast, useLoad, useSession } from "../hooks.js";
import { Button, Confirm, Dialog, Empty, Field, Loaded, Notice, Num, problemText, Scroller, Select, Text } from "../parts.js";
import { Link, streamUrl } from "../router.js";
import { decimal, t, word } from "../texts.js";
import { duration } from "../time.js";

const STATES = ["camera_moved", "frozen", "covered", "dark"];
const NEW = { name: "", over: 0, until: null, for_s: 0, clear_s: 30, quiet: [] };
const figure = (value) => decimal(value, Number.isInteger(value) ? 0 : 1);

export function Rules({ chosen }) {
  const may = atLeast(useSession().user, "operator");
  const [open, setOpen] = useState(null);
  const [notice, setNotice] = useState(null);
  const found = useLoad((signal) => get("/api/alerts/rules", { stream: chosen }, signal).then((answer) => answer.sites), [chosen.join()]);
  const save = async (site, rules) => {
    try {
      const { revision } = await put(streamPath(site.stream, "/site/alerts"), { revision: site.revision, rules });
      setOpen(null);
      setNotice({ kind: "good", text: t("rules.saved", { name: site.stream, revision }) });
      found.reload();
      return null;
    } catch (error) {
      if (error.status !== 409 || !error.body.site) return problemText(error);
      return meet(site, rules, { ...error.body.site, revision: error.body.revision });
    }
  };
  // Somebody else saved the site: other lines are no reason to ask, other rules are.
  const meet = (site, rules, theirs) => {
    const [base, mine] = [{ alerts: site.rules }, { alerts: rules }];
    if (!differences(base, { alerts: theirs.alerts }).length) return save({ ...site, revision: theirs.revision }, rules);
    setOpen({ kind: "conflict", site: { ...site, revision: theirs.revision, rules: theirs.alerts }, base, mine, theirs: { alerts: theirs.alerts, revision: theirs.revision } });
    return null;
  };
  const take = async (kept, discard) => {
    const problem = discard ? null : await save(open.site, kept.alerts);
    if (problem) setNotice({ kind: "problem", text: words(problem) });
    if (discard || problem) setOpen(null);
    if (discard) found.reload();
  };
  const without = (site, at) => site.rules.filter((_, other) => other !== at);
  return html`${notice && html`<${Notice} kind=${notice.kind} onClose=${() => setNotice(null)}>${notice.text}<//>`}
    <${Loaded} of=${found}>${(sites) => (sites.length ? sites.map((site) => html`<${Site} key=${site.stream} site=${site} may=${may} onOpen=${(kind, at) => setOpen({ kind, site, at })} />`)
      : html`<${Empty} icon="alerts" title=${t("rules.no_sites")}>${t("rules.no_sites_text")}<//>`)}<//>
    ${open?.kind === "edit" && html`<${Form} site=${open.site} at=${open.at} onSave=${save} onClose=${() => setOpen(null)} />`}
    ${open?.kind === "delete" && html`<${Confirm} title=${t("rules.delete", { name: open.site.rules[open.at].name })} text=${t("rules.delete_text")} action=${t("action.delete")} onClose=${() => setOpen(null)}
      onConfirm=${async () => { const problem = await save(open.site, without(open.site, open.at)); if (problem) { setOpen(null); setNotice({ kind: "problem", text: words(problem) }); } }} />`}
    ${open?.kind === "conflict" && html`<${Conflict} base=${open.base} mine=${open.mine} theirs=${open.theirs} text=${t("rules.conflict_text", { revision: open.theirs.revision })} action=${t("action.save")} onTake=${take} onClose=${() => setOpen(null)} />`}`;
}

// Whose place is not said: there is one rule in the form.
const words = (problem) => [!problem.detail && problem.title, problem.detail, problem.remedy].filter(Boolean).join(" ");

function Site({ site, may, onOpen }) {
  return html`<section class="card flush rules"><header><h2><${Link} href=${streamUrl(site.stream)}>${site.stream}<//></h2>${may && !site.problem && html`<${Button} small icon="plus" label=${t("rules.add_to", { name: site.stream })} onClick=${() => onOpen("edit", null)}>${t("rules.add")}<//>`}</header>
    ${site.problem ? html`<${Notice} kind="problem">${site.problem}<//>` : !site.rules.length ? html`<p class="soft pad">${t("rules.none")}</p>`
      : html`<${Scroller} label=${t("rules.of", { name: site.stream })}><table class="cards"><thead><tr><th scope="col">${t("alerts.rule")}</th><th scope="col">${t("rules.watch")}</th><th scope="col">${t("rules.limits")}</th><th scope="col">${t("rules.quiet")}</th>${may && html`<td></td>`}</tr></thead>
        <tbody>${site.rules.map((rule, at) => html`<tr key=${rule.name}><th scope="row">${rule.name}</th><td>${word("watch", rule.watch)}${rule.place ? ` · ${rule.place}` : ""}</td><td>${limits(rule)}</td><td>${rule.quiet.join(", ") || "–"}</td>
          ${may && html`<td class="actions"><${Button} small icon="edit" iconOnly kind="quiet" label=${t("rules.edit", { name: rule.name })} onClick=${() => onOpen("edit", at)} /><${Button} small icon="trash" iconOnly kind="quiet" label=${t("rules.delete", { name: rule.name })} onClick=${() => onOpen("delete", at)} /></td>`}</tr>`)}</tbody></table><//>`}</section>`;
}

function limits(rule) {
  const begins = rule.for_s ? t("rules.over_for", { over: figure(rule.over), time: duration(rule.for_s) }) : t("rules.over_once", { over: figure(rule.over) });
  return t("rules.begins_ends", { begins, until: figure(rule.until ?? rule.over), time: duration(rule.clear_s) });
}

// A rule of the first thing that this site can watch.
function started(site) {
  const { watch, places } = site.watches.find((one) => one.places.length) || site.watches.find((one) => !one.needs_place);
  return { ...NEW, watch, place: places[0] || "" };
}

function Form({ site, at, onSave, onClose }) {
  const [rule, setRule] = useState(at === null ? started(site) : site.rules[at]);
  const [quiet, setQuiet] = useState((rule.quiet || []).join("\n"));
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const watch = site.watches.find((one) => one.watch === rule.watch);
  const set = (key) => (value) => setRule({ ...rule, [key]: value });
  const turn = (name) => {
    const next = site.watches.find((one) => one.watch === name);
    const place = next.places.includes(rule.place) ? rule.place : next.needs_place ? next.places[0] || "" : "";
    setRule({ ...rule, watch: name, place, for_s: next.is_instant ? 0 : rule.for_s, ...(STATES.includes(name) && { over: 0, until: null }) });
  };
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const sent = { ...rule, place: rule.place || null, quiet: quiet.split("\n").map((one) => one.trim()).filter(Boolean) };
    setProblem(await onSave(site, at === null ? [...site.rules, sent] : site.rules.map((one, other) => (other === at ? sent : one))));
    setBusy(false);
  };
  const places = [...(watch.needs_place ? [] : [["", t("rules.any")]]), ...watch.places.map((one) => [one, one])];
  return html`<${Dialog} title=${at === null ? t("rules.add_to", { name: site.stream }) : t("rules.edit", { name: site.rules[at].name })} onClose=${onClose}><form class="form" onSubmit=${submit}>
    ${problem && html`<${Notice} kind="problem">${words(problem)}<//>`}
    <${Text} label=${t("editor.name")} value=${rule.name} onChange=${set("name")} maxlength="100" required />
    <${Select} label=${t("rules.watch")} value=${rule.watch} options=${site.watches.map((one) => [one.watch, word("watch", one.watch)])} onChange=${turn} />
    ${watch.needs_place && !watch.places.length ? html`<${Notice} kind="warn">${t(`rules.no_place.${rule.watch}`)}<//>` : places.length > 1 || watch.needs_place ? html`<${Select} label=${t("rules.place")} value=${rule.place || ""} options=${places} onChange=${set("place")} />` : ""}
    ${!STATES.includes(rule.watch) && html`<div class="form-row"><${Num} label=${t("rules.over", { unit: word("watch_unit", rule.watch) })} hint=${t("rules.over_hint")} value=${rule.over} min="0" step="any" onChange=${set("over")} /><${Num} label=${t("rules.until", { unit: word("watch_unit", rule.watch) })} hint=${t("rules.until_hint")} optional value=${rule.until} min="0" step="any" onChange=${set("until")} /></div>`}
    <div class="form-row">${!watch.is_instant && html`<${Num} label=${t("rules.for_s")} value=${rule.for_s} min="0" step="any" onChange=${set("for_s")} />`}<${Num} label=${t("rules.clear_s")} value=${rule.clear_s} min="1" step="any" onChange=${set("clear_s")} /></div>
    <${Field} label=${t("rules.quiet_times", { zone: site.timezone })} hint=${t("rules.quiet_hint")}><textarea class="short" rows="2" value=${quiet} onInput=${(event) => setQuiet(event.currentTarget.value)}></textarea><//>
    <footer class="row end"><${Button} onClick=${onClose}>${t("action.cancel")}<//><${Button} type="submit" kind="primary" disabled=${busy || (watch.needs_place && !watch.places.length)}>${t("action.save")}<//></footer></form><//>`;
}
