"""Report of some ledgers: what was asked for, every section in its order, and the figures as CSV."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ConfigError, SourceError
from tracker.formats.event_store import open_store
from tracker.report.axes import moment_text, period_text
from tracker.report.count_section import count_facts, flow_section, place_section
from tracker.report.counted import counts_of
from tracker.report.csv_files import csv_files
from tracker.report.document import Report, Section
from tracker.report.dwell_section import dwell_section, stays_of
from tracker.report.heat_section import Heat, heat_section, heats_of_store
from tracker.report.period import period_of
from tracker.report.premises_sections import footfall_section, queue_section
from tracker.report.quality_section import Quality, near_misses_of, quality_section, validation_of
from tracker.report.questions import Store
from tracker.report.store import open_ledgers
from tracker.report.value_sections import (
    INTERVALS,
    interval_section,
    size_section,
    speed_section,
    values_of,
)
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from tracker.report.counted import Counted
    from tracker.report.dwell_section import Stays
    from tracker.report.period import Period
    from tracker.report.questions import Span
    from tracker.report.store import Ledger
    from tracker.site import Site

__all__ = ["Asked", "Built", "NothingToReportError", "build"]

MOST_SITES = 50
"""Streams whose lines without a count are told as zeros; of more the busiest are told anyway."""
MANY = 4
"""Streams that a title names."""
FOOTER = (
    (
        "Counts are of identities, under their final class, by the rules of the site. In a bin that an outage of the "
        "camera touches a count is a lower limit; where nothing was counted then, and before the first event and after "
        "the last one, nothing is known."
    ),
    (
        "A censored stay was found inside, lost, or had not ended: it was at least as long as it was seen. Medians and "
        "90 % of dwell are estimates of Kaplan and Meier, which count it for that time; means are of stays seen whole."
    ),
    (
        "Means and percentiles (v15, v50, v85) of speeds are of one value per vehicle and passage; the space mean is "
        "the harmonic one, that of the vehicles on the road at one time. The week before is compared over the times "
        "that both weeks know."
    ),
)


class NothingToReportError(SourceError):
    """The ledgers have no events in the period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a report is of.

    Attributes:
        ledgers: Stores and event files, with the streams' names where they have others here.
        zone: In which days begin and times are shown.
        title: Of the report; by default the names of its streams.
        streams: Those that are told; empty = all.
        together: Name of the camera of which all of them are recordings: their lines count together. Empty = each is a
            camera of its own.
        from_ms, to_ms: UTC in milliseconds, ``to_ms`` exclusive; ``None`` = all that there is.
        bin_s: Length of a bin; ``None`` = by the period.
        sites: By path; a site belongs to the stream that its file is named after, or to all if there is one only.
        heats: Presence that no ledger keeps, beside that of the stores.
        stills: ``(H, W, 3)`` BGR of the scene, below the heatmap, by stream; under the empty name of all others.
        audits: Values of audits, for near misses.
        validation: Table of a validation.
        made_by: What is known of the model and versions that made the events.
    """

    ledgers: Sequence[Ledger]
    zone: ZoneInfo
    title: str = ""
    streams: tuple[str, ...] = ()
    together: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    bin_s: int | None = None
    sites: Mapping[Path, Site] = field(default_factory=dict)
    heats: Sequence[Heat] = ()
    stills: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    audits: Sequence[Path] = ()
    validation: Path | None = None
    made_by: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A report that is done.

    Attributes:
        report: For the page and the picture.
        csv: Makes the figures as files, by name.
        events: Rows of the period.
        period: Of it.
    """

    report: Report
    csv: Callable[[], Mapping[str, bytes]]
    events: int
    period: Period


def build(asked: Asked, *, progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None) -> Built:
    """Make a report.

    Raises:
        NothingToReportError: There are no events in the period.
        SourceError: A ledger or another file cannot be read.
        ConfigError: What is asked for does not fit.
    """

    def read(done: int, total: int) -> None:
        progress("reading ledgers", done, total)

    with open_ledgers(asked.ledgers, progress=read) as connection:
        try:
            return _build(asked, Store(connection, asked.streams, asked.together), progress)
        except sqlite3.Error as failure:
            place = asked.ledgers[0].path
            raise SourceError(place, f"expected a SQLite ledger, found: {failure}", "check the file") from failure


def _build(asked: Asked, store: Store, progress: Callable[[str, int, int], None]) -> Built:
    steps = iter(range(1, 9))

    def tell(what: str) -> None:
        progress(what, next(steps), 8)

    tell("times")
    spans = store.spans()
    period, others = _period(asked, spans)
    mine = [span for span in spans if span.utc == period.utc]
    sites = _sites_of(asked.sites, list(dict.fromkeys(span.stream for span in mine)))
    tell("counts")
    found = counts_of(store, period, mine, sites if len(sites) <= MOST_SITES else ())
    kinds = store.kinds(period)
    tell("stays")
    stays = stays_of(store.stays(period))
    tell("values")
    values = {kind: values_of(store.values(period, kind)) for kind in _valued(kinds)}
    tell("quality")
    quality = _quality(asked, store, period, spans=mine, counted=found, stays=stays)
    dwell, dwell_facts = dwell_section(stays)
    speeds, speed_facts = speed_section(values.get("speed", {}))
    checked, warnings = quality_section(quality, period)
    tell("heatmap")
    footfall = footfall_section(store, period, sites, kinds, values.get("group", {}))
    wanted: list[tuple[str, Section | None, str]] = [
        ("Counts over time", place_section(found, period, "crossing"), "no line was crossed"),
        ("Entries into zones", place_section(found, period, "enter"), "no zone was entered"),
        ("Dwell", dwell, "no stay in a zone began in the period"),
        ("Speeds", speeds, "no rows of kind speed; they need calibrated ground and a section"),
        ("Times between vehicles", interval_section(values), "no rows of headways, gaps or conflicts"),
        ("From where to where", flow_section(found, sites), "no flows; name some in the site"),
        ("Queues", queue_section(store, period, kinds), "no rows of queues"),
        ("Footfall", footfall, "no passers-by, groups or staff"),
        ("Heatmap", _heat(asked, period), "no store kept one (--heatmap), and no records were named"),
        ("Sizes", size_section(values.get("size", {})), "no rows of kind size; they need calibrated ground"),
        ("Data quality", checked, ""),
    ]
    warnings += _deleted(store, period)
    if others:
        warnings.append(
            f"{others:,} recordings without a wall clock are left out: track them with --start-at to have them here."
        )
    report = Report(
        title=asked.title or _title([span.stream for span in mine]),
        period=period_text(period),
        facts=[*count_facts(found), *dwell_facts, *speed_facts],
        warnings=warnings,
        sections=[section for _, section, _ in wanted if section is not None],
        left_out=[(name, why) for name, section, why in wanted if section is None],
        footer=FOOTER,
    )
    tell("page")

    def csv() -> dict[str, bytes]:
        return csv_files(period, found, stays, values, quality)

    return Built(report=report, csv=csv, events=sum(kinds.values()), period=period)


def _period(asked: Asked, spans: Sequence[Span]) -> tuple[Period, int]:
    """The period, and how many streams have no clock by which they could be in it."""
    limited = asked.from_ms is not None or asked.to_ms is not None
    utc = limited or any(span.utc for span in spans)
    known = [span for span in spans if span.utc == utc]
    place = asked.ledgers[0].path
    if not known:
        found = "events without a wall clock" if spans else "no events"
        remedy = "leave --from and --to out, or track with --start-at" if spans else "check the file and --stream"
        raise NothingToReportError(place, f"expected events to report, found {found}", remedy)
    first = min(span.first_ms for span in known) if asked.from_ms is None else asked.from_ms
    last = max(span.last_ms for span in known) + 1 if asked.to_ms is None else asked.to_ms
    period = period_of((first, last), limited=limited, utc=utc, zone=asked.zone, bin_s=asked.bin_s)
    inside = [span for span in known if span.last_ms >= period.from_ms and span.first_ms < period.to_ms]
    if not inside:
        problem = f"expected events within {period_text(period)}, found none"
        raise NothingToReportError(place, problem, "see masktrail counts for the times of the ledger")
    return period, len({span.stream for span in spans} - {span.stream for span in known})


def _valued(kinds: Mapping[str, int]) -> list[str]:
    return [kind for kind in ("speed", *INTERVALS, "size", "queue_leave", "group") if kinds.get(kind)]


def _quality(
    asked: Asked,
    store: Store,
    period: Period,
    *,
    spans: Sequence[Span],
    counted: Counted,
    stays: Mapping[tuple[str, str, str], Stays],
) -> Quality:
    seconds = sum(float(np.sum(one.length)) for one in stays.values())
    hidden = sum(float(np.sum(one.hidden)) for one in stays.values())
    made_by = [*asked.made_by, ("Report by", f"masktrail {__version__}"), ("Time zone", period.zone.key)]
    return Quality(
        seen=store.seen(period),
        spans=spans,
        outages=counted.outages,
        hidden_share=hidden / seconds if seconds else None,
        near_misses=near_misses_of(asked.audits, period, asked.streams),
        validation=[] if asked.validation is None else validation_of(asked.validation),
        made_by=made_by,
    )


def _deleted(store: Store, period: Period) -> list[str]:
    """What of the period was deleted by age: it is no zero."""
    what = "dwell, speeds, queues and footfall are of the time since, counts are whole"
    found = []
    for counts, told in ((False, what), (True, "nothing is known of the time before")):
        times = [before_ms for before_ms in store.deleted_ms(counts=counts).values() if before_ms > period.from_ms]
        if period.utc and times:
            until = moment_text(min(max(times), period.to_ms), period)
            found.append(f"Events before {until} were deleted by their age: {told}.")
    return found


def _heat(asked: Asked, period: Period) -> Section | None:
    """Presence that was given, and that of the stores."""
    found = {heat.stream: heat for heat in asked.heats}
    for ledger in asked.ledgers:
        if ledger.is_store:
            with open_store(ledger.path) as connection:
                for heat in heats_of_store(connection, period, () if ledger.stream else asked.streams):
                    name = ledger.stream or heat.stream
                    if name in (asked.streams or (name,)):
                        found.setdefault(name, replace(heat, stream=name))
    return heat_section(sorted(found.values(), key=lambda one: -float(one.seconds.sum())), asked.stills)


def _sites_of(sites: Mapping[Path, Site], streams: Sequence[str]) -> list[tuple[str, Site]]:
    """Streams with their sites.

    Raises:
        ConfigError: Of several sites none is named after a stream.
    """
    found: list[tuple[str, Site]] = []
    for path, site in sites.items():
        named = [stream for stream in streams if path.stem in {stream, PurePath(stream).stem}]
        found += [(stream, site) for stream in (streams if not named and len(sites) == 1 else named)]
    if sites and not found:
        path = next(iter(sites))
        problem = f"expected the name of a camera or recording ({', '.join(streams[:MANY])}), found {path.stem!r}"
        raise ConfigError(path, problem, "name the sites' files after their cameras")
    return found


def _title(streams: Sequence[str]) -> str:
    names = list(dict.fromkeys(PurePath(stream).name or stream for stream in streams))
    if len(names) <= MANY:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1:,} more"
