"""Life of each identity as messages ``{type: new|update|end, before, after}``, in the shape that Frigate's users have.

``new`` is sent when it is known in which zones the identity is, ``update`` when its class, its zones or whether it
stands still change, ``end`` once for every ``new``. Between two processes what is open is remembered: an identity that
is still there goes on in the messages too, any other one gets its ``end``.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tracker.formats.event_rows import plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracker.events import Event
    from tracker.types import TrackedFrame

__all__ = ["ObjectEvent", "ObjectEvents"]

STATIONARY_S = 10.0
"""An identity whose box has not moved for so long stands still."""
MOVED_SHARE = 0.1
"""The centre has moved when it is further from where it stood than this share of the box's diagonal."""
AGE_SLACK_S = 2.0
"""An identity that goes on is as old as it was when it was last told of, give or take this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvent:
    """One message.

    Attributes:
        kind: Its ``type``.
        before: What was told last; for ``new`` the same as ``after`` but without zones.
        after: What holds now.
        remembered: What a later process must know, as plain values; ``None`` = nothing more.
    """

    kind: Literal["new", "update", "end"]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    remembered: dict[str, Any] | None

    @property
    def key(self) -> str:
        """The same for the same message however often it is given."""
        return f"{self.after['id']}|{self.kind}|{self.after['frame_time']:.3f}"

    @property
    def body(self) -> dict[str, Any]:
        """The message as plain values."""
        return {"type": self.kind, "before": dict(self.before), "after": dict(self.after), "key": self.key}


@dataclass(slots=True, kw_only=True)
class _Object:
    """One identity that is open."""

    id: str
    identity: int
    label: str
    start_time: float
    first_s: float
    score: float = 0.0
    top_score: float = 0.0
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    velocity: tuple[float, float] = (0.0, 0.0)
    current_zones: list[str] = field(default_factory=list)
    entered_zones: list[str] = field(default_factory=list)
    anchor: tuple[float, float] | None = None
    still_since_s: float = 0.0
    motionless: int = 0
    changes: int = 0
    speeds: list[float] = field(default_factory=list)
    told: dict[str, Any] | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Object:
        """That of :func:`dataclasses.asdict`'s values, lists for tuples."""
        tuples = {name: tuple(values[name]) for name in ("box", "velocity", "anchor") if values[name] is not None}
        return cls(**{**values, **tuples})

    def see(self, box: Sequence[float], score: float, velocity: Sequence[float], time_s: float) -> None:
        """Take its box of a frame in which it was seen."""
        x1, y1, x2, y2 = (float(value) for value in box)
        self.box, self.velocity = (x1, y1, x2, y2), (float(velocity[0]), float(velocity[1]))
        self.score, self.top_score = score, max(self.top_score, score)
        centre = (x1 + x2) / 2, (y1 + y2) / 2
        if self.anchor is None or math.dist(centre, self.anchor) > MOVED_SHARE * math.hypot(x2 - x1, y2 - y1):
            self.changes += self.anchor is not None
            self.anchor, self.still_since_s, self.motionless = centre, time_s, 0
        else:
            self.motionless += 1

    def stands(self, time_s: float) -> bool:
        """Whether it stands still."""
        return time_s - self.still_since_s >= STATIONARY_S

    def values(self, camera: str, time_s: float, wall_s: float) -> dict[str, Any]:
        """As the messages have it."""
        x1, y1, x2, y2 = self.box
        width, height = max(x2 - x1, 0.0), max(y2 - y1, 0.0)
        stationary = self.stands(time_s)
        return {
            "id": self.id,
            "camera": camera,
            "identity": self.identity,
            "frame_time": round(wall_s, 3),
            "label": self.label,
            "sub_label": None,
            "score": round(self.score, 4),
            "top_score": round(self.top_score, 4),
            "false_positive": False,
            "start_time": round(self.start_time, 3),
            "end_time": None,
            "box": [round(value) for value in self.box],
            "area": round(width * height),
            "ratio": round(width / height, 2) if height else 0.0,
            "current_zones": list(self.current_zones),
            "entered_zones": list(self.entered_zones),
            "active": not stationary,
            "stationary": stationary,
            "motionless_count": self.motionless,
            "position_changes": self.changes,
            "has_clip": False,
            "has_snapshot": False,
            "current_estimated_speed": round(self.speeds[-1], 2) if self.speeds else None,
            "average_estimated_speed": round(sum(self.speeds) / len(self.speeds), 2) if self.speeds else None,
            "velocity_angle": round(math.degrees(math.atan2(self.velocity[1], self.velocity[0])) % 360) % 360,
            "ended_by": None,
        }


WATCHED = ("label", "identity", "current_zones", "entered_zones")
"""A change of these, or of whether it stands, is an ``update``."""


class ObjectEvents:
    """Turns tracked frames of one stream into messages.

    Args:
        camera: Name of the stream.
        settle_s: Seconds after which the zones of a new identity are known.
        earlier: What was open in the process before, as :attr:`ObjectEvent.remembered`.
    """

    def __init__(self, camera: str, *, settle_s: float = 0.0, earlier: Sequence[Mapping[str, Any]] = ()) -> None:
        self._camera, self._settle_s = camera, settle_s
        self._earlier = list(earlier)
        self._open: dict[int, _Object] = {}

    def process(self, tracked: TrackedFrame) -> list[ObjectEvent]:
        """The messages of one frame."""
        tracks, frame = tracked.tracks, tracked.frame
        if tracks is None:
            return []
        wall_s = frame.time_s if frame.captured_at is None else frame.captured_at.timestamp()
        found = self._resume(tracked)
        self._see(tracked, wall_s)
        for event in tracked.events:
            self._note(event)
        for one in self._open.values():
            if message := self._changed(one, frame.time_s, wall_s):
                found.append(message)
        for identity in tracks.ended_ids.tolist():
            if (over := self._open.pop(identity, None)) is not None:
                found += self._ended(over, frame.time_s, wall_s)
        self._last_s = frame.time_s, wall_s
        return found

    def close(self) -> list[ObjectEvent]:
        """The stream is over: everything that is open ends."""
        found: list[ObjectEvent] = []
        for one in self._open.values():
            found += self._ended(one, *self._last_s)
        self._open = {}
        return found

    def state(self) -> dict[str, Any]:
        """Plain values from which a recording is continued exactly."""
        return {"open": [asdict(one) for one in self._open.values()], "last_s": list(self._last_s)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`; what was open in the process before is among it."""
        self._earlier = []
        self._open = {values["identity"]: _Object.of(values) for values in state["open"]}
        time_s, wall_s = state["last_s"]
        self._last_s = time_s, wall_s

    _last_s: tuple[float, float] = (0.0, 0.0)

    def _see(self, tracked: TrackedFrame, wall_s: float) -> None:
        tracks, time_s = tracked.tracks, tracked.frame.time_s
        assert tracks is not None  # noqa: S101 - its caller has looked
        for row in range(len(tracks)):
            identity = int(tracks.ids[row])
            label = tracked.class_names[int(tracks.class_ids[row])]
            one = self._open.get(identity)
            if one is None:
                start = wall_s - float(tracks.ages_s[row])
                name = f"{start:.3f}-{self._camera}-{identity}"
                one = _Object(id=name, identity=identity, label=label, start_time=start, first_s=time_s)
                self._open[identity] = one
            one.label = label
            if tracks.detection_rows[row] >= 0 or one.anchor is None:
                one.see(tracks.boxes[row].tolist(), float(tracks.scores[row]), tracks.velocities[row].tolist(), time_s)

    def _note(self, event: Event) -> None:
        """What an event says of an identity that is open."""
        if event.kind == "rekeyed" and event.was_identity in self._open:
            rekeyed = self._open.pop(event.was_identity)
            rekeyed.identity = event.identity
            self._open[event.identity] = rekeyed
            return
        one, place = self._open.get(event.identity), plain_text(event.place)
        if one is None:
            return
        if event.kind == "enter" and place not in one.current_zones:
            one.current_zones.append(place)
            if place not in one.entered_zones:
                one.entered_zones.append(place)
        elif event.kind == "leave" and place in one.current_zones:
            one.current_zones.remove(place)
        elif event.kind == "speed" and event.value is not None:
            one.speeds.append(event.value)

    def _changed(self, one: _Object, time_s: float, wall_s: float) -> ObjectEvent | None:
        if one.told is None:
            if time_s - one.first_s < self._settle_s and not one.entered_zones:
                return None
            now = one.values(self._camera, time_s, wall_s)
            return self._tell("new", one, now | {"current_zones": [], "entered_zones": []}, now)
        if one.told["stationary"] == one.stands(time_s) and all(
            one.told[name] == getattr(one, name) for name in WATCHED
        ):
            return None
        return self._tell("update", one, one.told, one.values(self._camera, time_s, wall_s))

    def _tell(
        self, kind: Literal["new", "update"], one: _Object, before: Mapping[str, Any], now: dict[str, Any]
    ) -> ObjectEvent:
        one.told = now
        remembered = {"told": now, "top_score": one.top_score}
        return ObjectEvent(kind=kind, before=before, after=now, remembered=remembered)

    def _ended(self, one: _Object, time_s: float, wall_s: float) -> list[ObjectEvent]:
        now = one.values(self._camera, time_s, wall_s)
        found = []
        if one.told is None:
            found.append(self._tell("new", one, now | {"current_zones": [], "entered_zones": []}, now))
        before = one.told or now
        after = now | {"current_zones": [], "end_time": round(wall_s, 3), "ended_by": "end"}
        return [*found, ObjectEvent(kind="end", before=before, after=after, remembered=None)]

    def _resume(self, tracked: TrackedFrame) -> list[ObjectEvent]:
        """At the first frame: what was open and is still there goes on, the rest ended with the process before."""
        tracks, found = tracked.tracks, []
        assert tracks is not None  # noqa: S101 - its caller has looked
        for remembered in self._earlier:
            told = remembered["told"]
            rows = np.flatnonzero(tracks.ids == told["identity"])
            age_s = told["frame_time"] - told["start_time"]
            if len(rows) and float(tracks.ages_s[rows[0]]) >= age_s - AGE_SLACK_S:
                self._open[told["identity"]] = _Object(
                    id=told["id"],
                    identity=told["identity"],
                    label=told["label"],
                    start_time=told["start_time"],
                    first_s=tracked.frame.time_s,
                    top_score=remembered["top_score"],
                    current_zones=list(told["current_zones"]),
                    entered_zones=list(told["entered_zones"]),
                    still_since_s=tracked.frame.time_s - (STATIONARY_S if told["stationary"] else 0.0),
                    changes=told["position_changes"],
                    told=told,
                )
            else:
                after = told | {"current_zones": [], "end_time": told["frame_time"], "ended_by": "restart"}
                found.append(ObjectEvent(kind="end", before=told, after=after, remembered=None))
        self._earlier = []
        return found
