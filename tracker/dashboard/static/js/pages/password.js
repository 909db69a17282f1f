// Change of one's own password.
import { html, useState } from "../../vendor/preact.js";
import { post } from "../api.js";
import { Button, Field, Notice, problemText } from "../parts.js";
import { useSession } from "../hooks.js";
import { t } from "../texts.js";
import { SHORTEST_PASSWORD } from "./setup.js";

export function PasswordForm({ onDone }) {
  const session = useSession();
  const [form, setForm] = useState({ password: "", new_password: "" });
  const [problem, setProblem] = useState(null);
  const set = (key) => (event) => setForm({ ...form, [key]: event.currentTarget.value });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await post("/api/session/password", form);
      await session.reload();
      onDone();
    } catch (error) {
      setProblem(error.status === 401 || error.status === 403 ? t("login.wrong") : problemText(error).title);
    }
  };
  return html`<form class="form" onSubmit=${submit}><h3>${t("account.password")}</h3>
    ${problem && html`<${Notice} kind="problem">${problem}<//>`}
    <${Field} label=${t("account.old")}><input type="password" autocomplete="current-password" required value=${form.password} onInput=${set("password")} /><//>
    <${Field} label=${t("account.new")} hint=${t("password.hint", { count: SHORTEST_PASSWORD })}>
      <input type="password" autocomplete="new-password" required minlength=${SHORTEST_PASSWORD} value=${form.new_password} onInput=${set("new_password")} /><//>
    <${Button} type="submit" kind="primary">${t("account.change")}<//></form>`;
}
