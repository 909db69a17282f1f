// Calls of the HTTP interface: JSON in and out, the CSRF header on every change, errors as one class.
let csrf = "";
let onSignedOut = () => {};

export function useCsrf(token) {
  csrf = token || "";
}
export function whenSignedOut(callback) {
  onSignedOut = callback;
}

// What the server refused: `expected`, `found` and `remedy` are for people.
export class ApiError extends Error {
  constructor(status, body) {
    const error = (body && body.error) || {};
    super(error.what || `HTTP ${status}`);
    this.status = status;
    this.expected = error.expected || "";
    this.found = error.found || "";
    this.remedy = error.remedy || "";
    this.body = body || {};
  }
}

export function address(path, query = {}) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") search.append(key, one);
    }
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

export const streamPath = (id, rest = "") => `/api/streams/${encodeURIComponent(id)}${rest}`;

async function call(method, path, { body, query, text, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Masktrail-CSRF"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (text !== undefined) headers["Content-Type"] = "text/plain; charset=utf-8";
  let response;
  try {
    response = await fetch(address(path, query), {
      method,
      headers,
      signal,
      credentials: "same-origin",
      cache: "no-store",
      body: body !== undefined ? JSON.stringify(body) : text,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { error: { what: "network", found: String(error.message || error) } });
  }
  const type = response.headers.get("Content-Type") || "";
  const answer = type.includes("json") ? await response.json() : null;
  if (response.status === 401 && path !== "/api/session") onSignedOut();
  if (!response.ok) throw new ApiError(response.status, answer);
  return answer;
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const post = (path, body, options = {}) => call("POST", path, { body, ...options });
export const put = (path, body) => call("PUT", path, { body });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path, body) => call("DELETE", path, { body });
export const sendText = (path, text, query) => call("POST", path, { text, query });
