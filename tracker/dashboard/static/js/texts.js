// Texts of the page: one table, looked up by key, so that another language is another table.
let table = { "boot.failed": "The page could not be loaded: {problem}" };

export async function loadTexts() {
  const response = await fetch(new URL("../texts.json", import.meta.url));
  if (!response.ok) throw new Error(`texts.json: ${response.status}`);
  table = await response.json();
}

// The text of a key with `{name}` replaced; a key that is missing is shown itself.
export function t(key, values = {}) {
  const text = table[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// `key.one` for one, `key.many` for all other numbers.
export function plural(key, count, values = {}) {
  return t(`${key}.${count === 1 ? "one" : "many"}`, { count: number(count), ...values });
}

// A share of 1 in whole per cent.
export const percent = (share) => t("number.percent", { value: number(100 * share) });

// Whether there is such a text: for names that come from the server, such as kinds of events.
export const hasText = (key) => key in table;

// A name from the server in words where the table has them, else with spaces for underscores.
export const word = (group, name) => (hasText(`${group}.${name}`) ? t(`${group}.${name}`) : String(name).replaceAll("_", " "));

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
export const number = (value) => (value === null || value === undefined ? "–" : whole.format(value));
export const decimal = (value, digits = 1) =>
  value === null || value === undefined || Number.isNaN(value)
    ? "–"
    : new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
