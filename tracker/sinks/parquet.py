"""Tracked frames enter; a Parquet file leaves. Needs the ``parquet`` extra (pyarrow).

A Parquet file ends with an index of its row groups; one without its end is lost. When the disk fills up, the index of
the row groups that are whole is made and put in the place of the one that did not fit. Against a killed process only
line-wise formats help.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, SinkError
from tracker.sinks.closing import Closing
from tracker.sinks.lines import flat
from tracker.sinks.part_file import PartFile, refusal
from tracker.sinks.rows import MaskFormat, RowBuilder

if TYPE_CHECKING:
    from io import FileIO

    from tracker.types import TrackedFrame

__all__ = ["ParquetSink"]

GROUP_ROWS = 16_384
"""Rows per row group: about 10 MB in memory with run-length codes."""


class _Sink(io.RawIOBase):
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


class _Retrace(io.RawIOBase):
    """What pyarrow writes into when it makes an index again: the disk's bytes must come out again."""

    def __init__(self, file: FileIO, length: int) -> None:
        super().__init__()
        self._file, self._length, self._place = file, length, 0
        self.same = True
        self.rest = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        data = bytes(data)
        known = data[: max(self._length - self._place, 0)]
        if known:
            self._file.seek(self._place)
            self.same = self.same and self._file.read(len(known)) == known
        self.rest += data[len(known) :]
        self._place += len(data)
        return len(data)


class _View(io.RawIOBase):
    """A file whose end is in memory, for reading."""

    def __init__(self, file: FileIO, length: int, rest: bytes) -> None:
        super().__init__()
        self._file, self._length, self._rest, self._place = file, length, rest, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._length + len(self._rest)}[whence]
        self._place = start + offset
        return self._place

    def read(self, size: int = -1, /) -> bytes:
        end = self._length + len(self._rest) if size < 0 else self._place + size
        self._file.seek(self._place)
        data = self._file.read(max(min(end, self._length) - self._place, 0))
        data += self._rest[max(self._place - self._length, 0) : max(end - self._length, 0)]
        self._place += len(data)
        return data


class ParquetSink(Closing):
    """One row per identity and frame, with the columns of CSV and ``mask`` as a struct.

    Args:
        path: The final path.
        masks: ``"rle"`` (struct of ``size`` and ``counts``), ``"polygon"`` (list of lists) or ``"none"``.
        image_names: The source is a folder of images: rows name the file.
        coasting: Keep rows of identities that are predicted but not seen.
        group_rows: Rows per row group.

    Attributes:
        path: The final path, as the user wrote it.
        frames: Frames written.
        cpu_s: CPU seconds spent by stage, for benchmarks.

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
    ) -> None:
        try:
            import pyarrow as pa
        except ImportError as missing:
            remedy = 'pip install "masktrail[parquet]"'
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
        self._sink = _Sink(self._file)
        self._writer = _writer(self._sink, self._schema)
        self.path = self._part.path
        self.frames = 0
        self.cpu_s = {"records": 0.0}
        self._rows: list[dict[str, Any]] = []
        self._failure: SinkError | None = None
        self._closed = False

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add one frame.

        Raises:
            SinkError: The system refuses; the file is valid up to the last row group, and :meth:`close` publishes it.
        """
        if self._failure is not None:
            raise self._failure
        started_s = time.thread_time()
        for row in self._builder.rows(tracked_frame):
            values = flat(row, image_names=self._image_names)
            if self._masks:
                values["mask"] = row.mask
            self._rows.append(values)
        self.frames += 1
        if len(self._rows) >= self._group_rows:
            self._end_group()
        self.cpu_s["records"] += time.thread_time() - started_s

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
            self._sink.settle()
        except OSError as failure:
            self._failure = refusal(self.path, failure, f"write frame {self.frames}")
            with contextlib.suppress(OSError):
                self._mend()
            raise self._failure from failure

    def _mend(self) -> None:
        """End the file behind its last whole row group.

        The index of a file that is still open cannot be had from pyarrow. So the file is ended in memory, its whole
        row groups are read and written again into nothing, which gives the same bytes, and the index that follows
        them is put on the disk. It takes the room that the part of the refused row group had; where that was less,
        the file is given up from its last row group on, until it fits.
        """
        from pyarrow import parquet

        self._writer.close()
        length, rest = self._sink.settled, bytes(self._sink.waiting)
        with self._part.open() as file:
            source = parquet.ParquetFile(_View(file, length, rest))
            groups = source.metadata.num_row_groups
            ends = [_group_end(source.metadata.row_group(number)) for number in range(groups)]
            for keep in range(sum(end <= length for end in ends), -1, -1):
                retrace = _Retrace(file, ends[keep - 1] if keep else 0)
                with _writer(retrace, self._schema) as again:
                    for number in range(keep):
                        table = source.read_row_group(number)
                        again.write_table(table, row_group_size=len(table))
                if not retrace.same:
                    continue
                with contextlib.suppress(OSError):
                    file.seek(ends[keep - 1] if keep else 0)
                    file.truncate()
                    _write_all(file, bytes(retrace.rest))
                    return


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _writer(target: io.RawIOBase, schema: Any) -> Any:
    from pyarrow import parquet

    return parquet.ParquetWriter(target, schema, compression="zstd")


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
