"""Tracks of consecutive frames as columns: what counting looks at, without pictures and instances."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tracker.contacts import Contacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from tracker.events import Event
    from tracker.types import TrackedFrame, Tracks

__all__ = ["BLOCK_FRAMES", "NOTHING", "TrackBlock", "blocks_of"]

BLOCK_FRAMES = 256
"""Frames of a block that is read from a file: more make counting no faster, and take memory."""


NOTHING: Mapping[int, Any] = MappingProxyType({})
"""For blocks in whose frames something never happens."""


@dataclass(slots=True, kw_only=True)
class TrackBlock:
    """``F`` frames of one stream in order, whose pictures have one size; ``R`` rows of identities, ``N`` instances.

    Attributes:
        size: ``(width, height)`` of the pictures in pixels.
        class_names: Names in ``class_ids`` order; may grow.
        indices: ``F`` positions in the stream.
        times_s: ``F`` media times.
        captured_at: ``F`` wall clocks, ``None`` where unknown.
        cuts: ``F + 1``, where the rows of each frame begin.
        ids, class_ids, detection_rows, boxes, ages_s: ``(R, ...)`` as in :class:`tracker.types.Tracks`;
            ``detection_rows`` are rows of ``contacts``.
        contacts: Of the ``N`` instances of all frames.
        contact_cuts: ``F + 1``, where those of each frame begin.
        ended: Identities that ended, by frame; only frames in which one did.
        earlier: ``Tracks.earlier_rows`` by frame, likewise.
        events: Of the camera by frame, likewise.
    """

    size: tuple[int, int]
    class_names: Sequence[str]
    indices: Sequence[int]
    times_s: Sequence[float]
    captured_at: Sequence[datetime | None]
    cuts: Sequence[int]
    ids: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    detection_rows: NDArray[np.int64]
    boxes: NDArray[np.float32]
    ages_s: NDArray[np.float32]
    contacts: Contacts
    contact_cuts: Sequence[int]
    ended: Mapping[int, NDArray[np.int64]] = field(default_factory=lambda: NOTHING)
    earlier: Mapping[int, NDArray[np.int64]] = field(default_factory=lambda: NOTHING)
    events: Mapping[int, Sequence[Event]] = field(default_factory=lambda: NOTHING)

    def __len__(self) -> int:
        return len(self.times_s)

    @classmethod
    def of(cls, tracked: TrackedFrame, tracks: Tracks, contacts: Contacts) -> Self:
        """A block of one frame.

        Args:
            tracked: The frame.
            tracks: Its tracks.
            contacts: Of its instances.
        """
        frame = tracked.frame
        return cls(
            size=frame.size,
            class_names=tracked.class_names,
            indices=(frame.index,),
            times_s=(frame.time_s,),
            captured_at=(frame.captured_at,),
            cuts=(0, len(tracks.ids)),
            ids=tracks.ids,
            class_ids=tracks.class_ids,
            detection_rows=tracks.detection_rows,
            boxes=tracks.boxes,
            ages_s=tracks.ages_s,
            contacts=contacts,
            contact_cuts=(0, len(contacts.points)),
            ended={0: tracks.ended_ids} if len(tracks.ended_ids) else NOTHING,
            earlier={0: tracks.earlier_rows} if len(tracks.earlier_rows) else NOTHING,
            events={0: tracked.events} if tracked.events else NOTHING,
        )

    @classmethod
    def joined(cls, blocks: Sequence[Self]) -> Self:
        """The frames of several blocks that follow each other, of one size."""
        if len(blocks) == 1:
            return blocks[0]
        cuts = _summed(blocks, "cuts")
        contact_cuts = _summed(blocks, "contact_cuts")
        rows = np.concatenate([block.detection_rows for block in blocks])
        counts = [len(block.detection_rows) for block in blocks]
        offsets = itertools.accumulate([len(block.contacts.points) for block in blocks[:-1]], initial=0)
        rows = np.where(rows < 0, -1, rows + np.repeat(np.fromiter(offsets, np.int64, len(blocks)), counts))
        firsts = list(itertools.accumulate([len(block) for block in blocks[:-1]], initial=0))
        return cls(
            size=blocks[0].size,
            class_names=blocks[-1].class_names,
            indices=[one for block in blocks for one in block.indices],
            times_s=[one for block in blocks for one in block.times_s],
            captured_at=[one for block in blocks for one in block.captured_at],
            cuts=cuts,
            ids=np.concatenate([block.ids for block in blocks]),
            class_ids=np.concatenate([block.class_ids for block in blocks]),
            detection_rows=rows,
            boxes=np.concatenate([block.boxes for block in blocks]),
            ages_s=np.concatenate([block.ages_s for block in blocks]),
            contacts=Contacts(
                points=np.concatenate([block.contacts.points for block in blocks]),
                states=np.concatenate([block.contacts.states for block in blocks]),
            ),
            contact_cuts=contact_cuts,
            ended=_by_frame(blocks, firsts, "ended"),
            earlier=_by_frame(blocks, firsts, "earlier"),
            events=_by_frame(blocks, firsts, "events"),
        )


def blocks_of(blocks: Iterable[TrackBlock], most: int = BLOCK_FRAMES) -> Iterator[TrackBlock]:
    """Blocks of one frame joined into longer ones; a new one begins where the size of the pictures changes.

    Args:
        blocks: Of one frame each, in order.
        most: Frames in a block.
    """
    for _, alike in itertools.groupby(blocks, key=lambda block: block.size):
        while part := list(itertools.islice(alike, most)):
            yield TrackBlock.joined(part)


def _summed(blocks: Sequence[TrackBlock], name: str) -> list[int]:
    """Cuts of all blocks, one after another."""
    found = [0]
    for block in blocks:
        last = found[-1]
        found += [last + cut for cut in getattr(block, name)[1:]]
    return found


def _by_frame(blocks: Sequence[TrackBlock], firsts: Sequence[int], name: str) -> dict[int, Any]:
    """What some frames have, by their number among those of all blocks."""
    return {
        first + number: value
        for first, block in zip(firsts, blocks, strict=True)
        for number, value in getattr(block, name).items()
    }
