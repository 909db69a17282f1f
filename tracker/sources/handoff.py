"""Items enter on the decoding thread and leave on the consumer's; bounded, closable from both ends."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Handoff"]

Item = TypeVar("Item")


class Handoff(Generic[Item]):
    """A bounded queue between one producer and one consumer.

    ``queue.Queue`` lacks what is needed here: dropping the oldest item when full, and waking both sides on closing or
    on an error.

    Args:
        capacity: Most items waiting at one time.
        drop_oldest: A full queue drops its oldest item (live); else the producer waits (recordings).
    """

    def __init__(self, *, capacity: int, drop_oldest: bool) -> None:
        self.dropped = 0
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._items: deque[Item] = deque()
        self._error: BaseException | None = None
        self._finished = False
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether the consumer gave up."""
        return self._closed

    def put(self, item: Item) -> bool:
        """Hand an item over, waiting or dropping the oldest when full; false when the consumer has closed."""
        with self._changed:
            if self._drop_oldest:
                while len(self._items) >= self._capacity:
                    self._items.popleft()
                    self.dropped += 1
            else:
                self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """No more items; the consumer gets what is waiting, then the end or the error."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def get(self) -> Item | None:
        """The next item, waiting for it; ``None`` at the end.

        Raises:
            BaseException: The producer's error, once, after the items that came before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._finished or self._closed)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def close(self) -> None:
        """The consumer wants nothing more: waiting items are let go, both sides wake."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._error = None
            self._changed.notify_all()
