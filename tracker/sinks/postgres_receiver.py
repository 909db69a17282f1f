"""PostgreSQL as the receiver of a spool: a batch is a transaction, and what it refuses is told apart from an outage."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from tracker.errors import SinkError, TrackerError
from tracker.formats.event_rows import event_of, row_of
from tracker.formats.postgres import connect, explained, sql_state
from tracker.formats.postgres_schema import ForeignSchemaError, prepare
from tracker.sinks.courier import DeliveryError, Receipt, Receiver
from tracker.sinks.postgres_book import Book
from tracker.sinks.replay import DivergedError, Replay, diverged, other_clock, time_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pg8000.native import Connection

    from tracker.events import Event
    from tracker.formats.postgres import PostgresAddress
    from tracker.sinks.base import Edition
    from tracker.sinks.spool import Message

__all__ = ["PostgresReceiver", "settle", "try_out"]

WRONG_DATA = ("22", "23")
"""Classes of refusals that are about the rows themselves."""
BROKEN = ("", "08", "57")
"""Those of a connection that is no more."""


def try_out(address: PostgresAddress) -> None:
    """Connect once and make the ledger where there is none.

    Raises:
        SinkError: The server cannot be reached, refuses the login, or has something else there.
    """
    with _transaction(address, "reach the database"):
        pass


def settle(address: PostgresAddress, stream: str) -> None:
    """Let the last edition of a stream hold.

    Raises:
        SinkError: As for :func:`try_out`.
    """
    with _transaction(address, f"add an edition of {stream}") as connection:
        book = Book(connection)
        book.publish(stream, book.next_edition(stream, holds_at_once=False) - 1)


@contextlib.contextmanager
def _transaction(address: PostgresAddress, doing: str) -> Iterator[Connection]:
    connection = None
    try:
        connection = connect(address)
        prepare(connection, address.schema)
        connection.run("BEGIN")
        yield connection
        connection.run("COMMIT")
    except Exception as failure:  # noqa: BLE001 - whatever the driver and the server do is said in words
        raise _refusal(SinkError, address, failure, doing) from None
    finally:
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


def _refusal(kind: type[SinkError], address: PostgresAddress, failure: Exception, doing: str) -> TrackerError:
    if isinstance(failure, TrackerError):
        return failure
    if isinstance(failure, ForeignSchemaError):
        return kind(address.shown, f"expected a ledger or nothing there, found {failure.found}", failure.remedy)
    refused = explained(address, failure, doing)
    return kind(address.shown, refused.problem, refused.remedy)


@dataclass(slots=True)
class _Run:
    """One run of a recording.

    Attributes:
        token: Of the run.
        mode: How its events come into the ledger.
        edition: The new one; 0 = they are appended to the one that holds.
        known: Comparison with what the ledger has, by stream; ``None`` where it had nothing of that time.
        begun_now: Streams in ``known`` whose first event is not committed yet.
        ending: What the comparisons held back, once the run is over; kept until it is committed.
        is_rest: Its beginning came with an earlier process.
    """

    token: str
    mode: Edition
    edition: int = 0
    known: dict[str, Replay | None] = field(default_factory=dict)
    begun_now: set[str] = field(default_factory=set)
    ending: list[Event] | None = None
    is_rest: bool = False


class PostgresReceiver(Receiver):
    """A ledger in a database.

    Args:
        address: Of it.

    Attributes:
        failures: Why runs of a recording are refused, by their tokens.
    """

    batch: ClassVar[int] = 500

    def __init__(self, address: PostgresAddress) -> None:
        self.failures: dict[str, SinkError] = {}
        self._address = address
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None
        self._run: _Run | None = None

    @property
    def shown(self) -> str:
        """The address without the password."""
        return self._address.shown

    def deliver(self, messages: Sequence[Message], *, last: bool) -> Receipt:
        """Add a batch in one transaction, half of it where the server refuses one of its rows.

        Raises:
            DeliveryError: The database is away, or refuses everything.
        """
        idle = self._connection is not None
        try:
            connection = self._connected()
            connection.run("BEGIN")
            receipt = self._take(Book(connection), messages)
            connection.run("COMMIT")
        except Exception as failure:  # noqa: BLE001 - the same
            self._disconnect()
            self._undo()
            refusal = _refusal(DeliveryError, self._address, failure, "add what waits")
            if idle and sql_state(failure)[:2] in BROKEN:
                return self.deliver(messages, last=last)  # a connection that was left idle may have been ended
            if sql_state(failure)[:2] not in WRONG_DATA:
                raise refusal from None
            if len(messages) == 1:
                return Receipt(refused=messages, reason=refusal.problem)
            return self.deliver(messages[: len(messages) // 2], last=last)
        if self._run is not None:
            self._run.begun_now.clear()
            if self._run.ending is not None:
                self._run = None
        return receipt

    def interrupt(self) -> None:
        """Cut the connection."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Log out."""
        self._disconnect()

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._address, connected=partial(setattr, self, "_socket"))
            prepare(self._connection, self._address.schema)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection, self._socket = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _take(self, book: Book, messages: Sequence[Message]) -> Receipt:
        """Do what a batch says, in its order."""
        confirmed: list[Message] = []
        refused: list[Message] = []
        reason = ""
        for message in messages:
            said = json.loads(message.body)
            if "began_ms" in said:
                _go_on(book, said)
            elif "run" not in said:
                book.add([said["row"]])
            elif problem := self._of_a_run(book, said):
                refused.append(message)
                reason = problem
                continue
            confirmed.append(message)
        book.flush()
        return Receipt(confirmed=confirmed, refused=refused, reason=reason)

    def _undo(self) -> None:
        """Forget what a transaction that failed had told: its messages come again."""
        run = self._run
        if run is not None:
            for stream in run.begun_now:
                run.known.pop(stream, None)
            run.begun_now.clear()

    def _of_a_run(self, book: Book, said: dict[str, Any]) -> str:
        """Take a step or an event of a recording's run; why it is refused, if it is."""
        token, step = said["run"], said.get("step", "")
        if step == "begin" or self._run is None or self._run.token != token:
            self._run = _Run(token, said["mode"])
            self._run.is_rest = step != "begin"
            if step == "begin" and said["mode"] != "append":
                self._run.edition = book.next_edition(said["stream"], holds_at_once=said["mode"] == "revise")
        run = self._run
        if run.is_rest and run.mode != "append":
            return ""  # an edition that broke off is never seen
        if token in self.failures:
            return "" if step else self.failures[token].problem
        try:
            if step in {"end", "abort"}:
                self._end_run(book, run, said["stream"], step)
            elif not step:
                book.add(list(map(row_of, self._let_through(book, run, said["row"]))), run.edition or None)
        except SinkError as failure:
            self.failures[token] = failure
            return failure.problem
        return ""

    def _let_through(self, book: Book, run: _Run, row: dict[str, Any]) -> list[Event]:
        """The events that may be written, now that this one is there."""
        event = event_of(row)
        if run.mode != "append":
            return [event]
        if event.stream not in run.known:
            return [*self._begin(book, run, event), *self._compared(run, event.stream, event)]
        return self._compared(run, event.stream, event)

    def _compared(self, run: _Run, stream: str, event: Event) -> list[Event]:
        replay = run.known[stream]
        return [event] if replay is None else self._or_refused(stream, partial(replay.take, event))

    def _or_refused(self, stream: str, compare: Callable[[], list[Event]]) -> list[Event]:
        try:
            return compare()
        except DivergedError:
            raise diverged(self.shown, stream) from None

    def _begin(self, book: Book, run: _Run, first: Event) -> list[Event]:
        """A stream's first event: it goes on after the ledger's last row, or is a recording that the ledger has."""
        stream, utc = first.stream, first.utc_ms is not None
        if book.last_ms(stream, utc=not utc) is not None:
            raise other_clock(self.shown, stream, utc=utc)
        last_ms = book.last_ms(stream, utc=utc)
        run.begun_now.add(stream)
        if last_ms is not None and time_ms(first) <= last_ms:
            run.known[stream] = Replay(book.keys(stream))
            return []
        run.known[stream] = None
        # What is open at the ledger's last row was left by another run, unless this one began before.
        return book.stays_to_end(stream, last_ms) if utc and not run.is_rest else []

    def _end_run(self, book: Book, run: _Run, stream: str, step: str) -> None:
        if run.ending is None:
            compared = [(name, replay) for name, replay in run.known.items() if replay is not None]
            run.ending = [event for name, replay in compared for event in self._or_refused(name, replay.close)]
        book.add(list(map(row_of, run.ending)), run.edition or None)
        if step == "abort" and run.edition > 1:
            book.discard(stream, run.edition)
        elif run.mode == "revise" and run.edition > 1:
            book.publish(stream, run.edition)


def _go_on(book: Book, said: dict[str, Any]) -> None:
    """A camera's first frame: end the stays that an earlier process left; see ``SqliteSink``."""
    camera, began_ms = said["camera"], said["began_ms"]
    last_ms = book.last_ms(camera, utc=True)
    book.add(said["rows"])
    if last_ms is not None and last_ms < began_ms:
        book.add(list(map(row_of, book.stays_to_end(camera, last_ms))))
