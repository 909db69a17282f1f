"""Courier: a thread that takes messages from a spool to a receiver, again and again until the receiver confirms them.

The stream's writing thread only puts messages into the spool, which takes milliseconds; whatever the network does
happens in the courier's thread. A receiver that fails is asked again after a pause that doubles from one second to a
minute, and is told of in the log: one line for each reason, and one when it is back.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tracker.errors import SinkError, TrackerError
from tracker.sinks.base import QueueFigures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.sinks.spool import Message, Spool

__all__ = ["Courier", "DeliveryError", "Receipt", "Receiver"]

logger = logging.getLogger("tracker.live.outside")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LAST_S = 10.0
"""At the end of a stream what waits is sent for so long; the rest stays in the spool for the next process."""
FLUSH_S = 2.0
"""After that, an exchange that is under way is cut off, and waited for so long."""

MOST_TOLD = 20
"""Reasons that are remembered as told while a receiver is away."""


class DeliveryError(SinkError):
    """A receiver does not take what waits, which stays.

    Args:
        offender: The receiver, free of credentials.
        problem: What was expected and what was found.
        remedy: What the user can do about it.
        retry_s: When the receiver wants to be asked again; ``None`` = as always.
    """

    def __init__(self, offender: object, problem: str, remedy: str = "", *, retry_s: float | None = None) -> None:
        super().__init__(offender, problem, remedy)
        self.retry_s = retry_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of some messages.

    Attributes:
        confirmed: Those that the receiver has.
        refused: Those that it will never take, which are given up and counted.
        reason: Why it refused them.
        next_s: Seconds until it wants to be given the others, which are not due yet; ``None`` = at once.
    """

    confirmed: Sequence[Message] = ()
    refused: Sequence[Message] = ()
    reason: str = ""
    next_s: float | None = None


class Receiver(ABC):
    """Where messages go. All of it but :meth:`interrupt` is called from the courier's thread.

    Class attributes:
        batch: Most messages that are given at a time.
        tick_s: Call :meth:`tick` at least as often; ``None`` = only before each delivery.
    """

    batch: ClassVar[int] = 100
    tick_s: ClassVar[float | None] = None

    @property
    @abstractmethod
    def shown(self) -> str:
        """Its address, free of credentials."""

    @abstractmethod
    def deliver(self, messages: Sequence[Message], *, last: bool) -> Receipt:
        """Send messages and wait for the confirmation.

        Args:
            messages: The oldest that wait, in their order; given again until they are done.
            last: The stream is over: nothing comes after what waits.

        Raises:
            DeliveryError: It does not take them now.
        """

    def tick(self) -> None:  # noqa: B027 - receivers that are only asked need none
        """Whatever must be done in time although nothing waits.

        Raises:
            DeliveryError: It cannot be reached.
        """

    def interrupt(self) -> None:  # noqa: B027 - receivers that answer in time need none
        """Cut off what is under way; called from another thread."""

    def close(self) -> None:  # noqa: B027 - receivers without a connection need none
        """Say good-bye."""


class Courier:
    """Delivers what a spool holds, in a thread of its own, and closes both at the end.

    Args:
        spool: What waits.
        receiver: Where it goes.
        stream: Name of the stream, for the log and the thread.
        live: The stream goes on in a later process: what is not due when it stops is left for that.
    """

    def __init__(self, spool: Spool, receiver: Receiver, *, stream: str, live: bool = False) -> None:
        self._spool, self._receiver = spool, receiver
        self._stream, self._live = stream, live
        self._changed = threading.Condition()
        self._news = False
        self._ending = False
        self._give_up_s = 0.0
        self._abandoned = self._interrupted = False
        self._problem = ""
        self._told: set[str] = set()
        self._failures = 0
        self._not_before_s = 0.0
        self._finished: list[Message] = []
        self._confirmed = self._refused = 0
        self._dropped_before = spool.figures.dropped
        self._dropped_told = 0
        self._last_success_ms: int | None = None
        self._fault: SinkError | None = None
        self._thread = threading.Thread(target=self._run, name=f"courier-{stream}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the spool.

        Raises:
            SinkError: The spool is damaged: nothing is delivered any more.
        """
        if self._fault is not None:
            raise self._fault
        self._tell_dropped()
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def will_end(self) -> None:
        """The stream does not go on in a later process after all."""
        self._live = False

    @property
    def figures(self) -> QueueFigures:
        """What waits, and how delivery goes."""
        try:
            figures = self._spool.figures
        except SinkError as failure:
            return QueueFigures(
                sink=self._receiver.shown,
                refused=self._refused,
                problem=failure.problem,
                confirmed=self._confirmed,
                kept_in=str(self._spool.path),
            )
        return QueueFigures(
            sink=self._receiver.shown,
            rows=figures.rows,
            dropped=figures.dropped,
            refused=self._refused,
            oldest_ms=figures.oldest_ms,
            last_success_ms=self._last_success_ms,
            problem=figures.problem or self._problem,
            confirmed=self._confirmed,
            kept_in=str(self._spool.path),
        )

    def close(self) -> None:
        """Send what can be sent in time, and end; what waits then is said in the log and stays in the spool."""
        with self._changed:
            if self._ending:
                return
            self._ending = True
            self._give_up_s = time.monotonic() + LAST_S
            self._changed.notify_all()
        self._thread.join(LAST_S)
        if self._thread.is_alive():
            self._interrupted = True
            self._receiver.interrupt()
            self._thread.join(FLUSH_S)
            self._abandoned = True
        left = self._spool.figures.rows
        if left:
            wait = "1 message waits" if left == 1 else f"{left} messages wait"
            note = f"{wait} in {self._spool.path} for the next run of this stream"
            logger.warning("output waits", extra={"camera": self._stream, "output": self._receiver.shown, "note": note})
        self._spool.close()

    def _run(self) -> None:
        try:
            while (pause_s := self._round()) is not None:
                self._sleep(pause_s)
        except SinkError as failure:  # of the spool, which is damaged
            if self._abandoned:
                return
            self._fault = failure
            self._problem = failure.problem
            logger.error("output failed", extra={"camera": self._stream, "problem": str(failure)})  # noqa: TRY400
        finally:
            try:
                self._receiver.close()
            except Exception as failure:  # noqa: BLE001 - a good-bye that is not heard harms nothing
                logger.debug("receiver not closed", extra={"camera": self._stream, "problem": str(failure)})

    def _round(self) -> float | None:
        """One attempt; seconds until the next, or ``None`` at the end.

        Raises:
            SinkError: The spool is damaged.
        """
        ending = self._ending  # before the spool is asked: nothing comes after that
        with self._changed:
            self._news = False
        tick_s = self._receiver.tick_s or float("inf")
        try:
            self._receiver.tick()
            self._forget()
        except Exception as failure:  # noqa: BLE001 - whatever a receiver's library does, the stream goes on
            self._failed(failure)
            return None if ending else self._pause_s()
        if not ending and (left_s := self._not_before_s - time.monotonic()) > 0:
            return min(left_s, tick_s)
        batch = self._spool.peek(self._receiver.batch)
        try:
            receipt = self._receiver.deliver(batch, last=ending and not self._live) if batch else Receipt()
            if receipt.confirmed or receipt.refused or not batch:
                self._recovered()
            self._finish(receipt)
        except Exception as failure:  # noqa: BLE001 - the same
            self._failed(failure)
            pause_s = max(self._pause_s(), getattr(failure, "retry_s", None) or 0.0)
            self._not_before_s = time.monotonic() + pause_s
            return None if ending else min(pause_s, tick_s)
        if ending and (not batch or receipt.next_s is not None or time.monotonic() > self._give_up_s):
            return None
        return 0.0 if batch and receipt.next_s is None else min(receipt.next_s or float("inf"), tick_s)

    def _finish(self, receipt: Receipt) -> None:
        self._finished += [*receipt.confirmed, *receipt.refused]
        self._confirmed += len(receipt.confirmed)
        if receipt.confirmed:
            self._last_success_ms = time.time_ns() // 1_000_000
        if receipt.refused:
            self._refused += len(receipt.refused)
            extra = {"camera": self._stream, "output": self._receiver.shown, "problem": receipt.reason}
            logger.error("output refused", extra=extra | {"messages": len(receipt.refused)})
        self._forget()

    def _forget(self) -> None:
        """Take out of the spool what is finished; while the disk refuses that, it is at least not sent again."""
        if self._finished:
            self._spool.done(self._finished)
            self._finished = []

    def _failed(self, failure: Exception) -> None:
        if self._interrupted and self._problem:
            return  # what was cut off here says nothing of the receiver, and why it is away was told
        if not isinstance(failure, TrackerError):
            problem = f"expected to deliver, found {type(failure).__name__}: {failure}"
            failure = DeliveryError(self._receiver.shown, problem)
        said = f"{failure.offender}: {failure.problem}"
        if said not in self._told:
            self._told = {*list(self._told)[:MOST_TOLD], said}
            logger.warning("output waits", extra={"camera": self._stream, "problem": str(failure)})
        self._problem = said
        self._failures += 1

    def _pause_s(self) -> float:
        pause_s: float = min(FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 20), LONGEST_PAUSE_S)
        return pause_s * random.uniform(0.75, 1.0)  # noqa: S311 - many streams, one broker

    def _recovered(self) -> None:
        if self._problem:
            extra = {"camera": self._stream, "output": self._receiver.shown, "waiting": self._spool.figures.rows}
            logger.info("output back", extra=extra)
        self._problem, self._failures, self._not_before_s = "", 0, 0.0
        self._told = set()

    def _tell_dropped(self) -> None:
        """One line when a spool begins to give up messages, and one for every tenfold."""
        dropped = self._spool.figures.dropped - self._dropped_before
        if dropped >= max(self._dropped_told * 10, self._dropped_told + 1):
            self._dropped_told = dropped
            problem = (
                f"expected room for what waits, found the spool full ({self._spool.limit_bytes} bytes): the oldest "
                f"messages are given up, {dropped} so far"
            )
            extra = {"camera": self._stream, "output": self._receiver.shown, "problem": problem}
            logger.error("spool full", extra=extra)

    def _sleep(self, pause_s: float) -> None:
        """Wait; news cut it short where nothing is wrong, the end always does."""
        until_s = time.monotonic() + pause_s
        with self._changed:
            while not self._ending and not (self._news and not self._failures):
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return
                self._changed.wait(None if left_s == float("inf") else left_s)
