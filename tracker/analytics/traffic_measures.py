"""Measures of traffic on a site's ground: speeds, headways and sizes at lines, conflicts, standing, wrong way.

Behind the measures of lines and zones: it takes their crossings from the frame's events. Everything is computed from
contacts, boxes and classes, which rows of records have, so that counting again finds the same.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from tracker.analytics.analytic import Analytic
from tracker.analytics.conflict_area import ConflictArea
from tracker.analytics.conflicts import STEP_S, Conflicts, Placed
from tracker.analytics.contact import ContactFinder
from tracker.analytics.course import BOX_DIGITS
from tracker.analytics.dimensions import EDGE_SHARE, Dimensions, Lengths, Upright, seen_length_m, sizes
from tracker.analytics.footprints import footprint
from tracker.analytics.ground_paths import WINDOW_S, GroundPaths
from tracker.analytics.measures import TIME_DIGITS
from tracker.analytics.outages import Pause
from tracker.analytics.sections import Crossed, Sections
from tracker.analytics.standing import Standing, WrongWay
from tracker.contacts import ContactState
from tracker.errors import ConfigError
from tracker.events import Event, Sighting
from tracker.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from tracker.analytics.analytic import AnalyticContext
    from tracker.analytics.conflicts import Conflict
    from tracker.analytics.footprints import Footprint
    from tracker.analytics.sections import Passage
    from tracker.analytics.standing import Spell
    from tracker.events import EventKind
    from tracker.ground import Ground
    from tracker.site import Site
    from tracker.types import TrackedFrame, Tracks

__all__ = ["TrafficMeasures"]

LAG_S = WINDOW_S / 2
"""Motions are looked at so long ago, in the middle of their window."""
STEADY = 0.25
"""Standard error of a speed as a share of it, below which it tells where something goes."""
LEAST_M_S = 0.5
"""Slower ones stand; they keep the way that they had."""
LONGEST_STEPS = 200
"""Steps that are made up for after frames that did not come; conflicts look back no further."""
LENGTH_STEPS = 2
"""Lengths are taken from every second of these steps: one view of a body is much like the next one."""
STATE_VERSION = 2
SEEN = int(ContactState.SEEN)


class _Known(NamedTuple):
    """What is remembered of an identity: its class so far, its last way, when it was last seen."""

    class_name: str
    heading_rad: float | None
    seen_s: float


class TrafficMeasures(Analytic):
    """What a site with a ground asks of traffic.

    Args:
        site: With a ground, unless only wrong ways over lines are asked for.
        stream: Name of the camera or recording.
        start_utc_ms: UTC in milliseconds at media time 0 of a recording; without it a frame's ``captured_at`` counts.
    """

    def __init__(self, site: Site, *, stream: str, start_utc_ms: int | None = None) -> None:
        self._site, self._stream = site, stream
        self._utc_from_ms: float | None = start_utc_ms
        self._declared = start_utc_ms is not None
        self._contacts = ContactFinder([occluder.polygon for occluder in site.occluders])
        self._traffic = site.traffic or Traffic()
        self._wrong_lines = {line.name: line.wrong_way for line in site.lines if line.wrong_way}
        self._ground = site.ground
        self._pause = Pause()
        self._known: dict[int, _Known] = {}
        self._stepped: int | None = None
        self._time_s = 0.0
        self._size: tuple[int, int] | None = None
        self._upright: Upright | None = None
        if site.ground is not None:
            self._open(site, site.ground)

    def _open(self, site: Site, ground: Ground) -> None:
        self._paths, self._dimensions, self._lengths = GroundPaths(ground), Dimensions(), Lengths(self._traffic)
        self._sections = Sections(site, ground, self._lengths.body, self._paths)
        self._standing, self._wrong = Standing(site.zones), WrongWay(site.zones, ground)
        self._pairs = self._traffic.time_to_collision_s is not None or self._traffic.post_encroachment_s is not None
        headways = any("headway" in line.measures for line in site.lines)
        self._moves = self._pairs or headways or any(zone.towards for zone in site.zones)
        self._area = ConflictArea(site, ground)
        self._conflicts = Conflicts(self._traffic, self._area.name_at, ground=self._ground)

    @classmethod
    def open(cls, context: AnalyticContext) -> Self:
        """Make it for a stream with a site; see :class:`tracker.analytics.analytic.Analytic`."""
        if context.site is None:
            raise ConfigError("analytics", "expected a site with a ground, found none", "name one with --site")
        return cls(context.site, stream=context.stream, start_utc_ms=context.start_utc_ms)

    def process(self, tracked: TrackedFrame) -> tuple[Event, ...]:
        """Take the next frame; see :class:`tracker.analytics.analytic.Analytic`."""
        tracks, time_s = tracked.tracks, round(tracked.frame.time_s, TIME_DIGITS)
        if tracks is None:
            raise ConfigError("site", "expected tracked frames, found segmented ones", "track, or leave the site out")
        if not self._declared and tracked.frame.captured_at is not None:
            self._utc_from_ms = tracked.frame.captured_at.timestamp() * 1000 - time_s * 1000
        self._time_s, self._size = time_s, tracked.frame.size
        found = self._wrong_over_lines(tracked.events)
        if self._ground is None:
            return tuple(found)
        # What is due is measured before the frame's contacts are noted: so it is the same where empty frames are not
        # recorded, and the next one comes later.
        found += self._passages(time_s)
        if self._moves:
            found += self._steps(time_s)
        ended = set(tracks.ended_ids.tolist())
        found += self._look(tracked, tracks, time_s)
        for event in tracked.events:
            if event.kind == "crossing":
                crossed = Crossed(
                    event.place, event.direction, event.identity, event.class_name, event.time_s, event.bridged
                )
                self._sections.note(crossed)
        found += self._passages(-math.inf, ended)
        for identity in sorted(ended):
            found += self._end(identity)
        return tuple(found)

    def close(self) -> tuple[Event, ...]:
        """The stream is over: passages are measured with what was seen, and what lasts is over."""
        if self._ground is None:
            return ()
        found = self._passages(math.inf)
        for identity in sorted(self._known):
            found += self._end(identity)
        found += self._told(self._conflicts.over(math.inf))
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        """Conflicts that were left out; see :meth:`tracker.analytics.analytic.Analytic.notes`."""
        return () if self._ground is None else self._area.notes()

    def state(self) -> dict[str, Any] | None:
        """Everything needed to continue later as plain values."""
        if self._ground is None or self._size is None:
            return None
        return {
            "version": STATE_VERSION,
            "size": list(self._size),
            "time_s": self._time_s,
            "stepped": self._stepped,
            "known": [[identity, *known] for identity, known in self._known.items()],
            "paths": self._paths.state(),
            "sections": self._sections.state(),
            "dimensions": self._dimensions.state(),
            "lengths": self._lengths.state(),
            "conflicts": self._conflicts.state(),
            "left_out": self._area.state(),
            "standing": self._standing.state(),
            "wrong": self._wrong.state(),
            "outages": sorted(self._pause.kinds),
        }

    def restore(self, state: Mapping[str, Any], *, elapsed_s: float | None = None) -> None:
        """Continue from :meth:`state`; see :class:`tracker.analytics.analytic.Analytic`.

        Raises:
            ValueError: The state is of another version.
        """
        if state["version"] != STATE_VERSION:
            message = f"traffic measures: expected a state of version {STATE_VERSION}, found {state['version']}"
            raise ValueError(message)
        if self._ground is None:
            return
        shift_s = 0.0 if elapsed_s is None else -elapsed_s - state["time_s"]
        width, height = state["size"]
        self._size, self._time_s = (width, height), state["time_s"] + shift_s
        self._stepped = state["stepped"] if elapsed_s is None else None
        for identity, class_name, heading, seen_s in state["known"]:
            self._known[identity] = _Known(class_name, heading, seen_s + shift_s)
        self._paths.restore(state["paths"], shift_s)
        self._sections.restore(state["sections"], shift_s)
        self._dimensions.restore(state["dimensions"], shift_s)
        self._lengths.restore(state["lengths"])
        self._conflicts.restore(state["conflicts"], shift_s)
        self._area.restore(state.get("left_out", {}))
        self._standing.restore(state["standing"], shift_s)
        self._wrong.restore(state["wrong"], shift_s)
        self._pause = Pause(state["outages"])

    # ---- what a frame shows ----

    def _look(self, tracked: TrackedFrame, tracks: Tracks, time_s: float) -> list[Event]:
        """Note contacts and boxes of one frame; standing ones are found here."""
        size = np.array(tracked.frame.size)
        self._pause.note(tracked.events)
        blind = bool(self._pause.kinds)
        contacts = tracked.contacts
        if contacts is None:
            contacts = self._contacts.find(tracked.instances, tracked.frame.size)
        names = tracked.class_names
        for identity, class_id in zip(tracks.ids.tolist(), tracks.class_ids.tolist(), strict=True):
            name = names[class_id] if class_id < len(names) else str(class_id)
            known = self._known.get(identity)
            self._known[identity] = _Known(name, None if known is None else known.heading_rad, time_s)
        own = contacts.of_tracks(tracks.detection_rows, tracks.boxes)
        boxes = tracks.boxes.astype(np.float64).round(BOX_DIGITS) / np.tile(size, 2)
        # A box that the picture's edge cuts has its middle elsewhere.
        whole = (boxes[:, 0] > EDGE_SHARE) & (boxes[:, 2] < 1 - EDGE_SHARE)
        (rows,) = ((own.states == SEEN) & whole & (not blind)).nonzero()
        ids, shares = tracks.ids[rows].tolist(), own.points[rows] / size
        self._paths.note(ids, time_s, np.column_stack([boxes[rows, ::2].mean(axis=1), shares[:, 1]]))
        self._dimensions.note(ids, time_s, boxes[rows])
        found = []
        for identity, share in zip(ids, shares.tolist(), strict=True):
            last = self._paths.last(identity)
            if last is not None and last[0] == time_s:
                name = self._known[identity].class_name
                spells = self._standing.sight(identity, time_s, last[1:], (share[0], share[1]), name)
                found += [self._spell("stopped", one) for one in spells]
        return found

    def _end(self, identity: int) -> list[Event]:
        """An identity is gone, or the stream is over."""
        found = [self._spell("stopped", one) for one in self._standing.end(identity)]
        found += [self._spell("wrong_way", one) for one in self._wrong.end(identity)]
        self._paths.forget(identity)
        self._dimensions.forget(identity)
        self._lengths.forget(identity)
        self._known.pop(identity, None)
        return found

    # ---- lines ----

    def _wrong_over_lines(self, events: Iterable[Event]) -> list[Event]:
        return [
            replace(event, kind="wrong_way")
            for event in events
            if event.kind == "crossing" and event.direction == self._wrong_lines.get(event.place)
        ]

    def _passages(self, time_s: float, gone: Container[int] = ()) -> list[Event]:
        if self._size is None:
            return []
        found = []
        for passage in self._sections.due(time_s, self._size, gone=gone):
            place = passage.crossed.place
            if self._sections.asks(place, "speed"):
                found.append(
                    self._of_passage("speed", passage, passage.motion.speed_m_s, error=passage.motion.error_m_s)
                )
            if self._sections.asks(place, "headway"):
                found += self._follows(passage)
            if self._sections.asks(place, "size"):
                found += self._sizes(passage)
        return found

    def _follows(self, passage: Passage) -> list[Event]:
        """Headway and gap to the one before."""
        before, now = self._sections.leader(passage), passage.as_leader
        if before is None or now is None:
            return []
        return [
            self._of_passage("headway", passage, now.front_s - before.front_s, other=before.identity),
            self._of_passage("time_gap", passage, now.front_s - before.rear_s, other=before.identity),
        ]

    def _sizes(self, passage: Passage) -> list[Event]:
        box = self._dimensions.box(passage.crossed.identity, passage.crossed.time_s)
        if box is None or self._ground is None or self._size is None:
            return []
        upright = self._camera(self._ground, self._size)
        body = self._lengths.body(passage.crossed.identity, passage.crossed.class_name)
        row = float(self._ground.to_picture(np.array([[passage.motion.x_m, passage.motion.y_m]]))[0, 1])
        found = sizes(self._ground, upright, box=box, row=row, stands=passage.stands, body=body, size=self._size)
        return [self._of_passage("size", passage, one.value, error=one.error, direction=one.name) for one in found]

    # ---- motions ----

    def _steps(self, time_s: float) -> list[Event]:
        """Every tenth of a second up to half a window ago."""
        last = math.floor((time_s - LAG_S) / STEP_S + 1e-6)
        first = last if self._stepped is None else self._stepped + 1
        self._stepped = last
        if last - first > LONGEST_STEPS:  # the camera was out: what was under way is over
            return [event for number in (*range(first, first + LONGEST_STEPS), last) for event in self._step(number)]
        return [event for number in range(first, last + 1) for event in self._step(number)]

    def _step(self, number: int) -> list[Event]:
        """Motions of all that were seen at one moment."""
        moment = number * STEP_S
        if self._ground is None or self._size is None:
            return []
        found, placed = [], []
        for identity in sorted(self._paths.identities):
            motion = self._paths.motion(identity, moment, self._size)
            known = self._known.get(identity)
            if motion is None or known is None or known.seen_s < moment:
                continue
            heading = known.heading_rad
            if motion.speed_m_s >= LEAST_M_S and motion.error_m_s <= STEADY * motion.speed_m_s:
                heading = motion.heading_rad
                self._known[identity] = known._replace(heading_rad=heading)
            share = self._ground.to_picture(np.array([[motion.x_m, motion.y_m]]))[0].tolist()
            spells = self._wrong.step(identity, motion, (share[0], share[1]), known.class_name)
            found += [self._spell("wrong_way", one) for one in spells]
            if heading is None:
                continue
            body = self._lengths.body(identity, known.class_name)
            stands = footprint(self._ground, (motion.x_m, motion.y_m), heading, body)
            if number % LENGTH_STEPS == 0:
                self._note_length(identity, moment, stands, share[1])
            if self._pairs:
                moving = motion.speed_m_s >= LEAST_M_S
                velocity = (motion.x_m_s, motion.y_m_s) if moving else (0.0, 0.0)
                contact = motion.x_m, motion.y_m
                placed.append(Placed(identity, stands, *velocity, known.class_name, contact, body))
        if self._pairs:
            found += self._told(self._conflicts.step(moment, placed))
        return found

    def _note_length(self, identity: int, moment: float, stands: Footprint, row: float) -> None:
        """Take the length that a body shows; ``row`` of its contact is a share of the picture's height."""
        box = self._dimensions.box(identity, moment)
        if box is None or self._ground is None or self._size is None:
            return
        usual, upright = self._traffic.size_of(self._known[identity].class_name), self._camera(self._ground, self._size)
        raised = upright.raised(stands, row - float(box[1]))
        seen_m = seen_length_m(self._ground, wide=float(box[0]), stands=stands, body=usual, raised=raised)
        self._lengths.note(identity, seen_m)

    def _camera(self, ground: Ground, size: tuple[int, int]) -> Upright:
        """Made with the first picture, whose shape it needs."""
        if self._upright is None:
            self._upright = Upright(ground, aspect=size[0] / size[1])
        return self._upright

    # ---- rows ----

    def _of_passage(
        self,
        kind: EventKind,
        passage: Passage,
        value: float,
        *,
        error: float | None = None,
        other: int = 0,
        direction: str | None = None,
    ) -> Event:
        crossed = passage.crossed
        return Event(
            kind=kind,
            stream=self._stream,
            time_s=crossed.time_s,
            utc_ms=self._utc_ms(crossed.time_s),
            place=crossed.place,
            direction=crossed.direction if direction is None else direction,
            identity=crossed.identity,
            class_name=crossed.class_name,
            value=value,
            error=error,
            other_identity=other,
            bridged=crossed.bridged,
            revision=self._site.revision,
        )

    def _spell(self, kind: EventKind, spell: Spell) -> Event:
        known = self._known.get(spell.identity)
        return Event(
            kind=kind,
            stream=self._stream,
            time_s=spell.time_s,
            utc_ms=self._utc_ms(spell.time_s),
            place=spell.zone,
            identity=spell.identity,
            class_name="" if known is None else known.class_name,
            since_s=spell.since_s,
            revision=self._site.revision,
        )

    def _told(self, found: Iterable[Conflict]) -> list[Event]:
        return [self._conflict(one) for one in found if self._area.takes(one)]

    def _conflict(self, found: Conflict) -> Event:
        at = None
        if self._ground is not None:
            x, y = self._ground.to_picture(np.array([[found.x_m, found.y_m]]))[0].tolist()
            at = Sighting(time_s=found.time_s, x=x, y=y) if math.isfinite(x) else None
        return Event(
            kind=found.kind,
            stream=self._stream,
            time_s=found.time_s,
            utc_ms=self._utc_ms(found.time_s),
            place=found.place,
            identity=found.identity,
            class_name=found.class_name,
            after=at,
            value=found.value_s,
            other_identity=found.other_identity,
            revision=self._site.revision,
        )

    def _utc_ms(self, time_s: float) -> int | None:
        return None if self._utc_from_ms is None else round(self._utc_from_ms + time_s * 1000)
