"""Ledger of events as JSON Lines and as Parquet: a row per event, in the order in which they were found."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

from tracker.formats.event_rows import EVENT_FIELDS, TEXT_FIELDS, iso_utc, row_of
from tracker.sinks.table import GROUP_ROWS, TableSink, pyarrow
from tracker.sinks.text import TextSink

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from tracker.events import Event
    from tracker.sinks.base import SinkContext
    from tracker.sinks.part_file import PartFile
    from tracker.types import TrackedFrame

__all__ = ["EventLinesSink", "EventTableSink", "event_object"]


class EventLinesSink(TextSink):
    """One JSON object per line and event; ``pandas.read_json(path, lines=True)`` reads it.

    Args:
        path: The final path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, final_classes=False)  # corrections are rows of their own

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:  # noqa: ARG003 - a ledger has no choices
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(address)

    @classmethod
    def _write_final_classes(cls, part: PartFile) -> None:
        """Nothing: rows of a ledger are never changed."""

    def write_events(self, events: Sequence[Event]) -> None:
        """Add what was found at the end of the stream.

        Raises:
            SinkError: As for :meth:`write`.
        """
        if self._failure is not None:
            raise self._failure
        self._add(_lines(events))

    def _lines(self, tracked_frame: TrackedFrame) -> str:
        return _lines(tracked_frame.events)


class EventTableSink(TableSink):
    """One row per event.

    Args:
        path: The final path.
        group_rows: Rows per row group.

    Raises:
        ConfigError: pyarrow is not installed.
        SinkError: The folder is missing or not writable.
    """

    def __init__(self, path: str | os.PathLike[str], *, group_rows: int = GROUP_ROWS) -> None:
        pa = pyarrow(path)
        kinds = {"text": pa.string(), "number": pa.float64(), "whole": pa.int64(), "flag": pa.bool_()}
        fields = [(field.name, kinds[field.kind]) for field in EVENT_FIELDS if field.name not in TEXT_FIELDS]
        super().__init__(path, pa.schema(fields), group_rows=group_rows)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:  # noqa: ARG003 - a ledger has no choices
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(address)

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Add the events of one frame.

        Raises:
            SinkError: The system refuses; the file is valid up to the last row group, and :meth:`close` publishes it.
        """
        started_s = time.thread_time()
        self.frames += 1
        self._take(tracked_frame.events)
        self._cpu_s["records"] += time.thread_time() - started_s

    def write_events(self, events: Sequence[Event]) -> None:
        """Add what was found at the end of the stream.

        Raises:
            SinkError: As for :meth:`write`.
        """
        self._take(events)

    def _take(self, events: Iterable[Event]) -> None:
        if self._failure is not None:
            raise self._failure
        self._rows += map(row_of, events)
        while len(self._rows) >= self._group_rows:
            self._end_group(self._group_rows)


def _lines(events: Iterable[Event]) -> str:
    return "".join(
        json.dumps(event_object(event), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
        for event in events
    )


def event_object(event: Event) -> dict[str, Any]:
    """The row with its time as text beside the number."""
    values: dict[str, Any] = {}
    for name, value in row_of(event).items():
        values[name] = value
        if name == "utc_ms":
            values["utc"] = None if value is None else iso_utc(value)
    return values
