"""Near misses: identities that came close to a line or zone and were not counted there, each with the reason.

The reasons are found by measuring relaxed sites beside the real one (:mod:`tracker.analytics.relaxed`): an identity
that is counted as soon as one rule is left out was not counted because of that rule. Whoever came close and is counted
by none of them did not reach the place.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from tracker.analytics.approaches import Approach, Distances, PathPoint, Sketch, Would, joined
from tracker.analytics.contact import ContactFinder
from tracker.analytics.outages import Pause
from tracker.analytics.relaxed import RelaxedSites
from tracker.analytics.unconfirmed import Unconfirmed
from tracker.contacts import ContactState
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.analytics.relaxed import Relaxation
    from tracker.contacts import Contacts
    from tracker.events import Event
    from tracker.site import Line, Site, Zone
    from tracker.types import Frame, TrackedFrame, Tracks

__all__ = ["NEAR", "NearMiss", "NearMisses", "Reason"]

Reason = Literal["class_not_counted", "hidden", "too_short", "unsettled", "beyond_end", "unconfirmed", "not_reached"]
"""Why something was not counted; :class:`NearMisses` says when each holds."""
REASONS: tuple[Reason, ...] = get_args(Reason)

NEAR = 0.05
"""What is close, in picture heights; some 1 m for a person as high as a tenth of the picture."""
LATE_S = 10.0
"""Seconds of sights after an approach until it is decided, above the longest wait of the site's rules."""
AROUND_S = 3.0
"""Seconds of path before and after."""
ORDER: tuple[Relaxation, ...] = ("class_not_counted", "hidden", "unsettled", "beyond_end")
"""Of several rules that each kept an identity from being counted, the one that is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """An identity that came close to a line or zone and was not counted.

    Attributes:
        stream: Of the camera or recording.
        place: Name of the line or zone.
        identity: 0 = it never became one (``unconfirmed``).
        class_name: By vote, at the end of the approach.
        reason: Why it was not counted.
        time_s: When, in media seconds: of the passage that was not counted, else when it was closest.
        utc_ms: The same as UTC in milliseconds, where the wall clock is known.
        point: Where, as shares of the picture's width and height.
        distance: Of that point to the line or zone, in picture heights; 0 on the line or in the zone.
        direction: In which the line would have counted it; empty where none is meant.
        near_s: Seconds that it was close.
        from_s, to_s: First and last time that the identity was known when this was decided.
        path: Of the identity, around the approach.
        revision: Of the site.
    """

    stream: str
    place: str
    identity: int
    class_name: str
    reason: Reason
    time_s: float
    utc_ms: int | None = None
    point: tuple[float, float]
    distance: float
    direction: str = ""
    near_s: float = 0.0
    from_s: float = 0.0
    to_s: float = 0.0
    path: tuple[PathPoint, ...] = ()
    revision: int = 0


@dataclass(slots=True, kw_only=True)
class _Identity:
    """What is remembered of a living identity."""

    class_id: int
    first_s: float
    last_s: float
    seen_s: float
    sketch: Sketch = field(default_factory=Sketch)
    approaches: dict[str, list[Approach]] = field(default_factory=lambda: defaultdict(list))


class NearMisses:
    """Finds near misses, frame by frame, beside the :class:`~tracker.analytics.measures.SiteMeasures` of a stream.

    ``class_not_counted``, ``hidden``, ``unsettled`` and ``beyond_end``: counted if the place counted all classes,
    hidden and predicted contacts were believed, the dead band and the waits were left out, the line were ``near``
    longer. ``too_short``: the same as ``unsettled``, where the visit of the zone or the life before the line was
    shorter than the rule wants. Within the dead band is ``unsettled`` too. ``unconfirmed``: detections that pass and
    never become an identity. ``not_reached``: it only came close.

    State belongs to identities and dies with them; while the camera is out nothing is noted.

    Args:
        site: What is counted.
        stream: Name of the camera or recording.
        near: What is close, in picture heights.
        start_utc_ms: UTC in milliseconds at media time 0 of a recording.
        gap_s: As for the real measures.

    Raises:
        ConfigError: ``near`` is not above 0 and at most 0.5.
    """

    def __init__(
        self, site: Site, *, stream: str, near: float = NEAR, start_utc_ms: int | None = None, gap_s: float = 2.0
    ) -> None:
        if not 0 < near <= 0.5:
            raise ConfigError("near", f"expected picture heights above 0 and up to 0.5, found {near:g}", "such as 0.05")
        self.site, self.stream, self.near = site, stream, near
        self._utc_from_ms: float | None = start_utc_ms
        self._declared = start_utc_ms is not None
        self._places: dict[str, Line | Zone] = {line.name: line for line in site.lines}
        self._places |= {zone.name: zone for zone in site.zones}
        self._numbers = {name: number for number, name in enumerate(self._places)}
        self._lines = {line.name: line for line in site.lines}
        self._contacts = ContactFinder([occluder.polygon for occluder in site.occluders])
        self._relaxed = RelaxedSites(site, stream=stream, beyond=near, gap_s=gap_s)
        self._unconfirmed = Unconfirmed(site, stream=stream, gap_s=gap_s)
        waits = [line.settle_s + line.min_rearm_s for line in site.lines] + [zone.enter_s for zone in site.zones]
        self._late_s = LATE_S + max(waits, default=0.0)
        self._pause = Pause()
        self._identities: dict[int, _Identity] = {}
        self._aspect = 1.0
        self._distances = Distances(site, aspect=self._aspect)
        self._fitted = False
        self._class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Identities that are remembered."""
        return len(self._identities)

    def process(self, tracked: TrackedFrame, events: Iterable[Event]) -> tuple[NearMiss, ...]:
        """Take the next frame.

        Args:
            tracked: With tracks, and with contacts where the stream has them.
            events: Those of the real measures and of the camera with this frame.

        Returns:
            What was decided with it: an approach is, once its identity has ended or was seen elsewhere for a while.

        Raises:
            ConfigError: There are no tracks.
        """
        tracks = tracked.tracks
        if tracks is None:
            raise ConfigError("audit", "expected tracked frames, found segmented ones", "track")
        contacts = tracked.contacts
        if contacts is None:
            contacts = self._contacts.find(tracked.instances, tracked.frame.size)
        events = tuple(events)
        camera = tuple(event for event in events if event.identity == 0 and event.kind != "gap")
        tracked = replace(tracked, contacts=contacts, events=camera)
        self._set_clock(tracked.frame)
        self._pause.note(camera)
        if not self._fitted:
            self._fitted = True
            self._aspect = tracked.frame.size[0] / tracked.frame.size[1]
            self._distances = Distances(self.site, aspect=self._aspect)
            self._class_names = tuple(tracked.class_names)
        self._follow(tracked.frame, tracks, contacts)
        self._count(events)
        for relaxation, event in self._relaxed.process(tracked):
            self._would(relaxation, event)
        found = [] if self._pause.kinds else [self._never(one) for one in self._unconfirmed.process(tracked, tracks)]
        for identity in tracks.ended_ids.tolist():
            if (known := self._identities.pop(identity, None)) is not None:
                found += self._decided(identity, known, math.inf)
        for identity, known in self._identities.items():
            if any(known.approaches.values()):
                found += self._decided(identity, known, known.seen_s - self._late_s)
        return tuple(sorted(found, key=lambda miss: miss.time_s))

    def close(self, events: Iterable[Event] = ()) -> tuple[NearMiss, ...]:
        """The stream is over; ``events`` are those that the real measures gave at their end."""
        self._count(events)
        for relaxation, event in self._relaxed.close():
            self._would(relaxation, event)
        found = [self._never(one) for one in self._unconfirmed.close()]
        for identity, known in self._identities.items():
            found += self._decided(identity, known, math.inf)
        self._identities.clear()
        return tuple(found)

    def path(self, identity: int, from_s: float, to_s: float) -> tuple[PathPoint, ...]:
        """The path of a living identity; empty for others."""
        known = self._identities.get(identity)
        return () if known is None else known.sketch.between(from_s, to_s)

    def _follow(self, frame: Frame, tracks: Tracks, contacts: Contacts) -> None:
        """Note where identities are, and what they are close to."""
        own = contacts.of_tracks(tracks.detection_rows, tracks.boxes)
        shares = own.points / frame.size
        distances = self._distances.of(shares * (self._aspect, 1.0))
        close = (distances <= self.near) & (own.states != ContactState.PREDICTED)[:, None]
        seen = (own.states == ContactState.SEEN).tolist()
        rows = zip(tracks.ids.tolist(), tracks.class_ids.tolist(), shares.tolist(), seen, strict=True)
        for row, (identity, class_id, (x, y), is_seen) in enumerate(rows):
            known = self._identities.get(identity)
            if known is None:
                first_s = frame.time_s - float(tracks.ages_s[row])
                known = _Identity(class_id=class_id, first_s=first_s, last_s=first_s, seen_s=first_s)
                self._identities[identity] = known
            known.class_id = class_id
            if tracks.detection_rows[row] >= 0:
                known.last_s = frame.time_s
            if self._pause.kinds:
                continue
            if is_seen:
                known.seen_s = frame.time_s
            known.sketch.add(PathPoint(time_s=frame.time_s, x=x, y=y, seen=is_seen), self._aspect)
        if self._pause.kinds or not close.any():
            return
        names = list(self._places)
        for row, place in zip(*(part.tolist() for part in close.nonzero()), strict=True):
            x, y = shares[row].tolist()
            new = Approach(from_s=frame.time_s, to_s=frame.time_s)
            new.come(float(distances[row, place]), PathPoint(time_s=frame.time_s, x=x, y=y, seen=seen[row]))
            joined(self._identities[int(tracks.ids[row])].approaches[names[place]], new)

    def _count(self, events: Iterable[Event]) -> None:
        """Note what the site counted."""
        for event in events:
            known = self._identities.get(event.identity)
            if known is not None and event.kind in {"crossing", "enter"}:
                counted = Approach(from_s=event.time_s, to_s=event.time_s, counted=1, net=self._sign(event))
                joined(known.approaches[event.place], counted)

    def _would(self, relaxation: Relaxation, event: Event) -> None:
        """Note what a relaxed site counted."""
        known = self._identities.get(event.identity)
        if known is None or event.kind not in {"crossing", "enter"}:
            return
        would = Would(count=1, net=self._sign(event), at=_middle(event), direction=event.direction)
        new = Approach(from_s=event.time_s, to_s=event.time_s, would={relaxation: would})
        joined(known.approaches[event.place], new)

    def _sign(self, event: Event) -> int:
        return -1 if event.kind == "crossing" and event.direction != self._lines[event.place].to_left else 1

    def _decided(self, identity: int, known: _Identity, until_s: float) -> list[NearMiss]:
        """Decide the approaches that ended before a time."""
        found = []
        for name, approaches in known.approaches.items():
            over = [one for one in approaches if one.to_s <= until_s]
            if not over:
                continue
            approaches[:] = [one for one in approaches if one.to_s > until_s]
            found += [miss for one in over if (miss := self._decide(identity, known, name, one)) is not None]
        return found

    def _decide(self, identity: int, known: _Identity, name: str, approach: Approach) -> NearMiss | None:
        place = self._places[name]
        reason, would = self._reason(known, place, approach)
        at = would.at if would is not None else approach.nearest
        if reason is None or at is None:
            return None
        return NearMiss(
            stream=self.stream,
            place=name,
            identity=identity,
            class_name=self._class_name(known.class_id),
            reason=reason,
            time_s=at.time_s,
            utc_ms=self._utc_ms(at.time_s),
            point=(at.x, at.y),
            distance=self._distance(name, at),
            direction="" if would is None else would.direction,
            near_s=approach.to_s - approach.from_s,
            from_s=known.first_s,
            to_s=known.last_s,
            path=known.sketch.between(at.time_s - AROUND_S, at.time_s + AROUND_S),
            revision=self.site.revision,
        )

    def _reason(self, known: _Identity, place: Line | Zone, approach: Approach) -> tuple[Reason | None, Would | None]:
        """Why nothing, or less than passed, was counted."""
        line = self._lines.get(place.name)
        for relaxation in ORDER:
            would = approach.would.get(relaxation)
            # Swaying over a line is many passages that are one: only their sum shows that one is missing.
            if would is None or (approach.counted and (line is None or would.net == approach.net)):
                continue
            if relaxation == "unsettled" and (line is None or _brief(known, line, would)):
                return "too_short", would
            return relaxation, would
        wanted = not place.classes or self._class_name(known.class_id) in place.classes
        if approach.counted or not wanted or approach.distance > self.near:
            return None, None
        nearest = approach.nearest
        touched = line is not None and approach.distance < line.dead_band and nearest is not None and nearest.seen
        return ("unsettled" if touched else "not_reached"), None

    def _distance(self, name: str, at: PathPoint) -> float:
        return float(self._distances.of(np.array([[at.x * self._aspect, at.y]]))[0, self._numbers[name]])

    def _never(self, event: Event) -> NearMiss:
        """A passage by something that was never confirmed."""
        at = _middle(event)
        before, after = event.before or event.after, event.after or event.before
        path = [PathPoint(time_s=one.time_s, x=one.x, y=one.y) for one in (before, after) if one is not None]
        return NearMiss(
            stream=self.stream,
            place=event.place,
            identity=0,
            class_name=event.class_name,
            reason="unconfirmed",
            time_s=event.time_s,
            utc_ms=self._utc_ms(event.time_s),
            point=(at.x, at.y),
            distance=self._distance(event.place, at),
            direction=event.direction,
            from_s=path[0].time_s if path else event.time_s,
            to_s=path[-1].time_s if path else event.time_s,
            path=tuple(path),
            revision=self.site.revision,
        )

    def _class_name(self, class_id: int) -> str:
        return self._class_names[class_id] if class_id < len(self._class_names) else str(class_id)

    def _set_clock(self, frame: Frame) -> None:
        if not self._declared and frame.captured_at is not None:
            self._utc_from_ms = frame.captured_at.timestamp() * 1000 - frame.time_s * 1000

    def _utc_ms(self, time_s: float) -> int | None:
        return None if self._utc_from_ms is None else round(self._utc_from_ms + time_s * 1000)


def _brief(known: _Identity, line: Line, would: Would) -> bool:
    """Whether the identity was known for too short a time on one side of a line."""
    return min(would.at.time_s - known.first_s, known.last_s - would.at.time_s) < line.settle_s


def _middle(event: Event) -> PathPoint:
    """The place of a passage, on the way between the sights on either side of it."""
    before, after = event.before or event.after, event.after or event.before
    if before is None or after is None:
        return PathPoint(time_s=event.time_s, x=math.nan, y=math.nan)
    span_s = after.time_s - before.time_s
    share = min(max((event.time_s - before.time_s) / span_s, 0.0), 1.0) if span_s > 0 else 0.0
    return PathPoint(
        time_s=event.time_s, x=before.x + share * (after.x - before.x), y=before.y + share * (after.y - before.y)
    )
