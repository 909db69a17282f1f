"""Dry runs: what other lines and zones would have counted, from tracks kept in memory."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from tracker.analytics.measures import SiteMeasures
from tracker.errors import ConfigError
from tracker.events import OUTAGE_KINDS
from tracker.track_block import TrackBlock, blocks_of
from tracker.types import Instances

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracker.events import Event
    from tracker.site import Site
    from tracker.types import TrackedFrame

__all__ = ["Recent", "slim", "what_if", "what_if_of_blocks"]


def slim(tracked: TrackedFrame) -> TrackedFrame:
    """The frame with its tracks and contacts, and without picture, masks and embeddings: some kilobytes.

    Args:
        tracked: With tracks and contacts.
    """
    frame, instances = tracked.frame, tracked.instances
    bare = Instances(boxes=instances.boxes, scores=instances.scores, class_ids=instances.class_ids)
    light = replace(frame, image=None, small_image=None, network_image=None, letterbox=None)
    camera = tuple(event for event in tracked.events if event.kind in OUTAGE_KINDS and event.kind != "gap")
    return replace(tracked, frame=light, instances=bare, stage_times_s={}, warp=None, events=camera, notes=None)


class Recent:
    """The last minutes of a stream, slim.

    Args:
        seconds: How long they are kept.
    """

    def __init__(self, seconds: float = 600.0) -> None:
        self._seconds = seconds
        self._frames: deque[TrackedFrame] = deque()

    def add(self, tracked: TrackedFrame) -> None:
        """Take the next frame; what is too old goes."""
        self._frames.append(slim(tracked))
        oldest_s = tracked.frame.time_s - self._seconds
        while self._frames[0].frame.time_s < oldest_s:
            self._frames.popleft()

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[TrackedFrame]:
        return iter(self._frames)


def what_if(
    frames: Iterable[TrackedFrame],
    site: Site,
    *,
    stream: str = "",
    start_utc_ms: int | None = None,
    gap_s: float = 2.0,
) -> list[Event]:
    """Events that a site would have had.

    Args:
        frames: With tracks and contacts, in order of time.
        site: What is counted.
        stream: Name of the stream, for the events.
        start_utc_ms: As for :class:`tracker.analytics.measures.SiteMeasures`.
        gap_s: The same.
    """
    measures = SiteMeasures(site, stream=stream, start_utc_ms=start_utc_ms, gap_s=gap_s)
    if measures.takes_blocks:
        return list(_events(measures, blocks_of(_blocks(frames))))
    return [*(event for tracked in frames for event in measures.process(tracked)), *measures.close()]


def what_if_of_blocks(
    blocks: Iterable[TrackBlock], site: Site, *, stream: str = "", start_utc_ms: int | None = None, gap_s: float = 2.0
) -> Iterator[Event]:
    """The same of tracks as columns, without queues, footfall and bays, which are asked frame by frame.

    Args:
        blocks: In order of time.
        site: What is counted.
        stream: As for :func:`what_if`, like the others.
        start_utc_ms: The same.
        gap_s: The same.
    """
    asked = replace(site, queues=(), footfall=(), bays=())
    return _events(SiteMeasures(asked, stream=stream, start_utc_ms=start_utc_ms, gap_s=gap_s), blocks)


def _events(measures: SiteMeasures, blocks: Iterable[TrackBlock]) -> Iterator[Event]:
    for block in blocks:
        for found in measures.take(block):
            yield from found
    yield from measures.close()


def _blocks(frames: Iterable[TrackedFrame]) -> Iterator[TrackBlock]:
    """A block of each frame.

    Raises:
        ConfigError: A frame has no tracks or no contacts.
    """
    for tracked in frames:
        if tracked.tracks is None or tracked.contacts is None:
            problem = "expected tracked frames with contacts, found others"
            raise ConfigError("dry run", problem, "track, and find the contacts")
        yield TrackBlock.of(tracked, tracked.tracks, tracked.contacts)
