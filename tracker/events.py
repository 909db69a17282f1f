"""Events: rows of the ledger that every count is a query of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["OUTAGE_KINDS", "SEMANTICS_VERSION", "Event", "EventKind", "Sighting", "Stay"]

EventKind = Literal[
    "crossing",
    "enter",
    "leave",
    "loitering",
    "flow",
    "identity_start",
    "identity_end",
    "reclassified",
    "rekeyed",
    "gap",
    "camera_moved",
    "frozen",
    "covered",
    "dark",
]
"""What an :class:`Event` reports; the last five are about the camera, the others about an identity."""

OUTAGE_KINDS: tuple[EventKind, ...] = ("gap", "camera_moved", "frozen", "covered", "dark")
"""Those that say that the camera did not see what lines and zones are about."""

SEMANTICS_VERSION = 1
"""Rises whenever the same tracks and the same site would give other events than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Where an identity stood at one time: evidence for an event.

    Attributes:
        time_s: Media time.
        x, y: Ground contact as shares of the picture's width and height.
    """

    time_s: float
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One identity's time in one zone. Stays that did not both begin and end in view are censored: keep them apart.

    Attributes:
        entered_s: Media time of the entry, or of the first sight inside.
        left_s: Media time of the exit, or of the last sight inside; ``None`` while it lasts.
        hidden_s: Seconds of it in which the ground contact was not seen.
        began: ``already_inside`` where the entry was not seen.
        end: ``left`` in view, ``lost`` inside, still ``open``, or ``restart``: the process ended before the stay did,
            and ``left_s`` is the last time that is known.
    """

    entered_s: float
    left_s: float | None = None
    hidden_s: float = 0.0
    began: Literal["entered", "already_inside"] = "entered"
    end: Literal["left", "lost", "open", "restart"] = "open"

    @property
    def dwell_s(self) -> float | None:
        """Seconds from the entry to the exit; ``None`` while the stay lasts."""
        return None if self.left_s is None else self.left_s - self.entered_s

    @property
    def seen_s(self) -> float | None:
        """Seconds of the stay in which the ground contact was seen; ``None`` while the stay lasts."""
        return None if self.left_s is None else max(self.left_s - self.entered_s - self.hidden_s, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the ledger that every count is a query of.

    Kinds that last (``loitering`` and those of the camera) have a row when they begin and another one, with
    ``since_s``, when they are over.

    Attributes:
        kind: What happened.
        stream: The camera or recording.
        time_s: When, in media seconds; back-dated to the instant itself, so earlier than the frame that brought proof.
        utc_ms: The same as UTC in milliseconds since 1970, where the stream's wall clock is known.
        place: Name of the line, zone or flow; empty where there is none.
        direction: Name of the direction over a line.
        identity: Number of the identity; 0 = it is about the camera.
        class_name: Class of the identity, by vote so far.
        before, after: The identity's ground contact on either side of the event.
        since_s: Media time at which that began which ends here: a flow, an identity, a gap, a state of the camera.
        stay: The time in the zone, for ``enter``, ``leave`` and ``loitering``.
        bridged: The identity was not seen right at the event, which lies between two sightings further apart.
        was_class: The class under which earlier events of this identity were booked, for ``reclassified``.
        was_identity: The number under which they were booked, for ``rekeyed``.
        revision: Of the site.
        semantics: :data:`SEMANTICS_VERSION` of the code that made it.
    """

    kind: EventKind
    stream: str
    time_s: float
    utc_ms: int | None = None
    place: str = ""
    direction: str = ""
    identity: int = 0
    class_name: str = ""
    before: Sighting | None = None
    after: Sighting | None = None
    since_s: float | None = None
    stay: Stay | None = None
    bridged: bool = False
    was_class: str = ""
    was_identity: int = 0
    revision: int = 0
    semantics: int = SEMANTICS_VERSION

    @property
    def key(self) -> str:
        """The same for the same event however often it is found: writing it twice must leave one row.

        >>> Event(kind="crossing", stream="gate", time_s=2.5, place="door", direction="in", identity=7).key
        'gate|crossing|door|in|7|t2500'
        """
        when = f"t{round(self.time_s * 1000)}" if self.utc_ms is None else f"u{self.utc_ms}"
        parts = [self.stream, self.kind, self.place, self.direction, str(self.identity), when]
        if self.since_s is not None:
            parts.append(f"since{round((self.time_s - self.since_s) * 1000)}")
        return "|".join(parts)
