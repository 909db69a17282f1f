// Users, tokens of machines, and the log of what was changed by whom.
import { html, useState } from "../../vendor/preact.js";
import { get, patch, post, remove } from "../api.js";
import { useStreams } from "../filters.js";
import { useLoad, useSession, useTitle } from "../hooks.js";
import { Badge, Button, Check, Confirm, Dialog, Empty, Field, Loaded, Notice, PageHead, problemText, Scroller, Select, Several } from "../parts.js";
import { useQuery } from "../router.js";
import { browserZone, stamp } from "../time.js";
import { t, word } from "../texts.js";
import { SHORTEST_PASSWORD } from "./setup.js";

const ROLES = ["viewer", "operator", "admin"];
const TABS = ["accounts", "tokens", "log"];
const time = (at_ms) => (at_ms ? stamp(at_ms, browserZone()) : "–");
const streamsText = (streams) => (streams === "*" ? t("users.all_streams") : streams.length ? streams.join(", ") : t("users.no_streams"));

export default function Users() {
  const [query, set] = useQuery();
  const tab = TABS.includes(query.get("tab")) ? query.get("tab") : "accounts";
  const streams = useStreams();
  useTitle(t("nav.users"));
  return html`<${PageHead} title=${t("nav.users")} sub=${t("users.sub")} />
    <div class="tabs" role="tablist" aria-label=${t("nav.users")}>${TABS.map((one) => html`<button role="tab" id=${`tab-${one}`} aria-selected=${one === tab} aria-controls="tab-panel" onClick=${() => set({ tab: one === "accounts" ? null : one })}>${t(`users.${one}`)}</button>`)}</div>
    <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${tab}`}>${tab === "accounts" ? html`<${Accounts} streams=${streams.data || []} />` : tab === "tokens" ? html`<${Tokens} streams=${streams.data || []} />` : html`<${Log} />`}</div>`;
}

function Accounts({ streams }) {
  const { user: me } = useSession();
  const users = useLoad((signal) => get("/api/users", {}, signal).then((found) => found.users), []);
  const [editing, setEditing] = useState(null);
  const [leaving, setLeaving] = useState(null);
  const [problem, setProblem] = useState(null);
  const drop = async () => {
    try {
      await remove(`/api/users/${encodeURIComponent(leaving)}`);
      users.reload();
    } catch (error) {
      setProblem(problemText(error).title);
    }
    setLeaving(null);
  };
  return html`${problem && html`<${Notice} kind="problem" onClose=${() => setProblem(null)}>${problem}<//>`}
    <div class="card flush"><header><h2>${t("users.accounts")}</h2><${Button} icon="plus" kind="primary" onClick=${() => setEditing({})}>${t("users.add")}<//></header>
    <${Loaded} of=${users}>${(found) => html`<${Scroller} label=${t("users.accounts")}><table class="cards"><thead><tr><th scope="col">${t("login.name")}</th><th scope="col">${t("users.role")}</th><th scope="col">${t("users.streams")}</th><th scope="col">${t("users.people")}</th><th scope="col">${t("users.made")}</th><td></td></tr></thead>
      <tbody>${found.map((one) => html`<tr><th scope="row">${one.name}${one.name === me.name ? html` <${Badge} kind="info">${t("users.you")}<//>` : ""}</th><td>${t(`role.${one.role}`)}</td><td>${streamsText(one.streams)}</td><td data-label=${t("users.people")}>${one.see_people ? t("users.yes") : t("users.no")}</td><td data-label=${t("users.made")}>${time(one.created_ms)}</td>
        <td class="actions"><${Button} small icon="edit" iconOnly kind="quiet" label=${t("users.edit", { name: one.name })} onClick=${() => setEditing(one)} /><${Button} small icon="trash" iconOnly kind="quiet" label=${t("users.remove", { name: one.name })} disabled=${one.name === me.name} onClick=${() => setLeaving(one.name)} /></td></tr>`)}</tbody></table><//>`}<//></div>
    ${editing && html`<${Account} user=${editing} streams=${streams} onClose=${() => setEditing(null)} onDone=${() => { setEditing(null); users.reload(); }} />`}
    ${leaving && html`<${Confirm} title=${t("users.remove", { name: leaving })} text=${t("users.remove_text")} action=${t("users.remove", { name: leaving })} onConfirm=${drop} onClose=${() => setLeaving(null)} />`}`;
}

function Rights({ form, setForm, streams, roles = ROLES }) {
  return html`<${Select} label=${t("users.role")} value=${form.role} options=${roles.map((one) => [one, t(`role.${one}`)])} onChange=${(role) => setForm({ ...form, role })} /><small>${t(`role_text.${form.role}`)}</small>
    <${Check} label=${t("users.all_streams")} checked=${form.streams === "*"} onChange=${(on) => setForm({ ...form, streams: on ? "*" : [] })} />
    ${form.streams !== "*" && html`<${Several} label=${t("users.streams")} all=${t("users.no_streams")} options=${streams.map((one) => [one.id, one.id])} chosen=${form.streams} onChange=${(value) => setForm({ ...form, streams: value })} />`}
    <${Check} label=${t("users.see_people")} checked=${form.see_people} onChange=${(on) => setForm({ ...form, see_people: on })} />`;
}

function Account({ user, streams, onClose, onDone }) {
  const fresh = !user.name;
  const [form, setForm] = useState({ name: "", password: "", role: user.role || "viewer", streams: user.streams || [], see_people: user.see_people || false });
  const [problem, setProblem] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const rights = { role: form.role, streams: form.streams, see_people: form.see_people };
    try {
      if (fresh) await post("/api/users", { name: form.name.trim(), password: form.password, ...rights });
      else await patch(`/api/users/${encodeURIComponent(user.name)}`, form.password ? { ...rights, password: form.password } : rights);
      onDone();
    } catch (error) {
      const text = problemText(error);
      setProblem([text.title, text.detail, text.remedy].filter(Boolean).join(" "));
    }
  };
  return html`<${Dialog} title=${fresh ? t("users.add") : t("users.edit", { name: user.name })} onClose=${onClose}><form class="form" onSubmit=${submit}>
    ${problem && html`<${Notice} kind="problem">${problem}<//>`}
    ${fresh && html`<${Field} label=${t("login.name")}><input required autocomplete="off" autocapitalize="none" value=${form.name} onInput=${(event) => setForm({ ...form, name: event.currentTarget.value })} /><//>`}
    <${Field} label=${fresh ? t("login.password") : t("users.new_password")} hint=${fresh ? t("password.hint", { count: SHORTEST_PASSWORD }) : t("users.keep_password")}><input type="password" autocomplete="new-password" required=${fresh} minlength=${SHORTEST_PASSWORD} value=${form.password} onInput=${(event) => setForm({ ...form, password: event.currentTarget.value })} /><//>
    <${Rights} form=${form} setForm=${setForm} streams=${streams} />
    <footer class="row end"><${Button} onClick=${onClose}>${t("action.cancel")}<//><${Button} type="submit" kind="primary">${t("action.save")}<//></footer></form><//>`;
}

function Tokens({ streams }) {
  const tokens = useLoad((signal) => get("/api/tokens", {}, signal).then((found) => found.tokens), []);
  const [form, setForm] = useState(null);
  const [made, setMade] = useState(null);
  const [problem, setProblem] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      setMade(await post("/api/tokens", form));
      setForm(null);
      tokens.reload();
    } catch (error) {
      setProblem(problemText(error).title);
    }
  };
  const drop = async (id) => {
    await remove(`/api/tokens/${id}`).catch((error) => setProblem(problemText(error).title));
    tokens.reload();
  };
  return html`${problem && html`<${Notice} kind="problem" onClose=${() => setProblem(null)}>${problem}<//>`}
    <div class="card flush"><header><h2>${t("users.tokens")}</h2><${Button} icon="key" kind="primary" onClick=${() => setForm({ label: "", role: "viewer", streams: "*", see_people: false, days: 365 })}>${t("users.add_token")}<//></header>
    <${Loaded} of=${tokens}>${(found) => (found.length ? html`<${Scroller} label=${t("users.tokens")}><table class="cards"><thead><tr><th scope="col">${t("users.token_name")}</th><th scope="col">${t("users.role")}</th><th scope="col">${t("users.streams")}</th><th scope="col">${t("users.made")}</th><th scope="col">${t("users.used")}</th><th scope="col">${t("users.ends")}</th><td></td></tr></thead><tbody>${found.map((one) => html`<tr><th scope="row">${one.label}</th><td>${t(`role.${one.role}`)}</td><td>${streamsText(one.streams)}</td><td data-label=${t("users.made")}>${time(one.created_ms)}</td><td data-label=${t("users.used")}>${time(one.used_ms)}</td><td data-label=${t("users.ends")}>${one.expires_ms ? time(one.expires_ms) : t("users.never")}</td><td class="actions"><${Button} small icon="trash" iconOnly kind="quiet" label=${t("users.remove", { name: one.label })} onClick=${() => drop(one.id)} /></td></tr>`)}</tbody></table><//>` : html`<${Empty} icon="key" title=${t("users.no_tokens")}>${t("users.no_tokens_text")}<//>`)}<//></div>
    ${form && html`<${Dialog} title=${t("users.add_token")} onClose=${() => setForm(null)}><form class="form" onSubmit=${submit}><${Field} label=${t("users.token_name")}><input required maxlength="80" value=${form.label} onInput=${(event) => setForm({ ...form, label: event.currentTarget.value })} /><//><${Rights} form=${form} setForm=${setForm} streams=${streams} roles=${["viewer", "operator"]} />
      <${Field} label=${t("users.days")} hint=${t("users.days_hint")}><input type="number" min="1" max="3650" value=${form.days ?? ""} onInput=${(event) => setForm({ ...form, days: event.currentTarget.value ? Number(event.currentTarget.value) : null })} /><//>
      <footer class="row end"><${Button} onClick=${() => setForm(null)}>${t("action.cancel")}<//><${Button} type="submit" kind="primary">${t("users.add_token")}<//></footer></form><//>`}
    ${made && html`<${Dialog} title=${t("users.token_made")} onClose=${() => setMade(null)}><p>${t("users.token_once")}</p><code class="secret">${made.token}</code><footer><${Button} kind="primary" onClick=${() => setMade(null)}>${t("action.close")}<//></footer><//>`}`;
}

function Log() {
  const log = useLoad((signal) => get("/api/log", { limit: 500 }, signal).then((found) => found.log), [], { every_s: 20 });
  return html`<div class="card flush"><${Loaded} of=${log}>${(rows) => (rows.length ? html`<${Scroller} label=${t("users.log")}><table class="cards"><thead><tr><th scope="col">${t("users.when")}</th><th scope="col">${t("users.who")}</th><th scope="col">${t("users.what")}</th><th scope="col">${t("users.detail")}</th><th scope="col">${t("users.address")}</th></tr></thead><tbody>${rows.map((one) => html`<tr><td>${time(one.at_ms)}</td><th scope="row" class="in-row">${one.name}</th><td>${word("log", one.what)}</td><td>${one.detail}</td><td class="soft">${one.address}</td></tr>`)}</tbody></table><//>` : html`<${Empty} title=${t("users.no_log")} />`)}<//></div>`;
}
