"""Settings of retention: for how many days pictures, events and counts are kept."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tracker.settings.model import Note, Settings, Wanted

__all__ = ["RetentionSettings"]

LONGEST_DAYS = 36_500


def _days(value: Any) -> Any:
    """``ever`` is no number of days."""
    return None if isinstance(value, str) and value.lower() in {"ever", "forever", "for ever"} else value


Days = Annotated[float | None, Field(ge=0.01, le=LONGEST_DAYS), BeforeValidator(_days)]
_EVER = Wanted("days or `ever`", "such as 90, or ever")


class RetentionSettings(Settings):
    """How long what a service writes is kept."""

    pictures_days: Annotated[
        Days,
        Field(description="Videos and pictures that the cameras' `save` wrote, by the time of their last change."),
        Note("Only files whose names that pattern gives, with `{time}` or `{frame}`; others are never touched."),
        _EVER,
    ] = 3.0
    events_days: Annotated[
        Days,
        Field(description="Events in stores and in parts of event files."),
        Note("What events of a store counted is kept in bins of 15 minutes; of a file nothing is left."),
        _EVER,
    ] = 90.0
    bins_days: Annotated[
        Days, Field(description="Counts of events that were deleted."), Note("`ever` keeps them."), _EVER
    ] = None
    records_days: Annotated[
        Days,
        Field(description="Parts of the cameras' `records`: positions and silhouettes of every frame."),
        Note("`ever` keeps them."),
        _EVER,
    ] = None
    every_s: Annotated[
        float, Field(ge=1, le=86_400, description="How often a service looks for what is too old, in seconds.")
    ] = 3600.0
