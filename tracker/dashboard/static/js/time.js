// Times in words and axes. Bins are UTC instants; labels are local time of the place, with the offset where it matters.
import { t } from "./texts.js";

export const browserZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

const cache = new Map();
function format(zone, options) {
  const key = zone + JSON.stringify(options);
  if (!cache.has(key)) {
    let made;
    try {
      made = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    } catch {
      made = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hourCycle: "h23", ...options });
    }
    cache.set(key, made);
  }
  return cache.get(key);
}

const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };

// Local date and time of an instant as numbers.
export function localParts(at_ms, zone) {
  const found = {};
  for (const { type, value } of format(zone, PARTS).formatToParts(at_ms)) found[type] = value;
  return found;
}

// Minutes that local time is ahead of UTC at an instant.
export function offsetMinutes(at_ms, zone) {
  const p = localParts(at_ms, zone);
  const asUtc = Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second);
  return Math.round((asUtc - Math.floor(at_ms / 1000) * 1000) / 60000);
}

export function offsetText(at_ms, zone) {
  const minutes = offsetMinutes(at_ms, zone);
  const size = Math.abs(minutes);
  const pad = (value) => String(value).padStart(2, "0");
  return `${minutes < 0 ? "−" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

// UTC of `YYYY-MM-DDTHH:MM` local time; of an hour that exists twice the first, of one that does not exist the next.
export function toUtc(local, zone) {
  const found = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d))?/.exec(local || "");
  if (!found) return null;
  const [, year, month, day, hour = 0, minute = 0] = found;
  const wall = Date.UTC(year, month - 1, day, hour, minute);
  const before = wall - offsetMinutes(wall - 86_400_000, zone) * 60_000;
  const after = wall - offsetMinutes(wall + 86_400_000, zone) * 60_000;
  const fits = (at) => wall === at + offsetMinutes(at, zone) * 60_000;
  return fits(before) || !fits(after) ? before : after;
}

// `YYYY-MM-DDTHH:MM` local time of an instant, for inputs and addresses.
export function toLocal(at_ms, zone) {
  const p = localParts(at_ms, zone);
  return `${p.year}-${p.month}-${p.day}T${p.hour}:${p.minute}`;
}

export const MONTH_S = 30 * 86_400;

export const startOfDay = (at_ms, zone, days = 0) => {
  const p = localParts(at_ms, zone);
  const day = new Date(Date.UTC(p.year, p.month - 1, Number(p.day) + days)).toISOString().slice(0, 10);
  return toUtc(`${day}T00:00`, zone);
};

// First instant of a month, counted from January of a year.
export const startOfMonth = (year, months, zone) => toUtc(`${new Date(Date.UTC(year, months)).toISOString().slice(0, 7)}-01T00:00`, zone);

export const clock = (at_ms, zone) => format(zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(at_ms);
export const minuteClock = (at_ms, zone) => format(zone, { hour: "2-digit", minute: "2-digit" }).format(at_ms);
// Time of a bin or tick: with seconds where it is shorter than a minute.
export const binClock = (at_ms, zone, step_s) => (step_s < 60 ? clock : minuteClock)(at_ms, zone);
// A day, with its year where that is not the current one.
export function dayText(at_ms, zone, now_ms = Date.now()) {
  const year = localParts(at_ms, zone).year === localParts(now_ms, zone).year ? {} : { year: "numeric" };
  return format(zone, { weekday: "short", day: "numeric", month: "short", ...year }).format(at_ms);
}
export const stamp = (at_ms, zone) => `${dayText(at_ms, zone)} ${clock(at_ms, zone)}`;

// Seconds as people say them: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h.
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const value = Math.abs(seconds);
  if (value < 10) return t("time.s", { s: value.toFixed(1) });
  if (value < 60) return t("time.s", { s: Math.round(value) });
  const whole = Math.round(value);
  if (whole < 3600) return pair(whole, 60, "time.min", "time.s", "min", "s");
  if (whole < 86_400) return pair(Math.round(whole / 60), 60, "time.h", "time.min", "h", "min");
  return pair(Math.round(whole / 3600), 24, "time.d", "time.h", "d", "h");
}

function pair(value, base, big, small, bigName, smallName) {
  const rest = value % base;
  const head = t(big, { [bigName]: Math.floor(value / base) });
  return rest ? `${head} ${t(small, { [smallName]: rest })}` : head;
}

// Media time of a recording: 0:07, 12:05, 1:02:03.
export function mediaClock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const tail = `${hours ? pad(Math.floor((whole % 3600) / 60)) : Math.floor((whole % 3600) / 60)}:${pad(whole % 60)}`;
  return hours ? `${hours}:${tail}` : tail;
}

// An instant in words, of wall clock or of a recording.
export const moment = (at_ms, utc, zone) => (utc ? stamp(at_ms, zone) : mediaClock(at_ms / 1000));

// Labels of an axis of instants: day where it changes, year where that does or is not the current one, offset where the
// clock was changed between two labels.
export function axisLabels(splits_ms, zone, step_s, now_ms = Date.now()) {
  let lastDay = "";
  let lastYear = localParts(now_ms, zone).year;
  let lastOffset = splits_ms.length ? offsetMinutes(splits_ms[0], zone) : 0;
  return splits_ms.map((at) => {
    const day = format(zone, step_s < MONTH_S ? { day: "numeric", month: "short" } : { month: "short" }).format(at);
    const year = localParts(at, zone).year;
    const offset = offsetMinutes(at, zone);
    const time = step_s >= 86_400 ? "" : binClock(at, zone, step_s);
    const lines = [time, day !== lastDay || year !== lastYear ? day : "", year !== lastYear ? year : ""];
    if (step_s < 86_400 && offset !== lastOffset) lines.push(`UTC${offsetText(at, zone)}`);
    lastDay = day;
    lastYear = year;
    lastOffset = offset;
    return lines.filter(Boolean).join("\n");
  });
}
