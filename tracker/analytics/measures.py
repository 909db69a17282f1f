"""Measures of one site over one stream: contacts, lines, zones, flows, balances and premises in order, as events."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tracker.analytics.analytic import Analytic
from tracker.analytics.bookings import Bookings
from tracker.analytics.contact import ContactFinder
from tracker.analytics.course import AGE_DIGITS, Course, Outages
from tracker.analytics.findings import Moment
from tracker.analytics.flows import FlowFinder
from tracker.analytics.identity_switches import find_switches
from tracker.analytics.layout import Layout
from tracker.analytics.lines import Lines
from tracker.analytics.occlusion_order import occlusion_order
from tracker.analytics.occupancy import Balances, Coverage, Occupancy
from tracker.analytics.outages import Pause
from tracker.analytics.paths import Paths
from tracker.analytics.places import Places
from tracker.analytics.steps import NOTHING
from tracker.analytics.zones import Zones
from tracker.contacts import Contacts, ContactState
from tracker.errors import ConfigError
from tracker.track_block import TrackBlock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from tracker.analytics.analytic import AnalyticContext
    from tracker.analytics.changes import Change
    from tracker.analytics.geometry import Flags, Floats, Rows
    from tracker.analytics.lines import Crossing
    from tracker.analytics.occlusion_order import OcclusionOrder
    from tracker.analytics.steps import Marks, Steps
    from tracker.events import Event
    from tracker.site import Site
    from tracker.types import TrackedFrame, Tracks

__all__ = ["SiteMeasures"]

EARLIER_FRAMES = 16
"""Frames whose contacts are kept for identities that are confirmed later."""
STATE_VERSION = 1
SEEN, PREDICTED = int(ContactState.SEEN), int(ContactState.PREDICTED)
NOTHING_EARLIER = np.zeros((0, 3), np.int64)
TIME_DIGITS = 6
"""Of times, as records write them: rows that are counted again give the same events."""


class SiteMeasures(Analytic):
    """Everything that a site asks for, from the tracked frames of one stream.

    All rules are in seconds. State belongs to identities and dies with them, so memory follows what is in view.
    While events in ``tracked.events`` say that the camera is moved, frozen, covered or dark, nothing is seen: nothing
    is counted over that time, and stays go on as hidden ones.

    Args:
        site: What to measure.
        stream: Name of the camera or recording, for the events.
        start_utc_ms: UTC in milliseconds at media time 0 of a recording; without it a frame's ``captured_at`` counts.
        gap_s: Seconds without a frame from which the camera was out.
    """

    def __init__(self, site: Site, *, stream: str, start_utc_ms: int | None = None, gap_s: float = 2.0) -> None:
        self.site, self.stream = site, stream
        self._gap_s = gap_s
        self._utc_from_ms: float | None = start_utc_ms
        self._declared = start_utc_ms is not None
        self._contacts = ContactFinder([occluder.polygon for occluder in site.occluders])
        self._coverage = Coverage(site.zones)
        self._paths = Paths()
        self._flows = FlowFinder(site.flows)
        self._balances = Balances(site.doors, timezone=site.timezone)
        self._earlier: deque[tuple[float, Floats, Flags]] = deque(maxlen=EARLIER_FRAMES)
        self._pause = Pause()
        self._size: tuple[int, int] | None = None
        self._time_s: float | None = None
        self._last: tuple[TrackedFrame, Tracks, Contacts] | None = None
        self._newest: tuple[Rows, NDArray[np.int8]] = (np.zeros(0, np.int64), np.zeros(0, np.int8))
        """Slots and states of the newest frame's identities, where some may be seen for the first time."""

    @classmethod
    def open(cls, context: AnalyticContext) -> Self:
        """Make it for a stream with a site; see :class:`tracker.analytics.analytic.Analytic`."""
        if context.site is None:
            raise ConfigError("analytics", "expected a site with lines and zones, found none", "name one with --site")
        return cls(context.site, stream=context.stream, start_utc_ms=context.start_utc_ms, gap_s=context.gap_s)

    def process(self, tracked: TrackedFrame) -> tuple[Event, ...]:
        """Take the next frame.

        Args:
            tracked: With tracks; frames must come in order of time. Its ``contacts``, where it has them, are those
                that a :class:`ContactFinder` with the site's occluders found.

        Returns:
            What became certain with it. Times are those of the instants themselves, so they may be earlier.

        Raises:
            ConfigError: There are no tracks, or the picture has another shape than the site's.
        """
        tracks, contacts = tracked.tracks, tracked.contacts
        if tracks is None:
            raise ConfigError("site", "expected tracked frames, found segmented ones", "track, or leave the site out")
        if contacts is None:
            contacts = self._contacts.find(tracked.instances, tracked.frame.size)
        block = TrackBlock.of(tracked, tracks, contacts)
        course = self._course(block)
        found = self._frame(block, course, 0)
        self._last = tracked, tracks, contacts
        if self._places.asked:
            moment = Moment.of(
                tracks,
                Contacts(points=course.points, states=course.states),
                block.size,
                time_s=course.times_s[0],
                blind=bool(self._pause.kinds),
                class_of=self._bookings.class_of,
                events=tuple(found),
            )
            found += map(self._bookings.found, self._places.process(moment))
        return tuple(found)

    @property
    def takes_blocks(self) -> bool:
        """Whether :meth:`take` finds everything: queues, footfall and bays are asked frame by frame."""
        return not (self.site.queues or self.site.footfall or self.site.bays)

    def take(self, block: TrackBlock) -> list[tuple[Event, ...]]:
        """What :meth:`process` would find with each frame of a block."""
        course = self._course(block)
        return [tuple(self._frame(block, course, number)) for number in range(len(block))]

    def close(self) -> tuple[Event, ...]:
        """The stream is over: what nothing can contradict any more is counted, stays that last are given as open."""
        found: list[Event] = []
        for identity in list(self._paths.slots):
            found += self._end(identity, lost=False)
        if self._size is not None:
            found += list(map(self._bookings.found, self._places.close(found)))
        return tuple(found)

    def present(self) -> dict[str, dict[str, int]]:
        """Identities in the zones as of the last frame, by zone and class; hidden ones included until they are lost."""
        return {} if self._size is None else self._bookings.present(self._zones.inside)

    def waiting(self) -> dict[str, int]:
        """Identities in each queue as of the last frame, those that wait under another number than before included."""
        return {} if self._size is None else self._places.queue_lengths()

    def occupancy(self) -> Occupancy:
        """What is in the zones and behind the doors as of the last frame."""
        if self._last is None or self._time_s is None:
            return Occupancy(time_s=0.0, balance=self._balances.now, outages=tuple(sorted(self._pause.kinds)))
        tracked, tracks, _ = self._last
        rows = tracks.detection_rows[tracks.detection_rows >= 0]
        instances = tracked.instances
        return Occupancy(
            time_s=self._time_s,
            present=self._bookings.present(self._zones.inside),
            area_percent=self._coverage.percent(instances.masks, rows, instances.boxes[rows], tracked.frame.size),
            balance=self._balances.now,
            queues=self._places.queue_lengths(),
            bays=self._places.taken_bays(),
            outages=tuple(sorted(self._pause.kinds)),
        )

    def occlusions(self) -> OcclusionOrder | None:
        """Which instances of the last frame stand before which, those that are identities; ``None`` before any."""
        if self._last is None:
            return None
        tracked, tracks, contacts = self._last
        rows = tracks.detection_rows[tracks.detection_rows >= 0]
        return occlusion_order(tracked.instances, contacts, rows)

    def state(self) -> dict[str, Any] | None:
        """Everything needed to continue later as plain values, or ``None`` before the first frame."""
        if self._size is None:
            return None
        return {
            "version": STATE_VERSION,
            "size": list(self._size),
            "aspect": self._aspect,
            "class_names": list(self._bookings.class_names),
            "time_s": self._time_s,
            "paths": self._paths.state(),
            "lines": self._lines.state(self._paths.slots),
            "zones": self._zones.state(),
            "flows": self._flows.state(),
            "balances": self._balances.state(),
            "bookings": self._bookings.state(),
            "places": self._places.state(),
            "outages": sorted(self._pause.kinds),
            "earlier": [[time_s, points.tolist(), seen.tolist()] for time_s, points, seen in self._earlier],
        }

    def restore(self, state: Mapping[str, Any], *, elapsed_s: float | None = None) -> None:
        """Continue from :meth:`state`, before the first frame; lines and zones that were changed begin anew.

        Args:
            state: What :meth:`state` returned.
            elapsed_s: Seconds since, for a camera, whose media time begins anew at 0; ``None`` for a recording.

        Raises:
            ValueError: The state is of another version.
        """
        if state["version"] != STATE_VERSION:
            message = f"site measures: expected a state of version {STATE_VERSION}, found {state['version']}"
            raise ValueError(message)
        width, height = state["size"]
        self._aspect = state["aspect"]
        self._fit((width, height), state["class_names"], keep_aspect=True)
        shift_s = 0.0 if elapsed_s is None else -elapsed_s - state["time_s"]
        self._time_s = state["time_s"] + shift_s
        self._paths.restore(state["paths"], shift_s)
        self._reserve()
        self._lines.restore(state["lines"], self._paths.slots, shift_s)
        self._zones.restore(state["zones"], shift_s)
        self._flows.restore(state["flows"], shift_s)
        self._balances.restore(state["balances"])
        self._bookings.restore(state["bookings"])
        if "places" in state:
            self._places.restore(state["places"], shift_s)
        self._pause = Pause(state.get("outages", ()))
        for time_s, points, seen in state["earlier"]:
            places = np.array(points, np.float64).reshape(-1, 2)
            self._earlier.append((time_s + shift_s, places, np.array(seen, np.bool_)))

    def _fit(self, size: tuple[int, int], class_names: Sequence[str], *, keep_aspect: bool = False) -> None:
        """Lay the site over pictures of a size; another size of the same shape changes nothing."""
        self.site.check_size(size)
        if self._size is not None:
            replace(self.site, reference_size=self._size).check_size(size)
            self._size = size
            return
        self._size = size
        if not keep_aspect:
            self._aspect = size[0] / size[1]
        self._lines = Lines(self.site.lines, aspect=self._aspect)
        self._zones = Zones(self.site.zones, aspect=self._aspect, paths=self._paths, class_names=class_names)
        self._bookings = Bookings(
            self.site, stream=self.stream, paths=self._paths, class_names=class_names, aspect=self._aspect
        )
        self._bookings.utc_ms = self._utc_ms
        self._places = Places(self.site, aspect=self._aspect, gap_s=self._gap_s)
        self._layout = Layout(self._lines, self._zones)

    def _reserve(self) -> None:
        self._layout.reserve(len(self._paths))

    def _set_clock(self, captured_at: datetime | None, time_s: float) -> None:
        """Where media time 0 lies in UTC; cameras' clocks are followed from frame to frame."""
        if not self._declared and captured_at is not None:
            self._utc_from_ms = captured_at.timestamp() * 1000 - time_s * 1000

    def _utc_ms(self, time_s: float) -> int | None:
        return None if self._utc_from_ms is None else round(self._utc_from_ms + time_s * 1000)

    def _course(self, block: TrackBlock) -> Course:
        """Lay the site over the block's pictures, and find where its identities are."""
        if block.size != self._size:
            self._fit(block.size, block.class_names)
        times_s = [round(time_s, TIME_DIGITS) for time_s in block.times_s]
        outages = Outages.of(block, times_s, last_s=self._time_s, gap_s=self._gap_s, pause=self._pause)
        return Course(block, self._layout, self._paths, aspect=self._aspect, times_s=times_s, outages=outages)

    def _frame(self, block: TrackBlock, course: Course, number: int) -> list[Event]:
        """One frame of a block, by its number there."""
        time_s, found = course.times_s[number], []
        self._set_clock(block.captured_at[number], time_s)
        self._balances.tick(self._utc_ms(time_s))
        if number in course.outages.gaps:
            found.append(self._bookings.camera("gap", time_s, since_s=self._time_s))
            self._paths.interrupt()
        if number in course.outages.begun:
            self._lines.forget()
        self._time_s = time_s
        found += self._update(block, course, number)
        rows = slice(block.contact_cuts[number], block.contact_cuts[number + 1])
        self._earlier.append((time_s, course.contact_points[rows], course.contact_seen[rows]))
        if number in block.ended:
            for identity in block.ended[number].tolist():
                found += self._end(identity)
        return found

    def _update(self, block: TrackBlock, course: Course, number: int) -> list[Event]:
        """Where identities are now, and what lines and zones make of it."""
        low, high = block.cuts[number], block.cuts[number + 1]
        time_s, paths = course.times_s[number], self._paths
        plain, whole = course.is_plain(number), course.cuts[number + 1] - course.cuts[number] == high - low
        slots, found = (course.slots[low:high], []) if plain else self._begin(block, course, number)
        seen_slots = slots if whole else course.note_unseen(number, slots)
        absent = len(paths.slots) > high - low
        course.note(number, slots, seen_slots, absent=absent)
        due = self._is_due(time_s)
        if not plain:
            found += self._passed(self._steps(seen_slots, *course.sighted(number), time_s))
        elif due or self._zones.has_loose or course.tells(number, seen_slots):
            found += self._passed(course.steps(number, seen_slots))
        if due and (absent or not whole) and self._is_due(time_s):  # not only for those that were seen
            found += self._wait(slots[course.states[low:high] == PREDICTED], time_s)
        if absent:
            found += self._booked([], self._zones.give_up(time_s))
        if self._zones.may_loiter(time_s):
            found += self._booked([], self._zones.loitering(slots[course.states[low:high] != PREDICTED], time_s))
        return found

    def _is_due(self, time_s: float) -> bool:
        """Whether a pending passage may be certain by now."""
        return self._lines.soonest_s <= time_s or self._zones.soonest_s <= time_s

    def _wait(self, presumed: Rows, time_s: float) -> list[Event]:
        """Time passes for identities that are absent, or presumed."""
        unseen = (self._paths.ids > 0) & (self._paths.present_s < time_s)
        unseen[presumed] = True
        return self._booked(self._lines.wait(unseen, time_s), self._zones.wait(unseen, time_s))

    def _begin(self, block: TrackBlock, course: Course, number: int) -> tuple[Rows, list[Event]]:
        """Slots of a frame's identities, of which some are new; what these did before they were confirmed."""
        rows, time_s, paths = slice(block.cuts[number], block.cuts[number + 1]), course.times_s[number], self._paths
        room = len(paths)
        slots, new = paths.find(block.ids[rows], time_s)
        if len(paths) > room:
            self._reserve()
        self._newest = slots, course.states[rows]
        if not new:
            return slots, []
        course.begin(number, slots, new)
        paths.class_ids[slots[new]] = block.class_ids[rows][new]
        paths.first_s[slots[new]] = time_s - block.ages_s[rows][new].astype(np.float64).round(AGE_DIGITS)
        found = [self._bookings.start(slot) for slot in slots[new].tolist()]
        sizes = np.zeros((len(paths), 2))
        sizes[slots] = course.sizes[rows]
        return slots, found + self._catch_up(block.earlier.get(number, NOTHING_EARLIER), sizes)

    def _catch_up(self, earlier: Rows, sizes: Floats) -> list[Event]:
        """What new identities did before they were confirmed.

        Args:
            earlier: ``(E, 3)`` as in :class:`tracker.types.Tracks`.
            sizes: ``(S, 2)`` as in :class:`Course`, by slot.
        """
        found: list[Event] = []
        for ago in sorted(set(earlier[:, 1].tolist()), reverse=True):
            if not 1 <= ago <= len(self._earlier):
                continue
            time_s, points, seen = self._earlier[-ago]
            now = earlier[earlier[:, 1] == ago]
            now = now[seen[now[:, 2]]]
            if len(now):
                slots = np.array([self._paths.slots[identity] for identity in now[:, 0].tolist()], np.int64)
                marks, sides = self._layout.marks(points[now[:, 2]], *sizes[slots].T)
                found += self._passed(self._steps(slots, marks, sides, time_s))
        return found

    def _steps(self, slots: Rows, marks: Marks, sides: Floats, time_s: float) -> Steps:
        """Ways of identities from their last sights to these; after an identity switch from the old identity's."""
        paths, steps = self._paths, self._paths.follow(slots, marks, time_s)
        for row, slot in (
            find_switches(paths, steps, self._detected()) if self.site.lines and steps.first is not None else ()
        ):
            self._lines.transfer(slot, int(slots[row]))
            steps.before[row], steps.times_before_s[row] = paths.points[slot], paths.seen_s[slot]
            steps.bridged[row] = True
        hits = self._layout.hits(steps.before, marks.points, sides)
        steps.passed = self._layout.passed(hits, (0, len(slots)), first=steps.first).get(0, NOTHING)
        return steps

    def _detected(self) -> Flags:
        """Which slots are detected in the newest frame: ``(S,)``."""
        slots, states = self._newest
        found = np.zeros(len(self._paths), np.bool_)
        found[slots[states != PREDICTED]] = True
        return found

    def _passed(self, steps: Steps) -> list[Event]:
        """Sights of identities against all lines and zones at once."""
        if not len(steps.slots):
            return []
        if self._places.asked:
            self._places.sights(self._paths.ids[steps.slots], steps.time_s, steps.marks.points, steps.marks.heights)
        crossings = self._lines.step(steps) if self.site.lines else []
        changes = self._zones.step(steps) if self.site.zones else []
        return self._booked(crossings, changes) if crossings or changes else []

    def _booked(self, crossings: Sequence[Crossing], changes: Sequence[Change]) -> list[Event]:
        found = [event for crossing in crossings for event in self._bookings.crossing(crossing)]
        found += [event for change in changes for event in self._bookings.change(change)]
        for event in found:
            self._flows.note(event)
            self._balances.note(event)
        return found

    def _end(self, identity: int, *, lost: bool = True) -> list[Event]:
        """An identity is gone, or the stream is over."""
        slot = self._paths.slots.get(identity)
        if slot is None:
            return []
        changes = self._zones.end(slot)
        if not lost:
            changes = [replace(change, open=change.lost, lost=False) for change in changes]
        found = self._booked(self._lines.end(slot), changes)
        way = self._flows.end(identity)
        if way is not None:
            found.append(self._bookings.flow(slot, way))
        found += self._bookings.end(slot)
        self._paths.drop(identity)
        return found
