"""What the ledgers have of one recording: its sums by line and zone, and the site that they were counted with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from tracker.analytics.tally import Tally
from tracker.dashboard.filters import Filter, chosen
from tracker.dashboard.history import ENDS, kind_number
from tracker.dashboard.queries import counted_by, grouped

if TYPE_CHECKING:
    from tracker.dashboard.history import History
    from tracker.dashboard.ledgers import Ledgers
    from tracker.site import Site

__all__ = ["counted_revision", "tally_of"]

_LEFT = ENDS.index("left")
_OF_PLACES = ("crossing", "enter", "leave", "flow", "loitering", "identity_start", "identity_end")


def tally_of(history: History, stream: str, site: Site | None = None) -> Tally:
    """Sums of a stream over all time, by final class.

    Args:
        history: Of events.
        stream: The recording.
        site: That it was counted with: places of which there is nothing are 0 then, and not unknown.
    """
    tally = Tally.of(site)
    with history.lock:
        events, texts = history.events, history.names.texts
        rows = chosen(history, Filter(streams=[stream], kinds=("crossing", "enter")), rolled=True)
        groups, codes = grouped(history, rows, ("kind", "place", "direction", "class", "already"))
        sums = counted_by(history, rows, codes, len(groups)).tolist()
        for (kind, place, direction, name, already), count in zip(groups, sums, strict=True):
            if kind == kind_number("crossing"):
                tally.crossings.setdefault((texts[place], texts[direction]), Counter())[texts[name]] += count
                continue
            zone = tally.zone(texts[place])
            (zone.found_inside if already else zone.entries)[texts[name]] += count
        stays = history.stay_rows
        ended = history.stays[stays["leave"][history.stays] & stays["entered"][history.stays]]
        ended = ended[stays["end"][ended] == _LEFT]
        ended = ended[events["stream"][stays["event"][ended]] == history.names.number(stream)]
        places = events["place"][stays["event"][ended]]
        for place in np.unique(places).tolist():
            dwell_s = stays["dwell_s"][ended[places == place]]
            zone = tally.zone(texts[place])
            zone.closed, zone.dwell_s = len(dwell_s), float(np.nansum(dwell_s))
    return tally


def counted_revision(ledgers: Ledgers, stream: str) -> int | None:
    """Revision of the site with which a stream was counted last; ``None`` where there are no events of it."""
    history = ledgers.history
    with history.lock:
        rows = chosen(history, Filter(streams=[stream], kinds=_OF_PLACES))[-1:].tolist()
        places = [(int(history.events["source"][row]), int(history.events["row"][row])) for row in rows]
    for source, row in places:
        for whole in ledgers.rows(source, [row]):
            return int(whole["revision"])
    return None
