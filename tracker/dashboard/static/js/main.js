// Start of the page: texts first, then the session, then the views.
import { html, render } from "../vendor/preact.js";
import { App } from "./app.js";
import { applyTheme } from "./prefs.js";
import { loadTexts, t } from "./texts.js";

applyTheme();
const root = document.getElementById("app");
try {
  await loadTexts();
  root.replaceChildren();
  render(html`<${App} />`, root);
} catch (error) {
  const note = document.createElement("p");
  note.className = "boot";
  note.textContent = t("boot.failed", { problem: String(error.message || error) });
  root.replaceChildren(note);
}
