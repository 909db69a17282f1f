"""Measures of one site over one stream: contacts, lines, zones, flows, balances and premises in order, as events."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tracker.analytics.analytic import Analytic
from tracker.analytics.bookings import Bookings
from tracker.analytics.contact import ContactFinder, side_reach
from tracker.analytics.findings import Moment
from tracker.analytics.flows import FlowFinder
from tracker.analytics.geometry import Edges
from tracker.analytics.identity_switches import find_switches
from tracker.analytics.lines import Lines
from tracker.analytics.occlusion_order import occlusion_order
from tracker.analytics.occupancy import Balances, Coverage, Occupancy
from tracker.analytics.outages import Pause
from tracker.analytics.paths import Paths
from tracker.analytics.places import Places
from tracker.analytics.zones import Zones
from tracker.contacts import ContactState
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracker.analytics.analytic import AnalyticContext
    from tracker.analytics.geometry import Flags, Floats, Rows
    from tracker.analytics.lines import Crossing
    from tracker.analytics.occlusion_order import OcclusionOrder
    from tracker.analytics.paths import Steps
    from tracker.analytics.zones import Change
    from tracker.contacts import Contacts
    from tracker.events import Event
    from tracker.site import Site
    from tracker.types import Frame, TrackedFrame, Tracks

__all__ = ["SiteMeasures"]

EARLIER_FRAMES = 16
"""Frames whose contacts are kept for identities that are confirmed later."""
STATE_VERSION = 1
SEEN, PREDICTED = int(ContactState.SEEN), int(ContactState.PREDICTED)
TIME_DIGITS, AGE_DIGITS, BOX_DIGITS = 6, 3, 2
"""Of times and ages, as records write them: rows that are counted again give the same events."""


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
        self._sizes: Floats = np.zeros((0, 2))
        self._detected: Flags = np.zeros(0, np.bool_)

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
        frame, tracks, time_s = tracked.frame, tracked.tracks, round(tracked.frame.time_s, TIME_DIGITS)
        if tracks is None:
            raise ConfigError("site", "expected tracked frames, found segmented ones", "track, or leave the site out")
        if frame.size != self._size:
            self._fit(frame.size, tracked.class_names)
        self._set_clock(frame, time_s)
        self._balances.tick(self._utc_ms(time_s))
        found: list[Event] = []
        if self._time_s is not None and time_s - self._time_s >= self._gap_s:
            found.append(self._bookings.camera("gap", time_s, since_s=self._time_s))
            self._paths.interrupt()
        if self._pause.note(tracked.events):
            self._lines.forget()
        self._time_s = time_s
        contacts = tracked.contacts
        if contacts is None:
            contacts = self._contacts.find(tracked.instances, frame.size)
        self._last = tracked, tracks, contacts
        scale = np.array([self._aspect / frame.size[0], 1.0 / frame.size[1]])
        own = contacts.of_tracks(tracks.detection_rows, tracks.boxes)
        states, seen = own.states, contacts.states == SEEN
        if self._pause.kinds:
            states, seen = np.full_like(states, PREDICTED), np.zeros_like(seen)
        sizes = _sizes(tracks, frame.size)
        found += self._update(tracks, own.points * scale, states, sizes, time_s)
        self._earlier.append((time_s, contacts.points * scale, seen))
        for identity in tracks.ended_ids.tolist():
            found += self._end(identity)
        if self._places.asked:
            moment = Moment.of(
                tracks,
                replace(own, states=states),
                frame.size,
                time_s=time_s,
                blind=bool(self._pause.kinds),
                class_of=self._bookings.class_of,
                events=tuple(found),
            )
            found += map(self._bookings.found, self._places.process(moment))
        return tuple(found)

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
        pieces, edges = self._lines.edges.edges, self._zones.edges
        self._pieces = len(pieces)
        self._edges = Edges(np.concatenate([pieces.start, edges.start]), np.concatenate([pieces.end, edges.end]))
        self._sides: Floats = np.zeros((0, len(self._edges)))

    def _reserve(self) -> None:
        slots = len(self._paths)
        self._sides = np.concatenate([self._sides, self._edges.sides(self._paths.points[len(self._sides) :])])
        self._lines.reserve(slots)
        self._zones.reserve(slots)
        self._sizes, self._detected = np.zeros((slots, 2)), np.zeros(slots, np.bool_)

    def _set_clock(self, frame: Frame, time_s: float) -> None:
        """Where media time 0 lies in UTC; cameras' clocks are followed from frame to frame."""
        if not self._declared and frame.captured_at is not None:
            self._utc_from_ms = frame.captured_at.timestamp() * 1000 - time_s * 1000

    def _utc_ms(self, time_s: float) -> int | None:
        return None if self._utc_from_ms is None else round(self._utc_from_ms + time_s * 1000)

    def _update(self, tracks: Tracks, points: Floats, states: Any, sizes: Floats, time_s: float) -> list[Event]:
        """One frame: contacts ``(N, 2)``, states, heights and middles ``(N, 2)`` (`_sizes`)."""
        room = len(self._paths)
        slots, new = self._paths.find(tracks.ids, time_s)
        if len(self._paths) > room:
            self._reserve()
        seen, detected = states == SEEN, states != PREDICTED
        self._sizes[slots] = sizes
        self._detected[:] = False
        self._detected[slots[detected]] = True
        found: list[Event] = []
        if new:
            self._paths.class_ids[slots[new]] = tracks.class_ids[new]
            self._paths.first_s[slots[new]] = time_s - tracks.ages_s[new].astype(np.float64).round(AGE_DIGITS)
            found += [self._bookings.start(slot) for slot in slots[new].tolist()]
            found += self._catch_up(tracks.earlier_rows)
        self._paths.note(slots, tracks.class_ids, seen=seen, detected=detected, time_s=time_s)
        (rows,) = seen.nonzero()
        if len(rows):
            found += self._step(slots[rows], points[rows], np.full(len(rows), time_s))
        if len(self._paths.slots) > len(rows):  # some are absent, hidden or presumed
            absent = (self._paths.ids > 0) & (self._paths.present_s < time_s)
            unseen = absent.copy()
            unseen[slots[~detected]] = True
            if np.count_nonzero(unseen):
                found += self._booked(self._lines.wait(unseen, time_s), self._zones.wait(unseen, absent, time_s))
        if self._zones.may_loiter(time_s):
            found += self._booked([], self._zones.loitering(slots[detected], time_s))
        return found

    def _catch_up(self, earlier: Rows) -> list[Event]:
        """What new identities did before they were confirmed."""
        found: list[Event] = []
        for ago in sorted(set(earlier[:, 1].tolist()), reverse=True):
            if not 1 <= ago <= len(self._earlier):
                continue
            time_s, points, seen = self._earlier[-ago]
            now = earlier[earlier[:, 1] == ago]
            now = now[seen[now[:, 2]]]
            if len(now):
                slots = np.array([self._paths.slots[identity] for identity in now[:, 0].tolist()], np.int64)
                found += self._step(slots, points[now[:, 2]], np.full(len(now), time_s))
        return found

    def _step(self, slots: Rows, points: Floats, times_s: Floats) -> list[Event]:
        """Sights of identities against all lines and zones at once."""
        steps = self._paths.step(slots, points, times_s)
        heights, middles = self._sizes[slots].T
        self._places.sights(self._paths.ids[slots], times_s, points, heights)
        if self.site.lines and np.count_nonzero(steps.first):
            steps = self._continued(steps, heights)
        sides = self._edges.sides(steps.after)
        before = self._sides[slots]
        if np.count_nonzero(steps.first):
            before[steps.first] = self._edges.sides(steps.before[steps.first])
        self._sides[slots] = sides
        hits, cut = self._edges.hits(steps.before, steps.after, before, sides), self._pieces
        crossings: Sequence[Crossing] = ()
        if self.site.lines:
            crossings = self._lines.step(steps, sides[:, :cut], hits.chosen(hits.edges < cut), heights, middles)
        changes: Sequence[Change] = ()
        if self.site.zones:
            # Stays are not continued over an identity switch: a first sight is where one begins.
            of_zones = (hits.edges >= cut) & ~steps.first[hits.rows]
            changes = self._zones.step(steps, sides[:, cut:], hits.chosen(of_zones, offset=cut))
        return self._booked(crossings, changes) if crossings or changes else []

    def _continued(self, steps: Steps, heights: Floats) -> Steps:
        """The steps; after an identity switch the first one starts at the old identity's last sight."""
        switches = find_switches(self._paths, steps, heights, self._detected)
        if not switches:
            return steps
        before, times_before_s, bridged = steps.before.copy(), steps.times_before_s.copy(), steps.bridged.copy()
        for row, slot in switches:
            self._lines.transfer(slot, int(steps.slots[row]))
            before[row], times_before_s[row] = self._paths.points[slot], self._paths.seen_s[slot]
            bridged[row] = True
        return replace(steps, before=before, times_before_s=times_before_s, bridged=bridged)

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


def _sizes(tracks: Tracks, size: tuple[int, int]) -> Floats:
    """``(N, 2)`` heights of objects, and twice the middles of their widths, NaN for those that a side cuts.

    In picture heights. Boxes are taken to the hundredth of a pixel as records have them, so that counting again finds
    the same.
    """
    boxes = tracks.boxes.astype(np.float64).round(BOX_DIGITS)
    sizes = np.empty((len(boxes), 2))
    np.subtract(boxes[:, 3], boxes[:, 1], out=sizes[:, 0])
    np.add(boxes[:, 0], boxes[:, 2], out=sizes[:, 1])
    reach = side_reach(size)
    sizes[(boxes[:, 0] <= reach) | (boxes[:, 2] >= size[0] - reach), 1] = np.nan
    sizes /= size[1]
    return sizes
