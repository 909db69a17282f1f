"""Section of data quality: how far the figures can be trusted, and by what they were made."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import SourceError
from tracker.formats.cells import plain
from tracker.report.axes import duration_text, moment_text
from tracker.report.document import Fact, Facts, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tracker.report.document import Part
    from tracker.report.period import Period
    from tracker.report.questions import Seen, Span

__all__ = ["Quality", "near_misses_of", "quality_section", "validation_of"]

AUDIT_FORM = "masktrail audit 1"
MOST_ROWS = 100
OUTAGES = {
    "gap": "no frames",
    "camera_moved": "camera moved",
    "frozen": "picture frozen",
    "covered": "camera covered",
    "dark": "too dark",
}
VALIDATION = ("line", "direction", "class", "intervals", "ledger", "person", "ratio", "low", "high", "geh", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What is known about the figures.

    Attributes:
        seen: Of each stream in the period.
        spans: First and last event of each stream.
        outages: Stream, kind, begin and end in the period.
        hidden_share: Of the seconds of all stays; ``None`` without stays.
        near_misses: By stream, place and reason.
        validation: Rows of a validation as text, see :func:`validation_of`.
        made_by: Versions and models, name and value.
    """

    seen: Sequence[Seen]
    spans: Sequence[Span]
    outages: Sequence[tuple[str, str, int, int]]
    hidden_share: float | None
    near_misses: Mapping[tuple[str, str, str], int]
    validation: Sequence[Sequence[str]]
    made_by: Sequence[tuple[str, str]]


def quality_section(quality: Quality, period: Period) -> tuple[Section, list[str]]:
    """The section, and what must be read before the figures are used."""
    out_ms = {stream: _union(quality.outages, stream) for stream in {outage[0] for outage in quality.outages}}
    known_ms = sum(_known(span, period) for span in quality.spans)
    lost_ms = sum(out_ms.values())
    hours = max(known_ms - lost_ms, 0) / 3_600_000
    identities = sum(one.identities for one in quality.seen)
    crossings, bridged = (sum(getattr(one, name) for one in quality.seen) for name in ("crossings", "bridged"))
    facts = [
        Fact(
            name="Camera out",
            value=_percent(lost_ms / known_ms) if known_ms else "-",
            note=duration_text(lost_ms / 1000) if lost_ms else "",
        ),
        Fact(name="Identities", value=f"{identities:,}", note=f"{identities / hours:,.0f} an hour" if hours else ""),
        Fact(
            name="Crossings without sight",
            value=_percent(bridged / crossings) if crossings else "-",
            note=f"{bridged:,} of {crossings:,} between two sightings further apart",
        ),
    ]
    if quality.hidden_share is not None:
        hidden = _percent(quality.hidden_share)
        facts.append(Fact(name="Stays hidden", value=hidden, note="of their seconds, ground contact not seen"))
    if quality.near_misses:
        facts.append(Fact(name="Near misses", value=f"{sum(quality.near_misses.values()):,}", note="see the audit"))
    parts: list[Part] = [Facts(facts=facts)]
    if quality.validation:
        parts.append(_validation(quality.validation))
    if quality.near_misses:
        parts.append(_near_misses(quality.near_misses))
    if quality.outages:
        parts.append(_outages(quality.outages, period))
    parts.append(_streams(quality, period, out_ms))
    parts.append(Table(columns=["what", "value"], rows=[list(pair) for pair in quality.made_by], caption="Made by"))
    warnings = []
    if known_ms and lost_ms / known_ms >= 0.05:
        warnings.append(
            f"The cameras were out for {_percent(lost_ms / known_ms)} of the time: counts are lower limits."
        )
    weak = sum(row[-1] == "weak" for row in quality.validation)
    if weak:
        warnings.append(f"The validation found {weak} weak counts: see Data quality.")
    return Section(key="quality", title="Data quality", lead="", parts=parts), warnings


def near_misses_of(paths: Iterable[Path], period: Period, streams: Sequence[str]) -> dict[tuple[str, str, str], int]:
    """Near misses of audits by stream, place and reason.

    Totals are of whole recordings; an audit whose rows lie outside the period is left out.

    Raises:
        SourceError: A file is no audit of this form.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    for path in paths:
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["form"] != AUDIT_FORM:
                raise SourceError(path, f"expected {AUDIT_FORM}, found {values['form']}", "audit again")
            stream, titles = str(values["stream"]), values["titles"]
            times = [row["at_ms"] for row in values["near_misses"] if bool(row["utc"]) == period.utc]
            if (streams and stream not in streams) or (
                times and not any(period.from_ms <= at < period.to_ms for at in times)
            ):
                continue
            for place in values["places"]:
                for reason in place["reasons"]:
                    title = str(titles.get(reason["reason"], reason["reason"]))
                    found[stream, str(place["place"]), title] += int(reason["count"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
            problem = f"expected an audit that masktrail wrote with --json, found: {failure}"
            raise SourceError(path, problem, "audit again, or leave it out") from failure
    return dict(found)


def validation_of(path: Path) -> list[list[str]]:
    """Rows of a validation's table as text: line, direction, class, intervals, both counts, ratio, 95 %, GEH, verdict.

    Raises:
        SourceError: It is not what ``masktrail validate report --out`` wrote.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in VALIDATION if name not in (reader.fieldnames or ())]
            if missing:
                problem = f"expected the table of a validation, found no column {missing[0]}"
                raise SourceError(path, problem, "name what masktrail validate report --out wrote")
            rows = [{name: plain(row[name] or "") for name in VALIDATION} for row in reader]
            return [_validated(row) for row in rows]
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as failure:
        raise SourceError(path, f"expected the table of a validation, found: {failure}", "check the file") from failure


def _validated(row: Mapping[str, str]) -> list[str]:
    ratio = "-" if not row["ratio"] else f"{float(row['ratio']):.2f}"
    span = "-" if not row["low"] else f"{float(row['low']):.2f} to {float(row['high']):.2f}"
    head = [row[name] for name in ("line", "direction", "class", "intervals", "ledger", "person")]
    return [*head, ratio, span, f"{float(row['geh']):.1f}", row["verdict"]]


def _validation(rows: Sequence[Sequence[str]]) -> Table:
    columns = ["line", "direction", "class", "#intervals", "#ledger", "#person", "#ratio", "#95 %", "#GEH", "verdict"]
    return Table(columns=columns, rows=rows[:MOST_ROWS], caption="Validation: the ledger beside a person's count")


def _near_misses(found: Mapping[tuple[str, str, str], int]) -> Table:
    rows = [
        [f"{place} · {stream}", reason, f"{count:,}"]
        for (stream, place, reason), count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    columns = ["line or zone", "reason", "#near misses"]
    return Table(columns=columns, rows=rows[:MOST_ROWS], caption="Came close and were not counted, by the audit")


def _outages(outages: Sequence[tuple[str, str, int, int]], period: Period) -> Table:
    rows = [
        [stream, OUTAGES.get(kind, kind), moment_text(low, period, seconds=True), duration_text((high - low) / 1000)]
        for stream, kind, low, high in sorted(outages, key=lambda one: one[2] - one[3])
    ]
    left = len(rows) - MOST_ROWS
    caption = f"Outages, the longest first{f'; {left:,} more are in the CSV' if left > 0 else ''}"
    return Table(
        columns=["camera", "why", "from", "#length"], rows=rows[:MOST_ROWS], caption=caption, folded=len(rows) > 8
    )


def _streams(quality: Quality, period: Period, out_ms: Mapping[str, int]) -> Table:
    known: dict[str, int] = defaultdict(int)
    for span in quality.spans:
        known[span.stream] += _known(span, period)
    rows = []
    for one in quality.seen:
        hours = max(known[one.stream] - out_ms.get(one.stream, 0), 0) / 3_600_000
        rate = f"{one.identities / hours:,.1f}" if hours else "-"
        revisions, semantics = (_from_to(pair) for pair in (one.revisions, one.semantics))
        out = duration_text(out_ms.get(one.stream, 0) / 1000) if out_ms.get(one.stream) else "-"
        rows.append(
            [one.stream, f"{one.rows:,}", duration_text(known[one.stream] / 1000), out, rate, revisions, semantics]
        )
    columns = [
        "camera",
        "#events",
        "#from first to last",
        "#out",
        "#identities an hour",
        "#site revision",
        "#semantics",
    ]
    left = len(rows) - MOST_ROWS
    caption = f"Cameras and recordings{f'; {left:,} more are in the CSV' if left > 0 else ''}"
    return Table(columns=columns, rows=rows[:MOST_ROWS], caption=caption, folded=len(rows) > 12)


def _from_to(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"


def _known(span: Span, period: Period) -> int:
    """Milliseconds of a period between a stream's first and last event."""
    if span.utc != period.utc:
        return 0
    return max(min(span.last_ms, period.to_ms) - max(span.first_ms, period.from_ms), 0)


def _union(outages: Sequence[tuple[str, str, int, int]], stream: str) -> int:
    """Milliseconds in which a stream was out for one reason or several."""
    total, until = 0, -(10**15)
    for _, _, low, high in sorted((one for one in outages if one[0] == stream), key=lambda one: one[2]):
        total += max(high - max(low, until), 0)
        until = max(until, high)
    return total


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
