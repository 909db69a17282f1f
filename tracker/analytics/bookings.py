"""Events from what lines and zones found: names, classes, wall clock, evidence, and classes corrected at the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.findings import Finding
from tracker.events import Event, Sighting, Stay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tracker.analytics.changes import Change
    from tracker.analytics.flows import Way
    from tracker.analytics.geometry import Flags
    from tracker.analytics.lines import Crossing, Trace
    from tracker.analytics.paths import Paths
    from tracker.events import EventKind
    from tracker.site import Site

__all__ = ["Bookings"]


class Bookings:
    """Makes events, and remembers under which class each identity's events stand.

    Args:
        site: Whose lines and zones these are.
        stream: Name of the camera or recording.
        paths: Of the identities.
        class_names: Names in ``class_ids`` order; more may be added at their end.
        aspect: Width over height of the picture.

    Attributes:
        utc_ms: Wall clock of a media time, UTC in milliseconds, or ``None``.
    """

    def __init__(self, site: Site, *, stream: str, paths: Paths, class_names: Sequence[str], aspect: float) -> None:
        self._site, self._stream, self._paths, self._aspect = site, stream, paths, aspect
        self.class_names = class_names
        self.utc_ms: Callable[[float], int | None] = lambda _: None
        self._classes: dict[int, set[str]] = {}
        self._counted: set[tuple[int, str]] = set()

    def camera(self, kind: EventKind, time_s: float, *, since_s: float | None = None) -> Event:
        """About the camera itself."""
        return Event(
            kind=kind,
            stream=self._stream,
            time_s=time_s,
            utc_ms=self.utc_ms(time_s),
            since_s=since_s,
            revision=self._site.revision,
        )

    def found(self, finding: Finding) -> Event:
        """What was found of the premises."""
        return Event(
            **{name: getattr(finding, name) for name in Finding.__slots__},
            stream=self._stream,
            utc_ms=self.utc_ms(finding.time_s),
            revision=self._site.revision,
        )

    def start(self, slot: int) -> Event:
        """An identity was confirmed."""
        return self._event("identity_start", slot, float(self._paths.first_s[slot]))

    def crossing(self, crossing: Crossing) -> list[Event]:
        """An identity crossed a line; nothing where its class does not count there."""
        line = self._site.lines[crossing.line]
        if line.classes and self._class_name(crossing.slot) not in line.classes:
            return []
        event = self._event(
            "crossing",
            crossing.slot,
            crossing.time_s,
            place=line.name,
            direction=line.to_left if crossing.sign > 0 else line.to_right,
            before=self._sighting(crossing.before),
            after=self._sighting(crossing.after),
            bridged=crossing.bridged,
        )
        return [self._book(event)]

    def change(self, change: Change) -> list[Event]:
        """An identity entered or left a zone, or loiters; nothing where its class does not count there."""
        zone = self._site.zones[change.zone]
        key = int(self._paths.ids[change.slot]), zone.name
        wanted = not zone.classes or self._class_name(change.slot) in zone.classes
        found = []
        if key not in self._counted:
            if not wanted:
                return []
            self._counted.add(key)
            if change.kind != "enter":  # it got a class that counts here during the stay
                found.append(self._entry(change, zone.name, change.entered_s))
        if change.kind == "enter":
            return [self._entry(change, zone.name, change.time_s)]
        if change.kind == "loitering":
            event = self._event(
                "loitering",
                change.slot,
                change.time_s,
                place=zone.name,
                after=self._sighting(change.after),
                stay=_stay(change),
            )
            return [*found, event]
        self._counted.discard(key)
        ended = self._event(
            "leave",
            change.slot,
            change.time_s,
            place=zone.name,
            before=self._sighting(change.before),
            after=self._sighting(change.after),
            stay=_stay(change),
            bridged=change.bridged,
        )
        found.append(self._book(ended))
        if not math.isnan(change.loiter_s):
            found.append(
                self._event(
                    "loitering",
                    change.slot,
                    change.time_s,
                    place=zone.name,
                    since_s=change.loiter_s,
                    before=self._sighting(change.before),
                    stay=_stay(change),
                )
            )
        return found

    def flow(self, slot: int, way: Way) -> Event:
        """The way an identity took, once it is gone."""
        return self._event(
            "flow",
            slot,
            way.end_s,
            place=way.flow.name,
            since_s=way.start_s,
            before=way.start,
            after=way.end,
        )

    def end(self, slot: int) -> list[Event]:
        """An identity is gone: its class is final."""
        time_s, identity = float(self._paths.detected_s[slot]), int(self._paths.ids[slot])
        final = self._class_name(slot)
        found = [
            self._event("reclassified", slot, time_s, was_class=name)
            for name in sorted(self._classes.pop(identity, set()) - {final})
        ]
        self._counted = {key for key in self._counted if key[0] != identity}
        found.append(self._event("identity_end", slot, time_s, since_s=float(self._paths.first_s[slot])))
        return found

    def present(self, inside: Flags) -> dict[str, dict[str, int]]:
        """Identities by zone and class."""
        counts: dict[str, dict[str, int]] = {zone.name: {} for zone in self._site.zones}
        for slot, number in zip(*(part.tolist() for part in np.nonzero(inside)), strict=True):
            zone, name = self._site.zones[number], self._class_name(slot)
            if not zone.classes or name in zone.classes:
                counts[zone.name][name] = counts[zone.name].get(name, 0) + 1
        return counts

    def state(self) -> dict[str, Any]:
        """Plain values to continue from."""
        return {
            "classes": [[identity, sorted(names)] for identity, names in self._classes.items()],
            "counted": [list(key) for key in sorted(self._counted)],
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self._classes = {identity: set(names) for identity, names in kept["classes"]}
        self._counted = {(identity, name) for identity, name in kept["counted"]}

    def _entry(self, change: Change, zone: str, time_s: float) -> Event:
        stay = Stay(entered_s=time_s, began="already_inside" if change.already_inside else "entered")
        seen = change.kind == "enter"
        event = self._event(
            "enter",
            change.slot,
            time_s,
            place=zone,
            before=self._sighting(change.before) if seen else None,
            after=self._sighting(change.after) if seen else None,
            stay=stay,
            bridged=change.bridged and seen,
        )
        return self._book(event)

    def _book(self, event: Event) -> Event:
        self._classes.setdefault(event.identity, set()).add(event.class_name)
        return event

    def _event(self, kind: EventKind, slot: int, time_s: float, **values: Any) -> Event:
        return Event(
            kind=kind,
            stream=self._stream,
            time_s=time_s,
            utc_ms=self.utc_ms(time_s),
            identity=int(self._paths.ids[slot]),
            class_name=self._class_name(slot),
            revision=self._site.revision,
            **values,
        )

    def _class_name(self, slot: int) -> str:
        return self.class_of(int(self._paths.class_ids[slot]))

    def class_of(self, number: int) -> str:
        """Name of a class; its number where it has none."""
        return self.class_names[number] if number < len(self.class_names) else str(number)

    def _sighting(self, trace: Trace | None) -> Sighting | None:
        """A place of the plane as shares of the picture."""
        if trace is None or math.isnan(trace[1]):
            return None
        return Sighting(time_s=trace[0], x=trace[1] / self._aspect, y=trace[2])


def _stay(change: Change) -> Stay:
    """The stay as known at the change."""
    over = change.kind == "leave" and not change.open
    return Stay(
        entered_s=change.entered_s,
        left_s=change.time_s if over else None,
        hidden_s=change.hidden_s,
        began="already_inside" if change.already_inside else "entered",
        end="open" if not over else "lost" if change.lost else "left",
    )
