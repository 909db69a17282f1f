"""A path enters; the sink that its suffix asks for leaves, opened and checked before any frame is decoded."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from tracker.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tracker.render.annotate import Annotator
    from tracker.sinks.lines import CsvSink, JsonLinesSink
    from tracker.sinks.parquet import ParquetSink
    from tracker.sinks.rows import MaskFormat
    from tracker.sinks.text import TextSink
    from tracker.sinks.video import VideoSink
    from tracker.types import TrackedFrame

__all__ = ["KINDS", "is_video", "kind_of", "open_records", "open_sink", "open_video"]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".ts", ".webm", ".avi", ".gif")

KINDS = {
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
    "parquet": (".parquet",),
    "mots": (".mots.txt",),
    "mot": (".txt",),
    "coco": (".coco.json",),
    "video": VIDEO_SUFFIXES,
}
"""Kinds of output and their suffixes; longer suffixes come before the shorter ones that they end in."""


def kind_of(path: str | os.PathLike[str]) -> str:
    """The kind of output that a path's suffix asks for.

    Raises:
        ConfigError: The suffix is unknown.

    >>> kind_of("runs/street.mots.txt"), kind_of("street.MP4")
    ('mots', 'video')
    """
    name = PurePath(path).name.lower()
    for kind, suffixes in KINDS.items():
        if name.endswith(suffixes) and name not in suffixes:
            return kind
    known = " ".join(suffix for suffixes in KINDS.values() for suffix in suffixes)
    remedy = "name a COCO results file *.coco.json" if name.endswith(".json") else "change the file name"
    raise ConfigError(path, f"expected one of the suffixes {known}, found {PurePath(name).suffix or 'none'}", remedy)


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a path's suffix asks for an annotated video.

    Raises:
        ConfigError: The suffix is unknown.
    """
    return kind_of(path) == "video"


def open_sink(
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str],
    kind: str | None = None,
    frame_rate: float | None = None,
    annotator: Annotator | None = None,
    crf: int | None = None,
    on_drawn: Callable[[NDArray[np.uint8], TrackedFrame], None] | None = None,
    masks: MaskFormat | None = None,
    image_names: bool = False,
    coasting: bool | None = None,
    coco_annotations: str | os.PathLike[str] | None = None,
) -> VideoSink | TextSink | ParquetSink:
    """Open any output.

    Args:
        path: Where to write; see :data:`KINDS`.
        class_names: Names in ``class_ids`` order.
        kind: One of :data:`KINDS` to disregard the suffix, for devices and pipes.
        frame_rate: Video: nominal rate of the source.
        annotator: Video: how frames are drawn.
        crf: Video: constant rate factor.
        on_drawn: Video: called with every drawn picture and its frame, in the drawing thread.
        masks: JSONL, CSV, Parquet: ``"rle"``, ``"polygon"`` or ``"none"``; ``None`` for the format's default.
        image_names: JSONL, CSV, Parquet: rows name the image's file.
        coasting: Keep identities that are predicted but not seen; ``None`` for the format's default.
        coco_annotations: COCO results: a COCO file whose image and category numbers are followed.

    Raises:
        ConfigError: The suffix or kind is unknown, or an optional package is missing.
        SinkError: The folder is missing or not writable.
    """
    kind = kind or kind_of(path)
    if kind == "video":
        return open_video(path, frame_rate=frame_rate, annotator=annotator, crf=crf, on_drawn=on_drawn)
    return open_records(
        path,
        class_names=class_names,
        kind=kind,
        masks=masks,
        image_names=image_names,
        coasting=coasting,
        coco_annotations=coco_annotations,
    )


def open_video(
    path: str | os.PathLike[str],
    *,
    frame_rate: float | None = None,
    annotator: Annotator | None = None,
    crf: int | None = None,
    on_drawn: Callable[[NDArray[np.uint8], TrackedFrame], None] | None = None,
) -> VideoSink:
    """Open an annotated video; see :func:`open_sink`."""
    from tracker.sinks.video import VideoSink

    return VideoSink(path, frame_rate=frame_rate, annotator=annotator, crf=crf, on_drawn=on_drawn)


def open_records(
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str],
    kind: str | None = None,
    masks: MaskFormat | None = None,
    image_names: bool = False,
    coasting: bool | None = None,
    coco_annotations: str | os.PathLike[str] | None = None,
) -> TextSink | ParquetSink:
    """Open a records file; see :func:`open_sink`."""
    kind = kind or kind_of(path)
    if kind in {"jsonl", "csv", "parquet"}:
        chosen: MaskFormat = masks or ("none" if kind == "csv" else "rle")
        return _table(kind)(path, masks=chosen, image_names=image_names, coasting=coasting is not False)
    if kind in {"mot", "mots"}:
        from tracker.sinks.motchallenge import MotSink, MotsSink

        return MotSink(path, coasting=coasting is not False) if kind == "mot" else MotsSink(path)
    if kind == "coco":
        from tracker.formats.coco import CocoIds
        from tracker.sinks.coco import CocoSink

        return CocoSink(path, ids=CocoIds(class_names=class_names, annotations=coco_annotations))
    known = ", ".join(name for name in KINDS if name != "video")
    raise ConfigError(path, f"expected records of a kind among {known}, found {kind}", "change the file name")


def _table(kind: str) -> type[JsonLinesSink | CsvSink | ParquetSink]:
    if kind == "parquet":
        from tracker.sinks.parquet import ParquetSink

        return ParquetSink
    from tracker.sinks.lines import CsvSink, JsonLinesSink

    return JsonLinesSink if kind == "jsonl" else CsvSink
