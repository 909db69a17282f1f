"""COCO results, ``[{image_id, category_id, bbox, segmentation, score}, ...]``."""

from __future__ import annotations

import io
import json
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self

from tracker.errors import ConfigError, SinkError
from tracker.sinks.part_file import PartFile
from tracker.sinks.silhouettes import code_of
from tracker.sinks.text import TextSink

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from tracker.sinks.base import SinkContext
    from tracker.types import TrackedFrame

__all__ = ["CocoIds", "CocoSink"]

HEAD, TAIL = "[\n", "\n]\n"


class CocoIds:
    """Which ``image_id`` and ``category_id`` a result carries.

    Without an annotations file images count from 1 in the order of the stream and categories are ``class_id + 1``.

    Args:
        class_names: Names in ``class_ids`` order.
        annotations: COCO file whose ``images`` (``id``, ``file_name``) and, if it has them, ``categories`` (``id``,
            ``name``) are followed. Classes that it does not know are left out of the results.

    Raises:
        ConfigError: The file is missing or is not COCO, or none of its categories is one of ours.
    """

    def __init__(self, *, class_names: Sequence[str], annotations: str | os.PathLike[str] | None = None) -> None:
        self._annotations = annotations
        self._images: dict[str, int] | None = None
        self._categories: list[int | None] = [class_id + 1 for class_id in range(len(class_names))]
        if annotations is None:
            return
        document = _document(annotations)
        self._images = _names(annotations, document["images"])
        categories = {str(entry["name"]): int(entry["id"]) for entry in document.get("categories", [])}
        if categories:
            self._categories = [categories.get(name) for name in class_names]
            if all(category is None for category in self._categories):
                raise ConfigError(
                    annotations,
                    f"expected categories among {', '.join(class_names)}, found {', '.join(categories)}",
                    "rename the categories or leave them out of the file",
                )

    def image_id(self, source: str, index: int) -> int:
        """The id of the image that ``source`` names; without an annotations file of the ``index``-th image.

        Raises:
            SinkError: The annotations file does not list the image.
        """
        if self._images is None:
            return index + 1
        # The longest tail of the path that the file knows: "a/1.jpg" and "b/1.jpg" may both be listed.
        parts = PurePath(source).parts
        for start in range(len(parts)):
            found = self._images.get("/".join(parts[start:]))
            if found is not None:
                return found
        raise SinkError(
            source,
            f"expected an image that {self._annotations} lists, found no entry with this file_name",
            "add it there, or take only the listed images",
        )

    def category_id(self, class_id: int) -> int | None:
        """The category of a class, ``None`` where the annotations file does not know it."""
        return self._categories[class_id]


class CocoSink(TextSink):
    """A COCO results file, one line per result; ``COCO.loadRes`` reads it.

    Boxes are ``[x, y, width, height]``, masks compressed run-length codes at image resolution. Results of a tracked
    stream carry ``track_id``; identities that are predicted but not seen are left out.

    Args:
        path: The final path.
        ids: Image and category numbers.
    """

    def __init__(self, path: str | os.PathLike[str], *, ids: CocoIds) -> None:
        self._ids = ids
        self._first = True
        super().__init__(path, head=HEAD)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(address, ids=CocoIds(class_names=context.class_names, annotations=context.coco_annotations))

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
            x1, y1, x2, y2 = (round(float(value), 2) for value in owner.boxes[n])
            entry: dict[str, Any] = {
                "image_id": image_id,
                "category_id": category_id,
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                "score": round(float(owner.scores[n]), 5),
            }
            if instances.masks is not None:
                entry["segmentation"] = code_of(instances, row)
            if tracks is not None:
                entry["track_id"] = int(tracks.ids[n])
            entries.append(entry)
        return entries


def _document(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as failure:
        raise ConfigError(path, f"expected a COCO file, found: {failure.strerror}", "check the path") from failure
    except ValueError as failure:
        raise ConfigError(path, f"expected a COCO file, found no JSON: {failure}", "check the file") from failure
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise ConfigError(path, 'expected a COCO file with a list of "images", found none', "give an annotations file")
    return document


def _names(path: str | os.PathLike[str], images: list[Any]) -> dict[str, int]:
    try:
        return {str(PurePath(entry["file_name"]).as_posix()): int(entry["id"]) for entry in images}
    except (KeyError, TypeError, ValueError) as failure:
        problem = f"expected images with file_name and a whole-number id, found one without: {failure}"
        raise ConfigError(path, problem, "give every image both") from failure
