"""Wall-clock time of capture: a recording's own date of creation, or the arrival of a camera's picture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["created_at", "shown_at"]

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Earlier dates come from clocks that were never set: 1904 and 1970 are the zero of MP4's and of most systems'
clocks."""


def created_at(metadata: Mapping[str, str]) -> datetime | None:
    """Start of a recording, UTC, from its container; ``None`` where it is missing or implausible.

    >>> created_at({"creation_time": "2026-03-01T12:30:00.500000Z"})
    datetime.datetime(2026, 3, 1, 12, 30, 0, 500000, tzinfo=datetime.timezone.utc)
    >>> created_at({"creation_time": "1970-01-01T00:00:00.000000Z"}) is created_at({}) is None
    True
    """
    try:
        moment = datetime.fromisoformat(metadata.get("creation_time", ""))
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment if moment >= EARLIEST else None


def shown_at(created: datetime | None, time_s: float) -> datetime | None:
    """When a picture of a recording was taken, from its media time in seconds."""
    try:
        return None if created is None else created + timedelta(seconds=time_s)
    except OverflowError:  # beyond the range of dates
        return None
