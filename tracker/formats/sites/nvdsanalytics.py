"""The INI of DeepStream's nvdsanalytics: lines with a direction vector and regions, per stream, in pixels.

A crossing counts one direction, that of its vector, under its label; two entries over one line are its two directions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError
from tracker.formats.sites.drawing import (
    Drawing,
    Exported,
    Imported,
    flat_points,
    line_pieces,
    lost,
    needed_size,
    pixels,
    unique,
    zone_polygons,
)
from tracker.formats.sites.plain import LARGEST_FILE, number_of

if TYPE_CHECKING:
    from tracker.formats.sites.drawing import Size
    from tracker.polygons import Point
    from tracker.site import Site

__all__ = ["matches", "read", "write"]

TOOL = "nvdsanalytics"
BACK = "back"
"""Name of a direction that the file does not count."""
GROUP = re.compile(r"(line-crossing|roi-filtering|overcrowding|direction-detection)-stream-([0-9]{1,6})")
VECTOR_PX = 60

Group = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """One entry of a line-crossing group.

    Attributes:
        label: Its name.
        ends: Of the line, pixels.
        left: Whether its direction goes onto the left-hand side.
    """

    label: str
    ends: tuple[Point, Point]
    left: bool


def matches(text: str) -> bool:
    """Whether a text looks like this format."""
    return re.search(rf"^\s*\[{GROUP.pattern}\]", text, re.MULTILINE) is not None


def read(text: str, *, size: Size | None = None, stream: str = "") -> Imported:
    """Lines and zones of one stream.

    Args:
        text: The INI.
        size: ``(width, height)``, where the file has no ``config-width`` and ``config-height``.
        stream: Number of the stream, where there are several.

    Raises:
        ConfigError: It is something else, several streams are in it, or a polygon crosses itself.
    """
    groups = _groups(text)
    settings = groups.get("property", {})
    if "config-width" in settings and "config-height" in settings:
        size = _pixels(settings["config-width"], "config-width"), _pixels(settings["config-height"], "config-height")
    drawing = Drawing(needed_size(size, f"config-width and config-height of {TOOL}"))
    number = _stream(groups, stream)
    for name, group in groups.items():
        found = GROUP.fullmatch(name)
        if found is None or found[2] != number:
            if name != "property" and found is None:
                drawing.warn(f"[{name[:60]}] is not carried over")
            continue
        if group.get("enable", "1").strip() == "0":
            drawing.warn(f"[{name}] is left out: it is not enabled")
        elif found[1] == "line-crossing":
            _lines(drawing, name, group, needed_size(size, TOOL))
        elif found[1] == "direction-detection":
            drawing.warn(f"[{name}] is not carried over: a site has directions of lines only")
        else:
            _regions(drawing, name, group, inverse=group.get("inverse-roi", "0").strip() == "1")
    return drawing.imported()


def write(site: Site, *, size: Size | None = None, stream: str = "") -> Exported:
    """The INI of one stream.

    Args:
        site: The site.
        size: ``(width, height)``; the site's reference size where not given.
        stream: Number of the stream; 0 where not given.

    Raises:
        ConfigError: No size is known, or the stream is no number.
    """
    if not re.fullmatch("[0-9]{0,6}", stream):
        raise ConfigError("--stream", f"expected a number, found {stream!r}", "streams are counted from 0")
    reference, number = needed_size(size or site.reference_size, "the site"), stream or "0"
    warnings: list[str] = []
    taken: set[str] = set()
    lines, regions = [], []
    for line, name, ends in line_pieces(site, TOOL, warnings):
        start, end = pixels(ends, reference)
        if start == end:
            warnings.append(f"line {name!r} is left out: it is shorter than a pixel")
            continue
        known = unique(_label(name, warnings), taken, between="_")
        for direction, left in ((line.to_left, True), (line.to_right, False)):
            label = f"{known}.{_label(direction, warnings).replace('.', '_')}"
            numbers = [*_vector(start, end, reference, left=left), *start, *end]
            lines.append(f"line-crossing-{label}={';'.join(f'{value:.0f}' for value in numbers)}")
    taken.clear()
    for _, name, polygon in zone_polygons(site, TOOL, warnings):
        numbers = [value for point in pixels(polygon, reference) for value in point]
        label = unique(_label(name, warnings), taken, between="_")
        regions.append(f"roi-{label}={';'.join(f'{value:.0f}' for value in numbers)}")
    warnings += lost(site, TOOL, parts={"lines", "zones"}, line={"to_left", "to_right"})
    text = ["[property]", "enable=1", f"config-width={reference[0]}", f"config-height={reference[1]}"]
    if lines:
        text += ["", f"[line-crossing-stream-{number}]", "enable=1", *lines, "class-id=-1", "extended=0", "mode=loose"]
    if regions:
        text += ["", f"[roi-filtering-stream-{number}]", "enable=1", *regions, "inverse-roi=0", "class-id=-1"]
    return Exported(text="\n".join(text) + "\n", warnings=tuple(warnings))


def _groups(text: str) -> dict[str, Group]:
    """Groups of keys and values; as in GLib's files, of two keys of one name the later one holds."""
    if len(text) > LARGEST_FILE:
        raise ConfigError("the file", f"expected at most {LARGEST_FILE:,} bytes, found more", "is it the right file?")
    groups: dict[str, Group] = {}
    group: Group | None = None
    for number, row in enumerate(text.splitlines(), start=1):
        line = row.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            group = groups.setdefault(line[1:-1].strip(), {})
            continue
        key, equals, value = line.partition("=")
        if group is None or not equals:
            problem = f"expected [group] or key=value, found {line[:60]!r}"
            raise ConfigError(f"line {number}", problem, "is it the right format?")
        group[key.strip()] = value.strip()
    return groups


def _stream(groups: dict[str, Group], asked: str) -> str:
    found = dict.fromkeys(match[2] for name in groups if (match := GROUP.fullmatch(name)))
    if asked and asked not in found:
        problem = f"expected one of the streams ({', '.join(list(found)[:20]) or 'none'}), found {asked!r}"
        raise ConfigError("--stream", problem, "name one of them")
    if not asked and len(found) != 1:
        problem = f"expected one stream, found {', '.join(list(found)[:20]) or 'none'}"
        raise ConfigError("the file", problem, "name it: --stream 0")
    return asked or next(iter(found))


def _pixels(text: str, what: str) -> int:
    number = number_of(text, what)
    if not 1 <= number <= 65_535:
        raise ConfigError(what, f"expected pixels, found {text[:20]!r}", "correct it")
    return int(number)


def _numbers(text: str, what: str) -> list[float]:
    """Separated by ``;``, with one at the end or without."""
    parts = [part.strip() for part in text.rstrip("; \t").split(";")]
    return [number_of(part, what) for part in parts]


def _lines(drawing: Drawing, name: str, group: Group, size: Size) -> None:
    crossings = []
    for key, value in group.items():
        if key.startswith("line-crossing-"):
            crossings.append(_crossing(key.removeprefix("line-crossing-"), _numbers(value, key[:60]), size, group))
    known = {key for key in group if key.startswith("line-crossing-")} | {"enable", "class-id", "extended", "mode"}
    drawing.unused(f"[{name}]", group, known)
    if (mode := group.get("mode", "balanced")) != "loose":  # balanced is its default
        drawing.warn(f"[{name}]: mode={mode[:20]} is not carried over; every crossing of the line counts")
    _class_ids(drawing, name, group)
    while crossings:
        first = crossings.pop(0)
        other = next((entry for entry in crossings if _opposite(first, entry)), None)
        if other is not None:
            crossings.remove(other)
        _line(drawing, first, other)


def _crossing(label: str, numbers: list[float], size: Size, group: Group) -> Crossing:
    what = f"line-crossing-{label}"[:60]
    if len(numbers) != 8:
        raise ConfigError(what, f"expected 8 numbers, found {len(numbers)}", "4 of the direction, 4 of the line")
    start, end = (numbers[4], numbers[5]), (numbers[6], numbers[7])
    to_x, to_y = numbers[2] - numbers[0], numbers[3] - numbers[1]
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    side = to_x * along_y - to_y * along_x
    if side == 0:
        raise ConfigError(what, "expected a direction across the line, found one along it", "draw it anew")
    if group.get("extended", "0").strip() == "1":
        start, end = _extended(start, end, size)
    return Crossing(label=label, ends=(start, end), left=side > 0)


def _extended(start: Point, end: Point, size: Size) -> tuple[Point, Point]:
    """The line prolonged to the edges of the picture."""
    along = end[0] - start[0], end[1] - start[1]
    low, high = -1e9, 1e9
    for axis in (0, 1):
        if along[axis]:
            ends = sorted(((0 - start[axis]) / along[axis], (size[axis] - start[axis]) / along[axis]))
            low, high = max(low, ends[0]), min(high, ends[1])
    if low >= high:
        return start, end
    return (
        (start[0] + low * along[0], start[1] + low * along[1]),
        (start[0] + high * along[0], start[1] + high * along[1]),
    )


def _opposite(first: Crossing, second: Crossing) -> bool:
    """Whether two entries are the two directions over one line."""
    if first.ends == second.ends:
        return first.left != second.left
    return first.ends == second.ends[::-1] and first.left == second.left


def _line(drawing: Drawing, first: Crossing, other: Crossing | None) -> None:
    name, there = first.label, first.label
    if other is None:
        back = BACK
        if there == BACK:
            there = "there"
        drawing.warn(f"line {name!r}: the other direction, which is not counted there, is counted as {back!r}")
    else:
        back = other.label
        (name, dot, way), (other_name, _, other_way) = there.rpartition("."), back.rpartition(".")
        if dot and name and name == other_name and way and other_way and way != other_way:
            there, back = way, other_way
        else:
            name = f"{there} and {back}"
    sides = {"to_left": there, "to_right": back} if first.left else {"to_left": back, "to_right": there}
    drawing.line(name, first.ends, **sides)


def _regions(drawing: Drawing, name: str, group: Group, *, inverse: bool) -> None:
    rois = {key: value for key, value in group.items() if key.startswith("roi-")}
    drawing.unused(f"[{name}]", group, {*rois, "enable", "class-id", "inverse-roi"})
    _class_ids(drawing, name, group)
    for key, value in rois.items():
        if inverse:
            drawing.warn(f"{key} is left out: inverse-roi=1 means all that is outside of it")
            continue
        drawing.zone(key.removeprefix("roi-"), flat_points(_numbers(value, key[:60]), key[:60]))


def _class_ids(drawing: Drawing, name: str, group: Group) -> None:
    ids = group.get("class-id", "-1").strip("; \t")
    if ids != "-1":
        drawing.warn(f"[{name}]: class-id={ids[:40]} is not carried over: numbers have no names; all classes count")


def _label(name: str, warnings: list[str]) -> str:
    """A name without what the file's form has a meaning for."""
    label = re.sub(r"[=\[\];#\s]+", "_", name).strip("_.") or "line"
    if label != name:
        warnings.append(f"{name!r} is called {label!r} there")
    return label


def _vector(start: Any, end: Any, size: Size, *, left: bool) -> tuple[float, float, float, float]:
    """A direction across the line, inside the picture: two points, one of them the middle of the line."""
    middle = round((start[0] + end[0]) / 2), round((start[1] + end[1]) / 2)
    along = end[0] - start[0], end[1] - start[1]
    length = max(abs(along[0]), abs(along[1]))
    across = along[1] / length * VECTOR_PX, -along[0] / length * VECTOR_PX  # onto the left-hand side
    if not left:
        across = -across[0], -across[1]
    best: tuple[float, tuple[float, float, float, float]] = (0.0, (0, 0, 0, 0))
    for sign in (1, -1):
        other = tuple(min(max(round(middle[axis] + sign * across[axis]), 0), size[axis]) for axis in (0, 1))
        vector = (*middle, *other) if sign > 0 else (*other, *middle)
        side = (vector[2] - vector[0]) * along[1] - (vector[3] - vector[1]) * along[0]
        best = max(best, (side if left else -side, vector))
    return best[1]
