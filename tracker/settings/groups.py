"""Settings of a file of groups: every key of ``groups.yaml`` with its type, default and description.

:mod:`tracker.settings.groups_file` reads the file; what the parts mean is said by :mod:`tracker.groups`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tracker.settings.model import Note, Settings, Wanted
from tracker.settings.values import MOST_LETTERS, Text, Texts

__all__ = ["VERSION", "DoorOfGroupSettings", "GroupSettings", "GroupsSettings", "OpeningSettings"]

VERSION = 1

DAY = "^([01]?[0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
TIME = Wanted("a time of the day as HH:MM", "such as 09:30")


class DoorOfGroupSettings(Settings):
    """A line by which the place is entered and left."""

    camera: Annotated[Text, Field(description="Name of the camera, as in its events.")]
    line: Annotated[Text, Field(description="Name of the line in the camera's site.")]
    entry: Annotated[Text, Field(description="Name of the direction that enters.")] = "in"
    exit: Annotated[Text, Field(description="Name of the direction that leaves.")] = "out"


class OpeningSettings(Settings):
    """Hours in which the place is open."""

    days: Annotated[Text, Field(description="Days of the week: mon-fri, or sat,sun.")] = "mon-sun"
    opens: Annotated[Text, Field(pattern=DAY, description="Local time from which it is open."), TIME]
    closes: Annotated[
        Text,
        Field(pattern=DAY, description="Local time until which it is open, up to 24:00."),
        Note("Hours past midnight are those of two days."),
        TIME,
    ]


class GroupSettings(Settings):
    """One place that several cameras see."""

    name: Annotated[
        Text,
        Field(description="Name of the place, different from those of the other groups.", max_length=MOST_LETTERS),
        Wanted(f"a name of 1 to {MOST_LETTERS} letters", "such as shop"),
    ]
    cameras: Annotated[Texts, Field(min_length=1, description="Names of its cameras.")]
    timezone: Annotated[Text, Field(description="Time zone of the place, as the IANA names it.")] = "UTC"
    classes: Annotated[Texts, Field(description="Classes that count at the doors; all if left out.")] = ()
    reset_at: Annotated[
        Text | None,
        Field(pattern=DAY, description="Quiet hour HH:MM at which the place is empty: its occupancy is 0 then."),
        Wanted("a time of the day as HH:MM", "such as 04:00"),
    ] = None
    closed: Annotated[
        Texts,
        Field(description="Days on which it is closed, 2026-12-25."),
        Wanted("days such as 2026-12-25"),
    ] = ()
    doors: Annotated[tuple[DoorOfGroupSettings, ...], Field(description="All lines by which it is entered.")] = ()
    opening: Annotated[tuple[OpeningSettings, ...], Field(description="When it is open; always if left out.")] = ()


class GroupsSettings(Settings):
    """A whole file: groups of cameras."""

    version: Annotated[int, Field(ge=1, le=VERSION, description="Version of the file's form.")] = VERSION
    groups: Annotated[tuple[GroupSettings, ...], Field(description="The places.")] = ()
