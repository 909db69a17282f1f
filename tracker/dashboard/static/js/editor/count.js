// Counting of a recording with the saved site: by the server where runs are allowed, else the command that does it.
import { html } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { Button, Notice } from "../parts.js";
import { Link } from "../router.js";
import { RunProblem, RunState } from "../runs.js";
import { t } from "../texts.js";

const BUSY = ["queued", "running"];

export function CountPanel({ stream, recorded, revision, dirty, editable, runs }) {
  const run = runs.data && runs.data.runs.find((one) => one.recording === recorded.name);
  const busy = Boolean(run) && BUSY.includes(run.state);
  const fresh = recorded.counted_revision === revision && !dirty;
  const others = recorded.scope === "folder" ? recorded.sharing.filter((one) => one !== stream.id) : [];
  const all = async () => {
    for (const one of [stream.id, ...others]) await runs.begin(one, "count");
  };
  const counts = recorded.counted_revision !== null && html`<${Link} class="button" href=${`/counts?stream=${encodeURIComponent(stream.id)}`}><${Icon} name="counts" /><span>${t("nav.counts")}</span><//>`;
  if (!editable || !recorded.has_rows) return counts ? html`<div class="row">${counts}</div>` : null;
  if (recorded.count_problem && !dirty && revision > 0) return html`<${Notice} kind="warn">${t("runs.why", recorded.count_problem)}; ${recorded.count_problem.remedy}<//><div class="row">${counts}</div>`;
  if (!recorded.runs_allowed) return html`${recorded.commands.length > 0 && !fresh && html`<p class="soft">${t(dirty ? "count.save_first" : "count.command")}</p>${!dirty && html`<pre class="command" tabindex="0" aria-label=${t("count.command")}>${recorded.commands.join("\n")}</pre>`}`}<div class="row">${counts}</div>`;
  return html`<${RunProblem} runs=${runs} />${run && run.kind === "count" && html`<${RunState} runs=${runs} name=${recorded.name} />`}${dirty && html`<p class="soft">${t("count.save_first")}</p>`}
    <div class="row">${run?.kind === "count" && run.state === "interrupted" ? "" : html`<${Button} icon="play" kind=${fresh ? "" : "primary"} disabled=${dirty || busy || !revision} onClick=${() => runs.begin(stream.id, "count")}>${t(fresh ? "runs.count_again" : "count.count")}<//>`}
      ${others.length > 0 && html`<${Button} icon="play" disabled=${dirty || busy} onClick=${all}>${t("count.all", { count: others.length + 1 })}<//>`}${counts}</div>`;
}
