// Differences between two sites, place by place: what a revision changed, and where two editors disagree.
const GROUPS = ["lines", "zones", "occluders", "privacy", "doors", "flows", "queues", "footfall", "bays", "alerts"];
const TOP = ["timezone", "reference_size", "ground", "traffic"];

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const byName = (list) => new Map((list || []).map((one) => [one.name, one]));

// `[{group, name, what: added|removed|changed, keys, before, after}]` from one site to another.
export function differences(before, after) {
  const found = [];
  for (const group of GROUPS) {
    const [old, now] = [byName(before[group]), byName(after[group])];
    for (const [name, place] of now) {
      if (!old.has(name)) found.push({ group, name, what: "added", keys: [], before: null, after: place });
      else if (!same(old.get(name), place)) {
        const keys = [...new Set([...Object.keys(old.get(name)), ...Object.keys(place)])].filter((key) => !same(old.get(name)[key], place[key]));
        found.push({ group, name, what: "changed", keys, before: old.get(name), after: place });
      }
    }
    for (const [name, place] of old) if (!now.has(name)) found.push({ group, name, what: "removed", keys: [], before: place, after: null });
  }
  for (const key of TOP) if (!same(before[key] ?? null, after[key] ?? null)) found.push({ group: "site", name: key, what: "changed", keys: [key], before: { [key]: before[key] }, after: { [key]: after[key] } });
  return found;
}

export const idOf = (one) => `${one.group}\n${one.name}`;

// Mine and theirs since a common base: only places that differ between both; `both` where both changed them.
export function conflicts(base, mine, theirs) {
  const own = new Set(differences(base, mine).map(idOf));
  const other = new Set(differences(base, theirs).map(idOf));
  return differences(mine, theirs).map((one) => ({ ...one, mine: one.before, theirs: one.after, both: own.has(idOf(one)) && other.has(idOf(one)), side: own.has(idOf(one)) && !other.has(idOf(one)) ? "mine" : "theirs" }));
}

// The site of mine in which the places in `taken` (ids) are theirs.
export function merged(mine, theirs, taken) {
  const next = { ...mine };
  for (const group of GROUPS) {
    const now = byName(theirs[group]);
    const kept = (mine[group] || []).filter((one) => !taken.has(`${group}\n${one.name}`) || now.has(one.name)).map((one) => (taken.has(`${group}\n${one.name}`) ? now.get(one.name) : one));
    const names = new Set(kept.map((one) => one.name));
    next[group] = [...kept, ...(theirs[group] || []).filter((one) => taken.has(`${group}\n${one.name}`) && !names.has(one.name))];
  }
  for (const key of TOP) if (taken.has(`site\n${key}`)) next[key] = theirs[key];
  return next;
}
