"""The file of a site, ``sites/<camera>.yaml``: read with lines in errors, written whole, with a revision and a history.

::

    version: 1
    revision: 3
    reference_size: [1920, 1080]
    timezone: Europe/Berlin
    lines:
      - name: door
        points: [[0.1, 0.5], [0.9, 0.5]]
        to_left: in               # up, for a line from left to right
        to_right: out
    zones:
      - name: hall
        polygon: [[0.1, 0.6], [0.9, 0.6], [0.9, 1], [0.1, 1]]

Keys: :mod:`tracker.settings.site` and docs/reference/site.md. Comments that a person wrote are not in what a program
writes next; the file as it was is in the history.
"""

from __future__ import annotations

import os
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tracker.alert_rules import AlertRule
from tracker.errors import ConfigError
from tracker.ground import Ground, GroundPoint, Rectangle
from tracker.premises import Bay, Footfall, Queue
from tracker.settings.model import names_of
from tracker.settings.site import (
    VERSION,
    DoorsSettings,
    FlowSettings,
    GroundPointSettings,
    GroundSettings,
    LineSettings,
    OccluderSettings,
    PrivacyZoneSettings,
    RectangleSettings,
    SiteSettings,
    TrafficSettings,
    ZoneSettings,
)
from tracker.settings.site_alerts import AlertSettings
from tracker.settings.site_premises import BaySettings, FootfallSettings, QueueSettings
from tracker.settings.site_text import site_text
from tracker.settings.yaml_nodes import NodeReader, compose, is_kind, read_text, shown_node
from tracker.site import MOST_POINTS, Doors, Flow, Line, Occluder, PrivacyZone, Site, Zone
from tracker.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.polygons import Point
    from tracker.settings.model import Settings

__all__ = [
    "HISTORY",
    "SiteConflictError",
    "history_of",
    "parse_site",
    "read_site",
    "retire_site",
    "site_text",
    "write_site",
]

HISTORY = 20
"""Revisions that are kept beside the file."""

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")

_NUMBERED = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,6}))?\.yaml")

_GEOMETRY = {"point", "points", "edges", "polygon", "polygons", "corner", "x"}
"""Words of problems that lie in the points."""
_SHARED = {"line or zone": {"lines", "zones"}, "queue, footfall or bay": {"queues", "footfall", "bays"}}
"""Keys of parts with names that differ from each other, and what those are called in errors."""


class SiteConflictError(ConfigError):
    """The file is not any more what was read: it was changed meanwhile."""


def read_site(path: str | os.PathLike[str]) -> Site:
    """Read and check a file.

    Args:
        path: A YAML file.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; the offender is ``path:line``.
    """
    return parse_site(read_text(path, "lines and zones"), name=os.fspath(path))


def parse_site(text: str, *, name: str = "site.yaml") -> Site:
    """Check a site that was read elsewhere; errors as for :func:`read_site`.

    Args:
        text: YAML.
        name: Stands for the file in errors.
    """
    return _Reader(name).site(compose(text, name, "lines and zones", extra="site"))


def write_site(path: str | os.PathLike[str], site: Site, *, before: Site | None = None, above: int = 0) -> Site:
    """Replace a file as a whole or not at all; what stood there goes to the history.

    Args:
        path: Where; a file, not a link.
        site: What is written, with the revision that was read; of a new file any revision.
        before: The site that was read, where the caller still has it: then a change by hand that did not raise the
            revision is a conflict too.
        above: The new revision is higher than this one too, which counted until now from another file.

    Returns:
        The site as it stands in the file: points rounded to 4 decimals, the revision raised by one.

    Raises:
        SiteConflictError: The file has another revision than the site.
        ConfigError: The file that stands there cannot be read, or is a link; or points fall together when rounded.
        SinkError: The system refuses, or another process writes the file; the file is as it was.
    """
    from tracker.sinks.part_file import PartFile, refusal

    path = Path(path)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        found = "a link" if path.is_symlink() else "something else"
        raise ConfigError(path, f"expected a file or nothing, found {found}", "name the file itself")
    with PartFile(path) as part:  # holds the name against other processes from here on
        replaced = _standing(path, site, before)
        revision = site.revision if replaced is not None else max(site.revision, _highest_in_history(path))
        text = site_text(replace(site, revision=max(revision, above) + 1))
        written = _reread(path, text)
        try:
            with part.open_text() as file:
                file.write(text)
        except OSError as failure:
            raise refusal(path, failure, "write here") from failure
        if replaced is not None:
            _keep(path, replaced, site.revision)
    return written


def retire_site(path: str | os.PathLike[str]) -> None:
    """Take a file away; it is in the history.

    Raises:
        ConfigError: It cannot be read, or its history is a link.
        SinkError: The system refuses, or another process writes the file.
    """
    from tracker.sinks.exclusive import reserved
    from tracker.sinks.part_file import refusal

    path = Path(path)
    with reserved(path):
        text = read_text(path, "lines and zones")
        _keep(path, text.encode(), parse_site(text, name=os.fspath(path)).revision)
        try:
            path.unlink()
        except OSError as failure:
            raise refusal(path, failure, "take this file away") from failure


def history_of(path: str | os.PathLike[str]) -> list[Path]:
    """Earlier revisions of a file, ``.history/<camera>/<revision>.yaml`` beside it, the oldest first."""
    folder = _folder(Path(path))
    found = [entry for entry in folder.glob("*.yaml") if _NUMBERED.fullmatch(entry.name)] if folder.is_dir() else []
    return sorted(found, key=_number_of)


def _folder(path: Path) -> Path:
    return path.parent / ".history" / path.stem


def _number_of(entry: Path) -> tuple[int, int]:
    """Revision, and number among files of that revision, which edits by hand may have made."""
    found = _NUMBERED.fullmatch(entry.name)
    return (int(found[1]), int(found[2] or 1)) if found else (0, 0)


def _highest_in_history(path: Path) -> int:
    """A file that was removed and made anew goes on counting: no two sites of a camera have one revision."""
    kept = history_of(path)
    return _number_of(kept[-1])[0] if kept else 0


def _standing(path: Path, site: Site, before: Site | None) -> bytes | None:
    """What stands in the file; ``None`` where there is none."""
    if not path.exists():
        return None
    text = read_text(path, "lines and zones")
    found = parse_site(text, name=os.fspath(path))
    if found.revision != site.revision:
        problem = f"expected revision {site.revision}, which was read, found revision {found.revision}"
        raise SiteConflictError(path, problem, "read the file again, and repeat the change there")
    if before is not None and found != before:
        problem = f"expected revision {site.revision} as it was read, found that it was changed by hand"
        raise SiteConflictError(path, problem, "read the file again, and repeat the change there")
    return text.encode()


def _reread(path: Path, text: str) -> Site:
    """What a reader will make of the text: two corners may fall on one place when they are rounded."""
    try:
        return parse_site(text, name=os.fspath(path))
    except ConfigError as error:
        failure = error
    problem = f"expected a site that is the same with 4 decimals, found: {failure.problem}"
    raise ConfigError(path, problem, failure.remedy)


def _keep(path: Path, data: bytes, revision: int) -> None:
    """Put what is replaced into the history, and drop the oldest there."""
    from tracker.sinks.part_file import refusal, write_whole

    folder = _folder(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink() or folder.parent.is_symlink():
            raise ConfigError(folder, "expected a folder of its own for the history, found a link", "remove the link")
        same = [entry for entry in history_of(path) if _number_of(entry)[0] == revision]
        if any(entry.read_bytes() == data for entry in same):
            return
        last = _number_of(same[-1])[-1] + 1 if same else 1
        write_whole(folder / (f"{revision}.yaml" if last == 1 else f"{revision}-{last}.yaml"), data)
        for entry in history_of(path)[:-HISTORY]:
            entry.unlink()
    except OSError as failure:
        raise refusal(folder, failure, "keep the last revision there") from failure


class _Reader(NodeReader):
    """Nodes of one file to a site."""

    parts: ClassVar[dict[str, tuple[type[Settings], Any, str, str]]] = {
        "lines": (LineSettings, Line, "line", "points"),
        "zones": (ZoneSettings, Zone, "zone", "polygons"),
        "occluders": (OccluderSettings, Occluder, "occluder", "polygon"),
        "doors": (DoorsSettings, Doors, "doors", ""),
        "flows": (FlowSettings, Flow, "flow", ""),
        "privacy": (PrivacyZoneSettings, PrivacyZone, "privacy zone", "polygon"),
        "queues": (QueueSettings, Queue, "queue", ""),
        "footfall": (FootfallSettings, Footfall, "footfall", ""),
        "bays": (BaySettings, Bay, "bay", "polygon"),
        "alerts": (AlertSettings, AlertRule, "alert", ""),
    }
    """Key -> settings, value, what it is called, its key of points."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._points = 0
        self._places: dict[str, Any] = {}

    def site(self, root: Any) -> Site:
        if root is None:
            raise ConfigError(self.name, "expected a site, found an empty file", "see docs/guide/site-files.md")
        self._check_form(root)
        nodes = self.nodes(root, names_of(SiteSettings), "the site")
        listed = {key: nodes.pop(key) for key in self.parts if key in nodes}
        ground = self._ground(nodes.pop("ground")) if "ground" in nodes else None
        traffic = self._traffic(nodes.pop("traffic")) if "traffic" in nodes else None
        top = self.made(SiteSettings, root, nodes)
        if listed.get("privacy") is not None and top.version < VERSION:
            found = f"version {top.version}, which older programs read without it"
            problem = f"expected `version: {VERSION}` in a file with `privacy`, found {found}"
            raise self.wrong(nodes.get("version", listed["privacy"]), problem, f"write version: {VERSION}")
        held = {key: tuple(self._part(key, node) for node in self._list(key, node)) for key, node in listed.items()}
        try:
            return Site(
                **held,
                ground=ground,
                traffic=traffic,
                reference_size=top.reference_size,
                reference_picture=top.reference_picture or "",
                revision=top.revision,
                timezone=top.timezone,
            )
        except ConfigError as error:
            failure = error
        key = "reference_picture" if "reference_picture" in failure.problem else "timezone"
        known = self._places.get(failure.offender, nodes.get(key, root))
        raise self.wrong(known, f"{failure.offender}: {failure.problem}", failure.remedy)

    def _check_form(self, root: Any) -> None:
        """Refuse a newer version before its unknown keys, and lists that stand there once and are used often."""
        for key, value in root.value if is_kind(root, "mapping") else ():
            if key.value != "version" or not is_kind(value, "scalar"):
                continue
            if re.fullmatch("[0-9]{1,9}", value.value) and int(value.value) > VERSION:
                problem = f"expected version {VERSION} of site files or an older one, found {value.value}"
                raise self.wrong(value, problem, "a newer masktrail wrote it: update this one")
        seen: set[int] = set()
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if is_kind(node, "scalar"):
                continue
            if id(node) in seen:
                raise self.wrong(node, "expected every list written out, found one that an alias repeats", "copy it")
            seen.add(id(node))
            waiting += [part for pair in node.value for part in pair] if is_kind(node, "mapping") else node.value

    def _list(self, key: str, node: Any) -> list[Any]:
        if not is_kind(node, "sequence"):
            raise self.wrong(node, f"expected a list of {key}, found {shown_node(node)}", "begin each one with `-`")
        return list(node.value)

    def _part(self, key: str, node: Any) -> Any:
        settings, made, what, geometry = self.parts[key]
        article = "" if what in {"doors", "footfall"} else "an " if what in {"alert", "occluder"} else "a "
        nodes = self.nodes(node, names_of(settings), article + what)
        drawn = nodes.pop(geometry, None)
        ready = {} if drawn is None else {geometry: self._drawn(drawn, node, several=key == "zones")}
        if key == "zones" and "towards" in nodes:
            ready["towards"] = self._drawn(nodes.pop("towards"), node, several=False)
        values = self.made(settings, node, nodes, **ready).chosen()
        self._places |= {f"{what} {values['name']!r}": node}
        for shared, keys in _SHARED.items():
            if key in keys:
                self._places[f"{shared} {values['name']!r}"] = node
        if "loiter_s_by_class" in values:
            values["loiter_s_by_class"] = dict(values["loiter_s_by_class"])
        optional = {field.name for field in fields(made) if field.default == ""}
        values |= {name: "" for name in optional if values.get(name) is None}
        try:
            return made(**values)
        except ConfigError as error:
            failure = error
        words = set(re.findall(r"\w+", failure.problem))
        at = next((entry for name, entry in nodes.items() if name in words), node)
        key = ""
        if drawn is not None and words & _GEOMETRY:
            at, key = drawn, self.key_of(drawn, node)
        raise self.wrong(at, f"{failure.offender}: {key}{failure.problem}", failure.remedy)

    def _traffic(self, node: Any) -> Traffic:
        nodes = self.nodes(node, names_of(TrafficSettings), "traffic")
        sizes = nodes.pop("sizes", None)
        listed = self.nodes(sizes, {key.value: key.value for key, _ in sizes.value}, "sizes") if sizes else {}
        self._places["traffic"] = node
        try:
            known = {name: self._size(entry) for name, entry in listed.items()}
            made = self.made(TrafficSettings, node, nodes)
            return Traffic(**(made.chosen() | {"sizes": known}))
        except ConfigError as error:
            if error.offender.startswith(f"{self.name}:"):
                raise
            failure = error
        raise self.wrong(sizes or node, f"{failure.offender}: {failure.problem}", failure.remedy)

    def _size(self, node: Any) -> tuple[float, float, float]:
        entries = [entry.value for entry in node.value if is_kind(entry, "scalar")] if is_kind(node, "sequence") else []
        if len(entries) != 3 or not all(NUMBER.fullmatch(text) for text in entries):
            problem = f"expected length, width and base in metres, found {shown_node(node)}"
            raise self.wrong(node, problem, "such as {car: [4.4, 1.8, 2.9]}")
        length, width, base = map(float, entries)
        return length, width, base

    def _ground(self, node: Any) -> Ground:
        """Points or a rectangle that tie the picture to the ground."""
        nodes = self.nodes(node, names_of(GroundSettings), "ground")
        points, rectangle = nodes.get("points"), nodes.get("rectangle")
        known = () if points is None else tuple(self._ground_point(one) for one in self._list("points", points))
        known_rectangle = None if rectangle is None else self._rectangle(rectangle)
        try:
            return Ground(points=known, rectangle=known_rectangle)
        except ConfigError as error:
            failure = error
        at = node if points is not None and rectangle is not None else points or rectangle or node
        if (number := re.search(r"as point ([0-9]+)|at point ([0-9]+)", failure.problem)) and points is not None:
            at = points.value[int(number[1] or number[2]) - 1]
        raise self.wrong(at, f"{failure.offender}: {failure.problem}", failure.remedy)

    def _ground_point(self, node: Any) -> GroundPoint:
        nodes = self.nodes(node, names_of(GroundPointSettings), "a point of the ground")
        ready = {key: self._keyed(self._point, nodes.pop(key), node) for key in ("at", "metres") if key in nodes}
        made = self.made(GroundPointSettings, node, nodes, **ready)
        return GroundPoint(at=made.at, metres=made.metres)

    def _rectangle(self, node: Any) -> Rectangle:
        nodes = self.nodes(node, names_of(RectangleSettings), "the rectangle")
        ready = {"corners": self._drawn(nodes.pop("corners"), node, several=False)} if "corners" in nodes else {}
        made = self.made(RectangleSettings, node, nodes, **ready)
        return Rectangle(corners=made.corners, width_m=made.width_m, length_m=made.length_m)

    def _keyed(self, read: Callable[[Any], Any], node: Any, owner: Any) -> Any:
        """What is read from the value of a key; an error names the key where its line has several."""
        try:
            return read(node)
        except ConfigError as error:
            failure = error
        raise ConfigError(failure.offender, self.key_of(node, owner) + failure.problem, failure.remedy)

    def _drawn(self, node: Any, owner: Any, *, several: bool) -> Any:
        """Points of a line or polygon, or of several polygons, of a key of the owner."""
        return self._keyed(self._polygons if several else self._polygon, node, owner)

    def _polygons(self, node: Any) -> tuple[tuple[Point, ...], ...]:
        """Several polygons, or the points of a single one."""
        if is_kind(node, "sequence") and node.value and is_kind(node.value[0], "sequence"):
            inner = node.value[0].value
            if inner and is_kind(inner[0], "sequence"):
                return tuple(self._polygon(polygon) for polygon in node.value)
        return (self._polygon(node),)

    def _polygon(self, node: Any) -> tuple[Point, ...]:
        if not is_kind(node, "sequence"):
            problem = f"expected a list of points [x, y], found {shown_node(node)}"
            raise self.wrong(node, problem, "such as [[0.1, 0.5], [0.9, 0.5]]")
        return tuple(self._point(entry) for entry in node.value)

    def _point(self, node: Any) -> Point:
        self._points += 1
        if self._points > MOST_POINTS:
            raise self.wrong(node, f"expected at most {MOST_POINTS:,} points in all, found more", "draw fewer corners")
        entries = node.value if is_kind(node, "sequence") else ()
        texts = [entry.value for entry in entries if is_kind(entry, "scalar")]
        if len(entries) != 2 or len(texts) != 2 or not all(NUMBER.fullmatch(text) for text in texts):
            found = f"[{', '.join(map(shown_node, entries))}]" if entries else shown_node(node)
            raise self.wrong(node, f"expected a point as two numbers [x, y], found {found}", "such as [0.25, 0.5]")
        return float(texts[0]), float(texts[1])
