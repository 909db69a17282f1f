"""JSON Lines (one object per identity and frame) and CSV."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from tracker.formats.cells import cell
from tracker.sinks.final_classes import write_final_classes
from tracker.sinks.rows import MaskFormat, Row, RowBuilder
from tracker.sinks.text import TextSink

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from tracker.sinks.base import SinkContext
    from tracker.sinks.part_file import PartFile
    from tracker.types import TrackedFrame

__all__ = ["CsvSink", "JsonLinesSink", "flat"]

ENCODER = msgspec.json.Encoder()
JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
SMALLEST_PLAIN_S = 1e-4
"""Smaller times have an exponent."""


class JsonLinesSink(TextSink):
    """One JSON object per line, identity and frame; ``pandas.read_json(path, lines=True)`` reads it.

    Rows of a camera without a clock, or with one that is not believed, say ``"time_from": "arrival"``.

    Args:
        path: The final path.
        masks: ``"rle"`` (``{"size": [height, width], "counts": ...}``, compressed COCO), ``"polygon"`` or ``"none"``.
        image_names: The source is a folder of images: rows name the file.
        coasting: Keep rows of identities that are predicted but not seen.
        final_classes: As for :class:`tracker.sinks.text.TextSink`.
    """

    needs_contacts: ClassVar[bool] = True
    # Quotes inside a text are escaped, so that the keys stand nowhere else.
    row_pattern: ClassVar[re.Pattern[bytes]] = re.compile(
        rb'.*?,"id":(?P<id>\d+),"class":(?P<class>"(?:[^"\\]|\\.)*"),'
    )
    then_mark: ClassVar[bytes] = b',"class_then":'

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        masks: MaskFormat = "rle",
        image_names: bool = False,
        coasting: bool = True,
        final_classes: bool = True,
    ) -> None:
        self._builder = RowBuilder(masks=masks, image_names=image_names, coasting=coasting, predicted=True)
        self._masks, self._image_names = masks != "none", image_names
        super().__init__(path, final_classes=final_classes)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(
            address,
            masks=context.masks or "rle",
            image_names=context.image_names,
            coasting=context.coasting is not False,
            final_classes=context.final_classes,
        )

    def _lines(self, tracked_frame: TrackedFrame) -> str:
        return "".join([_text(self._object(row)) + "\n" for row in self._builder.rows(tracked_frame)])

    def _object(self, row: Row) -> dict[str, Any]:
        values: dict[str, Any] = {"frame": row.frame, "time_s": row.time_s}
        if row.time_from == "arrival":
            values["time_from"] = row.time_from
        if self._image_names:
            values["image"] = row.image
        values |= {
            "id": row.identity,
            "class": row.class_name,
            "score": row.score,
            "box": row.box,
            "velocity_px_s": row.velocity_px_s,
            "age_s": row.age_s,
            "area_px": row.area_px,
            "detection": row.detection,
            "coasting": row.coasting,
            "contact": row.contact,
            "contact_state": row.contact_state,
        }
        if row.notes is not None:
            values["notes"] = row.notes
        if self._masks:
            values["mask"] = row.mask
        if row.mask_from is not None:
            values["mask_from"] = row.mask_from
        return values


def _text(values: dict[str, Any]) -> str:
    """A row as JSON, as ``json`` writes it.

    msgspec writes the same bytes in a seventh of the time, but for numbers with an exponent. Only times and notes have
    so many digits: the other values are rounded to four or fewer.
    """
    if "notes" not in values and (values["time_s"] == 0 or values["time_s"] >= SMALLEST_PLAIN_S):
        with contextlib.suppress(TypeError, ValueError):  # floats of another kind, texts that are no UTF-8
            return ENCODER.encode(values).decode()
    return JSON.encode(values)


def flat(row: Row, *, image_names: bool) -> dict[str, Any]:
    """A row as columns without nesting, masks left out: what CSV and Parquet share."""
    values: dict[str, Any] = {"frame": row.frame, "time_s": row.time_s}
    if image_names:
        values["image"] = row.image
    x1, y1, x2, y2 = row.box
    velocity_x, velocity_y = row.velocity_px_s or (None, None)
    contact_x, contact_y = row.contact or (None, None)
    return values | {
        "id": row.identity,
        "class": row.class_name,
        "class_then": None,
        "score": row.score,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "vx_px_s": velocity_x,
        "vy_px_s": velocity_y,
        "age_s": row.age_s,
        "area_px": row.area_px,
        "detection": row.detection,
        "coasting": row.coasting,
        "contact_x": contact_x,
        "contact_y": contact_y,
        "contact_state": row.contact_state,
        "notes": None if row.notes is None else json.dumps(row.notes, ensure_ascii=False, separators=(",", ":")),
    }


COLUMNS = (
    *("frame", "time_s", "id", "class", "class_then", "score", "x1", "y1", "x2", "y2", "vx_px_s", "vy_px_s"),
    *("age_s", "area_px", "detection", "coasting", "contact_x", "contact_y", "contact_state", "notes"),
)

CELL = rb'(?:"(?:[^"]|"")*"|[^",]*)'


class CsvSink(TextSink):
    """Comma-separated values with a header line; empty where a value is unknown, masks as JSON text.

    Texts that begin with ``=``, ``+``, ``-``, ``@``, tab or carriage return have an apostrophe in front.

    Args:
        path: The final path.
        masks: As for :class:`JsonLinesSink`.
        image_names: The source is a folder of images: rows name the file.
        coasting: Keep rows of identities that are predicted but not seen.
        final_classes: As for :class:`tracker.sinks.text.TextSink`.
    """

    needs_contacts: ClassVar[bool] = True
    head_lines: ClassVar[int] = 1
    then_mark: ClassVar[bytes] = b","
    then_cell: ClassVar[bytes] = b","
    row_pattern: ClassVar[re.Pattern[bytes]] = re.compile(rb"\d+,[^,]*,(?P<id>\d+),(?P<class>" + CELL + rb"),")
    row_pattern_of_images: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"\d+,[^,]*," + CELL + rb",(?P<id>\d+),(?P<class>" + CELL + rb"),"
    )

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        masks: MaskFormat = "none",
        image_names: bool = False,
        coasting: bool = True,
        final_classes: bool = True,
    ) -> None:
        self._builder = RowBuilder(masks=masks, image_names=image_names, coasting=coasting)
        self._masks, self._image_names = masks != "none", image_names
        columns = [*COLUMNS[:2], *(["image"] if image_names else []), *COLUMNS[2:], *(["mask"] if self._masks else [])]
        super().__init__(path, head=",".join(columns) + "\n", final_classes=final_classes)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(
            address,
            masks=context.masks or "none",
            image_names=context.image_names,
            coasting=context.coasting is not False,
            final_classes=context.final_classes,
        )

    def _lines(self, tracked_frame: TrackedFrame) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in self._builder.rows(tracked_frame):
            values = list(flat(row, image_names=self._image_names).values())
            values = [cell(value) for value in values]
            if self._masks:
                values.append("" if row.mask is None else json.dumps(row.mask, separators=(",", ":")))
            writer.writerow(values)
        return text.getvalue()

    @classmethod
    def _write_final_classes(cls, part: PartFile) -> None:
        with part.open() as file:
            named = file.readline().split(b",")[2:3] == [b"image"]
        pattern = cls.row_pattern_of_images if named else cls.row_pattern
        write_final_classes(part, pattern, _whole_rows, then_mark=cls.then_mark, then_cell=cls.then_cell)


def _whole_rows(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Rows of a CSV file; a text in quotes may hold line breaks."""
    row = b""
    for line in lines:
        row += line
        if row.count(b'"') % 2 == 0:
            yield row
            row = b""
    if row:
        yield row
