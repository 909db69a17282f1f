"""Annotations of a video: what annotation tools are given of records, and what comes back from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from tracker.errors import DetectionsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Annotations", "Box", "Expected", "Recording", "Shape", "ShownRow", "Tool", "between", "reject"]

Tool = Literal["cvat", "label-studio"]
"""Annotation tools that tracks are written for."""
Box = tuple[float, float, float, float]
"""xyxy in image pixels."""


class ShownRow(NamedTuple):
    """A row of records as a tool shows it.

    Attributes:
        frame: From 0.
        time_s: Media time.
        box: Within the picture.
        hidden: Predicted, or its ground contact is hidden.
        mask: Compressed COCO run-length code; empty = none.
    """

    frame: int
    time_s: float
    box: Box
    hidden: bool
    mask: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a tool is told of a recording.

    Attributes:
        name: Of the video file.
        size: Width and height of the picture.
        last_frame: The last one with rows, from 0.
        last_s: Its media time.
        step: Frames from one with rows to the next, at least.
        labels: Classes that may be chosen.
    """

    name: str
    size: tuple[int, int]
    last_frame: int
    last_s: float
    step: int
    labels: tuple[str, ...]


class Shape(NamedTuple):
    """A box or a silhouette in one frame of an annotated track.

    Attributes:
        track: Number of the track in its file.
        frame: From 0.
        box: ``None`` for a silhouette.
        keyframe: A person or a model put it there, the tool did not interpolate it.
        hint: Identity that it had when it went out; 0 = not known.
        mask: Compressed COCO run-length code; empty for a box.
    """

    track: int
    frame: int
    box: Box | None
    keyframe: bool
    hint: int
    mask: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a file of corrections must fit.

    Attributes:
        size: Width and height of the picture.
        last_frame: Shapes behind it are of no interest.
        labels: Classes that may come back.
    """

    size: tuple[int, int]
    last_frame: int
    labels: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Annotations:
    """Annotated tracks of a file, in its order.

    Attributes:
        shapes: Of all tracks; to be taken once. What stands below is complete then.
        labels: Class of each track of boxes.
        joined: Pairs of tracks that a person said are one object.
        left_out: How many of what records cannot hold.
        source: Name of the video in the tool, where the file has it.
    """

    shapes: Iterator[Shape]
    labels: dict[int, str] = field(default_factory=dict)
    joined: list[tuple[int, int]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    source: str = ""


def between(first: Shape, second: Shape, last_frame: int) -> Iterator[Shape]:
    """Boxes on the frames between two keyframes, on the straight line from one to the other.

    >>> first, second = (Shape(1, frame, (x, 0, x + 2, 2), True, 0, "") for frame, x in ((0, 0), (2, 4)))
    >>> [shape.box for shape in between(first, second, 9)]
    [(2.0, 0.0, 4.0, 2.0)]
    """
    if first.box is None or second.box is None:
        return
    for frame in range(first.frame + 1, min(second.frame, last_frame + 1)):
        share = (frame - first.frame) / (second.frame - first.frame)
        x1, y1, x2, y2 = (one + share * (other - one) for one, other in zip(first.box, second.box, strict=True))
        yield first._replace(frame=frame, box=(x1, y1, x2, y2), keyframe=False)


def reject(path: Path, line: int | str, expected: str, found: str, remedy: str = "export it again") -> NoReturn:
    """Refuse a file of annotations.

    Raises:
        DetectionsError: Always.
    """
    place = f"{path}:{line}" if line else str(path)
    raise DetectionsError(place, f"expected {expected}, found {found}", remedy)
