"""Sections of premises: queues and footfall, with the figures of their commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.analytics.asked import Asked
from tracker.analytics.visitors import visitors
from tracker.analytics.waits import ABOVE, queue_figures, waits
from tracker.report.axes import duration_text
from tracker.report.document import Fact, Facts, Note, Section, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracker.analytics.waits import QueueFigures
    from tracker.report.document import Part
    from tracker.report.period import Period
    from tracker.report.questions import Store
    from tracker.report.value_sections import Values
    from tracker.site import Site

__all__ = ["footfall_section", "queue_section"]

MOST_PASSAGES = 200_000
"""Rows of footfall that are taken into memory."""
QUEUE = ("queue_join", "queue_leave")
FOOTFALL = ("crossing", "staff", "re_entry", "group", "group_member", "passing")
TOLD = {"passing": "Passers-by", "staff": "Staff", "re_entry": "Re-entries"}
NOTES = {"staff": "identities, by staff zones"}


def queue_section(store: Store, period: Period, kinds: Mapping[str, int]) -> Section | None:
    """Waits and lengths of queues, as ``masktrail queues`` has them; ``None`` without queues."""
    if not any(kinds.get(kind) for kind in QUEUE):
        return None
    asked = Asked(deleted_ms=store.deleted_ms())
    known = asked.spans(
        {
            (span.stream, span.utc): (max(span.first_ms, period.from_ms), min(span.last_ms, period.to_ms))
            for span in store.spans(apart=True)
        }
    )
    events = store.events(period, QUEUE)
    figures = queue_figures(waits(events), known, asked=asked)
    several = len({one.stream for one in figures}) > 1
    names = [f"{one.place} · {one.stream}" if several else one.place for one in figures]
    columns = ["queue", "#served", "#abandoned", "#lost", "#waiting", "#mean wait", "#median", "#90 %", "#longest wait"]
    caption = "Waits: means and longest ones are of those served, median and 90 % by Kaplan-Meier"
    ends = [[name, *_waits(one)] for name, one in zip(names, figures, strict=True)]
    lengths = [
        [name, f"{one.mean_length:.1f}", f"{one.longest:,}", _percent(one.share_above)]
        for name, one in zip(names, figures, strict=True)
    ]
    tables = [
        Table(columns=columns, rows=ends, caption=caption),
        Table(columns=["queue", "#mean", "#longest", f"#above {ABOVE}"], rows=lengths, caption="Lengths in persons"),
    ]
    lead = (
        "A wait that was given up or lost would have been at least as long as it was seen, and counts so in the median."
    )
    return Section(key="queues", title="Queues", lead=lead, parts=tables)


def _waits(one: QueueFigures) -> list[str]:
    counts = [f"{value:,}" for value in (one.served, one.abandoned, one.lost, one.waiting)]
    seconds = (one.mean_wait_s, one.median_wait_s, one.p90_wait_s, one.longest_wait_s)
    return [*counts, *map(duration_text, seconds)]


def footfall_section(
    store: Store,
    period: Period,
    sites: Sequence[tuple[str, Site]],
    kinds: Mapping[str, int],
    groups: Mapping[tuple[str, str, str, str], Values],
) -> Section | None:
    """Visitors and capture rates, as ``masktrail footfall`` has them; ``None`` without rows of any of its kinds.

    Args:
        store: Of events.
        period: In which they count.
        sites: Stream and site; what is a door and where people pass is said by a site's footfall.
        kinds: Rows of each kind.
        groups: Values of ``group``: how many persons.
    """
    if not any(kinds.get(kind) for kind in (*TOLD, "group")):
        return None
    facts = [
        Fact(name=name, value=f"{kinds[kind]:,}", note=NOTES.get(kind, ""))
        for kind, name in TOLD.items()
        if kinds.get(kind)
    ]
    sizes = [round(size) for values in groups.values() for size in values.values]
    if sizes:
        note = f"{sum(sizes):,} persons, {sum(sizes) / len(sizes):.1f} in a group"
        facts.append(Fact(name="Groups", value=f"{len(sizes):,}", note=note))
    parts: list[Part] = [Facts(facts=facts)]
    rules = [(stream, site) for stream, site in sites if site.footfall]
    if not rules:
        parts.append(Note(text="Visitors and capture rates need a site with footfall: name it with --site."))
    elif sum(kinds.get(kind, 0) for kind in FOOTFALL) > MOST_PASSAGES:
        parts.append(Note(text=f"Visitors and capture rates are of periods with at most {MOST_PASSAGES:,} passages."))
    else:
        parts.append(_visitors(store, period, rules))
    return Section(key="footfall", title="Footfall", lead="", parts=parts)


def _visitors(store: Store, period: Period, rules: Sequence[tuple[str, Site]]) -> Table:
    events = store.events(period, FOOTFALL)
    rows = []
    for stream, site in rules:
        mine = events if store.together else [event for event in events if event.stream == stream]
        for one in visitors(mine, site):
            if one.utc != period.utc:
                continue
            counts = (one.entries, one.staff, one.re_entries, one.visitors, one.parties, one.passers_by)
            shares = (one.capture_of_passing, one.capture_of_all)
            shown = ["-" if value is None else f"{value:,}" for value in counts]
            shown += ["-" if share is None else _percent(share) for share in shares]
            rows.append([f"{one.place} · {one.stream}", *shown])
    columns = ["footfall", "#entries", "#of staff", "#re-entries", "#visitors", "#parties", "#passers-by"]
    rates = ["#capture of passing", "#capture of all"]
    caption = "Visitors are entries without staff and re-entries; passers-by are those that the camera sees"
    return Table(columns=[*columns, *rates], rows=rows, caption=caption)


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
