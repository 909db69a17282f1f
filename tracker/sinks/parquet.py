"""Parquet table with one row per identity and frame. Needs the ``parquet`` extra (pyarrow).

A Parquet file ends with an index of its row groups; one without its end is lost. When the disk fills up, the index of
the row groups that are whole is made and put in the place of the one that did not fit. Against a killed process only
line-wise formats help.
"""

from __future__ import annotations

import contextlib
import io
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from tracker.errors import ConfigError, SinkError, install_command
from tracker.sinks.base import Sink
from tracker.sinks.final_classes import ClassWatch
from tracker.sinks.lines import flat
from tracker.sinks.part_file import PartFile, refusal
from tracker.sinks.rows import MaskFormat, RowBuilder

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from io import FileIO
    from pathlib import Path

    from tracker.sinks.base import SinkContext
    from tracker.types import TrackedFrame

__all__ = ["ParquetSink"]

MAGIC = b"PAR1"
"""What every Parquet file, and every index that stands alone, begins with."""

GROUP_ROWS = 16_384
"""Rows per row group: about 10 MB in memory with run-length codes."""


class _RowGroups(io.RawIOBase):
    """What pyarrow writes into: collects a row group in memory until :meth:`settle` puts it on the disk."""

    def __init__(self, file: FileIO) -> None:
        super().__init__()
        self._file = file
        self.waiting = bytearray()
        self.settled = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.waiting += data
        return len(data)

    def settle(self) -> None:
        """Put what waits on the disk, all of it or, with an ``OSError``, none."""
        _write_all(self._file, bytes(self.waiting))
        self.settled += len(self.waiting)
        self.waiting = bytearray()


class _Nothing(io.RawIOBase):
    """What pyarrow writes into when only the places of what it writes are of interest."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return len(data)


class ParquetSink(Sink):
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
        try:
            import pyarrow as pa
        except ImportError as missing:
            remedy = install_command("parquet")
            raise ConfigError(path, "expected the package pyarrow for Parquet, found none", remedy) from missing
        self._builder = RowBuilder(masks=masks, image_names=image_names, coasting=coasting)
        self._masks, self._image_names, self._group_rows = masks != "none", image_names, group_rows
        self._schema = _schema(pa, masks, image_names=image_names)
        self._part = PartFile(path)
        if self._part.direct:
            raise SinkError(
                path, "expected a regular file for Parquet, found a device or a pipe", "write JSON Lines there"
            )
        self._file = self._part.open()
        self._rows_file = _RowGroups(self._file)
        self._index: list[Any] = []
        self._writer = _writer(self._rows_file, self._schema, self._index)
        self.path = self._part.path
        self.frames = 0
        self._cpu_s = {"records": 0.0}
        self._rows: list[dict[str, Any]] = []
        self._watch = ClassWatch() if final_classes else None
        self._failure: SinkError | None = None
        self._closed = False

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
    def why_not_joined(cls, address: str) -> str:  # noqa: ARG003 - every table can be
        """Nothing: tables can be written in chunks."""
        return ""

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:  # noqa: ARG003 - as written
        """Write all rows again, since the chunks' row groups would make a slow file of many small ones."""
        import pyarrow as pa
        from pyarrow import parquet

        schema = pa.schema([(field.name, _plain(field.type)) for field in parquet.read_schema(chunks[0])])
        with PartFile(path) as part:
            with (
                io.BufferedWriter(part.open()) as raw,
                parquet.ParquetWriter(raw, schema, compression="zstd") as writer,
            ):
                for rows in _groups(parquet.read_table(chunk).cast(schema) for chunk in chunks):
                    table = pa.concat_tables(rows).combine_chunks()
                    writer.write_table(table, row_group_size=len(table))
            _write_final_classes(part, schema)

    @property
    def address(self) -> str:
        """The final path, as the user wrote it."""
        return str(self.path)

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds spent by stage."""
        return self._cpu_s

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

    def close(self) -> None:
        """Write the last row group and publish the file; safe to call twice.

        Raises:
            SinkError: The system refuses; the row groups before are published all the same.
        """
        if self._closed:
            return
        self._closed = True
        raised_before = self._failure is not None
        try:
            if self._failure is None:
                with contextlib.suppress(SinkError):
                    self._end_group()
            if self._failure is None:
                with contextlib.suppress(SinkError):
                    self._end_file()
        finally:
            self._file.close()
        if self._watch is not None and self._watch.changed:
            try:
                _write_final_classes(self._part, self._schema)
            except OSError as failure:
                self._failure = self._failure or refusal(self.path, failure, "write the final classes")
        self._part.publish()
        if self._failure is not None and not raised_before:
            raise self._failure

    def abort(self) -> None:
        """Keep what is done, as :meth:`close` does, without raising; without a frame nothing is published."""
        if self.frames == 0 and not self._closed:
            self._closed = True
            self._file.close()
            self._part.discard()
            return
        with contextlib.suppress(SinkError):
            self.close()

    def part_bytes(self) -> int:
        """Bytes on the disk so far; raises as :meth:`tracker.sinks.part_file.PartFile.size` does."""
        return self._part.size()

    def _end_group(self) -> None:
        """Put the rows that wait on the disk as one row group."""
        import pyarrow as pa

        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows, schema=self._schema)
        self._rows = []
        self._writer.write_table(table, row_group_size=len(table))
        self._settle()

    def _end_file(self) -> None:
        self._writer.close()
        self._settle()

    def _settle(self) -> None:
        try:
            self._rows_file.settle()
        except OSError as failure:
            self._failure = refusal(self.path, failure, f"write frame {self.frames}")
            with contextlib.suppress(OSError):
                self._mend()
            raise self._failure from failure

    def _mend(self) -> None:
        """End the file behind its last whole row group.

        pyarrow gives the index of all row groups only, the refused one included. An index of the first few is made by
        writing these again, into nothing: they take the same places, since the same rows give the same bytes. The
        index takes the room that the refused row group had; where that was less, the file is given up from its last
        row group on, until it fits.
        """
        import pyarrow as pa
        from pyarrow import parquet

        self._writer.close()
        (known,) = self._index
        ends = [_group_end(known.row_group(number)) for number in range(known.num_row_groups)]
        with self._part.open() as file:
            for keep in range(sum(end <= self._rows_file.settled for end in ends), -1, -1):
                index: list[Any] = []
                source = parquet.ParquetFile(file, metadata=known)
                with _writer(_Nothing(), self._schema, index) as again:
                    for number in range(keep):
                        table = source.read_row_group(number)
                        again.write_table(table, row_group_size=len(table))
                (again_known,) = index
                if [_group_end(again_known.row_group(number)) for number in range(keep)] != ends[:keep]:
                    continue
                foot = pa.BufferOutputStream()
                again_known.write_metadata_file(foot)
                with contextlib.suppress(OSError):
                    file.seek(ends[keep - 1] if keep else len(MAGIC))
                    file.truncate()
                    _write_all(file, foot.getvalue().to_pybytes()[len(MAGIC) :])
                    return


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
    with part.rewriting() as (source, target), _writer(target, schema, []) as writer:
        known = parquet.ParquetFile(source)
        place = schema.get_field_index("class")
        for number in range(known.num_row_groups):
            table = known.read_row_group(number).cast(schema)
            ids, names = table.column("id").to_pylist(), table.column("class").to_pylist()
            final = [name if one is None else last[one] for one, name in zip(ids, names, strict=True)]
            table = table.set_column(place, schema.field(place), pa.array(final, pa.string())).combine_chunks()
            writer.write_table(table, row_group_size=len(table))


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _writer(target: io.RawIOBase | BinaryIO, schema: Any, index: list[Any]) -> Any:
    """A writer that adds its index (``pyarrow.parquet.FileMetaData``) to a list when it is closed."""
    from pyarrow import parquet

    return parquet.ParquetWriter(target, schema, compression="zstd", metadata_collector=index)


def _group_end(group: Any) -> int:
    """Where a row group ends in its file."""
    columns = [group.column(number) for number in range(group.num_columns)]
    return max(
        int(min(place for place in (column.dictionary_page_offset, column.data_page_offset) if place is not None))
        + int(column.total_compressed_size)
        for column in columns
    )


def _schema(pa: Any, masks: MaskFormat, *, image_names: bool) -> Any:
    number, whole, text = pa.float64(), pa.int64(), pa.string()
    columns = [
        ("frame", whole),
        ("time_s", number),
        *([("image", text)] if image_names else []),
        ("id", whole),
        ("class", text),
        ("score", number),
        *((name, number) for name in ("x1", "y1", "x2", "y2", "vx_px_s", "vy_px_s", "age_s")),
        ("area_px", whole),
        ("detection", pa.int32()),
        ("coasting", pa.bool_()),
    ]
    if masks == "rle":
        columns.append(("mask", pa.struct([("size", pa.list_(pa.int32())), ("counts", text)])))
    elif masks == "polygon":
        columns.append(("mask", pa.list_(pa.list_(pa.int32()))))
    return pa.schema(columns)


def _plain(kind: Any) -> Any:
    """A column's type without what reading adds to it: numbers of nested fields."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type)) for field in kind])
    return pa.list_(_plain(kind.value_type)) if pa.types.is_list(kind) else kind


def _groups(tables: Iterator[Any]) -> Iterator[list[Any]]:
    """Tables whose rows make one row group each, as :class:`ParquetSink` has them: it is full when a frame fills it."""
    waiting: list[Any] = []
    count = 0
    for table in tables:
        rest = table
        while len(rest):
            frames = rest.column("frame").to_numpy()
            room = GROUP_ROWS - count  # the row that fills the group; those of the same frame belong to it
            if len(rest) < room:
                break
            end = int(frames.searchsorted(frames[room - 1], side="right"))
            yield [*waiting, rest.slice(0, end)]
            waiting, count, rest = [], 0, rest.slice(end)
        if len(rest):
            waiting.append(rest)
            count += len(rest)
    if waiting:
        yield waiting
