"""Outputs whose receiver is another program: rows become messages of a spool, which a courier delivers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, get_args

from tracker.errors import ConfigError
from tracker.events import EventKind
from tracker.sinks.base import Sink
from tracker.sinks.courier import Courier
from tracker.sinks.events import event_object
from tracker.sinks.spool import Message, Spool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracker.events import Event
    from tracker.sinks.base import Checkpoint, QueueFigures, Resumes, SinkContext
    from tracker.sinks.courier import Receiver
    from tracker.sinks.destination import Destination
    from tracker.types import TrackedFrame

__all__ = ["KINDS_EXAMPLE", "OutsideSink", "kinds_of", "row_body"]

KINDS_EXAMPLE = "crossing,leave,alert"


class OutsideSink(Sink):
    """Rows of the ledger as messages. Subclasses open it with their receiver.

    A recording that is resumed gives the rows since its checkpoint again; the spool knows their keys.

    Args:
        destination: Where it goes.
        receiver: Takes the messages.
        context: Of the stream.
        spool: What waits; closed with the sink.
        topic: Of the rows, where the receiver knows topics.
        kinds: Of the rows that are sent; empty = all.
    """

    resumes: ClassVar[Resumes] = "rest"

    def __init__(
        self,
        destination: Destination,
        receiver: Receiver,
        context: SinkContext,
        spool: Spool,
        *,
        topic: str = "",
        kinds: frozenset[str] = frozenset(),
    ) -> None:
        self._destination, self._topic, self._kinds = destination, topic, kinds
        self._spool = spool
        self._courier = Courier(spool, receiver, stream=context.stream, live=context.live or context.resumable)
        self._resumable = context.resumable
        self._closed = False

    @property
    def address(self) -> str:
        """Scheme and host."""
        return self._destination.shown

    @property
    def queues(self) -> tuple[QueueFigures, ...]:
        """What waits for the receiver."""
        return (self._courier.figures,)

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Queue the frame's events; they are on the disk when it returns.

        Raises:
            SinkError: The spool is damaged. A receiver that is away raises nothing.
        """
        self._put(self.messages(tracked_frame.events))

    def write_events(self, events: Sequence[Event]) -> None:
        """Queue what was found at the end of the stream.

        Raises:
            SinkError: As for :meth:`write`.
        """
        self._put(self.messages(events))

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Of a recording that is complete nothing comes later."""
        if checkpoint.complete and self._resumable:
            self._resumable = False
            self._courier.will_end()

    def close(self) -> None:
        """Send what can be sent within seconds; what waits then stays in the spool. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._courier.close()

    def messages(self, events: Sequence[Event]) -> list[Message]:
        """The rows that are sent."""
        return [
            Message(key=event.key, topic=self._topic, body=row_body(event))
            for event in events
            if not self._kinds or event.kind in self._kinds
        ]

    def _put(self, messages: Sequence[Message], notes: Mapping[str, bytes | None] | None = None) -> None:
        if messages or notes:
            self._spool.put(messages, notes)
            self._courier.wake()


def row_body(event: Event) -> bytes:
    """A row of the ledger as JSON, as the line of a ``.events.jsonl``."""
    return json.dumps(event_object(event), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def kinds_of(destination: Destination) -> frozenset[str]:
    """The option ``kinds``; empty = all.

    Raises:
        ConfigError: There is no such kind.
    """
    named = [name for name in destination.options.get("kinds", "").split(",") if name]
    known = get_args(EventKind)
    for name in named:
        if name not in known:
            problem = f"expected kinds of events ({', '.join(known)}), found {name!r}"
            raise ConfigError(destination.shown, problem, f"write kinds={KINDS_EXAMPLE}, say")
    return frozenset(named)
