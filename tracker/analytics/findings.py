"""What the measures of premises see of a frame, and what they find: values between them and the ledger's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tracker.analytics.geometry import Floats, Rows
    from tracker.contacts import Contacts
    from tracker.events import Event, EventKind, Sighting, Stay
    from tracker.types import Tracks

__all__ = ["Finding", "Moment"]

BOX_DIGITS = 2


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

    @classmethod
    def of(
        cls,
        tracks: Tracks,
        contacts: Contacts,
        size: tuple[int, int],
        *,
        class_of: Callable[[int], str],
        **facts: Any,
    ) -> Self:
        """Of tracks.

        Args:
            tracks: Of the frame.
            contacts: Of the tracks, in pixels.
            size: ``(width, height)`` of the picture in pixels.
            class_of: Name of a class.
            facts: The other attributes.
        """
        # Edges to the hundredth of a pixel, as records have them.
        boxes = tracks.boxes.astype(np.float64).round(BOX_DIGITS) / np.tile(size, 2)
        return cls(
            ids=tracks.ids,
            classes=[class_of(class_id) for class_id in tracks.class_ids.tolist()],
            points=contacts.points / size,
            states=contacts.states,
            boxes=boxes,
            **facts,
        )


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
