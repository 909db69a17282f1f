"""Base of all Parquet outputs: rows collected into row groups, under a temporary name until they are complete.

Memory holds one row group whatever the length of the stream. The index of a Parquet file stands at its end, so a row
group goes to the disk only when it is whole: where the system refuses (disk full), the file is ended behind the row
groups before the one that did not fit. Against a killed process only line-wise formats help.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any, BinaryIO

from tracker.errors import ConfigError, SinkError, install_command
from tracker.sinks.base import Sink
from tracker.sinks.part_file import PartFile, refusal, without_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from io import FileIO
    from pathlib import Path

__all__ = ["GROUP_ROWS", "TableSink", "pyarrow", "table_writer"]

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


class TableSink(Sink):
    """A Parquet file under a temporary name until it is closed.

    Args:
        path: The final path.
        schema: ``pyarrow.Schema`` of its rows.
        group_rows: Rows per row group.

    Attributes:
        path: The final path, as the user wrote it.
        frames: Frames written.

    Raises:
        SinkError: The folder is missing or not writable, or the path is a device or a pipe.
    """

    def __init__(self, path: str | os.PathLike[str], schema: Any, *, group_rows: int = GROUP_ROWS) -> None:
        self._schema, self._group_rows = schema, group_rows
        self._part = PartFile(path)
        if self._part.direct:
            raise SinkError(
                path, "expected a regular file for Parquet, found a device or a pipe", "write JSON Lines there"
            )
        self._file = self._part.open()
        self._rows_file = _RowGroups(self._file)
        self._index: list[Any] = []
        self._writer = table_writer(self._rows_file, self._schema, self._index)
        self.path = self._part.path
        self.frames = 0
        self._cpu_s = {"records": 0.0}
        self._rows: list[dict[str, Any]] = []
        self._failure: SinkError | None = None
        self._nothing_kept = False
        self._closed = False

    @classmethod
    def why_not_joined(cls, address: str) -> str:  # noqa: ARG003 - every table can be
        """Nothing: tables can be written in chunks."""
        return ""

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:  # noqa: ARG003 - as written
        """Write all rows again, since the chunks' row groups would make a slow file of many small ones."""
        import pyarrow as pa
        from pyarrow import parquet

        read = parquet.read_schema(chunks[0])
        schema = pa.schema([(field.name, _plain(field.type)) for field in read], metadata=_own(read.metadata))
        with PartFile(path) as part:
            with (
                io.BufferedWriter(part.open()) as raw,
                parquet.ParquetWriter(raw, schema, compression="zstd") as writer,
            ):
                for rows in cls._groups(parquet.read_table(chunk).cast(schema) for chunk in chunks):
                    table = pa.concat_tables(rows).combine_chunks()
                    writer.write_table(table, row_group_size=len(table))
            cls._complete(part, schema)

    @classmethod
    def _groups(cls, tables: Iterable[Any]) -> Iterator[list[Any]]:
        """Tables whose rows make one row group each, as the sink itself has them."""
        waiting: list[Any] = []
        count = 0
        for table in tables:
            rest = table
            while len(rest):
                room = GROUP_ROWS - count
                if len(rest) < room:
                    break
                end = cls._group_end(rest, room)
                yield [*waiting, rest.slice(0, end)]
                waiting, count, rest = [], 0, rest.slice(end)
            if len(rest):
                waiting.append(rest)
                count += len(rest)
        if waiting:
            yield waiting

    @classmethod
    def _group_end(cls, table: Any, room: int) -> int:  # noqa: ARG003 - rows of a frame may belong together
        """How many rows of a table, at least ``room``, go into a row group that has room for ``room`` of them."""
        return room

    @classmethod
    def _complete(cls, part: PartFile, schema: Any) -> None:
        """Do what can be done when all rows are there; nothing here.

        Raises:
            OSError: The system refuses; the part file is as it was.
        """

    @property
    def address(self) -> str:
        """The final path, as the user wrote it."""
        return str(self.path)

    @property
    def cpu_s(self) -> Mapping[str, float]:
        """CPU seconds spent by stage."""
        return self._cpu_s

    def part_bytes(self) -> int:
        """Bytes on the disk so far; raises as :meth:`tracker.sinks.part_file.PartFile.size` does."""
        return self._part.size()

    def close(self) -> None:
        """Write the last row group and publish the file; safe to call twice.

        Raises:
            SinkError: The system refuses; the row groups before are published all the same, if there are any.
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
        if self._nothing_kept:
            self._part.discard()
        else:
            self._finish_rows()
            self._part.publish()
        if self._failure is not None and not raised_before:
            raise self._failure

    def _finish_rows(self) -> None:
        """Called when all rows are on the disk, before the file is published."""

    def abort(self) -> None:
        """Keep what is done, as :meth:`close` does, without raising; without a frame nothing is published."""
        if self.frames == 0 and not self._closed:
            self._closed = True
            self._file.close()
            self._part.discard()
            return
        with contextlib.suppress(SinkError):
            self.close()

    def _end_group(self, count: int | None = None) -> None:
        """Put the first ``count`` rows that wait, or all of them, on the disk as one row group."""
        import pyarrow as pa

        rows, self._rows = self._rows[:count], self._rows[len(self._rows) if count is None else count :]
        if not rows:
            return
        table = pa.Table.from_pylist(rows, schema=self._schema)
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
            self._nothing_kept = True
            with contextlib.suppress(OSError):
                self._nothing_kept = self._mend() == 0
            if self._nothing_kept:
                self._failure = without_rows(self._failure)
            raise self._failure from failure

    def _mend(self) -> int:
        """End the file behind its last whole row group; how many are kept.

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
            for keep in range(sum(end <= self._rows_file.settled for end in ends), 0, -1):
                index: list[Any] = []
                source = parquet.ParquetFile(file, metadata=known)
                with table_writer(_Nothing(), self._schema, index) as again:
                    for number in range(keep):
                        table = source.read_row_group(number)
                        again.write_table(table, row_group_size=len(table))
                (again_known,) = index
                if [_group_end(again_known.row_group(number)) for number in range(keep)] != ends[:keep]:
                    continue
                foot = pa.BufferOutputStream()
                again_known.write_metadata_file(foot)
                with contextlib.suppress(OSError):
                    file.seek(ends[keep - 1])
                    file.truncate()
                    _write_all(file, foot.getvalue().to_pybytes()[len(MAGIC) :])
                    return keep
        return 0


def pyarrow(path: str | os.PathLike[str]) -> Any:
    """The package.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as missing:
        remedy = install_command("parquet")
        raise ConfigError(path, "expected the package pyarrow for Parquet, found none", remedy) from missing
    return pa


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def table_writer(target: io.RawIOBase | BinaryIO, schema: Any, index: list[Any]) -> Any:
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


def _plain(kind: Any) -> Any:
    """A column's type without what reading adds to it: numbers of nested fields."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type)) for field in kind])
    return pa.list_(_plain(kind.value_type)) if pa.types.is_list(kind) else kind


def _own(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    """What a schema was given by its sink, without what pyarrow adds."""
    kept = {key: value for key, value in (metadata or {}).items() if not key.startswith(b"ARROW:")}
    return kept or None
