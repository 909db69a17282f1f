"""What the measures of premises see of a frame, and what they find: values between them and the ledger's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tracker.analytics.geometry import Floats, Rows
    from tracker.events import Event, EventKind, Sighting, Stay

__all__ = ["Finding", "Moment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The identities of one frame.

    Attributes:
        time_s: Media time.
        blind: The camera is moved, frozen, covered or dark: nothing is seen.
        ids: ``(N,)``.
        classes: Name of the class of each, by vote so far.
        points: ``(N, 2)`` contacts, in shares of the picture.
        states: ``(N,)`` int8, :class:`tracker.contacts.ContactState`.
        boxes: ``(N, 4)`` xyxy, in shares of the picture.
        events: What lines and zones found.
    """

    time_s: float
    blind: bool
    ids: Rows
    classes: Sequence[str]
    points: Floats
    states: NDArray[np.int8]
    boxes: Floats
    events: Sequence[Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An event without the facts of its stream; attributes as those of :class:`tracker.events.Event`."""

    kind: EventKind
    time_s: float
    place: str
    identity: int
    class_name: str
    direction: str = ""
    since_s: float | None = None
    value: float | None = None
    other_identity: int = 0
    before: Sighting | None = None
    after: Sighting | None = None
    stay: Stay | None = None
