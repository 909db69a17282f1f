// Runs of recordings: the list of them, and what stands beside a recording that has no results yet.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { get, post, remove } from "./api.js";
import { atLeast, useLoad, useSession } from "./hooks.js";
import { Button, Notice, problemText } from "./parts.js";
import { navigate, streamUrl } from "./router.js";
import { duration } from "./time.js";
import { number, t } from "./texts.js";

const BUSY = ["queued", "running"];
const SLOW_S = 20;
const FAST_S = 1;

// `{data, begin, end, problem}`: asked for often while anything runs. A run that was begun here opens its results, or tells `onDone`.
export function useRuns(onDone = (run) => navigate(streamUrl(run.stream)), wanted = true) {
  const [fast, setFast] = useState(false);
  const [problem, setProblem] = useState(null);
  const begun = useRef(new Set());
  const runs = useLoad((signal) => (wanted ? get("/api/runs", {}, signal) : Promise.resolve(null)), [], { every_s: fast ? FAST_S : SLOW_S });
  const rows = runs.data ? runs.data.runs : [];
  useEffect(() => setFast(rows.some((one) => BUSY.includes(one.state))), [runs.data]);
  useEffect(() => {
    const done = rows.find((one) => begun.current.has(one.recording) && one.state === "done" && one.stream && !one.problem);
    if (!done) return;
    begun.current.delete(done.recording);
    onDone(done);
  }, [runs.data]);
  const told = (call) => call.then(() => setProblem(null), (error) => setProblem(problemText(error))).finally(runs.reload);
  const begin = (name, kind = "track") => told(post(`/api/runs/${encodeURIComponent(name)}${kind === "count" ? "/count" : ""}`).then((run) => begun.current.add(run.recording)));
  const end = (name) => {
    begun.current.delete(name);
    return told(remove(`/api/runs/${encodeURIComponent(name)}`));
  };
  return { data: runs.data, begin, end, problem };
}

// What can be done with a recording, and how far it is; nothing where runs are not allowed.
export function RunState({ runs, name }) {
  const { user } = useSession();
  if (!runs.data) return null;
  const run = runs.data.runs.find((one) => one.recording === name || one.stream === name);
  const may = atLeast(user, "operator");
  const again = runs.data.runnable.includes(name);
  const counts = run?.kind === "count";
  const label = !run ? "runs.run" : run.state === "interrupted" ? "runs.start_again" : counts ? "runs.count_again" : "runs.again";
  const start = may && (counts ? run.stream && run.state !== "done" : again) && html`<${Button} small icon="play" onClick=${() => (counts ? runs.begin(run.stream, "count") : runs.begin(name))}>${t(label)}<//>`;
  if (!run || (run.state === "done" && !run.problem)) return start ? html`<div class="run">${start}</div>` : null;
  if (run.state === "interrupted") return html`<div class="run"><${Notice} kind="warn">${t(counts ? "runs.interrupted_count" : "runs.interrupted")}<//><div class="row">${start}${may && html`<${Button} small kind="quiet" icon="close" onClick=${() => runs.end(run.recording)}>${t("action.close")}<//>`}</div></div>`;
  const end = may && html`<${Button} small kind="quiet" icon="close" onClick=${() => runs.end(run.recording)}>${t(BUSY.includes(run.state) ? "action.cancel" : "action.close")}<//>`;
  if (BUSY.includes(run.state)) return html`<div class="run"><${Progress} run=${run} runs=${runs.data.runs} />${end}</div>`;
  const text = { expected: run.problem.expected, found: run.problem.found, what: run.problem.what };
  return html`<div class="run"><${Notice} kind=${run.state === "failed" ? "problem" : "warn"}><b>${t(run.state !== "failed" ? "runs.partly" : counts ? "runs.count_failed" : "runs.failed")}</b> ${t("runs.why", text)}${run.problem.remedy ? `; ${run.problem.remedy}.` : "."}<//><div class="row">${start}${end}</div></div>`;
}

function Progress({ run, runs }) {
  if (run.state === "queued") {
    const before = runs.slice(0, runs.indexOf(run)).filter((one) => BUSY.includes(one.state)).length;
    return html`<p class="soft" role="status">${t("runs.queued", { count: before })}</p>`;
  }
  const value = run.refined !== null ? run.refined : run.total ? Math.min(run.frames / run.total, 1) : null;
  const frames = run.total ? t("runs.frames_of", { frames: number(run.frames), total: number(run.total) }) : t("runs.frames", { frames: number(run.frames) });
  const words = run.refined !== null ? t("runs.refining") : !run.frames ? t(run.kind === "count" ? "runs.counting" : "runs.starting") : run.left_s === null ? frames : `${frames}, ${t("runs.left", { time: duration(run.left_s) })}`;
  return html`<div class="run-progress"><progress max="1" value=${value === null ? undefined : value} aria-label=${t("runs.progress", { name: run.recording })}></progress><p class="soft">${words}</p></div>`;
}

// What went wrong with the last thing that was asked for.
export const RunProblem = ({ runs }) => runs.problem && html`<${Notice} kind="problem"><b>${runs.problem.title}</b> ${runs.problem.detail} ${runs.problem.remedy || ""}<//>`;
