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
    "speed",
    "headway",
    "time_gap",
    "time_to_collision",
    "post_encroachment",
    "stopped",
    "wrong_way",
    "size",
    "queue_join",
    "queue_leave",
    "bay_taken",
    "bay_free",
    "group",
    "group_member",
    "staff",
    "re_entry",
    "passing",
    "alert",
    "gap",
    "camera_moved",
    "frozen",
    "covered",
    "dark",
]
"""What an :class:`Event` reports. The last five are about the camera, ``alert`` is about a rule, the others about an
identity. Kinds with a number have it as ``value``, and its standard error as ``error`` where that is known:

- ``speed``: m/s over the line ``place`` in ``direction``. ``size``: of the identity, ``direction`` is ``width`` or
  ``height`` (m) or ``ground_area`` (m²).
- ``headway``: s from front to front over the line ``place``, ``other_identity`` is the one ahead; ``time_gap``: s from
  its rear to the front of ``identity``.
- ``time_to_collision``: s, the least of the pair; ``post_encroachment``: s from the one that left the area to
  ``identity``, the second to arrive. Both name the other road user as ``other_identity``.
- ``stopped``, ``wrong_way``: no number; they last.
- ``queue_join``: m from the place of service to where it joined, on a site with ground; ``queue_leave``: s waited
  since ``since_s``, ``direction`` is ``served``, ``abandoned``, ``lost`` or ``open``, ``other_identity`` is the number
  under which it joined where that was another one.
- ``bay_taken``; ``bay_free``: s taken since ``since_s``. ``identity`` is 0 where it is not known.
- ``group``: number of persons that cross the line ``place`` together, ``identity`` is the first; ``group_member``:
  ``other_identity`` is that first one. ``staff``: ``identity`` belongs to the staff, by the zone or rule ``place``.
- ``re_entry``: s since ``identity`` left through the doors ``place``. ``passing``: ``identity`` went by on the line
  ``place`` without coming in.
- ``alert``: the number that the rule ``place`` watches, in its own unit; it lasts.
"""

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

    Kinds that last (``loitering``, ``stopped``, ``wrong_way``, ``alert`` and those of the camera) have a row when they
    begin and another one, with ``since_s``, when they are over.

    Attributes:
        kind: What happened.
        stream: The camera or recording.
        time_s: When, in media seconds; back-dated to the instant itself, so earlier than the frame that brought proof.
        utc_ms: The same as UTC in milliseconds since 1970, where the stream's wall clock is known.
        place: Name of the line, zone, flow, queue, bay or rule; empty where there is none.
        direction: Name of the direction over a line, or what :data:`EventKind` says of the kind.
        identity: Number of the identity; 0 = it is about the camera or a rule, or not known.
        class_name: Class of the identity, by vote so far.
        before, after: The identity's ground contact on either side of the event.
        since_s: Media time at which that began which ends here: a flow, an identity, a gap, a state of the camera.
        value: The number that the event is about, a finite one; its unit is that of the kind, see :data:`EventKind`.
        error: Standard error of ``value``, in the same unit.
        other_identity: The second one of a pair; 0 = there is none.
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
    value: float | None = None
    error: float | None = None
    other_identity: int = 0
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
        if self.other_identity:
            parts.append(f"with{self.other_identity}")
        return "|".join(parts)
