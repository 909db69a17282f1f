"""Validation of counts: random intervals for a person to count, and how good the ledger is beside that."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracker.events import Event

__all__ = [
    "ALL",
    "Agreement",
    "Cell",
    "Interval",
    "Verdict",
    "agreements",
    "draw_intervals",
    "geh",
    "light_of",
    "weak_words",
]

ALL = "all classes"
"""Stands for the class in sums over all of them."""
RESAMPLES = 4_000
CONFIDENCE = 0.95
TOLERANCE = 0.1
"""Share by which a count may be off before its class is weak."""
WEAK_GEH = 5.0
"""The customary limit for hourly flows (DMRB 12.2.1; FHWA Traffic Analysis Toolbox III)."""
FEWEST = 30
"""Passages, by ledger and by a person, below which a class is not judged."""
FEWEST_INTERVALS = 5
"""Below which a bootstrap over intervals says nothing."""
DARK, DIM = 50.0, 100.0
"""Mean grey values, of 255, below which a picture is dark or dim."""

Clock = Literal["media", "utc"]
Verdict = Literal["good", "weak", "too few"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A time in which a person counts.

    Attributes:
        number: From 1, in order of time.
        from_ms, to_ms: Its ends, the second one exclusive.
        stratum: From which group it was drawn: hour and light.
    """

    number: int
    from_ms: int
    to_ms: int
    stratum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Passages over one line, in one direction, of one class, within one interval, by ledger and by a person."""

    interval: int
    hours: float
    place: str
    direction: str
    class_name: str
    ledger: int
    person: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How good the counts of one line, direction and class are.

    Attributes:
        place, direction, class_name: Of what.
        intervals: How many were counted.
        hours: How long they are together.
        ledger, person: Passages in them.
        ratio: Ledger over person; NaN where a person counted none.
        low, high: 95 % interval of it; NaN with it, and with less than 5 intervals that differ.
        method: How that was found.
        geh: Of the mean hourly flows.
        verdict: ``too few`` = less than 30 by ledger and by a person.
    """

    place: str
    direction: str
    class_name: str
    intervals: int
    hours: float
    ledger: int
    person: int
    ratio: float
    low: float
    high: float
    method: Literal["bootstrap", "rule of three", ""]
    geh: float
    verdict: Verdict


def geh(ledger_per_hour: float, person_per_hour: float) -> float:
    """The statistic of Geoffrey E. Havers for two hourly flows, ``sqrt(2 (m - c)^2 / (m + c))``.

    >>> round(geh(110, 100), 3), geh(0, 0)
    (0.976, 0.0)
    """
    total = ledger_per_hour + person_per_hour
    return math.sqrt(2 * (ledger_per_hour - person_per_hour) ** 2 / total) if total else 0.0


def light_of(brightness: float) -> str:
    """``dark``, ``dim`` or ``bright``, from the mean grey value of a picture, 0..255.

    >>> light_of(20.0), light_of(50.0), light_of(100.0)
    ('dark', 'dim', 'bright')
    """
    return "dark" if brightness < DARK else "dim" if brightness < DIM else "bright"


def draw_intervals(
    strata: Sequence[str], *, from_ms: int, length_ms: int, count: int, rng: np.random.Generator
) -> list[Interval]:
    """Draw intervals at random, without replacement, from each stratum in proportion to its size, one at least.

    Args:
        strata: Of the consecutive intervals from ``from_ms`` on.
        from_ms: Begin of the first.
        length_ms: Of each.
        count: How many are drawn; all where there are not more.
        rng: Draws them.

    Raises:
        ConfigError: There are more strata than intervals wanted, or there is nothing to draw from.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for number, stratum in enumerate(strata):
        members[stratum].append(number)
    if not members:
        problem = "expected a recording of one interval at least, found a shorter one"
        raise ConfigError("--length", problem, "take shorter intervals")
    count = min(count, len(strata))
    if len(members) > count:
        problem = f"expected an interval for each of {len(members)} groups of hour and light, found {count}"
        raise ConfigError("--intervals", problem, f"draw {len(members)} or more")
    chosen: list[int] = []
    for stratum, share in _shares({name: len(found) for name, found in members.items()}, count).items():
        chosen += rng.choice(members[stratum], size=share, replace=False).tolist()
    return [
        Interval(
            number=number,
            from_ms=from_ms + place * length_ms,
            to_ms=from_ms + (place + 1) * length_ms,
            stratum=strata[place],
        )
        for number, place in enumerate(sorted(chosen), 1)
    ]


def _shares(sizes: dict[str, int], count: int) -> dict[str, int]:
    """Split ``count`` in proportion, one at least and no more than there are, by largest remainders.

    >>> _shares({"day": 8, "night": 2}, 5), _shares({"day": 98, "night": 1, "dusk": 1}, 4)
    ({'day': 4, 'night': 1}, {'day': 2, 'night': 1, 'dusk': 1})
    """
    total = sum(sizes.values())
    shares = dict.fromkeys(sizes, 1)
    while sum(shares.values()) < count:
        open_ones = [name for name in sizes if shares[name] < sizes[name]]
        shares[max(open_ones, key=lambda name: count * sizes[name] / total - shares[name])] += 1
    return shares


def ledger_counts(
    events: Iterable[Event], intervals: Sequence[tuple[int, int, int]], *, clock: Clock, stream: str
) -> dict[tuple[int, str, str, str], int]:
    """What a ledger counted in each interval, by its number, place, direction and class.

    Args:
        events: Under their final classes.
        intervals: Number, begin and end of each, in milliseconds.
        clock: By which.
        stream: Whose events.
    """
    found: dict[tuple[int, str, str, str], int] = defaultdict(int)
    for event in events:
        if event.stream != stream or not passage(event):
            continue
        at_ms = moment_ms(event, clock)
        for number, from_ms, to_ms in intervals:
            if at_ms is not None and from_ms <= at_ms < to_ms:
                found[number, event.place, event.direction or "entered", event.class_name] += 1
    return found


def passage(event: Event) -> bool:
    """Whether a person would count it: crossings, and entries in view."""
    return event.kind == "crossing" or (
        event.kind == "enter" and event.stay is not None and event.stay.began == "entered"
    )


def moment_ms(event: Event, clock: Clock) -> int | None:
    """When it was by a clock, in milliseconds."""
    return round(event.time_s * 1000) if clock == "media" else event.utc_ms


def agreements(cells: Iterable[Cell], *, rng: np.random.Generator) -> list[Agreement]:
    """Agreement of each line, direction and class, and over all classes where there are several.

    The 95 % interval of the ratio is a percentile bootstrap over intervals, which need not be alike (Efron 1979).
    Where ledger and person agree in every interval it would have no width; there it is ``1 - 3 / n`` to ``1 + 3 / n``
    by the rule of three, for ``n`` passages without an error (Hanley and Lippman-Hand 1983).

    Args:
        cells: All that a person counted, zeros too.
        rng: Draws the resamples.
    """
    grouped: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        grouped[cell.place, cell.direction, cell.class_name].append(cell)
    classes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for place, direction, class_name in grouped:
        classes[place, direction].append(class_name)
    found = []
    for (place, direction), names in sorted(classes.items()):
        found += [_agreement(grouped[place, direction, name], (place, direction, name), rng) for name in sorted(names)]
        if len(names) > 1:
            together = [cell for name in names for cell in grouped[place, direction, name]]
            found.append(_agreement(together, (place, direction, ALL), rng))
    return found


def _agreement(cells: list[Cell], key: tuple[str, str, str], rng: np.random.Generator) -> Agreement:
    numbers = sorted({cell.interval for cell in cells})
    rows = {number: row for row, number in enumerate(numbers)}
    counts = np.zeros((len(numbers), 2), np.int64)  # ledger, person
    hours = np.zeros(len(numbers))
    for cell in cells:
        counts[rows[cell.interval]] += cell.ledger, cell.person
        hours[rows[cell.interval]] = cell.hours
    ledger, person = counts.sum(axis=0).tolist()
    ratio = ledger / person if person else math.nan
    low, high, method = _ratio_interval(counts, rng)
    total_hours = float(hours.sum())
    off = geh(ledger / total_hours, person / total_hours) if total_hours else 0.0
    return Agreement(
        place=key[0],
        direction=key[1],
        class_name=key[2],
        intervals=len(numbers),
        hours=total_hours,
        ledger=ledger,
        person=person,
        ratio=ratio,
        low=low,
        high=high,
        method=method,
        geh=off,
        verdict=_verdict(ledger, person, ratio=ratio, low=low, high=high, off=off),
    )


def _ratio_interval(
    counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]], rng: np.random.Generator
) -> tuple[float, float, Literal["bootstrap", "rule of three", ""]]:
    """95 % interval of the ratio of sums, and how it was found."""
    person = int(counts[:, 1].sum())
    if person == 0:
        return math.nan, math.nan, ""
    if (counts[:, 0] == counts[:, 1]).all():
        return max(1 - 3 / person, 0.0), 1 + 3 / person, "rule of three"
    if len(counts) < FEWEST_INTERVALS:
        return math.nan, math.nan, ""
    drawn = rng.integers(len(counts), size=(RESAMPLES, len(counts)))
    sums = counts[drawn].sum(axis=1)  # (R, 2)
    sums = sums[sums[:, 1] > 0]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [tail, 1 - tail]).tolist()
    return low, high, "bootstrap"


def _verdict(ledger: int, person: int, *, ratio: float, low: float, high: float, off: float) -> Verdict:
    """Weak is what is off by more than a tenth and surely off, or off by a GEH of 5 and more."""
    if max(person, ledger) < FEWEST:
        return "too few"
    if off >= WEAK_GEH or (abs(ratio - 1) > TOLERANCE and not low <= 1 <= high):
        return "weak"
    return "good"


def weak_words(found: Sequence[Agreement]) -> list[str]:
    """What to know before these counts are used, one sentence per weak class, and one for what cannot be judged."""
    words = []
    for one in found:
        if one.verdict != "weak":
            continue
        where = f"{one.place}, {one.direction}, {one.class_name}"
        if math.isnan(one.ratio):
            words.append(f"{where} is weak: {one.ledger} counted, and none by a person.")
            continue
        way = "too many" if one.ratio > 1 else "too few"
        share = abs(one.ratio - 1)
        words.append(
            f"{where} is weak: {share:.0%} {way} ({one.ledger} counted, {one.person} by a person; "
            f"ratio {one.ratio:.2f}, 95 % {one.low:.2f} to {one.high:.2f}; GEH {one.geh:.1f})."
        )
    unsure = [
        f"{one.place}, {one.direction}, {one.class_name} ({one.ledger} and {one.person})"
        for one in found
        if one.verdict == "too few" and max(one.ledger, one.person)
    ]
    if unsure:
        words.append(f"Not judged, with fewer than {FEWEST} passages by ledger and person: {'; '.join(unsure)}.")
    return words
