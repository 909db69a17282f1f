"""COCO results, ``[{image_id, category_id, bbox, segmentation, score}, ...]``."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tracker.formats.coco import CocoIds, result_entry
from tracker.sinks.part_file import PartFile
from tracker.sinks.silhouettes import code_of
from tracker.sinks.text import TextSink

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from tracker.sinks.base import SinkContext
    from tracker.types import TrackedFrame

__all__ = ["CocoSink"]

HEAD, TAIL = "[\n", "\n]\n"


class CocoSink(TextSink):
    """A COCO results file, one line per result; ``COCO.loadRes`` reads it.

    Boxes are ``[x, y, width, height]``, masks compressed run-length codes at image resolution. Results of a tracked
    stream carry ``track_id``; identities that are predicted but not seen are left out, as in MOTS text.

    Args:
        path: The final path.
        ids: Image and category numbers.
        final_classes: As for :class:`tracker.sinks.text.TextSink`.
    """

    shows_silhouettes: ClassVar[bool] = True
    row_pattern: ClassVar[re.Pattern[bytes]] = re.compile(
        rb'\{"image_id":\d+,"category_id":(?P<class>\d+),.*"track_id":(?P<id>\d+)\}'
    )

    def __init__(self, path: str | os.PathLike[str], *, ids: CocoIds, final_classes: bool = True) -> None:
        self._ids = ids
        self._first = True
        super().__init__(path, head=HEAD, final_classes=final_classes)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        ids = CocoIds(class_names=context.class_names, annotations=context.coco_annotations)
        return cls(address, ids=ids, final_classes=context.final_classes)

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:  # noqa: ARG003 - as written
        """Put the entries of all chunks, each a JSON list of its own, into one list."""
        head, tail = HEAD.encode(), TAIL.encode()
        with PartFile(path) as part, io.BufferedWriter(part.open()) as raw:
            raw.write(head)
            before = False
            for chunk in chunks:
                entries = chunk.read_bytes().removeprefix(head).removesuffix(tail)
                if entries:
                    raw.write(b",\n" * before + entries)
                    before = True
            raw.write(tail)
            raw.flush()
            cls._write_final_classes(part)

    def _lines(self, tracked_frame: TrackedFrame) -> str:
        entries = self._results(tracked_frame)
        lines = []
        for entry in entries:
            # The comma stands before the line break of the line above, so that a cut file is mended by removing one
            # character.
            lines.append(("" if self._first else ",\n") + json.dumps(entry, separators=(",", ":")))
            self._first = False
        return "".join(lines)

    def _tail(self) -> str:
        return TAIL

    def _mend(self, tail: bytes) -> bytes:
        return tail.rstrip(b"\n").removesuffix(b",")

    def _results(self, tracked_frame: TrackedFrame) -> list[dict[str, Any]]:
        tracks, instances = tracked_frame.tracks, tracked_frame.instances
        image_id = self._ids.image_id(tracked_frame.frame.source, tracked_frame.frame.index)
        owner = instances if tracks is None else tracks
        rows = list(range(len(instances))) if tracks is None else tracks.detection_rows.tolist()
        entries = []
        for n, row in enumerate(rows):
            category_id = self._ids.category_id(int(owner.class_ids[n]))
            if row < 0 or category_id is None:
                continue
            entries.append(
                result_entry(
                    image_id,
                    category_id,
                    owner.boxes[n].tolist(),
                    score=float(owner.scores[n]),
                    code=None if instances.masks is None else code_of(instances, row),
                    track_id=None if tracks is None else int(tracks.ids[n]),
                )
            )
        return entries
