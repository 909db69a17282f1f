"""Ledger of events in PostgreSQL: rows wait in a spool on disk until the database has committed them.

A camera never stops for its database: rows are queued, and a courier adds them in transactions, once for every key, so
that a batch whose answer was lost is given again without harm. Stays that an earlier process left open are ended as in
the SQLite store, by a message that stands in the queue where the camera's first frame was.

A recording needs its database at the beginning and at the end: what cannot be added then is an error of the output,
and waits for the next run. It is compared with what the ledger has of it, as in the SQLite store: a run that would give
other events of the same time is refused, and a new edition holds when all of it is there.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tracker.errors import SinkError
from tracker.formats.event_rows import plain_text, row_of
from tracker.formats.postgres import PostgresAddress
from tracker.sinks.destination import Destination
from tracker.sinks.outside import OutsideSink
from tracker.sinks.postgres_receiver import PostgresReceiver, try_out
from tracker.sinks.spool import Message, Spool
from tracker.sinks.spool_names import spool_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.events import Event
    from tracker.sinks.base import Resumes, SinkContext
    from tracker.types import TrackedFrame

__all__ = ["PostgresSink"]


class PostgresSink(OutsideSink):
    """Events of a stream, added to a ledger that other streams and later runs share.

    Args:
        address: Of the database.
        context: Of the stream.

    Raises:
        SinkError: Of a recording: the server cannot be reached, refuses the login, or has something else there.
    """

    has_editions: ClassVar[bool] = True
    resumes: ClassVar[Resumes] = "whole"

    def __init__(self, address: PostgresAddress, context: SinkContext) -> None:
        self._live, self._begun = context.live, False
        self._stream = plain_text(context.stream)
        self._run: dict[str, Any] = {}
        if not context.live:
            try_out(address)
            self._run = {"run": secrets.token_hex(4), "mode": context.edition, "stream": self._stream}
        destination = _destination(address)
        self._receiver = PostgresReceiver(address)
        spool = Spool(spool_path(destination, context), limit_bytes=context.spool_bytes)
        self._given_up = spool.figures.dropped
        super().__init__(destination, self._receiver, context, spool)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open the ledger at an address; see :class:`tracker.sinks.base.Sink`. A camera's server may be away."""
        return cls(PostgresAddress.parse(address), context)

    @classmethod
    def settle(cls, address: str, stream: str) -> None:
        """Let what ``edition="hold"`` wrote hold; see :meth:`tracker.sinks.base.Sink.settle`."""
        from tracker.sinks.postgres_receiver import settle

        settle(PostgresAddress.parse(address), plain_text(stream))

    @property
    def address(self) -> str:
        """The address without the password."""
        return self._receiver.shown

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Queue the frame's events; they are on the disk when it returns.

        Raises:
            SinkError: The spool is damaged, or the ledger refuses a recording.
        """
        captured_at = tracked_frame.frame.captured_at
        if self._live and not self._begun and captured_at is not None:
            self._begun = True
            began_ms = round(captured_at.timestamp() * 1000)
            rows = [_row(event) for event in tracked_frame.events]
            began = {"camera": self._stream, "began_ms": began_ms, "rows": rows}
            self._put([_message(f"{self._stream}|began|u{began_ms}", began)])
            return
        self._check()
        super().write(tracked_frame)

    def close(self) -> None:
        """Add what waits, and end; safe to call twice.

        Raises:
            SinkError: Of a recording: the ledger refuses it, or rows still wait.
        """
        lost = 0 if self._closed else self.queues[0].dropped - self._given_up
        self._end("abort" if lost and self._run.get("mode", "append") != "append" else "end")
        if self._run and lost:
            problem = f"expected room for the events of {self._stream}, found the spool full: {lost} were given up"
            raise SinkError(self.address, problem, "raise spool_mb, make room on the disk, and run it again")
        if self._run:
            self._check()
            if waiting := self.queues[0].rows:
                found = self.queues[0].problem or "no answer in time"
                problem = f"expected to add all events of {self._stream}, found {waiting} that wait ({found})"
                remedy = f"see to the database and run it again; they are kept in {self._spool.path}"
                raise SinkError(self.address, problem, remedy)

    def abort(self) -> None:
        """Keep what was added, without raising; a new edition is given up."""
        try:
            self._end("abort" if self._run.get("mode", "append") != "append" else "end")
        except SinkError:
            super().close()

    def messages(self, events: Sequence[Event]) -> list[Message]:
        """Rows for the receiver; of a recording with the run that they belong to."""
        if self._live:
            return [_message(row["key"], {"row": row}) for row in map(_row, events)]
        token = self._run["run"]
        found = [] if self._begun else [_message(f"{token}|begin", {**self._run, "step": "begin"})]
        self._begun = True
        return found + [_message(f"{token}|{row['key']}", {**self._run, "row": row}) for row in map(_row, events)]

    def _end(self, step: str) -> None:
        if self._closed:
            return
        if self._run and self._begun:
            self._put([_message(f"{self._run['run']}|{step}", {**self._run, "step": step})])
        elif self._run and self._run["mode"] != "append" and step == "end":  # an edition without events is one too
            self._put([*self.messages(()), _message(f"{self._run['run']}|end", {**self._run, "step": step})])
        super().close()

    def _check(self) -> None:
        failure = self._receiver.failures.get(self._run.get("run", ""))
        if failure is not None:
            raise failure


def _row(event: Event) -> dict[str, Any]:
    r"""The event's row as the server's texts can hold it, which know no zero byte."""
    return {
        name: value.replace("\0", "\\x00") if isinstance(value, str) else value for name, value in row_of(event).items()
    }


def _message(key: str, body: dict[str, Any]) -> Message:
    return Message(key=key, body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def _destination(address: PostgresAddress) -> Destination:
    """The address as the name of a spool knows it."""
    return Destination(
        scheme="postgresql",
        host=address.host,
        port=address.port,
        user=address.user,
        path=f"/{address.database}/{address.schema}",
    )
