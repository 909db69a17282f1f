"""Settings of the alert rules of a site file, with type, range, default and description."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tracker.alert_rules import Watch
from tracker.settings.model import Note, Settings, Wanted
from tracker.settings.values import MOST_LETTERS, Text, Texts

__all__ = ["AlertSettings"]

DAY_S = 86_400
MOST = 1e9


class AlertSettings(Settings):
    """A number that is watched: a row `alert` when it is above a limit for some time, another when that is over."""

    name: Annotated[
        Text,
        Field(description="Name, different from those of the site's other alerts.", max_length=MOST_LETTERS),
        Wanted(f"a name of 1 to {MOST_LETTERS} letters", "such as long queue"),
    ]
    watch: Annotated[
        Watch,
        Field(description="What is watched."),
        Note(
            "`queue`: persons in it; `occupancy`: entries less exits of doors; `presence`: identities in a zone; "
            "`stopped`, `wrong_way`: road users; `speed`: m/s; `gap`: seconds without frames; "
            "`camera_moved`, `frozen`, `covered`, `dark`: 1 while it is."
        ),
    ]
    place: Annotated[
        Text | None,
        Field(description="Name of the queue, doors, zone or line."),
        Note("`stopped`, `wrong_way` and `speed` are watched at all places if it is left out."),
    ] = None
    over: Annotated[float, Field(ge=0, le=MOST, description="The alert begins above this number.")] = 0.0
    until: Annotated[
        float | None, Field(ge=0, le=MOST, description="It is over at this number or less; `over` if left out.")
    ] = None
    for_s: Annotated[float, Field(ge=0, le=DAY_S, description="Seconds above `over`, without a break.")] = 0.0
    clear_s: Annotated[
        float, Field(ge=1, le=DAY_S, description="Seconds at `until` or less, without a break, until it is over.")
    ] = 30.0
    quiet: Annotated[
        Texts,
        Field(description="Local times in which no alert begins, such as `mon-fri 22:00-06:00`."),
        Note("The days are those of the begin. What still holds at the end of a quiet time is an alert then."),
        Wanted("a list of quiet times", 'such as ["mon-fri 22:00-06:00"]'),
    ] = ()
