"""Counts of a site's flows as OTC and TRAFFIX have them; what was not observed is no zero there either."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tracker.app.console import console_for, error_console, foreign
from tracker.app.times import Limits, bin_label
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tracker.analytics.counts import BinCount
    from tracker.site import Site

__all__ = ["movements_of_words", "otc_counts", "traffix"]

QUARTER_S = 900
QUARTERS = 4
ABSENT = "none"
"""Stands for a flow that is not there: the junction does not have its movement."""


def otc_counts(
    ledgers: Sequence[str | Path], stream: str, site: Site, *, bin_s: int, limits: Limits, zone: ZoneInfo
) -> str:
    """Flows by interval and class; intervals of which nothing is known are told and left out."""
    from tracker.formats.otc_counts import FlowCount, counts_csv

    ends = {flow.name: (flow.start, flow.end) for flow in site.flows}
    cells = _flows(ledgers, stream, site, by=["class", "place"], bin_s=bin_s, limits=limits, zone=zone)
    _tell_unknown(cells)
    rows = (
        FlowCount(one.start_ms, one.end_ms, one.group[0], flow, *ends[flow], one.count)
        for one in cells
        if one.count is not None and (flow := one.group[1]) in ends
    )
    return counts_csv(rows, zone)


def traffix(
    ledgers: Sequence[str | Path],
    stream: str,
    site: Site,
    *,
    node: int,
    movements: Mapping[str, str],
    absent: Sequence[str],
    limits: Limits,
    zone: ZoneInfo,
) -> str:
    """The line of the peak hour among those that were observed; flows that are no movement are told and left out.

    Raises:
        ConfigError: No flow is a movement, or no quarter of an hour is known.
    """
    from tracker.formats.traffix import MOVEMENTS, movement_between, movement_named, volume_line

    cells = _flows(ledgers, stream, site, by=["place"], bin_s=QUARTER_S, limits=limits, zone=zone)
    known = {
        flow.name: movements.get(flow.name) or movement_named(flow.name) or movement_between(flow.start, flow.end)
        for flow in site.flows
    }
    if missing := [name for name, movement in known.items() if movement is None]:
        _tell(f"left out, since they are no movement by their name: {', '.join(map(foreign, missing))}")
    counted = {movement for movement in known.values() if movement is not None}
    if not counted:
        raise ConfigError("--site", "expected flows that are movements, found none", "name them with --movement")
    quarters: dict[int, Counter[str]] = {}
    for one in cells:
        if one.count is not None and (movement := known.get(one.group[0])) is not None:
            quarters.setdefault(one.start_ms, Counter())[movement] += one.count
    if not quarters:
        raise ConfigError("--from", "expected a time that the camera saw, found none", "choose another one")
    peak = _peak(quarters)
    own = [peak + QUARTER_S * 1000 * number for number in range(QUARTERS)]
    _tell_unknown([one for one in cells if one.start_ms in own and known.get(one.group[0])])
    _tell_peak(peak, [quarters[start].total() for start in own if start in quarters], zone)
    volumes = sum((quarters.get(start, Counter()) for start in own), Counter())
    if unseen := [name for name in MOVEMENTS if name not in counted and name not in absent]:
        said = f"no flow counts {', '.join(unseen)}: written as -, which is no zero; where the junction has no such"
        _tell(f"{said} movement, say so: --movement {ABSENT}={unseen[0]}")
    return volume_line(node, {name: volumes[name] for name in (*counted, *absent)}) + "\n"


def movements_of_words(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Movements by flow, as --movement names them, and those that the junction does not have.

    Raises:
        ConfigError: One is no movement.
    """
    from tracker.formats.traffix import MOVEMENTS, movement_named

    found: dict[str, str] = {}
    absent = []
    for word in words:
        flow, mark, name = word.rpartition("=")
        movement = movement_named(name)
        if not mark or movement is None:
            problem = f"expected a flow and one of {', '.join(MOVEMENTS)}, found {word[:80]!r}"
            raise ConfigError("--movement", problem, "write --movement 'south to west=nbL'")
        if flow == ABSENT:
            absent.append(movement)
        else:
            found[flow] = movement
    return found, absent


def _flows(
    ledgers: Sequence[str | Path],
    stream: str,
    site: Site,
    *,
    by: list[str],
    bin_s: int,
    limits: Limits,
    zone: ZoneInfo,
) -> list[BinCount]:
    """Counts of the site's flows, of each in every bin; without a flow there is nothing to write."""
    from dataclasses import replace

    from tracker.analytics.counts import filled, sum_s
    from tracker.analytics.group_counts import regrouped
    from tracker.app.sums import sums_of_ledgers

    if not site.flows:
        problem = "expected flows in the site, which are what this format counts, found none"
        raise ConfigError("--site", problem, "add flows: with start and end to the site, and count again")
    groups = [(flow.name,) for flow in site.flows] if by == ["place"] else ()
    sums = sums_of_ledgers(ledgers, ["flow"], ["stream", *by], sum_s(bin_s), limits)
    sums = regrouped(sums, ["stream", *by], lambda values: values if values["stream"] == stream else None, into=by)
    own = {key: span for key, span in sums.streams.items() if key[0] == stream}
    sums = replace(sums, outages=[out for out in sums.outages if out.stream == stream], streams=own)
    return list(filled(sums, by=by, bin_s=bin_s, start_ms=limits[0], end_ms=limits[1], groups=groups, zone=zone))


def _peak(quarters: Mapping[int, Counter[str]]) -> int:
    """Begin of the hour with the most vehicles; of hours that are known whole where there are any."""
    hours = {
        first: [
            quarters[start] for number in range(QUARTERS) if (start := first + QUARTER_S * 1000 * number) in quarters
        ]
        for first in sorted(quarters)
    }
    most = max(map(len, hours.values()))
    return max(
        (first for first in hours if len(hours[first]) == most),
        key=lambda first: sum(one.total() for one in hours[first]),
    )


def _tell_peak(peak_ms: int, quarters: Sequence[int], zone: ZoneInfo) -> None:
    total, most = sum(quarters), max(quarters)
    factor = f"{total / (QUARTERS * most):.2f}" if most else "-"
    begins = bin_label(peak_ms, zone, utc=True)
    text = f"peak hour from {begins}: {total} vehicles, peak hour factor {factor}"
    if len(quarters) < QUARTERS:
        text += "; less than four quarters of an hour are known, so it is no peak hour"
    console_for().print(text, highlight=False, soft_wrap=True)


def _tell_unknown(cells: Sequence[BinCount]) -> None:
    unknown = {one.start_ms for one in cells if one.count is None}
    less = {one.start_ms for one in cells if one.outage} - unknown
    why = "the camera was out, or they were deleted by age"
    for slots, said in ((unknown, f"left out, since {why}"), (less, f"lower limits: for a part of them {why}")):
        if slots:
            _tell(f"{len(slots)} intervals are {said}")


def _tell(text: str) -> None:
    error_console().print(text, highlight=False, soft_wrap=True, markup=False)
