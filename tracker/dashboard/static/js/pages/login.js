// Log in.
import { html, useState } from "../../vendor/preact.js";
import { post } from "../api.js";
import { useSession, useTitle } from "../hooks.js";
import { Button, Field, Notice, problemText } from "../parts.js";
import { navigate } from "../router.js";
import { t } from "../texts.js";

export default function Login() {
  const session = useSession();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  useTitle(t("login.title"));
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await post("/api/session", { name, password });
      await session.reload();
      const next = new URLSearchParams(location.search).get("next") || "/";
      // Only addresses of this page: never to another host.
      navigate(/^\/(?![/\\])/.test(next) ? next : "/", { replace: true });
    } catch (error) {
      setProblem(error.status === 401 ? t("login.wrong") : error.status === 429 ? t("login.slow") : problemText(error).title);
      setBusy(false);
    }
  };
  return html`<section class="card gate"><img src="/static/favicon.svg" alt="" /><h1>${t("login.heading", { title: session.title || "masktrail" })}</h1>
    <form class="form" onSubmit=${submit}>
      ${problem && html`<${Notice} kind="problem">${problem}<//>`}
      <${Field} label=${t("login.name")}><input name="username" autocomplete="username" autocapitalize="none" spellcheck=${false} required autofocus value=${name} onInput=${(e) => setName(e.currentTarget.value)} /><//>
      <${Field} label=${t("login.password")}><input name="password" type="password" autocomplete="current-password" required value=${password} onInput=${(e) => setPassword(e.currentTarget.value)} /><//>
      <${Button} type="submit" kind="primary" disabled=${busy}>${busy ? t("login.busy") : t("login.submit")}<//>
    </form></section>`;
}
