"""Digests of all streams of a service: mail outputs with the same server, mailboxes and period have one spool.

Outputs are opened stream by stream, so what they share is kept here for the process: the first one opens the spool and
the courier, the last one closes them. Another process has its own, and so do outputs of recordings, which end with a
mail of their own.
"""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, ClassVar

from tracker.errors import SinkError
from tracker.sinks.courier import Courier
from tracker.sinks.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tracker.sinks.base import QueueFigures
    from tracker.sinks.courier import Receiver
    from tracker.sinks.spool import Message

__all__ = ["DigestDesk"]

PATIENCE_S = 2.0
"""Another owner of the spool may be ending; after that it is another service."""
MOST_ROWS = 1_000_000
"""That are taken over."""


class DigestDesk:
    """Rows of several streams that wait for one digest. Its methods may be called from several threads.

    Args:
        path: Of the spool.
        receiver: Of the mails.
        timezones: By stream, which the receiver looks at.
        limit_bytes: Of the spool.

    Raises:
        SinkError: The spool cannot be opened.
    """

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _open: ClassVar[dict[Path, DigestDesk]] = {}

    def __init__(self, path: Path, receiver: Receiver, timezones: dict[str, str], *, limit_bytes: int) -> None:
        self._path, self._timezones = path, timezones
        self.spool = Spool(path, limit_bytes=limit_bytes, patience_s=PATIENCE_S)
        self._courier = Courier(self.spool, receiver, stream="all streams", live=True)
        self._members: list[object] = []

    @classmethod
    def join(
        cls, member: object, path: Path, receiver: Receiver, timezones: dict[str, str], *, limit_bytes: int
    ) -> DigestDesk | None:
        """The desk of a spool, opened with this receiver where there is none.

        Args:
            member: That leaves it again with :meth:`leave`.
            path: Of the spool.
            receiver: Of the mails.
            timezones: By stream, which this receiver looks at; they are added to those of the desk.
            limit_bytes: Of the spool.

        Returns:
            ``None`` where another process has the spool: the stream sends digests of its own then.
        """
        with cls._lock:
            desk = cls._open.get(path)
            if desk is None:
                try:
                    desk = cls._open[path] = cls(path, receiver, timezones, limit_bytes=limit_bytes)
                except SinkError:
                    return None
            desk._timezones.update(timezones)
            desk._members.append(member)
            return desk

    def leave(self, member: object) -> None:
        """A stream ends; what it put waits on. The last one closes the spool, for a later process."""
        with self._lock:
            if member not in self._members:
                return
            self._members.remove(member)
            if not self._members:
                del self._open[self._path]
                self._courier.close()

    def take_over(self, stream: str, left: Iterable[Path]) -> None:
        """Queue the rows of a stream that wait in spools of other desks, which its outputs have no more.

        Args:
            stream: Whose rows; those of other streams stay there.
            left: Spools; one that is in use or damaged is left alone.
        """
        for path in left:
            with contextlib.suppress(SinkError), Spool(path, patience_s=0.0) as spool:
                rows = [message for message in spool.peek(MOST_ROWS) if json.loads(message.body)["stream"] == stream]
                if rows:
                    self.put(rows)
                    spool.done(rows)

    def put(self, messages: Sequence[Message]) -> None:
        """Queue rows; they are on the disk when it returns.

        Raises:
            SinkError: The spool is damaged.
        """
        self.spool.put(messages)
        self._courier.wake()

    def figures_for(self, member: object) -> tuple[QueueFigures, ...]:
        """What waits, for the stream that is with it longest: it is counted once."""
        return (self._courier.figures,) if self._members[:1] == [member] else ()
