// The first administrator, by the one-time link that the program printed.
import { html, useEffect, useState } from "../../vendor/preact.js";
import { post } from "../api.js";
import { useSession, useTitle } from "../hooks.js";
import { Button, Check, Field, Notice, problemText } from "../parts.js";
import { navigate } from "../router.js";
import { t } from "../texts.js";

export const SHORTEST_PASSWORD = 12;

// The token is in the fragment, which no server log and no referrer sees; a query is taken too.
function tokenOfAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("token") || new URLSearchParams(location.search).get("token") || "";
}

export default function Setup() {
  const session = useSession();
  const [token, setToken] = useState(tokenOfAddress);
  const [asked] = useState(!token);
  const [form, setForm] = useState({ name: "", password: "", again: "", see_people: false });
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  useTitle(t("setup.title"));
  useEffect(() => {
    if (token) history.replaceState(null, "", "/setup"); // out of the address bar and the history
  }, []);
  const set = (key) => (event) => setForm({ ...form, [key]: event.currentTarget.value });
  const short = form.password.length > 0 && form.password.length < SHORTEST_PASSWORD;
  const differs = form.again.length > 0 && form.again !== form.password;
  const submit = async (event) => {
    event.preventDefault();
    if (short || form.again !== form.password) return;
    setBusy(true);
    setProblem(null);
    try {
      await post("/api/setup", { token: token.trim(), name: form.name.trim(), password: form.password, see_people: form.see_people });
      await session.reload();
      navigate("/", { replace: true });
    } catch (error) {
      const text = problemText(error);
      setProblem([text.title, text.detail, text.remedy].filter(Boolean).join(" "));
      setBusy(false);
    }
  };
  return html`<section class="card gate"><img src="/static/favicon.svg" alt="" /><h1>${t("setup.heading")}</h1><p class="soft">${t("setup.text")}</p>
    <form class="form" onSubmit=${submit}>
      ${problem && html`<${Notice} kind="problem">${problem}<//>`}
      ${asked && html`<${Field} label=${t("setup.token")} hint=${t("setup.token_hint")}><input name="token" required autocomplete="off" value=${token} onInput=${(e) => setToken(e.currentTarget.value)} /><//>`}
      <${Field} label=${t("login.name")}><input name="username" autocomplete="username" autocapitalize="none" required value=${form.name} onInput=${set("name")} /><//>
      <${Field} label=${t("login.password")} hint=${t("password.hint", { count: SHORTEST_PASSWORD })} error=${short ? t("password.short", { count: SHORTEST_PASSWORD }) : null}>
        <input name="new-password" type="password" autocomplete="new-password" required minlength=${SHORTEST_PASSWORD} value=${form.password} onInput=${set("password")} /><//>
      <${Field} label=${t("password.again")} error=${differs ? t("password.differs") : null}>
        <input name="again" type="password" autocomplete="new-password" required value=${form.again} onInput=${set("again")} /><//>
      <${Check} label=${t("setup.see_people")} checked=${form.see_people} onChange=${(on) => setForm({ ...form, see_people: on })} />
      <${Button} type="submit" kind="primary" disabled=${busy || short || differs}>${t("setup.submit")}<//>
    </form></section>`;
}
