"""Audit pages from evidence: rows with keys, words and times, and which cut-outs they want."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tracker.analytics.reasons import MEANINGS, TITLES, sentence
from tracker.engine.marks import site_marks
from tracker.render.annotate import clock_text
from tracker.render.audit_page import AuditPage, Group, PathSample, PlacePage, Row
from tracker.site import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracker.analytics.audit_trail import AuditTrail, Counted, PlaceEvidence
    from tracker.analytics.near_misses import NearMiss
    from tracker.events import Event, Sighting
    from tracker.render.audit_page import Picture
    from tracker.site import Zone

__all__ = ["Wanted", "audit_page", "wanted_pictures"]

APART_S = 0.4
"""Least time between the event and its cut-outs before and after."""
NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Cut-outs of one row: of an identity before and after a time.

    Attributes:
        key: Of the row.
        identity: 0 = the place itself, at the time.
        time_s: Of the event or near miss.
        before_s, after_s: When the pictures should be.
        point: Place in shares of the picture.
    """

    key: str
    identity: int
    time_s: float
    before_s: float
    after_s: float
    point: tuple[float, float]


def audit_page(
    trail: AuditTrail,
    *,
    size: tuple[int, int],
    still: bytes | None = None,
    pictures: Mapping[str, tuple[Picture, ...]] | None = None,
    warnings: Sequence[str] = (),
) -> AuditPage:
    """The page of one stream.

    Args:
        trail: Its evidence.
        size: ``(width, height)`` of the picture in pixels.
        still: JPEG of the scene.
        pictures: Cut-outs by the keys of :func:`wanted_pictures`.
        warnings: Sentences that must be read first.
    """
    site = trail.site
    places: list[Line | Zone] = [*site.lines, *site.zones]
    missed = sum(sample.total for one in trail.places.values() for sample in one.missed.values())
    counted = sum(one.sums.total() for one in trail.places.values())
    span = NOT_KNOWN if trail.span_s is None else f"{clock_text(trail.span_s[0])} to {clock_text(trail.span_s[1])}"
    facts = [
        ("Time", span),
        ("Counted", str(counted)),
        ("Near misses", str(missed)),
        ("Lines and zones", str(len(places))),
        ("Revision of the site", str(site.revision)),
        ("Time zone", site.timezone),
    ]
    beside = _Beside(zone=ZoneInfo(site.timezone), pictures=pictures or {})
    return AuditPage(
        title=trail.stream,
        facts=facts,
        warnings=[*warnings, *_outages(trail)],
        size=size,
        still=still,
        marks=site_marks(site),
        places=[_place(number, place, trail.places[place.name], beside) for number, place in enumerate(places)],
    )


def wanted_pictures(trail: AuditTrail, most: int) -> list[Wanted]:
    """Cut-outs for the rows of a page, near misses first.

    Args:
        trail: The evidence.
        most: Rows that get some.
    """
    missed: list[Wanted] = []
    counted: list[Wanted] = []
    for number, evidence in enumerate(trail.places.values()):
        for reason in TITLES:
            for key, miss in _missed(number, evidence, reason):
                path = [point.time_s for point in miss.path] or [miss.time_s]
                entry = Wanted(
                    key=key,
                    identity=miss.identity,
                    time_s=miss.time_s,
                    before_s=max(min(path), miss.time_s - 3 * APART_S),
                    after_s=min(max(path), miss.time_s + APART_S),
                    point=miss.point,
                )
                (counted if reason == "not_reached" else missed).append(entry)
        for key, one in _counted(number, evidence):
            event = one.event
            at = event.after or event.before
            entry = Wanted(
                key=key,
                identity=event.identity,
                time_s=event.time_s,
                before_s=event.time_s - 3 * APART_S,
                after_s=event.time_s + APART_S,
                point=(0.5, 0.5) if at is None else (at.x, at.y),
            )
            counted.append(entry)
    return [*missed, *counted][:most]


def _missed(number: int, evidence: PlaceEvidence, reason: str) -> Iterator[tuple[str, NearMiss]]:
    sample = evidence.missed.get(reason)
    for row, miss in enumerate([] if sample is None else sample.rows(lambda one: one.time_s)):
        yield f"p{number}-{reason.replace('_', '-')}-{row}", miss


def _counted(number: int, evidence: PlaceEvidence) -> Iterator[tuple[str, Counted]]:
    for row, one in enumerate(evidence.counted.rows(lambda one: one.event.time_s)):
        yield f"p{number}-counted-{row}", one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What all rows of a page share: the time zone, and cut-outs by key."""

    zone: ZoneInfo
    pictures: Mapping[str, tuple[Picture, ...]]

    def local(self, utc_ms: int | None) -> str:
        """Local time with its offset: an hour may come twice."""
        if utc_ms is None:
            return ""
        moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=utc_ms)).astimezone(self.zone)
        return moment.isoformat(sep=" ", timespec="milliseconds")


def _place(number: int, place: Line | Zone, evidence: PlaceEvidence, beside: _Beside) -> PlacePage:
    groups = []
    for reason, title in TITLES.items():
        rows = [_miss_row(key, miss, place, beside) for key, miss in _missed(number, evidence, reason)]
        if not rows:
            continue
        close = reason == "not_reached"
        groups.append(
            Group(
                kind="close" if close else "missed",
                title=title,
                meaning=MEANINGS[reason],
                total=evidence.missed[reason].total,
                rows=rows,
                unfolded=not close,
            )
        )
    counted = [_counted_row(key, one, beside) for key, one in _counted(number, evidence)]
    if counted:
        total = evidence.counted.total
        groups.append(Group(kind="counted", title="Counted", meaning="", total=total, rows=counted))
    return PlacePage(
        name=place.name,
        is_line=isinstance(place, Line),
        rule=_rule(place),
        sums=_sums(place, evidence),
        groups=groups,
    )


def _sums(place: Line | Zone, evidence: PlaceEvidence) -> list[tuple[str, int, str]]:
    """Title, count and classes of each direction; those without a count too."""
    ways = place.directions if isinstance(place, Line) else ("entered",)
    by_way: dict[str, Counter[str]] = {way: Counter() for way in ways}
    for (way, class_name), count in sorted(evidence.sums.items()):
        by_way.setdefault(way, Counter())[class_name] += count
    return [
        (way, classes.total(), ", ".join(f"{count} {name}" for name, count in classes.most_common()))
        for way, classes in by_way.items()
    ]


def _rule(place: Line | Zone) -> str:
    classes = f"Counts {', '.join(place.classes)}" if place.classes else "Counts all classes"
    if isinstance(place, Line):
        band = f"{100 * place.dead_band:.1f} % of the picture's height"
        if place.sway_share:
            band += f" or {100 * place.sway_share:g} % of the object's, the wider of both"
        rearm = f"once in {place.min_rearm_s:g} s per identity"
        return (
            f"{classes}, {rearm}; a side is taken after {place.settle_s:g} s beyond a dead band of {band}. "
            f"The arrow shows {place.to_left}."
        )
    return f"{classes}; entered after {place.enter_s:g} s inside, left after {place.leave_s:g} s outside."


def _miss_row(key: str, miss: NearMiss, place: Line | Zone, beside: _Beside) -> Row:
    title = f"{miss.class_name} {miss.identity}" if miss.identity else f"{miss.class_name} without identity"
    return Row(
        key=key,
        title=title,
        words=sentence(miss, place),
        clock=clock_text(miss.time_s),
        local=beside.local(miss.utc_ms),
        at=miss.point,
        path=tuple(PathSample(x=one.x, y=one.y, seen=one.seen) for one in miss.path),
        pictures=beside.pictures.get(key, ()),
    )


def _counted_row(key: str, one: Counted, beside: _Beside) -> Row:
    event = one.event
    way = event.direction
    if not way:
        inside = event.stay is not None and event.stay.began == "already_inside"
        way = "found inside" if inside else "entered"
    notes = ["Not seen right at the line: passed between two sights."] if event.bridged else []
    path = tuple(PathSample(x=point.x, y=point.y, seen=point.seen) for point in one.path)
    if not path:
        path = tuple(PathSample(x=at.x, y=at.y) for at in (event.before, event.after) if at is not None)
    return Row(
        key=key,
        title=f"{event.class_name} {event.identity}: {way}",
        words=" ".join(notes),
        clock=clock_text(event.time_s),
        local=beside.local(event.utc_ms),
        at=_between(event, event.before or event.after, event.after or event.before),
        path=path,
        pictures=beside.pictures.get(key, ()),
    )


def _between(event: Event, before: Sighting | None, after: Sighting | None) -> tuple[float, float] | None:
    """Where an event was, on the way between the sights on either side."""
    if before is None or after is None:
        return None
    span_s = after.time_s - before.time_s
    share = min(max((event.time_s - before.time_s) / span_s, 0.0), 1.0) if span_s > 0 else 0.0
    return before.x + share * (after.x - before.x), before.y + share * (after.y - before.y)


def _outages(trail: AuditTrail) -> list[str]:
    """What the camera did not see; nothing is counted and nothing missed over these times."""
    spans = [
        f"{event.kind.replace('_', ' ')} {clock_text(event.since_s)} to {clock_text(event.time_s)}"
        for event in trail.outages
        if event.since_s is not None
    ]
    return [f"The camera saw nothing that counts: {'; '.join(spans)}."] if spans else []
