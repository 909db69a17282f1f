// What this browser remembers: theme and overlay switches. Nothing of it is a secret.
import { useEffect, useState } from "../vendor/preact.js";

const PREFIX = "masktrail.";
const listeners = new Set();

export function read(key, fallback) {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback; // storage is off or full
  }
}

export function write(key, value) {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // the choice lasts for this page only
  }
  listeners.forEach((listener) => listener(key));
}

export function usePref(key, fallback) {
  const [value, setValue] = useState(() => read(key, fallback));
  useEffect(() => {
    const listener = (changed) => changed === key && setValue(read(key, fallback));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, [key]);
  const set = (next) => {
    setValue(next);
    write(key, next);
  };
  return [value, set];
}

// `auto`, `dark` or `light` on the root element; style sheets do the rest.
export function applyTheme(theme = read("theme", "auto")) {
  document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("themechange"));
}

export function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));

// Changes with the theme: charts and canvases draw again.
export function useTheme() {
  const [dark, setDark] = useState(isDark());
  useEffect(() => {
    const listener = () => setDark(isDark());
    addEventListener("themechange", listener);
    return () => removeEventListener("themechange", listener);
  }, []);
  return dark;
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Pixels of a sixteenth of the root's font: 1 on ordinary screens, more on large ones.
export const unit = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16 || 1;

// The value of a colour token as the style sheets define it now.
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
