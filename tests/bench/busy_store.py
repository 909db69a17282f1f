"""A store of months of roads and shops for benchmarks: lines, zones, speeds, conflicts, queues, footfall, presence."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from tracker.events import Event, Stay
from tracker.formats.event_rows import row_of
from tracker.formats.event_store import create, insertion
from tracker.formats.heat_tiles import write_tiles
from tracker.heat import TILE_MS, HeatTile

__all__ = ["DAYS", "END_MS", "ROADS", "SHOPS", "make_store", "write_groups", "write_sites"]

DAYS = 90
END_MS = 1_790_000_000_000
BEGIN_MS = END_MS - DAYS * 86_400_000
ROADS = tuple(f"camera-{number:02d}" for number in range(10))
SHOPS = tuple(f"camera-{number:02d}" for number in range(10, 20))
HEAT_STREAM = SHOPS[0]
LANES = ("north", "south", "ramp")
ZONES = ("hall", "yard")
LINES = ("door", "gate")
WAITING, TILL, STREET = "row", "till", "street"

SITE = """version: 1
revision: 1
timezone: Europe/Berlin
lines:
  - {name: door, points: [[0.1, 0.5], [0.9, 0.5]]}
  - {name: gate, points: [[0.1, 0.6], [0.9, 0.6]]}
  - {name: street, points: [[0.1, 0.8], [0.9, 0.8]]}
zones:
  - {name: row, polygons: [[[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]]]}
  - {name: till, polygons: [[[0.6, 0.1], [0.9, 0.1], [0.9, 0.4]]]}
doors:
  - {name: front, lines: [door, gate]}
queues:
  - {name: row, zone: row, served_at: till}
footfall:
  - {name: shop, doors: front, passing: [street], staff_zones: [till]}
"""


class _Draws:
    """Random numbers that are drawn in blocks."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._held: list[float] = []

    def share(self) -> float:
        """Between 0 and 1."""
        if not self._held:
            self._held = self._random.random(65_536).tolist()
        return self._held.pop()

    def chance(self, share: float) -> bool:
        """Whether something of that share happens."""
        return self.share() < share

    def one(self, names: tuple[str, ...]) -> str:
        """One of some names, the first ones more often."""
        return names[int(len(names) * self.share() ** 1.5)]

    def around(self, middle: float) -> float:
        """A length with many short and few long ones."""
        return -middle * float(np.log(1 - 0.999 * self.share()))


def _event(kind: str, stream: str, at_ms: int, identity: int, **more: Any) -> Event:
    since = more.pop("ago_s", None)
    time_s = (at_ms - BEGIN_MS) / 1000
    more |= {} if since is None else {"since_s": time_s - since}
    return Event(kind=kind, stream=stream, time_s=time_s, utc_ms=at_ms, identity=identity, revision=1, **more)


def _vehicle(draw: _Draws, stream: str, at_ms: int, identity: int) -> Iterator[Event]:
    """A passage over a line that measures speeds, and what seldom happens."""
    name = draw.one(("car", "truck", "bicycle"))
    one = {"place": draw.one(LANES), "direction": draw.one(("in", "out")), "class_name": name}
    yield _event("crossing", stream, at_ms, identity, **one)
    if draw.chance(0.9):
        yield _event("speed", stream, at_ms, identity, value=5 + draw.around(8), error=0.4, **one)
    if draw.chance(0.7):
        yield _event(
            "headway", stream, at_ms, identity, value=draw.around(9), other_identity=max(identity - 1, 1), **one
        )
    pair = {"class_name": name, "other_identity": max(identity - 1, 1)}
    if draw.chance(0.06):
        yield _event("time_to_collision", stream, at_ms, identity, value=draw.around(2.5), **pair)
    if draw.chance(0.06):
        yield _event("post_encroachment", stream, at_ms, identity, place="box", value=draw.around(2.5), **pair)
    if draw.chance(0.02):
        kind, lasted_s = ("stopped", "wrong_way")[int(draw.chance(0.3))], draw.around(40)
        yield _event(kind, stream, at_ms, identity, place="box", class_name=name)
        after_ms = at_ms + round(1000 * lasted_s)
        yield _event(kind, stream, after_ms, identity, place="box", class_name=name, ago_s=lasted_s)
    if draw.chance(0.5):
        yield _event("identity_end", stream, at_ms + 5000, identity, class_name=name, ago_s=12.0)
    if draw.chance(0.03):
        yield _event("reclassified", stream, at_ms + 5000, identity, class_name="truck", was_class=name)
    if draw.chance(0.002):
        yield _event("alert", stream, at_ms, 0, place="slow lane", value=9.0)
        yield _event("alert", stream, at_ms + 90_000, 0, place="slow lane", value=12.0, ago_s=90.0)


def _visitor(draw: _Draws, stream: str, at_ms: int, identity: int) -> Iterator[Event]:
    """One that passes, or comes in, stays, waits at the till and leaves."""
    who = {"class_name": "person"}
    if draw.chance(0.4):
        yield _event("passing", stream, at_ms, identity, place=STREET, **who)
        return
    door = draw.one(LINES)
    yield _event("crossing", stream, at_ms, identity, place=door, direction="in", **who)
    if draw.chance(0.08):
        yield _event("staff", stream, at_ms + 60_000, identity, place=TILL, **who)
    elif draw.chance(0.1):
        yield _event("re_entry", stream, at_ms, identity, place="front", value=300.0, ago_s=300.0, **who)
    if draw.chance(0.3):
        yield _event("group", stream, at_ms, identity, place=door, direction="in", value=2.0, **who)
        member = {"place": door, "direction": "in", "other_identity": identity, **who}
        yield _event("group_member", stream, at_ms, identity + 1, **member)
    for zone, share in zip(ZONES, (0.8, 0.3), strict=True):
        if draw.chance(share):
            yield from _stay(draw, stream, at_ms + 5000, identity, zone)
    if draw.chance(0.5):
        yield from _wait(draw, stream, at_ms + round(1000 * draw.around(300)), identity)
    if draw.chance(0.2):
        yield _event("flow", stream, at_ms + 200_000, identity, place="door to till", ago_s=200.0, **who)
    over_ms = at_ms + round(1000 * (300 + draw.around(600)))
    if draw.chance(0.95):
        yield _event("crossing", stream, over_ms, identity, place=door, direction="out", **who)
    yield _event("identity_end", stream, over_ms + 2000, identity, ago_s=(over_ms + 2000 - at_ms) / 1000, **who)


def _stay(draw: _Draws, stream: str, at_ms: int, identity: int, zone: str) -> Iterator[Event]:
    entered_s, dwell_s = (at_ms - BEGIN_MS) / 1000, draw.around(60)
    common = {"place": zone, "class_name": "person"}
    yield _event("enter", stream, at_ms, identity, stay=Stay(entered_s=entered_s), **common)
    if draw.chance(0.98):
        end = "left" if draw.chance(0.9) else "lost"
        stay = Stay(entered_s=entered_s, left_s=entered_s + dwell_s, end=end)
        yield _event("leave", stream, at_ms + round(1000 * dwell_s), identity, stay=stay, **common)


def _wait(draw: _Draws, stream: str, at_ms: int, identity: int) -> Iterator[Event]:
    joined_s, waited_s = (at_ms - BEGIN_MS) / 1000, draw.around(150)
    common = {"place": WAITING, "class_name": "person"}
    yield _event("queue_join", stream, at_ms, identity, value=draw.around(3), stay=Stay(entered_s=joined_s), **common)
    if draw.chance(0.97):
        stay = Stay(entered_s=joined_s, left_s=joined_s + waited_s, end="left")
        more = {"direction": "served" if draw.chance(0.85) else "abandoned", "value": waited_s, "ago_s": waited_s}
        yield _event("queue_leave", stream, at_ms + round(1000 * waited_s), identity, stay=stay, **more, **common)


def events(count: int, seed: int = 7) -> Iterator[Event]:
    """So many events of twenty cameras over 90 days, in order of time."""
    draw, numbers = _Draws(seed), dict.fromkeys((*ROADS, *SHOPS), 0)
    waiting: list[tuple[int, int, Event]] = []
    made = given = 0
    while given < count:
        at_ms = BEGIN_MS + round(DAYS * 86_400_000 * made / count)
        stream = draw.one((*SHOPS, *ROADS)) if draw.chance(0.5) else draw.one((*ROADS, *SHOPS))
        numbers[stream] += 2  # the second one of a group has the number between
        for event in (_vehicle if stream in ROADS else _visitor)(draw, stream, at_ms, numbers[stream]):
            made += 1
            heapq.heappush(waiting, (event.utc_ms or 0, made, event))
        while waiting and given < count and (waiting[0][0] <= at_ms or made >= count):
            given += 1
            yield heapq.heappop(waiting)[2]


def tiles() -> Iterator[HeatTile]:
    """Presence in every hour of one shop, by day in 600 cells of a wide picture and by night in 20."""
    random = np.random.default_rng(3)
    for begin_ms in range(BEGIN_MS // TILE_MS * TILE_MS, END_MS, TILE_MS):
        count = 600 if 7 <= begin_ms // TILE_MS % 24 < 21 else 20
        cells = np.sort(random.choice(64 * 36, count, replace=False))
        yield HeatTile(
            stream=HEAT_STREAM,
            utc=True,
            tile_ms=begin_ms,
            from_ms=begin_ms,
            to_ms=begin_ms + TILE_MS - 1,
            shape=(36, 64),
            class_names=("person",),
            keys=np.stack([np.zeros(count, np.int64), cells], axis=1),
            values=random.exponential((20.0, 5.0, 3.0), (count, 3)).round(3),
        )


def make_store(path: Path, count: int) -> None:
    """A store of that many events, and of hourly presence."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        create(connection)
        connection.executemany(insertion(), (row_of(event) | {"edition": 1} for event in events(count)))
        write_tiles(connection, tiles())
        connection.execute("COMMIT")


def write_sites(folder: Path) -> None:
    """A site file for every shop, under the name of its camera."""
    for name in SHOPS:
        (folder / f"{name}.yaml").write_text(SITE)


def write_groups(path: Path) -> None:
    """A file with one place of all the shops' doors."""
    doors = "".join(f"      - {{camera: {name}, line: {line}}}\n" for name in SHOPS for line in LINES)
    cameras = ", ".join(SHOPS)
    head = "version: 1\ngroups:\n  - name: mall\n    timezone: Europe/Berlin\n    reset_at: 04:00\n"
    path.write_text(f"{head}    cameras: [{cameras}]\n    doors:\n{doors}")
