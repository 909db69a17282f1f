// Building blocks of all views: buttons, fields, dialogs, notices, states of loading.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Icon } from "./icons.js";
import { t, hasText } from "./texts.js";

export function Button({ icon, label, kind = "", small, iconOnly, type = "button", children, ...rest }) {
  const text = children ?? label;
  return html`<button type=${type} class=${`button ${kind} ${iconOnly ? "icon-only" : ""} ${small ? "small" : ""}`}
    aria-label=${iconOnly ? label : undefined} title=${iconOnly ? label : undefined} ...${rest}>
    ${icon && html`<${Icon} name=${icon} />`}${!iconOnly && html`<span>${text}</span>`}
  </button>`;
}

let serial = 0;
export function useId(prefix) {
  const ref = useRef(null);
  if (!ref.current) ref.current = `${prefix}-${(serial += 1)}`;
  return ref.current;
}

export function Field({ label, hint, error, children, wide }) {
  return html`<label class=${`field ${wide ? "wide" : ""} ${error ? "wrong" : ""}`}>
    <span class="field-label">${label}</span>${children}
    ${hint && html`<small>${hint}</small>`}${error && html`<small class="problem" role="alert">${error}</small>`}
  </label>`;
}

export function Text({ label, value, onChange, hint, ...rest }) {
  return html`<${Field} label=${label} hint=${hint}><input value=${value ?? ""} onInput=${(event) => onChange(event.currentTarget.value)} ...${rest} /><//>`;
}

export function Num({ label, value, onChange, hint, optional, ...rest }) {
  const take = (event) => {
    const text = event.currentTarget.value;
    if (text === "" && optional) onChange(null);
    else if (text !== "" && Number.isFinite(Number(text))) onChange(Number(text));
  };
  return html`<${Field} label=${label} hint=${hint}><input type="number" inputmode="decimal" value=${value ?? ""} onInput=${take} ...${rest} /><//>`;
}

export function Select({ label, value, options, onChange, ...rest }) {
  return html`<${Field} label=${label}><select value=${value} onChange=${(event) => onChange(event.currentTarget.value)} ...${rest}>
    ${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}
  </select><//>`;
}

export function Check({ label, checked, onChange, ...rest }) {
  return html`<label class="check"><input type="checkbox" checked=${checked} onChange=${(event) => onChange(event.currentTarget.checked)} ...${rest} />
    <span>${label}</span></label>`;
}

// One of few choices as pressed buttons.
export function Segments({ label, value, options, onChange }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${options.map(([key, text, icon]) => html`<button type="button" aria-pressed=${key === value} title=${icon ? text : undefined}
      aria-label=${icon ? text : undefined} onClick=${() => onChange(key)}>${icon ? html`<${Icon} name=${icon} />` : text}</button>`)}
  </div>`;
}

export function Dialog({ title, onClose, children, wide }) {
  const ref = useRef(null);
  const id = useId("dialog");
  useEffect(() => {
    const dialog = ref.current;
    dialog.showModal();
    return () => dialog.open && dialog.close();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${ref} class=${wide ? "wide" : ""} aria-labelledby=${id} onCancel=${cancel}
    onMouseDown=${(event) => event.target === ref.current && onClose()}>
    <div class="dialog-body"><header><h2 id=${id}>${title}</h2>
      <${Button} icon="close" label=${t("action.close")} iconOnly kind="quiet" onClick=${onClose} /></header>${children}</div>
  </dialog>`;
}

export const Loading = ({ what }) => html`<div class="state loading" role="status"><span class="spinner" aria-hidden="true"></span>
  <p>${what || t("state.loading")}</p></div>`;

export const Empty = ({ title, children, icon = "events" }) => html`<div class="state empty"><${Icon} name=${icon} />
  <h2>${title}</h2>${children && html`<p>${children}</p>`}</div>`;

const OWN_WORDS = [404, 507]; // what is expected there says no more

// What went wrong in words: a text of ours for the status, the server's own for the rest.
export function problemText(error) {
  const own = `error.${error.status ?? "other"}`;
  if (OWN_WORDS.includes(error.status)) return { title: t(own), detail: "", remedy: error.remedy };
  const parts = [error.expected && t("error.expected", { text: error.expected }), error.found && t("error.found", { text: error.found })];
  return { title: hasText(own) && !error.expected ? t(own) : error.message, detail: parts.filter(Boolean).join(" "), remedy: error.remedy };
}

export function Failure({ error, retry, page }) {
  const { title, detail, remedy } = problemText(error);
  return html`<div class="state failure" role="alert"><${Icon} name="warn" />${page ? html`<h1>${title}</h1>` : html`<h2>${title}</h2>`}
    ${detail && html`<p>${detail}</p>`}${remedy && html`<p>${remedy}</p>`}
    ${retry && html`<${Button} onClick=${retry}>${t("action.retry")}<//>`}</div>`;
}

export function Notice({ kind = "info", children, onClose }) {
  return html`<div class=${`notice ${kind}`} role=${kind === "problem" ? "alert" : "status"}><${Icon} name=${kind === "good" ? "check" : "warn"} />
    <div>${children}</div>${onClose && html`<${Button} icon="close" label=${t("action.close")} iconOnly small kind="quiet" onClick=${onClose} />`}</div>`;
}

// Waits, fails or shows; the last data stay visible when a reload fails. `page`: it is the whole view.
export function Loaded({ of, children, what, page }) {
  if (of.data === null && of.error) return html`<${Failure} error=${of.error} retry=${of.reload} page=${page} />`;
  if (of.data === null) return html`<${Loading} what=${what} />`;
  return html`${of.error && html`<${Notice} kind="problem">${t("state.stale", { problem: problemText(of.error).title })}<//>`}${children(of.data)}`;
}

export const Badge = ({ kind = "", children }) => html`<span class=${`badge ${kind}`}>${children}</span>`;
export const Swatch = ({ index }) => html`<span class=${`swatch s${(index % 8) + 1}`} aria-hidden="true"></span>`;

export function PageHead({ title, children, sub, back }) {
  return html`<header class="page-head">${back}<div class="page-title"><h1>${title}</h1>${sub && html`<p>${sub}</p>`}</div>
    <div class="page-actions">${children}</div></header>`;
}

// A region that scrolls sideways by keyboard too; an edge beyond which there is more fades out.
export function Scroller({ label, children }) {
  const ref = useRef(null);
  const [more, setMore] = useState("");
  useEffect(() => {
    const element = ref.current;
    const look = () => {
      const rest = element.scrollWidth - element.clientWidth - element.scrollLeft;
      setMore([element.scrollLeft > 1 && "more-before", rest > 1 && "more-after"].filter(Boolean).join(" "));
    };
    look();
    const observer = new ResizeObserver(look);
    [element, ...element.children].forEach((one) => observer.observe(one));
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);
  return html`<div ref=${ref} class=${`scroller ${more}`} tabindex="0" role="region" aria-label=${label}>${children}</div>`;
}

// A few choices out of many in a popover of checkboxes: `chosen` empty means all.
export function Several({ label, all, options, chosen, onChange }) {
  const ref = useRef(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (!open) return undefined;
    // In a dialog the list is part of the form: closing it would move what is being clicked.
    const leave = (event) => ref.current && !ref.current.closest("dialog") && !ref.current.contains(event.target) && (ref.current.open = false);
    const escape = (event) => {
      if (event.key !== "Escape" || !ref.current) return;
      event.preventDefault(); // a dialog around it stays open
      ref.current.open = false;
      ref.current.querySelector("summary").focus();
    };
    document.addEventListener("pointerdown", leave);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerdown", leave);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);
  const flip = (key, on) => onChange(on ? [...chosen, key] : chosen.filter((one) => one !== key));
  const names = options.filter(([key]) => chosen.includes(key)).map(([, text]) => text);
  const text = names.length === 0 ? all : names.length < 3 ? names.join(", ") : t("filter.several", { count: names.length });
  return html`<div class="field"><span class="field-label">${label}</span>
    <details class="several" ref=${ref} onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary aria-label=${`${label}: ${text}`}><span>${text}</span></summary>
      <div class="several-list">
        ${chosen.length > 0 && html`<${Button} small kind="quiet" onClick=${() => onChange([])}>${all}<//>`}
        ${options.map(([key, name]) => html`<${Check} key=${key} label=${name} checked=${chosen.includes(key)} onChange=${(on) => flip(key, on)} />`)}
      </div></details></div>`;
}

// Asks before something that cannot be undone.
export function Confirm({ title, text, action, onConfirm, onClose }) {
  return html`<${Dialog} title=${title} onClose=${onClose}><p>${text}</p>
    <footer><${Button} onClick=${onClose}>${t("action.cancel")}<//><${Button} kind="danger" onClick=${onConfirm}>${action}<//></footer><//>`;
}
