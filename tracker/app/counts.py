"""Counts of a run on the terminal: a short table of lines, zones and flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from tracker.app.console import foreign

if TYPE_CHECKING:
    from collections import Counter

    from tracker.analytics.tally import Tally, ZoneTally

__all__ = ["counts_table"]


def counts_table(tally: Tally) -> Table:
    """What was counted, a row for each direction over a line, for each zone and for each flow."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(style="cyan")
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for (line, direction), counts in tally.crossings.items():
        _add(table, "line", f"{line} {direction}", counts)
    for name, zone in tally.zones.items():
        _add(table, "zone", f"{name} entered", zone.entries, _dwell(zone))
    for name, counts in tally.flows.items():
        _add(table, "flow", name, counts)
    return table


def _add(table: Table, kind: str, title: str, counts: Counter[str], more: str = "") -> None:
    parts = [f"{count} {foreign(of_class)}" for of_class, count in counts.most_common()]
    classes = f"({', '.join(parts)})" if parts else ""
    table.add_row(kind, foreign(title), f"{counts.total()}", "; ".join(part for part in (classes, more) if part))


def _dwell(zone: ZoneTally) -> str:
    """Beside the entries: how long closed stays were, and what was there already."""
    parts = []
    if zone.mean_dwell_s is not None:
        parts.append(f"mean dwell {zone.mean_dwell_s:.1f} s of {zone.closed}")
    if zone.found_inside:
        parts.append(f"{zone.found_inside.total()} more found inside")
    return ", ".join(parts)
