"""Settings of reports that a service writes by itself, ``report:`` of cameras.yaml: when, over what and where."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field

from tracker.settings.model import Note, Settings, Wanted
from tracker.settings.values import Text, Texts

__all__ = ["ReportSettings"]


def _clock(value: Any) -> Any:
    """``HH:MM``."""
    if isinstance(value, str) and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        message = "no time of day"
        raise ValueError(message)
    return value


def _zone(value: Any) -> Any:
    """An IANA name."""
    if isinstance(value, str):
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, OSError) as failure:
            message = "no time zone"
            raise ValueError(message) from failure
    return value


class ReportSettings(Settings):
    """A report of every day or week."""

    folder: Annotated[
        Text,
        Field(description="Folder of the reports, report-2026-03-28.html or report-2026-W13.html; it is made."),
        Note("A report that is there is never written again."),
    ]
    every: Annotated[
        Literal["day", "week"],
        Field(description="A report of the day before, or on Mondays of the week before."),
    ] = "day"
    at: Annotated[
        Text,
        BeforeValidator(_clock),
        Field(description="Time of day at which it is written; one that was missed is written at the next start."),
        Wanted("a time of day as HH:MM", "such as 06:00"),
    ] = "06:00"
    timezone: Annotated[
        Text | None,
        BeforeValidator(_zone),
        Field(description="Of the days, as the IANA names it; by default that of the first site, else UTC."),
        Wanted("an IANA time zone", "such as Europe/Berlin"),
    ] = None
    only: Annotated[Texts, Field(description="Names of the cameras that it tells of; by default all.")] = ()
    title: Annotated[
        Text | None, Field(description="At its top; by default the names of the cameras.", max_length=120)
    ] = None
    png: Annotated[bool, Field(description="Also as a picture.")] = False
    csv: Annotated[bool, Field(description="Also the figures, in a folder of CSV files beside it.")] = False
