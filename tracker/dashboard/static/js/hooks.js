// State that several views share: loading from the server, sizes of elements, titles, the session.
import { createContext, useCallback, useContext, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";

export const SessionContext = createContext(null);
export const useSession = () => useContext(SessionContext);

const RANK = { viewer: 0, operator: 1, admin: 2 };
// Whether the user's role is at least `role`.
export const atLeast = (user, role) => Boolean(user) && (RANK[user.role] ?? -1) >= RANK[role];

// `{data, error, loading, reload}` of an asynchronous function; the last data stay while it loads again.
export function useLoad(load, inputs, { every_s = 0 } = {}) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const latest = useRef(load);
  latest.current = load;
  const run = useCallback((quiet) => {
    const stop = new AbortController();
    if (!quiet) setState((old) => ({ ...old, loading: true }));
    latest.current(stop.signal).then(
      (data) => !stop.signal.aborted && setState({ data, error: null, loading: false }),
      (error) => !stop.signal.aborted && error.name !== "AbortError" && setState((old) => ({ ...old, error, loading: false })),
    );
    return () => stop.abort();
  }, []);
  useEffect(() => run(false), inputs);
  useEffect(() => {
    if (!every_s) return undefined;
    const timer = setInterval(() => document.hidden || run(true), every_s * 1000);
    return () => clearInterval(timer);
  }, [every_s, ...inputs]);
  return { ...state, reload: () => run(false) };
}

// `[ref, {width, height}]` of an element in CSS pixels.
export function useSize() {
  const ref = useRef(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    const measure = () => {
      const { width, height } = element.getBoundingClientRect();
      setSize((old) => (Math.abs(old.width - width) < 0.5 && Math.abs(old.height - height) < 0.5 ? old : { width, height }));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, size];
}

export function useTitle(...parts) {
  const text = [...parts, "masktrail"].filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = text;
  }, [text]);
}

// A value that follows `value` once it has been the same for a while.
export function useSettled(value, wait_ms) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), wait_ms);
    return () => clearTimeout(timer);
  }, [value, wait_ms]);
  return settled;
}
