"""Bounded hand-off between the decoding thread and the consumer, closable from both ends."""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Handoff"]

Item = TypeVar("Item")


class Handoff(Generic[Item]):
    """A bounded queue between one producer and one consumer.

    ``queue.Queue`` lacks what is needed here: dropping the oldest item when full, and waking both sides on closing or
    on an error.

    Args:
        capacity: Most items waiting at one time.
        drop_oldest: A full queue drops its oldest item (live); else the producer waits (recordings).
        on_change: Called on the producer's thread after every item and at the end, for consumers of many queues.
        max_bytes: Most bytes waiting at one time; a single item may be larger. ``None`` for no such bound.
        size_of: Bytes of an item, where ``max_bytes`` bounds them.
    """

    def __init__(
        self,
        *,
        capacity: int,
        drop_oldest: bool,
        on_change: Callable[[], None] | None = None,
        max_bytes: int | None = None,
        size_of: Callable[[Item], int] | None = None,
    ) -> None:
        self.dropped = 0
        self.drop_oldest = drop_oldest  # may be settled by the producer before its first item
        self._on_change = on_change
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._size_of = size_of if max_bytes is not None else None
        self._items: deque[Item] = deque()
        self._sizes: deque[int] = deque()  # bytes, one for each item
        self._error: BaseException | None = None
        self._finished = False
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether the consumer has closed."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Calls of :meth:`get` that return at once: waiting items, plus one for an error that is still to be raised."""
        return len(self._items) + (self._error is not None)

    @property
    def over(self) -> bool:
        """Whether no item waits and none will arrive; an error that is still to be raised counts as waiting."""
        with self._changed:
            return self._closed or (self._finished and not self._items and self._error is None)

    @property
    def exhausted(self) -> bool:
        """Whether no further item will arrive after those that wait."""
        return self._finished or self._closed

    def put(self, item: Item) -> bool:
        """Hand an item over, waiting or dropping the oldest when full; false when the consumer has closed."""
        size = self._size_of(item) if self._size_of is not None else 0
        with self._changed:
            if self.drop_oldest:
                while not self._has_room(size):
                    self._take()
                    self.dropped += 1
            else:
                self._changed.wait_for(lambda: self._closed or self._has_room(size))
            if self._closed:
                return False
            self._items.append(item)
            self._sizes.append(size)
            self._changed.notify_all()
        if self._on_change is not None:
            self._on_change()
        return True

    def finish(self, error: BaseException | None = None) -> None:
        """No more items; the consumer gets what is waiting, then the end or the error."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()
        if self._on_change is not None:
            self._on_change()

    def get(self, timeout_s: float | None = None) -> Item | None:
        """The next item, waiting for it; ``None`` at the end.

        Args:
            timeout_s: Longest wait; ``None`` = for ever, 0 = not at all.

        Raises:
            queue.Empty: Nothing came in time.
            BaseException: The producer's error, once, after the items that came before it.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._finished or self._closed, timeout_s):
                raise queue.Empty
            if self._items:
                item = self._take()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def wait(self) -> None:
        """Return as soon as :meth:`get` would answer at once.

        Raises:
            BaseException: The producer's error, once, where no item came before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._finished or self._closed)
            error = None
            if not self._items:
                error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Close from the consumer's side: waiting items are dropped, both sides wake."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._sizes.clear()
            self._error = None
            self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        """Whether an item of ``size`` bytes fits; into an empty queue any does."""
        if not self._items:
            return True
        fits = self._max_bytes is None or sum(self._sizes) + size <= self._max_bytes
        return fits and len(self._items) < self._capacity

    def _take(self) -> Item:
        self._sizes.popleft()
        return self._items.popleft()
