"""Changes in zones: an identity entered, left, or loiters; what becomes an event."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tracker.analytics.lines import Trace

__all__ = ["Change"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An identity entered a zone, left it, or became one that loiters there.

    Attributes:
        kind: What happened.
        slot: Of the identity.
        zone: Number of the zone.
        time_s: When.
        entered_s: When the stay began.
        hidden_s: Seconds of the stay, up to now, in which the contact was not seen.
        already_inside: The entry was not seen.
        lost: The stay ended without an exit in view.
        open: The stream ended first.
        loiter_s: Since when the identity loitered; NaN = it did not.
        before: The last sight before it.
        after: The first sight after it; ``None`` = it was never seen again.
        bridged: It lies in a step that spans a time without a sight.
    """

    kind: Literal["enter", "leave", "loitering"]
    slot: int
    zone: int
    time_s: float
    entered_s: float
    hidden_s: float = 0.0
    already_inside: bool = False
    lost: bool = False
    open: bool = False
    loiter_s: float = math.nan
    before: Trace | None = None
    after: Trace | None = None
    bridged: bool = False
