"""Zones: entries, exits, stays and loitering, back-dated to the instants at which the path passed the boundary.

An identity has entered once its contact has been inside for ``enter_s`` and has left once it has been outside for
``leave_s``; shorter visits and absences are none. Both are dated at the first instant, interpolated between sights, so
a stay has the same length at every frame rate. Hidden contacts hold the state. An identity that is lost inside left at
its last sight, with ``end: lost``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.changes import Change
from tracker.analytics.geometry import Edges, polygon_edges
from tracker.analytics.lines import EPSILON_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracker.analytics.geometry import Flags, Floats, Rows
    from tracker.analytics.lines import Trace
    from tracker.analytics.paths import Paths
    from tracker.analytics.steps import Steps
    from tracker.site import Zone

__all__ = ["Zones"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A passage of the boundary that is not certain yet."""

    time_s: float
    before: Trace | None
    after: Trace
    bridged: bool
    born: bool
    unseen_s: float


class Zones:
    """State of every identity in every zone.

    Args:
        zones: Of the site.
        aspect: Width over height of the picture.
        paths: Of the identities.
        class_names: Names in ``class_ids`` order; more may be added at their end.
    """

    def __init__(self, zones: Sequence[Zone], *, aspect: float, paths: Paths, class_names: Sequence[str]) -> None:
        self._zones, self._paths, self._class_names = tuple(zones), paths, class_names
        self.count = len(self._zones)
        polygons = [
            (number, polygon_edges(np.array(polygon) * (aspect, 1.0)))
            for number, zone in enumerate(zones)
            for polygon in zone.polygons
        ]
        none = np.zeros((0, 2))
        self.edges = Edges(
            np.concatenate([none, *(start for _, (start, _) in polygons)]),
            np.concatenate([none, *(end for _, (_, end) in polygons)]),
        )
        self.owners: Rows = np.repeat(
            np.array([number for number, _ in polygons], np.int64), [len(start) for _, (start, _) in polygons]
        )
        """``(E,)`` which zone each edge belongs to."""
        self._firsts = np.flatnonzero(np.diff(self.owners, prepend=-1))
        limits = [min([*zone.loiter_s_by_class.values(), zone.loiter_s or math.inf]) for zone in zones]
        self._shortest_s = np.array(limits)
        self._loiter = any(math.isfinite(limit) for limit in limits)
        count = len(zones)
        self._least_leave_s = min((zone.leave_s for zone in zones), default=math.inf) - 2 * EPSILON_S
        self._inside: Flags = np.zeros((0, count), np.bool_)
        self._raw: NDArray[np.int8] = np.zeros((0, count), np.int8)
        """Whether the last sight was inside."""
        self._already: Flags = np.zeros((0, count), np.bool_)
        self._loiter_s: Floats = np.zeros((0, count))
        self._entered_s: Floats = np.zeros((0, count))
        self._unseen_s: Floats = np.zeros((0, count))
        self._pending: dict[tuple[int, int], _Pending] = {}
        self._due_s: Floats = np.zeros((0, count))
        """When pending passages become certain; infinite where there is none."""
        self.soonest_s = math.inf
        """No pending passage is due before."""
        self._loose: Flags = np.zeros(0, np.bool_)
        """Slots that may be inside without a passage that said so: just seen, or just given up as lost."""
        self.has_loose = True
        """Identities that were seen may be among these."""
        self._loitering_s = math.inf
        """Nobody loiters before."""

    @property
    def inside(self) -> Flags:
        """``(S, Z)`` who is in which zone now, by slot."""
        return self._inside

    def reserve(self, raw: NDArray[np.int8]) -> None:
        """Make room for identities, one a row ``(S, Z)``; whether their last sights were inside is kept there."""
        more, count = len(raw) - len(self._inside), len(self._zones)
        flags, floats = np.zeros((more, count), np.bool_), np.zeros((more, count))
        self._inside, self._raw = np.concatenate([self._inside, flags]), raw
        self._already = np.concatenate([self._already, flags])
        self._loiter_s = np.concatenate([self._loiter_s, np.full((more, count), np.nan)])
        self._entered_s = np.concatenate([self._entered_s, floats])
        self._unseen_s = np.concatenate([self._unseen_s, floats])
        self._due_s = np.concatenate([self._due_s, np.full((more, count), np.inf)])
        self._loose = np.concatenate([self._loose, np.ones(more, np.bool_)])

    def holds(self, points: Floats, sides: Floats) -> Flags:
        """Which zones hold which points: ``(N, Z)``.

        Args:
            points: ``(N, 2)`` in picture heights.
            sides: ``(N, E)`` of them against the zones' edges.
        """
        if not self._zones:
            return np.zeros((len(points), 0), np.bool_)
        return np.asarray(np.logical_xor.reduceat(self.edges.below(points, sides), self._firsts, axis=1))

    def step(self, steps: Steps) -> list[Change]:
        """Take sights of identities; returns what became certain."""
        slots, now = steps.slots, steps.marks.inside
        raw = self._raw.take(slots, 0)
        if steps.first is not None:
            raw[steps.first] = now[steps.first]
        busy = raw != now
        if steps.time_s >= self.soonest_s:
            busy |= steps.time_s >= self._due_s.take(slots, 0) - 2 * EPSILON_S
        if (steps.first is not None or self.has_loose) and np.count_nonzero(loose := self._loose.take(slots)):
            busy[loose] |= now[loose] != self._inside[slots[loose]]
            self._loose[slots] = False
            self.has_loose = bool(np.count_nonzero(self._loose & (self._paths.ids > 0)))
        for key in steps.passed.zones:
            busy[key] = True
        found: list[Change] = []
        if np.count_nonzero(busy):
            for row, zone in zip(*(part.tolist() for part in busy.nonzero()), strict=True):
                shares = sorted(steps.passed.zones.get((row, zone), ()))
                if (len(shares) % 2 == 1) != bool(raw[row, zone] != now[row, zone]):
                    shares.append(1.0)  # the step ends on the boundary
                found += self._advance(steps, row, zone, bool(raw[row, zone]), shares)
            self._raw[slots] = now
        elif steps.first is not None:
            self._raw[slots] = now
        return found

    def _advance(self, steps: Steps, row: int, zone: int, raw: bool, shares: list[float]) -> list[Change]:  # noqa: FBT001
        """One identity's step, which passes one zone's boundary at ``shares`` of its length."""
        slot = int(steps.slots[row])
        started_s, now_s = float(steps.times_before_s[row]), steps.time_s
        before: Trace = (started_s, *steps.before[row].tolist())
        after: Trace = (now_s, *steps.marks.points[row].tolist())
        bridged, unseen_s = bool(steps.bridged[row]), float(self._paths.unseen_s[slot])
        found = []
        key = slot, zone
        if raw != self._inside[key] and key not in self._pending:  # first seen inside
            born = _Pending(time_s=now_s, before=None, after=after, bridged=False, born=True, unseen_s=unseen_s)
            self._await(key, born)
        for share in shares:
            time_s = started_s + share * (now_s - started_s)
            found += self._settle(slot, zone, time_s)
            raw = not raw
            if raw == self._inside[key]:
                self._forget(key)
                if raw:  # one that nearly left may loiter
                    self._may_loiter_from(key)
            else:
                passed = _Pending(
                    time_s=time_s, before=before, after=after, bridged=bridged, born=False, unseen_s=unseen_s
                )
                self._await(key, passed)
        return found + self._settle(slot, zone, now_s)

    def _await(self, key: tuple[int, int], pending: _Pending) -> None:
        """From now on a passage of one slot's boundary of one zone is pending."""
        rule = self._zones[key[1]]
        self._pending[key] = pending
        due_s = pending.time_s + (rule.leave_s if self._inside[key] else rule.enter_s)
        self._due_s[key], self.soonest_s = due_s, min(self.soonest_s, due_s - 2 * EPSILON_S)

    def _forget(self, key: tuple[int, int]) -> _Pending | None:
        """The passage that was pending, if there was one; now there is none."""
        pending = self._pending.pop(key, None)
        if pending is not None:
            due_s = float(self._due_s[key]) - 2 * EPSILON_S
            self._due_s[key] = np.inf
            if due_s <= self.soonest_s:
                self.soonest_s = float(self._due_s.min()) - 2 * EPSILON_S
        return pending

    def _may_loiter_from(self, key: tuple[int, int]) -> None:
        """A stay of one slot in one zone may become too long."""
        from_s = float(self._entered_s[key] + self._shortest_s[key[1]]) - 2 * EPSILON_S
        self._loitering_s = min(self._loitering_s, from_s)

    def _settle(self, slot: int, zone: int, time_s: float) -> list[Change]:
        """Make the pending passage certain if it has lasted long enough."""
        pending, key = self._pending.get((slot, zone)), (slot, zone)
        if pending is None:
            return []
        rule, leaves = self._zones[zone], bool(self._inside[key])
        if time_s - pending.time_s < (rule.leave_s if leaves else rule.enter_s) - EPSILON_S:
            return []
        self._forget(key)
        if leaves:
            return self._leave(slot, zone, pending.time_s, pending)
        self._inside[key] = True
        self._entered_s[key], self._unseen_s[key] = pending.time_s, pending.unseen_s
        self._already[key], self._loiter_s[key] = pending.born, np.nan
        self._may_loiter_from(key)
        change = Change(
            kind="enter",
            slot=slot,
            zone=zone,
            time_s=pending.time_s,
            entered_s=pending.time_s,
            already_inside=pending.born,
            before=pending.before,
            after=pending.after,
            bridged=pending.bridged,
        )
        return [change]

    def _leave(self, slot: int, zone: int, time_s: float, pending: _Pending | None) -> list[Change]:
        """End a stay: in view where a passage of the boundary is known, else lost."""
        key = slot, zone
        # A stay may be found out to have been long enough only now, after a time out of sight.
        found = self._loitering(slot, zone, time_s) if np.isnan(self._loiter_s[key]) else []
        unseen_s = float(self._paths.unseen_s[slot]) if pending is None else pending.unseen_s
        change = Change(
            kind="leave",
            slot=slot,
            zone=zone,
            time_s=time_s,
            entered_s=float(self._entered_s[key]),
            hidden_s=min(max(unseen_s - float(self._unseen_s[key]), 0.0), time_s - float(self._entered_s[key])),
            already_inside=bool(self._already[key]),
            lost=pending is None,
            loiter_s=float(self._loiter_s[key]),
            before=self._paths.last(slot) if pending is None else pending.before,
            after=None if pending is None else pending.after,
            bridged=pending is not None and pending.bridged,
        )
        self._inside[key], self._loiter_s[key] = False, np.nan
        return [*found, change]

    def _loitering(self, slot: int, zone: int, time_s: float) -> list[Change]:
        """The moment at which a stay became too long, if it has."""
        rule, key = self._zones[zone], (slot, zone)
        class_id = int(self._paths.class_ids[slot])
        name = self._class_names[class_id] if class_id < len(self._class_names) else str(class_id)
        limit_s = rule.loiter_s_by_class.get(name, rule.loiter_s)
        entered_s = float(self._entered_s[key])
        if limit_s is None or time_s - entered_s < limit_s - EPSILON_S:
            return []
        self._loiter_s[key] = entered_s + limit_s
        change = Change(
            kind="loitering",
            slot=slot,
            zone=zone,
            time_s=entered_s + limit_s,
            entered_s=entered_s,
            loiter_s=entered_s + limit_s,
            already_inside=bool(self._already[key]),
            after=self._paths.last(slot),
        )
        return [change]

    def may_loiter(self, time_s: float) -> bool:
        """Whether it is worth while to ask who became one that loiters."""
        return self._loiter and time_s >= self._loitering_s

    def loitering(self, slots: Rows, time_s: float) -> list[Change]:
        """Who of the present identities became one that loiters."""
        found = self._found_loitering(slots, time_s)
        still = self._inside & np.isnan(self._loiter_s) & np.isinf(self._due_s)
        still = np.where(still, self._entered_s + self._shortest_s, np.inf)
        self._loitering_s = float(still.min(initial=np.inf)) - 2 * EPSILON_S
        return found

    def _found_loitering(self, slots: Rows, time_s: float) -> list[Change]:
        inside = self._inside[slots]
        if not inside.any():
            return []
        inside &= np.isnan(self._loiter_s[slots])
        late = inside & (time_s - self._entered_s[slots] >= self._shortest_s - EPSILON_S)
        found: list[Change] = []
        for row, zone in zip(*(part.tolist() for part in late.nonzero()), strict=True):
            if (int(slots[row]), zone) not in self._pending:
                found += self._loitering(int(slots[row]), zone, time_s)
        return found

    def wait(self, unseen: Flags, time_s: float) -> list[Change]:
        """Let time pass for identities that are out of sight.

        Args:
            unseen: ``(S,)`` slots that are presumed present, or absent.
            time_s: Now.
        """
        found: list[Change] = []
        for slot, zone in list(self._pending):
            if unseen[slot] and self._inside[slot, zone]:
                found += self._settle(slot, zone, time_s)
        return found

    def give_up(self, time_s: float) -> list[Change]:
        """Let stays end whose identities are not among the tracks any more."""
        paths = self._paths
        (late,) = ((paths.present_s <= time_s - self._least_leave_s) & (paths.ids > 0)).nonzero()
        if not len(late) or not np.count_nonzero(inside := self._inside[late]):
            return []
        found: list[Change] = []
        for row, zone in zip(*(part.tolist() for part in inside.nonzero()), strict=True):
            slot = int(late[row])
            gone_s = time_s - paths.present_s[slot]
            if (slot, zone) not in self._pending and 0 < gone_s >= self._zones[zone].leave_s - EPSILON_S:
                found += self._leave(slot, zone, float(paths.seen_s[slot]), None)
                self._loose[slot] = self.has_loose = True
        return found

    def end(self, slot: int) -> list[Change]:
        """The identity is gone for good: its stays end."""
        found: list[Change] = []
        for zone in range(len(self._zones)):
            pending = self._forget((slot, zone))
            if self._inside[slot, zone]:
                time_s = float(self._paths.seen_s[slot]) if pending is None else pending.time_s
                found += self._leave(slot, zone, time_s, pending)
        self._inside[slot], self._raw[slot], self._already[slot] = False, 0, False
        self._loose[slot] = True
        return found

    def state(self) -> list[dict[str, Any]]:
        """Plain values to continue from."""
        kept = []
        for number, zone in enumerate(self._zones):
            stays, raws, pendings = [], [], []
            for identity, slot in self._paths.slots.items():
                key = slot, number
                if self._raw[key]:
                    raws.append(identity)
                if self._inside[key]:
                    entered_s, unseen_s = float(self._entered_s[key]), float(self._unseen_s[key])
                    loiter_s = None if np.isnan(self._loiter_s[key]) else float(self._loiter_s[key])
                    stays.append([identity, entered_s, unseen_s, bool(self._already[key]), loiter_s])
                if one := self._pending.get(key):
                    before = None if one.before is None else list(one.before)
                    pendings.append(
                        [identity, one.time_s, before, list(one.after), one.bridged, one.born, one.unseen_s]
                    )
            kept.append({"zone": _plain(zone), "inside": raws, "stays": stays, "pending": pendings})
        return kept

    def restore(self, kept: list[dict[str, Any]], shift_s: float) -> None:
        """Continue from :meth:`state`; zones that are new or were changed begin anew."""
        slots = self._paths.slots
        for number, zone in enumerate(self._zones):
            entry = next((entry for entry in kept if entry["zone"] == _plain(zone)), None)
            if entry is None:
                continue
            for identity in entry["inside"]:
                if identity in slots:
                    self._raw[slots[identity], number] = True
            for identity, entered_s, unseen_s, already, loiter_s in entry["stays"]:
                if identity in slots:
                    key = slots[identity], number
                    self._inside[key], self._entered_s[key] = True, entered_s + shift_s
                    self._unseen_s[key], self._already[key] = unseen_s, already
                    self._loiter_s[key] = np.nan if loiter_s is None else loiter_s + shift_s
                    self._loitering_s = -math.inf  # asked at once, and known from then on
            for identity, time_s, before, after, bridged, born, unseen_s in entry["pending"]:
                if identity in slots:
                    pending = _Pending(
                        time_s=time_s + shift_s,
                        before=None if before is None else (before[0] + shift_s, before[1], before[2]),
                        after=(after[0] + shift_s, after[1], after[2]),
                        bridged=bridged,
                        born=born,
                        unseen_s=unseen_s,
                    )
                    self._await((slots[identity], number), pending)


def _plain(zone: Zone) -> dict[str, Any]:
    """What a zone's state depends on."""
    return {"name": zone.name, "polygons": [[list(point) for point in polygon] for polygon in zone.polygons]}
