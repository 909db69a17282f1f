// State of the editor as one pure function: the site, what is selected, the draft, unlimited undo and redo.
export const KINDS = ["lines", "zones", "occluders", "privacy"];
// Places at which nothing is counted: no class, no dry run, and no doors or flows that name them.
export const isMute = (kind) => kind === "occluders" || kind === "privacy" || kind === "ground";
export const SNAP_PX = 10;
const DIGITS = 4;
const FEWEST = { lines: 2, zones: 3, occluders: 3, privacy: 3, ground: 4 };
// Lists of places by name, and the one ground beside them.
export const SHAPES = [...KINDS, "ground"];

export const fewest = (kind) => FEWEST[kind];
const clamp = (value) => Math.min(1, Math.max(0, Number(value.toFixed(DIGITS))));
export const clampPoint = ([x, y]) => [clamp(x), clamp(y)];

// A site as the editor keeps it: every zone a list of rings, every list present.
export function normalised(site) {
  const isPoint = (value) => Array.isArray(value) && typeof value[0] === "number";
  return {
    ...site,
    lines: site.lines || [],
    zones: (site.zones || []).map((zone) => ({ ...zone, polygons: isPoint(zone.polygons[0]) ? [zone.polygons] : zone.polygons })),
    occluders: site.occluders || [],
    privacy: site.privacy || [],
    doors: site.doors || [],
    flows: site.flows || [],
    ground: site.ground || null,
  };
}

// Shapes of one kind; of grounds there is one or none.
export const placesIn = (site, kind) => (kind !== "ground" ? site[kind] : site.ground ? [site.ground] : []);

export function rings(kind, place) {
  if (kind === "ground") return [place.rectangle ? place.rectangle.corners : place.points.map((point) => point.at)];
  return kind === "lines" ? [place.points] : kind === "zones" ? place.polygons : [place.polygon];
}

export function withRings(kind, place, next) {
  if (kind === "ground") return place.rectangle ? { ...place, rectangle: { ...place.rectangle, corners: next[0] } } : { ...place, points: place.points.map((point, at) => ({ ...point, at: next[0][at] })) };
  if (kind === "lines") return { ...place, points: next[0] };
  return kind === "zones" ? { ...place, polygons: next } : { ...place, polygon: next[0] };
}

export const placeOf = (state) => (state.selected ? placesIn(state.site, state.selected.kind)[state.selected.index] : null);

export function fresh(site) {
  return { site: normalised(site), saved: normalised(site), past: [], future: [], selected: null, tool: "select", draft: [], gesture: null };
}

export const isDirty = (state) => JSON.stringify(state.site) !== JSON.stringify(state.saved);

// One more site in the history; changes of one gesture (a drag, typing in one field) are one step.
function changed(state, site, gesture = null, rest = {}) {
  const same = gesture !== null && gesture === state.gesture;
  return { ...state, site, past: same ? state.past : [...state.past, state.site], future: [], gesture, ...rest };
}

function replace(site, kind, index, place) {
  return { ...site, [kind]: kind === "ground" ? place : site[kind].map((one, at) => (at === index ? place : one)) };
}

const moved = (kind, place, dx, dy) => {
  // The whole stays inside the picture with its shape.
  const all = rings(kind, place).flat();
  const limit = (delta, values) => Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), delta));
  const [ax, ay] = [limit(dx, all.map(([x]) => x)), limit(dy, all.map(([, y]) => y))];
  return withRings(kind, place, rings(kind, place).map((ring) => ring.map(([x, y]) => clampPoint([x + ax, y + ay]))));
};

export function freeName(site, stem) {
  const taken = new Set(KINDS.flatMap((kind) => site[kind]).map((one) => one.name));
  let number = 1;
  while (taken.has(`${stem} ${number}`)) number += 1;
  return `${stem} ${number}`;
}

function newPlace(kind, points, name) {
  if (kind === "lines") return { name, points, to_left: "in", to_right: "out", classes: [], dead_band: 0.004, settle_s: 0.2, min_rearm_s: 1 };
  if (kind === "zones") return { name, polygons: [points], classes: [], enter_s: 0.3, leave_s: 1, loiter_s: null, loiter_s_by_class: {} };
  if (kind === "ground") return { points: [], rectangle: { corners: points, width_m: null, length_m: null } };
  return { name, polygon: points };
}

// A ground as points; `known` has the metres of a rectangle's corners, as the server says them.
export function asPoints(ground, known) {
  if (!ground.rectangle) return ground.points;
  return ground.rectangle.corners.map((at, number) => ({ at, metres: known ? known[number].metres : [null, null] }));
}

// Numbers of points without their metres, from 1, or whether a length of the rectangle is missing.
export const unmeasured = ({ points, rectangle }) => (rectangle ? (rectangle.width_m === null || rectangle.length_m === null ? [0] : []) : points.map(({ metres }, at) => (metres.includes(null) ? at + 1 : 0)).filter(Boolean));

// The site after a place has another name: doors, flows, queues, footfall and alerts follow.
function renamed(site, old, name) {
  const swap = (value) => (value === old ? name : value);
  return { ...site, doors: site.doors.map((door) => ({ ...door, lines: door.lines.map(swap) })), flows: site.flows.map((flow) => ({ ...flow, start: swap(flow.start), end: swap(flow.end) })), ...premises(site, swap) };
}

// Queues, footfall and alerts with other names of lines and zones; null takes a name out, and what cannot be without it.
function premises(site, swap) {
  const listed = (names) => (names || []).map(swap).filter((name) => name !== null);
  const queues = (site.queues || []).map((queue) => ({ ...queue, zone: swap(queue.zone), served_at: swap(queue.served_at) }));
  const footfall = (site.footfall || []).map((one) => ({ ...one, passing: listed(one.passing), staff_zones: listed(one.staff_zones) }));
  const alerts = (site.alerts || []).map((rule) => (rule.place && !["queue", "occupancy"].includes(rule.watch) ? { ...rule, place: swap(rule.place) } : rule)).filter((rule) => rule.place !== null);
  return { queues: queues.filter((queue) => queue.zone !== null && queue.served_at !== null), footfall, alerts };
}

function renamedDirection(site, line, old, name) {
  const flows = site.flows.map((flow) => ({
    ...flow,
    start_direction: flow.start === line && flow.start_direction === old ? name : flow.start_direction,
    end_direction: flow.end === line && flow.end_direction === old ? name : flow.end_direction,
  }));
  return { ...site, flows };
}

function without(site, kind, index) {
  if (kind === "ground") return { ...site, ground: null };
  const name = site[kind][index].name;
  const next = { ...site, [kind]: site[kind].filter((_, at) => at !== index) };
  if (isMute(kind)) return next;
  const doors = site.doors.map((door) => ({ ...door, lines: door.lines.filter((line) => line !== name) })).filter((door) => door.lines.length);
  const rest = premises(site, (value) => (value === name ? null : value));
  const footfall = rest.footfall.filter((one) => doors.some((door) => door.name === one.doors));
  const there = { queue: rest.queues, occupancy: doors };
  const alerts = rest.alerts.filter((rule) => !there[rule.watch] || there[rule.watch].some((one) => one.name === rule.place));
  return { ...next, doors, flows: site.flows.filter((flow) => flow.start !== name && flow.end !== name), ...rest, footfall, alerts };
}

const ACTIONS = {
  load: (state, { site }) => fresh(site),
  saved: (state, { revision }) => ({ ...state, saved: { ...state.site, revision }, site: { ...state.site, revision }, gesture: null }),
  // Another revision became the base: what is drawn stays.
  rebase: (state, { site, mine }) => changed({ ...state, saved: normalised(site) }, { ...normalised(mine), revision: site.revision }),
  tool: (state, { tool }) => ({ ...state, tool, draft: [], selected: tool === "select" ? state.selected : null, gesture: null }),
  select: (state, { kind, index, ring = 0, vertex = null }) => ({ ...state, selected: kind ? { kind, index, ring, vertex } : null, gesture: null }),
  point: (state, { point, stem }) => {
    const draft = [...state.draft, clampPoint(point)];
    // Two points are a line; further corners are put in by its middle handles.
    return draft.length === { lines: 2, ground: 4 }[state.tool] ? ACTIONS.finish({ ...state, draft }, { stem }) : { ...state, draft };
  },
  finish: (state, { stem }) => {
    if (state.draft.length < FEWEST[state.tool]) return state;
    return ACTIONS.add({ ...state, draft: [] }, { kind: state.tool, points: state.draft, stem });
  },
  add: (state, { kind, points, stem }) => {
    const place = newPlace(kind, points.map(clampPoint), freeName(state.site, stem));
    const site = { ...state.site, [kind]: kind === "ground" ? place : [...state.site[kind], place] };
    return changed(state, site, null, { tool: "select", selected: { kind, index: placesIn(site, kind).length - 1, ring: 0, vertex: null } });
  },
  // One more known point of the ground; a rectangle becomes its corners.
  known: (state, { point, known }) => {
    const points = [...asPoints(state.site.ground, known), { at: clampPoint(point), metres: [null, null] }];
    return changed(state, { ...state.site, ground: { points, rectangle: null } }, null, { tool: "select", selected: { kind: "ground", index: 0, ring: 0, vertex: points.length - 1 } });
  },
  ground: (state, { ground, gesture = null }) => changed(state, { ...state.site, ground }, gesture),
  cancel: (state) => (state.draft.length ? { ...state, draft: [] } : state.tool !== "select" ? { ...state, tool: "select" } : { ...state, selected: null }),
  vertex: (state, { kind, index, ring, vertex, point, gesture }) => {
    const place = placesIn(state.site, kind)[index];
    const next = rings(kind, place).map((one, at) => (at === ring ? one.map((old, number) => (number === vertex ? clampPoint(point) : old)) : one));
    return changed(state, replace(state.site, kind, index, withRings(kind, place, next)), gesture, { selected: { kind, index, ring, vertex } });
  },
  insert: (state, { kind, index, ring, vertex, point, gesture }) => {
    const next = rings(kind, state.site[kind][index]).map((one, at) => (at === ring ? [...one.slice(0, vertex), clampPoint(point), ...one.slice(vertex)] : one));
    return changed(state, replace(state.site, kind, index, withRings(kind, state.site[kind][index], next)), gesture, { selected: { kind, index, ring, vertex } });
  },
  shift: (state, { kind, index, dx, dy, gesture }) => changed(state, replace(state.site, kind, index, moved(kind, placesIn(state.site, kind)[index], dx, dy)), gesture),
  cut: (state, { kind, index, ring, vertex }) => {
    const place = placesIn(state.site, kind)[index];
    const next = rings(kind, place).map((one, at) => (at === ring ? one.filter((_, number) => number !== vertex) : one));
    if (next[ring].length < FEWEST[kind]) return state;
    const rest = { selected: { kind, index, ring, vertex: null } };
    if (kind === "ground") return changed(state, { ...state.site, ground: { ...place, points: place.points.filter((_, number) => number !== vertex) } }, null, rest);
    return changed(state, replace(state.site, kind, index, withRings(kind, place, next)), null, rest);
  },
  remove: (state, { kind, index }) => changed(state, without(state.site, kind, index), null, { selected: null }),
  reverse: (state, { index }) => {
    const line = state.site.lines[index];
    return changed(state, replace(state.site, "lines", index, { ...line, points: [...line.points].reverse() }));
  },
  patch: (state, { kind, index, changes }) => {
    const place = state.site[kind][index];
    let site = replace(state.site, kind, index, { ...place, ...changes });
    if (changes.name !== undefined && !isMute(kind)) site = renamed(site, place.name, changes.name);
    for (const key of ["to_left", "to_right"]) if (changes[key] !== undefined) site = renamedDirection(site, place.name, place[key], changes[key]);
    return changed(state, site, `patch ${kind} ${index} ${Object.keys(changes)}`);
  },
  site: (state, { changes, gesture = null }) => changed(state, normalised({ ...state.site, ...changes }), gesture, { selected: null }),
  // Places of another site beside those that are there, under free names.
  join: (state, { site }) => {
    const taken = new Set(KINDS.flatMap((kind) => state.site[kind]).map((one) => one.name));
    const next = { ...state.site };
    for (const kind of KINDS) next[kind] = [...next[kind], ...normalised(site)[kind].map((one) => (taken.has(one.name) ? { ...one, name: freeName(state.site, one.name) } : one))];
    return changed(state, next, null, { selected: null });
  },
  undo: (state) => {
    if (state.draft.length) return { ...state, draft: state.draft.slice(0, -1) };
    if (!state.past.length) return state;
    const site = state.past[state.past.length - 1];
    return { ...state, site, past: state.past.slice(0, -1), future: [state.site, ...state.future], selected: still(state.selected, site), gesture: null };
  },
  redo: (state) => {
    if (!state.future.length) return state;
    const [site, ...future] = state.future;
    return { ...state, site, past: [...state.past, state.site], future, selected: still(state.selected, site), gesture: null };
  },
};

const still = (selected, site) => (selected && placesIn(site, selected.kind)[selected.index] ? { ...selected, vertex: null } : null);

export const reduce = (state, action) => ACTIONS[action.type](state, action);

// The nearest corner of another place within SNAP_PX of a point, or the point itself.
export function snapped(site, point, width, height, except = null) {
  let best = null;
  for (const kind of KINDS) {
    site[kind].forEach((place, index) => {
      rings(kind, place).forEach((ring, at) => ring.forEach((corner, vertex) => {
        if (except && except.kind === kind && except.index === index && (except.vertex === undefined || (except.ring === at && except.vertex === vertex))) return;
        const away = Math.hypot((corner[0] - point[0]) * width, (corner[1] - point[1]) * height);
        if (away <= SNAP_PX && (!best || away < best.away)) best = { away, corner };
      }));
    });
  }
  return best ? best.corner : point;
}
