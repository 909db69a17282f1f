"""A sink enters a ``with`` block; it is closed after success and aborted after a failure: one rule for every sink."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Closing"]


class Closing(ABC):
    """What every sink does at the end of a ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """Finish and publish what was written; safe to call twice."""

    @abstractmethod
    def abort(self) -> None:
        """Keep what is done without raising."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
