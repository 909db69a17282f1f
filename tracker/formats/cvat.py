"""CVAT for video 1.1: tracks of boxes, and silhouettes as masks of single frames, written and read as a stream.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/. CVAT keeps of a track of masks its first one only, so a
silhouette is a track of one frame, as CVAT exports single shapes itself. CVAT gives tracks new numbers; the identity
goes along as an attribute of each shape.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from typing import TYPE_CHECKING, Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from tracker.formats.annotation import Annotations, Shape, between, reject
from tracker.formats.columns import number_in, whole_in
from tracker.formats.run_length import decode_crop, encode_crop, encode_polygons, row_runs, silhouette_of_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from tracker.formats.annotation import Box, Expected, Recording, ShownRow

__all__ = ["cvat_labels", "read_cvat", "write_cvat"]

IDENTITY = "identity"
"""Attribute of a shape: the number that it went out with."""
GREATEST_IDENTITY = 2**31 - 1
CHUNK_BYTES = 1 << 18
SILHOUETTES = ("mask", "polygon")
OTHERS = ("polyline", "points", "ellipse", "cuboid", "skeleton", "tag")
CORNERS = ("xtl", "ytl", "xbr", "ybr")


def cvat_labels(labels: Iterable[str]) -> str:
    """Labels of a CVAT task as its raw constructor takes them."""
    attribute = {
        "name": IDENTITY,
        "mutable": True,
        "input_type": "number",
        "default_value": "0",
        "values": ["0", str(GREATEST_IDENTITY), "1"],
    }
    return json.dumps([{"name": label, "attributes": [attribute]} for label in labels], indent=2, ensure_ascii=False)


def write_cvat(
    target: BinaryIO,
    recording: Recording,
    tracks: Iterable[tuple[int, str]],
    rows: Callable[[int], Iterable[ShownRow]],
    *,
    masks: bool,
) -> None:
    """Write tracks; memory holds one shape.

    Args:
        target: Of the XML.
        recording: What CVAT is told of it.
        tracks: Identities and their classes.
        rows: Of an identity, in order of the frames.
        masks: Write the silhouettes too.

    Raises:
        OSError: The system refuses.
    """
    target.write(_head(recording).encode())
    number = 0
    for identity, label in tracks:
        opening = f'label={quoteattr(label)} source="auto" group_id="{identity}">\n'
        target.write(f'  <track id="{number}" {opening}'.encode())
        number += 1
        last: ShownRow | None = None
        for row in rows(identity):
            if last is not None and row.frame > last.frame + recording.step:
                target.write(_box(last, identity, last.frame + recording.step, outside=True))
            target.write(_box(row, identity, row.frame))
            last = row
        if last is not None and last.frame + recording.step <= recording.last_frame:
            target.write(_box(last, identity, last.frame + recording.step, outside=True))
        target.write(b"  </track>\n")
        for row in rows(identity) if masks else ():
            if row.mask:
                target.write(f'  <track id="{number}" {opening}'.encode())
                target.write(_mask(row, identity, recording))
                number += 1
    target.write(b"</annotations>\n")


def _head(recording: Recording) -> str:
    width, height = recording.size
    values = f"0\n{GREATEST_IDENTITY}\n1"
    attribute = (
        f"<attribute><name>{IDENTITY}</name><mutable>True</mutable><input_type>number</input_type>"
        f"<default_value>0</default_value><values>{values}</values></attribute>"
    )
    labels = "".join(
        f"<label><name>{escape(name)}</name><type>any</type><attributes>{attribute}</attributes></label>"
        for name in recording.labels
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>{escape(recording.name)}</name>
      <size>{recording.last_frame + 1}</size>
      <mode>interpolation</mode>
      <overlap>0</overlap>
      <start_frame>0</start_frame>
      <stop_frame>{recording.last_frame}</stop_frame>
      <frame_filter></frame_filter>
      <labels>{labels}</labels>
      <original_size><width>{width}</width><height>{height}</height></original_size>
      <source>{escape(recording.name)}</source>
    </task>
  </meta>
"""


def _box(row: ShownRow, identity: int, frame: int, *, outside: bool = False) -> bytes:
    x1, y1, x2, y2 = row.box
    return (
        f'    <box frame="{frame}" outside="{int(outside)}" occluded="{int(row.hidden)}" keyframe="1" '
        f'xtl="{x1:.2f}" ytl="{y1:.2f}" xbr="{x2:.2f}" ybr="{y2:.2f}" z_order="0">'
        f'<attribute name="{IDENTITY}">{identity}</attribute></box>\n'
    ).encode()


def _mask(row: ShownRow, identity: int, recording: Recording) -> bytes:
    """The silhouette of a frame, and that it is over in the next one."""
    width, height = recording.size
    crop, (left, top) = decode_crop({"size": [height, width], "counts": row.mask})
    runs = ", ".join(map(str, row_runs(crop)))
    text = ""
    for frame, outside in ((row.frame, 0), (row.frame + recording.step, 1)):
        if frame <= recording.last_frame:
            text += (
                f'    <mask frame="{frame}" outside="{outside}" occluded="{int(row.hidden)}" keyframe="1" '
                f'rle="{runs}" left="{left}" top="{top}" width="{crop.shape[1]}" height="{crop.shape[0]}" z_order="0">'
                f'<attribute name="{IDENTITY}">{identity}</attribute></mask>\n'
            )
    return (text + "  </track>\n").encode()


def read_cvat(path: Path, expected: Expected) -> Annotations:
    """Read tracks of an XML file, or of the one in a ZIP archive, as CVAT exports both; memory holds a chunk.

    Raises:
        DetectionsError: While shapes are taken: the XML is broken, of another recording, or has unknown labels.
        SourceError: The file cannot be read.
    """
    found = Annotations(shapes=iter(()))
    found.shapes = _shapes(path, _Reader(path, expected, found))
    return found


def _shapes(path: Path, reader: _Reader) -> Iterator[Shape]:
    with _opened(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            reader.feed(chunk)
            yield from reader.taken()
        reader.feed(b"", last=True)
        yield from reader.taken()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".xml")]
            if len(names) != 1:
                reject(path, "", "one XML file in the archive", f"{len(names)}", "export CVAT for video 1.1")
            with archive.open(names[0]) as file:
                yield file
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as failure:
        reject(path, "", "a ZIP archive that CVAT exported", str(failure))


class _Reader:
    """Shapes of a parser's events."""

    def __init__(self, path: Path, expected: Expected, found: Annotations) -> None:
        self._path, self._expected, self._found = path, expected, found
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._stack: list[str] = []
        self._words: list[str] = []
        self._shapes: list[Shape] = []
        self._track = 0
        self._last: Shape | None = None  # of the track, unless it is outside
        self._frame = -1
        self._open: dict[str, str] | None = None
        self._attribute = ""
        self._hint = 0
        self._size: dict[str, str] = {}
        self._task = self._label = ""

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Parse a chunk."""
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError as failure:
            reject(self._path, failure.lineno, "XML of CVAT for video 1.1", expat.ErrorString(failure.code))

    def taken(self) -> list[Shape]:
        """Shapes since the last call."""
        shapes, self._shapes = self._shapes, []
        return shapes

    def _refuse(self, expected: str, found: str, remedy: str = "export it again as CVAT for video 1.1") -> None:
        reject(self._path, self._parser.CurrentLineNumber, expected, found, remedy)

    def _doctype(self, *_: object) -> None:
        self._refuse("XML without a document type", "one")

    def _start(self, name: str, values: dict[str, str]) -> None:
        parent = self._stack[-1] if self._stack else ""
        if not self._stack and name != "annotations":
            self._refuse("annotations of CVAT", f"<{name}>")
        self._stack.append(name)
        self._words = []
        if name == "image":
            self._refuse("tracks of CVAT for video 1.1", "images (CVAT for images)")
        elif name == "track":
            self._begin_track(values)
        elif parent == "track" and name in ("box", *SILHOUETTES):
            self._open, self._hint = values, 0
        elif parent == "track":
            self._found.left_out[name] += values.get("keyframe") == "1" and values.get("outside") != "1"
        elif name == "attribute" and self._open is not None:
            self._attribute = values.get("name", "")

    def _text(self, text: str) -> None:
        self._words.append(text)

    def _end(self, name: str) -> None:
        self._stack.pop()
        parent = self._stack[-1] if self._stack else ""
        text = "".join(self._words).strip()
        self._words = []
        if "meta" in self._stack:
            self._end_meta(parent, name, text)
        elif name == "meta" and len(self._stack) == 1:
            self._check_size()
        elif name == "attribute" and self._open is not None and self._attribute == IDENTITY:
            self._hint = whole_in(text) or 0
        elif parent == "track" and self._open is not None:
            if name == "box":
                self._add_box(self._open)
            else:
                self._add_silhouette(name, self._open)
            self._open = None

    def _end_meta(self, parent: str, name: str, text: str) -> None:
        if parent == "original_size":
            self._size[name] = text
        elif name == "source" and parent in {"task", "job"}:
            self._found.source = text
        elif name == "frame_filter" and text not in {"", "step=1"}:
            self._refuse("all frames of the video", f"the filter {text}", "make the task with every frame")

    def _check_size(self) -> None:
        if self._size:
            width, height = self._expected.size
            if (self._size.get("width"), self._size.get("height")) != (str(width), str(height)):
                found = f"{self._size.get('width')} x {self._size.get('height')}"
                self._refuse(
                    f"a picture of {width} x {height}, as the records have", found, "name that recording's file"
                )

    def _begin_track(self, values: dict[str, str]) -> None:
        label, task = values.get("label", ""), values.get("task_id", "")
        if self._task and task != self._task:
            self._refuse("tracks of one task", "several", "export the task, not its project")
        if label not in self._expected.labels:
            known = ", ".join(sorted(self._expected.labels))
            self._refuse(f"one of the classes {known}", repr(label), "choose one of them, or allow it: --label NAME")
        self._task = task
        self._track += 1
        self._last, self._frame = None, -1
        self._label = label

    def _add_box(self, values: dict[str, str]) -> None:
        frame, outside = self._frame_of(values), values.get("outside") == "1"
        if frame <= self._frame:
            self._refuse("frames of a track in their order", f"{frame} behind {self._frame}")
        corners = [number_in(values.get(name, "")) for name in CORNERS]
        if not (corners[0] < corners[2] and corners[1] < corners[3]):
            self._refuse("a box with xtl, ytl, xbr and ybr", " ".join(f"{one:g}" for one in corners))
        if number_in(values.get("rotation", "0")):
            self._found.left_out["rotation of a box"] += 1
        x1, y1, x2, y2 = corners
        box: Box = (x1, y1, x2, y2)
        shape = Shape(self._track, frame, box, values.get("keyframe", "1") == "1", self._hint, "")
        if self._last is not None:
            self._shapes += between(self._last, shape, self._expected.last_frame)
        if not outside:
            self._shapes.append(shape)
        self._last, self._frame = None if outside else shape, frame
        self._found.labels[self._track] = self._label  # not of silhouettes, of which each is a track

    def _add_silhouette(self, name: str, values: dict[str, str]) -> None:
        frame = self._frame_of(values)
        if values.get("outside") == "1" or values.get("keyframe", "1") != "1":
            return
        try:
            mask = self._outlined(values) if name == "polygon" else self._masked(values)
        except ValueError as failure:
            self._refuse(f"a {name} within the picture", str(failure))
        else:
            self._shapes.append(Shape(self._track, frame, None, True, self._hint, mask))

    def _outlined(self, values: dict[str, str]) -> str:
        points = [number_in(text) for pair in values.get("points", "").split(";") for text in pair.split(",")]
        if len(points) < 6 or len(points) % 2 or any(one != one for one in points):  # noqa: PLR0124 - NaN
            raise ValueError(values.get("points", "")[:40])
        return encode_polygons([points], self._expected.size)

    def _masked(self, values: dict[str, str]) -> str:
        left, top, width, height = (whole_in(values.get(name, "")) for name in ("left", "top", "width", "height"))
        if left is None or top is None or width is None or height is None:
            raise ValueError("no left, top, width and height")
        right, bottom = self._expected.size
        if left < 0 or top < 0 or width < 1 or height < 1 or left + width > right or top + height > bottom:
            raise ValueError(f"{width} x {height} at {left}, {top}")
        runs = [int(text) for text in values.get("rle", "").split(",")]
        return str(encode_crop(silhouette_of_runs(runs, (height, width)), (left, top), self._expected.size)["counts"])

    def _frame_of(self, values: dict[str, str]) -> int:
        frame = whole_in(values.get("frame", ""))
        if frame is None or frame < 0:
            self._refuse("the number of a frame", repr(values.get("frame")))
        return frame or 0
