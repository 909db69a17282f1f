// All events of the ledger, newest first, with filters.
import { html, useEffect, useState } from "../../vendor/preact.js";
import { address, get } from "../api.js";
import { EventRow, KINDS } from "../eventlist.js";
import { Filters, spanOf, zoneOf, streamsPage } from "../filters.js";
import { Icon } from "../icons.js";
import { Button, Empty, Failure, Field, Loading, PageHead, Several } from "../parts.js";
import { useQuery } from "../router.js";
import { t, word } from "../texts.js";

const PAGE = 100;

export default streamsPage("nav.events", Body);

function Body({ streams }) {
  const [query, set] = useQuery();
  const [typed, setTyped] = useState(query.get("identity") || "");
  const chosen = query.getAll("stream");
  const zone = zoneOf(streams, chosen);
  const span = spanOf(query, zone, "all");
  const filter = { stream: chosen, kind: query.getAll("kind"), place: query.getAll("place"), direction: query.getAll("direction"), class: query.getAll("class"), identity: query.get("identity"), after_ms: span.from_ms, before_ms: span.to_ms };
  return html`<${PageHead} title=${t("nav.events")} sub=${t("events.sub", { zone })}><a class="button" href=${address("/api/export/events.csv", filter)} download><${Icon} name="download" /><span>CSV</span></a>
      <a class="button" href=${address("/api/export/events.json", filter)} download><span>JSON</span></a><//>
    <${Filters} streams=${streams} with=${["place", "direction", "class"]} first="all" spans=${["all", "today", "yesterday", "7d"]}>
      <${Several} label=${t("events.kinds")} all=${t("filter.all")} options=${KINDS.map((one) => [one, word("kind", one)])} chosen=${query.getAll("kind")} onChange=${(value) => set({ kind: value })} />
      <${Field} label=${t("events.identity")}><input inputmode="numeric" pattern="[0-9]*" value=${typed} onInput=${(event) => setTyped(event.currentTarget.value)} onChange=${(event) => set({ identity: event.currentTarget.value })} /><//><//>
    <${Pages} key=${JSON.stringify(filter)} filter=${filter} zone=${zone} />`;
}

function Pages({ filter, zone }) {
  const [state, setState] = useState({ events: [], next: undefined, error: null, busy: true });
  const more = async (cursor) => {
    setState((old) => ({ ...old, busy: true, error: null }));
    try {
      const found = await get("/api/events", { ...filter, limit: PAGE, cursor });
      setState((old) => ({ events: [...old.events, ...found.events], next: found.next, error: null, busy: false }));
    } catch (error) {
      setState((old) => ({ ...old, error, busy: false }));
    }
  };
  useEffect(() => {
    more();
  }, []);
  if (state.error) return html`<${Failure} error=${state.error} retry=${() => more(state.next)} />`;
  if (!state.events.length) return state.busy ? html`<${Loading} />` : html`<${Empty} title=${t("events.empty")}>${t("events.empty_text")}<//>`;
  return html`<div class="card flush"><ol class="events long">${state.events.map((event) => html`<${EventRow} key=${event.key} event=${event} zone=${zone} showStream />`)}</ol></div>
    ${state.next && html`<p class="more"><${Button} disabled=${state.busy} onClick=${() => more(state.next)}>${t("events.more")}<//></p>`}`;
}
