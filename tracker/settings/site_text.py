"""A site as the text of its file: points with 4 decimals, numbers without exponents, directions in words."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

import numpy as np

from tracker.settings.site import PLAIN_VERSION, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tracker.alert_rules import AlertRule
    from tracker.ground import Ground
    from tracker.polygons import Point
    from tracker.premises import Bay, Footfall, Queue
    from tracker.site import Doors, Flow, Line, Occluder, PrivacyZone, Site, Zone
    from tracker.traffic import Traffic

__all__ = ["directions_in_words", "site_text"]

HEAD = """\
# What is measured in the picture of a camera. Points are [x, y] in shares of it; [0, 0] is its upper left corner.
# Every key: `masktrail settings site`. A change by hand: add 1 to `revision`.
"""

LONGEST_LINE = 110
STRAIGHT = 0.3
"""Distance of a line's ends as a share of its length below which one word does not tell where its left is."""

WORDS = (
    "to the right",
    "down and to the right",
    "down",
    "down and to the left",
    "to the left",
    "up and to the left",
    "up",
    "up and to the right",
)
"""Directions on the screen in steps of 45 degrees, clockwise."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")
_WORDS_OF_YAML = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def site_text(site: Site) -> str:
    """The text of a site's file, readable by :func:`tracker.settings.site_file.parse_site`."""
    return HEAD + "".join(f"{line}\n" for line in _lines_of(site))


def directions_in_words(line: Line, size: tuple[int, int] | None = None) -> str:
    """Where both directions of a line go on the screen, in one sentence.

    Args:
        line: The line.
        size: ``(width, height)`` of the picture; ``None``: taken as 16:9.

    >>> from tracker.site import Line
    >>> directions_in_words(Line(name="door", points=((0.1, 0.5), (0.9, 0.5))))
    '"in" is up across the line, "out" is down'
    """
    width, height = size or (16, 9)
    corners = np.array(line.points) * (width, height)
    steps = np.hypot(*np.diff(corners, axis=0).T)
    along_x, along_y = corners[-1] - corners[0]
    if math.hypot(along_x, along_y) < STRAIGHT * steps.sum():
        left, right = "to its left, walked from its first point to its last", "to its right"
    else:
        angle = math.atan2(-along_x, along_y)  # of the left-hand side, clockwise from the right; y is down
        eighth = round(angle / (math.pi / 4)) % 8
        left, right = f"{WORDS[eighth]} across the line", WORDS[(eighth + 4) % 8]
    return f'"{line.to_left}" is {left}, "{line.to_right}" is {right}'


def _lines_of(site: Site) -> Iterator[str]:
    yield f"version: {VERSION if site.privacy else PLAIN_VERSION}"
    yield f"revision: {site.revision}"
    if site.reference_size is not None:
        yield f"reference_size: [{site.reference_size[0]}, {site.reference_size[1]}]"
    if site.reference_picture:
        yield f"reference_picture: {_word(site.reference_picture)}"
    yield f"timezone: {_word(site.timezone)}"
    yield from _part("lines", [_line(line, site.reference_size) for line in site.lines])
    yield from _part("zones", map(_zone, site.zones))
    yield from _part("occluders", map(_occluder, site.occluders))
    yield from _part("doors", map(_doors, site.doors))
    yield from _part("flows", map(_flow, site.flows))
    yield from _part("privacy", map(_occluder, site.privacy))
    yield from _part("queues", map(_queue, site.queues))
    yield from _part("footfall", map(_footfall, site.footfall))
    yield from _part("bays", map(_bay, site.bays))
    yield from _part("alerts", map(_alert, site.alerts))
    if site.ground is not None:
        yield from _ground(site.ground)
    if site.traffic is not None:
        yield from _traffic(site.traffic)


def _part(key: str, entries: Iterable[Iterable[str]]) -> Iterator[str]:
    """A key with a list, if there is anything in it; the first line of an entry is its name."""
    head = ["", f"{key}:"]
    for entry in entries:
        yield from head
        yield from entry
        head = []


def _line(line: Line, size: tuple[int, int] | None) -> Iterator[str]:
    yield f"  - name: {_word(line.name)}"
    yield f"    # {directions_in_words(line, size)}."
    yield from _points("    points: ", line.points)
    yield f"    to_left: {_word(line.to_left)}"
    yield f"    to_right: {_word(line.to_right)}"
    if line.classes:
        yield f"    classes: {_words(line.classes)}"
    # Numbers stand there even where they are the default: a later default changes no site that is there.
    yield f"    dead_band: {_number(line.dead_band)}"
    yield f"    sway_share: {_number(line.sway_share)}"
    yield f"    settle_s: {_number(line.settle_s)}"
    yield f"    min_rearm_s: {_number(line.min_rearm_s)}"
    if line.measures:
        yield f"    measures: {_words(line.measures)}"
    if line.wrong_way:
        yield f"    wrong_way: {_word(line.wrong_way)}"


def _zone(zone: Zone) -> Iterator[str]:
    yield f"  - name: {_word(zone.name)}"
    if len(zone.polygons) == 1:
        yield from _points("    polygon: ", zone.polygons[0])
    else:
        yield "    polygons:"
        for polygon in zone.polygons:
            yield from _points("      - ", polygon)
    if zone.classes:
        yield f"    classes: {_words(zone.classes)}"
    yield f"    enter_s: {_number(zone.enter_s)}"
    yield f"    leave_s: {_number(zone.leave_s)}"
    if zone.loiter_s is not None:
        yield f"    loiter_s: {_number(zone.loiter_s)}"
    if zone.loiter_s_by_class:
        limits = ", ".join(f"{_word(name)}: {_number(limit)}" for name, limit in zone.loiter_s_by_class.items())
        yield f"    loiter_s_by_class: {{{limits}}}"
    if zone.stopped_s is not None:
        yield f"    stopped_s: {_number(zone.stopped_s)}"
    if zone.towards:
        yield from _points("    towards: ", zone.towards)
    if zone.conflict_area:
        yield "    conflict_area: true"


def _occluder(occluder: Occluder | PrivacyZone) -> Iterator[str]:
    yield f"  - name: {_word(occluder.name)}"
    yield from _points("    polygon: ", occluder.polygon)


def _doors(doors: Doors) -> Iterator[str]:
    yield f"  - name: {_word(doors.name)}"
    yield f"    lines: {_words(doors.lines)}"
    yield f"    entry: {_word(doors.entry)}"
    yield f"    exit: {_word(doors.exit)}"
    if doors.reset_at:
        yield f'    reset_at: "{doors.reset_at}"'  # in quotes: YAML reads 04:00 as a number to the base of 60


def _flow(flow: Flow) -> Iterator[str]:
    yield f"  - name: {_word(flow.name)}"
    for key in ("start", "start_direction", "end", "end_direction"):
        if value := getattr(flow, key):
            yield f"    {key}: {_word(value)}"


def _queue(queue: Queue) -> Iterator[str]:
    yield f"  - name: {_word(queue.name)}"
    for key in ("zone", "served_at", "served_direction"):
        if value := getattr(queue, key):
            yield f"    {key}: {_word(value)}"
    yield from _numbers(queue, "still_m_s", "still_s", "reach_s")


def _footfall(footfall: Footfall) -> Iterator[str]:
    yield f"  - name: {_word(footfall.name)}"
    yield f"    doors: {_word(footfall.doors)}"
    for key in ("passing", "staff_zones"):
        if names := getattr(footfall, key):
            yield f"    {key}: {_words(names)}"
    yield from _numbers(footfall, "staff_s", "re_entry_s", "group_m", "group_s")


def _bay(bay: Bay) -> Iterator[str]:
    yield f"  - name: {_word(bay.name)}"
    yield from _points("    polygon: ", bay.polygon)
    if bay.classes:
        yield f"    classes: {_words(bay.classes)}"
    yield from _numbers(bay, "covered", "taken_s", "free_s")


def _alert(rule: AlertRule) -> Iterator[str]:
    yield f"  - name: {_word(rule.name)}"
    yield f"    watch: {rule.watch}"
    if rule.place:
        yield f"    place: {_word(rule.place)}"
    yield from _numbers(rule, "over", *(["until"] if rule.until is not None else []), "for_s", "clear_s")
    if rule.quiet:
        yield f"    quiet: [{', '.join(json.dumps(text, ensure_ascii=False) for text in rule.quiet)}]"


def _numbers(part: Queue | Footfall | Bay | AlertRule, *keys: str) -> Iterator[str]:
    for key in keys:
        yield f"    {key}: {_number(getattr(part, key))}"


def _ground(ground: Ground) -> Iterator[str]:
    yield from ("", "ground:")
    if ground.rectangle is not None:
        corners = ", ".join(map(_exact, ground.rectangle.corners))
        yield from ("  rectangle:", f"    corners: [{corners}]")
        yield f"    width_m: {_number(ground.rectangle.width_m)}"
        yield f"    length_m: {_number(ground.rectangle.length_m)}"
        return
    yield "  points:"
    for point in ground.points:
        yield f"    - {{at: {_exact(point.at)}, metres: [{', '.join(_number(value + 0.0) for value in point.metres)}]}}"


def _traffic(traffic: Traffic) -> Iterator[str]:
    yield from ("", "traffic:" if traffic != type(traffic)() else "traffic: {}")
    for key in ("time_to_collision_s", "post_encroachment_s"):
        if (limit := getattr(traffic, key)) is not None:
            yield f"  {key}: {_number(limit)}"
    if traffic.sizes:
        sizes = (f"{_word(name)}: [{', '.join(map(_number, size))}]" for name, size in traffic.sizes.items())
        yield f"  sizes: {{{', '.join(sizes)}}}"


def _exact(point: Point) -> str:
    """A measured point: a tenth of a pixel far away is metres, so it has two decimals more than what is drawn.

    >>> _exact((0.1, 1 / 3))
    '[0.100000, 0.333333]'
    """
    return f"[{point[0] + 0.0:.6f}, {point[1] + 0.0:.6f}]"


def _points(key: str, points: Sequence[Point]) -> Iterator[str]:
    """``key: [[x, y], ...]`` in one line, or in several below each other."""
    row = key + "["
    for number, (x, y) in enumerate(points, start=1):
        point = f"[{x + 0.0:.4f}, {y + 0.0:.4f}]" + (", " if number < len(points) else "]")
        if len(row) + len(point) > LONGEST_LINE:
            yield row.rstrip()
            row = " " * (len(key) + 1)
        row += point
    yield row


def _number(value: float) -> str:
    """The shortest digits that give the number back, without an exponent.

    >>> _number(0.00001), _number(3.0)
    ('0.00001', '3')
    """
    return np.format_float_positional(value, trim="-")


def _word(text: str) -> str:
    """A text as YAML, in quotes where YAML would make something else of it.

    >>> _word("north"), _word("no"), _word("a: b"), _word("7")
    ('north', '"no"', '"a: b"', '"7"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return json.dumps(text, ensure_ascii=False)


def _words(texts: Sequence[str]) -> str:
    return f"[{', '.join(_word(text) for text in texts)}]"
