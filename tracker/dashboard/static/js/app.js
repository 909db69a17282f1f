// The frame of the page: navigation, session, theme; chooses the view of the address.
import { html, useCallback, useEffect, useErrorBoundary, useState } from "../vendor/preact.js";
import { get, remove, useCsrf, whenSignedOut } from "./api.js";
import { atLeast, SessionContext, useLoad } from "./hooks.js";
import { Icon } from "./icons.js";
import { stopLive, useLiveStatus } from "./live.js";
import { Button, Dialog, Failure, Loading, Segments } from "./parts.js";
import { applyTheme, read, write } from "./prefs.js";
import { entryNow, Link, match, navigate, useLocation } from "./router.js";
import { number, t } from "./texts.js";

// Views are loaded when they are first opened.
const VIEWS = {
  wall: () => import("./pages/wall.js"),
  stream: () => import("./pages/stream.js"),
  site: () => import("./editor/page.js"),
  counts: () => import("./pages/counts.js"),
  dwell: () => import("./pages/dwell.js"),
  flows: () => import("./pages/flows.js"),
  speeds: () => import("./pages/speeds.js"),
  conflicts: () => import("./pages/conflicts.js"),
  queues: () => import("./pages/queues.js"),
  footfall: () => import("./pages/footfall.js"),
  groups: () => import("./pages/groups.js"),
  heatmap: () => import("./pages/heatmap.js"),
  events: () => import("./pages/events.js"),
  alerts: () => import("./pages/alerts.js"),
  audit: () => import("./pages/audit.js"),
  validation: () => import("./pages/validation.js"),
  recordings: () => import("./pages/recordings.js"),
  health: () => import("./pages/health.js"),
  users: () => import("./pages/users.js"),
  login: () => import("./pages/login.js"),
  setup: () => import("./pages/setup.js"),
};

const NAVIGATION = [
  ["/", "wall", "wall", "viewer"],
  ["/counts", "counts", "counts", "viewer"],
  ["/dwell", "dwell", "dwell", "viewer"],
  ["/flows", "flows", "flows", "viewer"],
  ["/speeds", "speeds", "speeds", "viewer"],
  ["/conflicts", "conflicts", "conflicts", "viewer"],
  ["/queues", "queues", "queues", "viewer"],
  ["/footfall", "footfall", "footfall", "viewer"],
  ["/groups", "groups", "groups", "viewer"],
  ["/heatmap", "heatmap", "heatmap", "viewer"],
  ["/events", "events", "events", "viewer"],
  ["/alerts", "alerts", "alerts", "viewer"],
  ["/recordings", "recordings", "recordings", "viewer"],
  ["/audit", "audit", "audit", "operator"],
  ["/validation", "validation", "validation", "operator"],
  ["/health", "health", "health", "viewer"],
  ["/users", "users", "users", "admin"],
];

export function App() {
  const [session, setSession] = useState(null);
  const [error, setError] = useState(null);
  const { path } = useLocation();
  const reload = useCallback(async () => {
    try {
      const found = await get("/api/session");
      useCsrf(found.csrf);
      setSession(found);
      setError(null);
      return found;
    } catch (problem) {
      setError(problem);
      return null;
    }
  }, []);
  useEffect(() => {
    whenSignedOut(() => reload());
    reload();
  }, []);
  const view = match(path);
  const outside = session && redirect(session, view);
  useEffect(() => {
    if (outside) navigate(outside, { replace: true });
  }, [outside]);
  if (error && !session) return html`<main class="alone"><${Failure} error=${error} retry=${reload} /></main>`;
  if (!session || outside) return html`<main class="alone"><${Loading} /></main>`;
  const page = html`<${View} key=${`${view.name}/${view.id}`} name=${view.name} id=${view.id} />`;
  return html`<${SessionContext.Provider} value=${{ ...session, reload }}>
    ${view.name === "login" || view.name === "setup" ? html`<main class="alone" id="main">${page}</main>`
      : html`<${Frame} session=${session} view=${view.name} reload=${reload}>${page}<//>`}
  <//>`;
}

// Where this session has to go instead, or null.
function redirect(session, view) {
  if (session.setup_needed) return view.name === "setup" ? null : "/setup";
  if (!session.user) {
    if (view.name === "login") return null;
    const here = location.pathname + location.search;
    return here === "/" || view.name === "setup" ? "/login" : `/login?next=${encodeURIComponent(here)}`;
  }
  if (view.name === "setup") return "/";
  return null;
}

function View({ name, id }) {
  const [loaded, setLoaded] = useState(null);
  const [failure, setFailure] = useState(null);
  const [crash, reset] = useErrorBoundary((problem) => console.error(problem));
  useEffect(() => {
    const load = VIEWS[name];
    if (!load) return;
    load().then((module) => setLoaded(() => module.default), setFailure);
  }, []);
  if (crash || failure) return html`<${Failure} error=${crash || failure} retry=${crash ? reset : () => location.reload()} />`;
  if (!VIEWS[name]) return html`<div class="state"><h1>${t("missing.title")}</h1><p><${Link} href="/">${t("missing.back")}<//></p></div>`;
  if (!loaded) return html`<${Loading} />`;
  const Page = loaded;
  return html`<${Page} id=${id} />`;
}

function Frame({ session, view, reload, children }) {
  const [open, setOpen] = useState(false);
  const { path } = useLocation();
  const user = session.user;
  useEffect(() => setOpen(false), [path]);
  useEffect(() => {
    if (!open) return undefined;
    const escape = (event) => event.key === "Escape" && setOpen(false);
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, [open]);
  const current = view === "stream" || view === "site" ? entryNow() || "wall" : view;
  return html`<a class="skip" href="#main">${t("nav.skip")}</a>
    <div class="frame">
      <header class="topbar"><${Button} icon="menu" label=${t("nav.menu")} iconOnly kind="quiet" aria-expanded=${open} onClick=${() => setOpen(!open)} />
        <${Brand} title=${session.title} /><${LinkState} short /></header>
      <aside class=${open ? "rail open" : "rail"} aria-label=${t("nav.side")}>
        <${Brand} title=${session.title} />
        <nav aria-label=${t("nav.label")}>${NAVIGATION.filter(([, , , role]) => atLeast(user, role)).map(
          ([href, icon, key]) => html`<${Link} href=${href} aria-current=${key === current ? "page" : undefined}><${Icon} name=${icon} />${t(`nav.${key}`)}${key === "alerts" && html`<${Waiting} />`}<//>`,
        )}</nav>
        <div class="rail-foot"><${LinkState} /><${Theme} /><${Account} user=${user} reload=${reload} /><small>masktrail ${session.version}</small></div>
      </aside>
      ${open && html`<button class="veil" aria-label=${t("nav.close")} onClick=${() => setOpen(false)}></button>`}
      <main id="main" tabindex="-1">${children}</main>
    </div>`;
}

// How many alerts are under way and not acknowledged.
function Waiting() {
  const found = useLoad((signal) => get("/api/alerts", {}, signal), [], { every_s: 15 });
  useEffect(() => {
    const again = () => found.reload();
    addEventListener("masktrail-acknowledged", again);
    return () => removeEventListener("masktrail-acknowledged", again);
  }, []);
  const count = found.data ? found.data.waiting : 0;
  return count ? html`<span class="badge bad nav-count" aria-label=${t("alerts.waiting", { count })}>${number(count)}</span>` : null;
}

const Brand = ({ title }) => html`<${Link} class="brand" href="/"><img src="/static/favicon.svg" alt="" /><span>${title || "masktrail"}</span><//>`;

function LinkState({ short }) {
  const status = useLiveStatus();
  if (status === "idle") return null;
  const kind = { open: "good", connecting: "warn", closed: "bad" }[status];
  const text = t(`link.${status}`);
  return html`<div class="link-state" title=${text}><span class=${`dot ${kind}`} aria-hidden="true"></span><span class=${short ? "sr" : ""}>${text}</span></div>`;
}

function Theme() {
  const [theme, setTheme] = useState(read("theme", "auto"));
  const choose = (next) => {
    setTheme(next);
    write("theme", next);
    applyTheme(next);
  };
  return html`<${Segments} label=${t("theme.label")} value=${theme} onChange=${choose}
    options=${[["auto", t("theme.auto"), "auto"], ["light", t("theme.light"), "sun"], ["dark", t("theme.dark"), "moon"]]} />`;
}

function Account({ user, reload }) {
  const [open, setOpen] = useState(false);
  const signOut = async () => {
    stopLive();
    await remove("/api/session").catch(() => {});
    await reload();
    navigate("/login");
  };
  return html`<div class="who"><button class="button quiet small" onClick=${() => setOpen(true)}><${Icon} name="person" /><span>${user.name}</span></button>
    <${Button} icon="out" label=${t("account.sign_out")} iconOnly small kind="quiet" onClick=${signOut} />
    ${open && html`<${Password} user=${user} onClose=${() => setOpen(false)} />`}</div>`;
}

function Password({ user, onClose }) {
  const [Form, setForm] = useState(null);
  useEffect(() => {
    import("./pages/password.js").then((module) => setForm(() => module.PasswordForm));
  }, []);
  return html`<${Dialog} title=${t("account.title", { name: user.name })} onClose=${onClose}>
    <p class="soft">${t(`role.${user.role}`)} · ${user.streams === "*" ? t("users.all_streams") : user.streams.join(", ")}</p>
    ${Form ? html`<${Form} onDone=${onClose} />` : html`<${Loading} />`}<//>`;
}
