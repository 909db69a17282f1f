// Views by address: every view is a URL, filters are its query.
import { html, useEffect, useMemo, useState } from "../vendor/preact.js";
import { t } from "./texts.js";

const ROUTES = [
  ["wall", /^\/$/],
  ["site", /^\/streams\/([^/]+)\/site$/],
  ["stream", /^\/streams\/([^/]+)$/],
  ["counts", /^\/counts$/],
  ["dwell", /^\/dwell$/],
  ["flows", /^\/flows$/],
  ["speeds", /^\/speeds$/],
  ["conflicts", /^\/conflicts$/],
  ["queues", /^\/queues$/],
  ["footfall", /^\/footfall$/],
  ["groups", /^\/groups$/],
  ["heatmap", /^\/heatmap$/],
  ["events", /^\/events$/],
  ["alerts", /^\/alerts$/],
  ["audit", /^\/audit$/],
  ["validation", /^\/validation(?:\/([0-9]{1,15}))?$/],
  ["recordings", /^\/recordings$/],
  ["health", /^\/health$/],
  ["users", /^\/users$/],
  ["login", /^\/login$/],
  ["setup", /^\/setup$/],
];

const listeners = new Set();
let guard = null;

export function match(path) {
  for (const [name, pattern] of ROUTES) {
    const found = pattern.exec(path);
    if (found) return { name, id: found[1] === undefined ? null : decodeURIComponent(found[1]) };
  }
  return { name: "missing", id: null };
}

// A view with unsaved work sets a function that returns false to stay.
function setGuard(callback) {
  guard = callback;
}

// Asks before unsaved work is left.
export function useLeaving(dirty) {
  useEffect(() => {
    if (!dirty) return undefined;
    const stay = (event) => event.preventDefault();
    addEventListener("beforeunload", stay);
    setGuard(() => confirm(t("editor.leave")));
    return () => {
      removeEventListener("beforeunload", stay);
      setGuard(null);
    };
  }, [dirty]);
}

export function navigate(target, { replace = false } = {}) {
  if (guard && new URL(target, location.href).pathname !== location.pathname && !guard()) return;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  listeners.forEach((listener) => listener());
}

addEventListener("popstate", () => listeners.forEach((listener) => listener()));

// The current address; re-renders on change.
export function useLocation() {
  const [, bump] = useState(0);
  useEffect(() => {
    const listener = () => bump((count) => count + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return { path: location.pathname, search: location.search };
}

// The query as `[values, set]`; `set({key: value})` merges, empty values leave the address.
export function useQuery() {
  const { search } = useLocation();
  const query = useMemo(() => new URLSearchParams(search), [search]);
  const set = (changes) => {
    const next = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(changes)) {
      next.delete(key);
      for (const one of Array.isArray(value) ? value : [value]) {
        if (one !== null && one !== undefined && one !== "" && one !== false) next.append(key, one === true ? "1" : one);
      }
    }
    const text = next.toString();
    navigate(location.pathname + (text ? `?${text}` : ""), { replace: true });
  };
  return [query, set];
}

export const streamUrl = (id, rest = "") => `/streams/${encodeURIComponent(id)}${rest}`;

// The entry of the navigation that a view belongs to, where its address does not say so.
let entry = null;
export function useEntry(name) {
  useEffect(() => {
    entry = name;
    listeners.forEach((listener) => listener());
    return () => (entry = null);
  }, [name]);
}
export const entryNow = () => entry;

// An anchor inside the page.
export function Link({ href, children, ...rest }) {
  const follow = (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(href);
    scrollTo(0, 0);
  };
  return html`<a href=${href} onClick=${follow} ...${rest}>${children}</a>`;
}
