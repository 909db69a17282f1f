"""Contract of an analytic: tracked frames of one stream in order, events out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracker.events import Event
    from tracker.site import Site
    from tracker.track_block import TrackBlock
    from tracker.types import TrackedFrame

__all__ = ["Analytic", "AnalyticContext"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticContext:
    """Facts about a stream for an analytic.

    Attributes:
        stream: Name of the camera or recording, for the events.
        class_names: Names in ``class_ids`` order.
        site: Of the stream, where it has one.
        start_utc_ms: UTC in milliseconds at media time 0 of a recording; ``None`` = a frame's ``captured_at`` counts.
        gap_s: Seconds without a frame from which the camera was out.
    """

    stream: str
    class_names: Sequence[str] = ()
    site: Site | None = None
    start_utc_ms: int | None = None
    gap_s: float = 2.0


class Analytic(ABC):
    """One measure over the frames of one stream; each stream has an instance of its own.

    Pure: no files, no network, no drawing. All rules are in seconds, and what is kept of an identity goes when it is in
    ``TrackedFrame.ended_ids``, so that memory follows what is in view. ``TrackedFrame.contacts`` are there.
    """

    @classmethod
    @abstractmethod
    def open(cls, context: AnalyticContext) -> Self:
        """Make it for a stream."""

    @abstractmethod
    def process(self, tracked: TrackedFrame) -> tuple[Event, ...]:
        """Take the next frame; the events that are certain now, with the time at which each happened."""

    @property
    def takes_blocks(self) -> bool:
        """Whether :meth:`take` can stand for :meth:`process`."""
        return False

    def take(self, block: TrackBlock) -> list[tuple[Event, ...]]:
        """What :meth:`process` finds with each of several frames, where columns are quicker; by default not asked."""
        message = f"{type(self).__name__} takes frames one by one, found a block of {len(block)}"
        raise NotImplementedError(message)

    def close(self) -> tuple[Event, ...]:
        """The stream is over: what was still open, as events; nothing here."""
        return ()

    def abandon(self, state: Mapping[str, Any], *, elapsed_s: float) -> None:  # noqa: B027 - optional
        """Nothing continues an earlier :meth:`state`: end what lasted in it with the next frame; nothing here.

        Args:
            state: What it returned.
            elapsed_s: Seconds since.
        """

    def notes(self) -> tuple[str, ...]:
        """What the user should know of the measure, in words, once the stream is over; nothing here."""
        return ()

    def present(self) -> dict[str, dict[str, int]]:
        """Identities in a site's zones as of the last frame, by zone and class; nothing here."""
        return {}

    def waiting(self) -> dict[str, int]:
        """Identities in each of a site's queues as of the last frame; nothing here."""
        return {}

    def state(self) -> dict[str, Any] | None:
        """What :meth:`restore` needs, of arrays, numbers, texts, lists and dictionaries; ``None`` keeps nothing."""
        return None

    def restore(self, state: Mapping[str, Any], *, elapsed_s: float | None = None) -> None:  # noqa: B027 - optional
        """Continue from an earlier :meth:`state`.

        Args:
            state: What it returned.
            elapsed_s: Seconds that a camera was away; ``None`` = a recording goes on with its next frame.
        """
