"""Parquet records: a row per identity and frame, needs the package ``pyarrow``; see :mod:`tracker.sinks.table`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tracker.sinks.final_classes import ClassWatch
from tracker.sinks.lines import flat
from tracker.sinks.part_file import refusal
from tracker.sinks.rows import MaskFormat, RowBuilder
from tracker.sinks.table import GROUP_ROWS, TableSink, pyarrow, table_writer

if TYPE_CHECKING:
    import os

    from tracker.sinks.base import SinkContext
    from tracker.sinks.part_file import PartFile
    from tracker.types import TrackedFrame

__all__ = ["ParquetSink"]


class ParquetSink(TableSink):
    """One row per identity and frame, with the columns of CSV and ``mask`` as a struct.

    Args:
        path: The final path.
        masks: ``"rle"`` (struct of ``size`` and ``counts``), ``"polygon"`` (list of lists) or ``"none"``.
        image_names: The source is a folder of images: rows name the file.
        coasting: Keep rows of identities that are predicted but not seen.
        group_rows: Rows per row group.
        final_classes: As for :class:`tracker.sinks.text.TextSink`.

    Attributes:
        path: The final path, as the user wrote it.
        frames: Frames written.

    Raises:
        ConfigError: pyarrow is not installed.
        SinkError: The folder is missing or not writable.
    """

    needs_contacts: ClassVar[bool] = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        masks: MaskFormat = "rle",
        image_names: bool = False,
        coasting: bool = True,
        group_rows: int = GROUP_ROWS,
        final_classes: bool = True,
    ) -> None:
        schema = _schema(pyarrow(path), masks, image_names=image_names)
        self._builder = RowBuilder(masks=masks, image_names=image_names, coasting=coasting)
        self._masks, self._image_names = masks != "none", image_names
        self._watch = ClassWatch() if final_classes else None
        super().__init__(path, schema, group_rows=group_rows)

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

    @classmethod
    def _group_end(cls, table: Any, room: int) -> int:
        """A row group is full when a frame fills it: the rows of that frame belong to it."""
        frames = table.column("frame").to_numpy()
        return int(frames.searchsorted(frames[room - 1], side="right"))

    @classmethod
    def _complete(cls, part: PartFile, schema: Any) -> None:
        _write_final_classes(part, schema)

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame.

        Raises:
            SinkError: The system refuses; the file is valid up to the last row group, and :meth:`close` publishes it.
        """
        if self._failure is not None:
            raise self._failure
        started_s = time.thread_time()
        if self._watch is not None:
            self._watch.see(tracked_frame)
        for row in self._builder.rows(tracked_frame):
            values = flat(row, image_names=self._image_names)
            if self._masks:
                values["mask"] = row.mask
            self._rows.append(values)
        self.frames += 1
        if len(self._rows) >= self._group_rows:
            self._end_group()
        self._cpu_s["records"] += time.thread_time() - started_s

    def _finish_rows(self) -> None:
        if self._watch is None or not self._watch.changed:
            return
        try:
            _write_final_classes(self._part, self._schema)
        except OSError as failure:
            self._failure = self._failure or refusal(self.path, failure, "write the final classes")


def _write_final_classes(part: PartFile, schema: Any) -> None:
    """Write a complete table again, row group by row group, with the last class of every identity in all of its rows.

    Raises:
        OSError: The system refuses; the part file is as it was.
    """
    import pyarrow as pa
    from pyarrow import parquet

    last: dict[int, str] = {}
    changed = False
    with part.open() as file:
        for batch in parquet.ParquetFile(file).iter_batches(columns=["id", "class"]):
            for identity, name in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                changed |= identity is not None and last.get(identity, name) != name
                last[identity] = name
    if not changed:
        return
    with part.rewriting() as (source, target), table_writer(target, schema, []) as writer:
        known = parquet.ParquetFile(source)
        place = schema.get_field_index("class")
        for number in range(known.num_row_groups):
            table = known.read_row_group(number).cast(schema)
            ids, names = table.column("id").to_pylist(), table.column("class").to_pylist()
            final = [name if one is None else last[one] for one, name in zip(ids, names, strict=True)]
            then = [name if name != now else None for name, now in zip(names, final, strict=True)]
            table = table.set_column(place, schema.field(place), pa.array(final, pa.string()))
            table = table.set_column(place + 1, schema.field(place + 1), pa.array(then, pa.string())).combine_chunks()
            writer.write_table(table, row_group_size=len(table))


def _schema(pa: Any, masks: MaskFormat, *, image_names: bool) -> Any:
    number, whole, text = pa.float64(), pa.int64(), pa.string()
    columns = [
        ("frame", whole),
        ("time_s", number),
        *([("image", text)] if image_names else []),
        ("id", whole),
        ("class", text),
        ("class_then", text),
        ("score", number),
        *((name, number) for name in ("x1", "y1", "x2", "y2", "vx_px_s", "vy_px_s", "age_s")),
        ("area_px", whole),
        ("detection", pa.int32()),
        ("coasting", pa.bool_()),
        ("contact_x", number),
        ("contact_y", number),
        ("contact_state", text),
        ("notes", text),
    ]
    if masks == "rle":
        columns.append(("mask", pa.struct([("size", pa.list_(pa.int32())), ("counts", text)])))
    elif masks == "polygon":
        columns.append(("mask", pa.list_(pa.list_(pa.int32()))))
    return pa.schema(columns)
