"""A store of two weeks at a shop and a road, with rows of every kind that a report tells; the same in every run."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from tracker.events import Event, Stay
from tracker.formats.event_rows import row_of
from tracker.formats.event_store import create, insertion

ZONE = ZoneInfo("Europe/Berlin")
FIRST = datetime(2026, 3, 16, tzinfo=ZONE)
"""A Monday; the second week ends with the night of the change to summer time."""
HOUR_MS = 3_600_000
OUT_H = (24 * 9 + 10.2, 24 * 9 + 13.7)
"""Hours after the beginning between which the shop's camera was out."""


def at_ms(hours: float) -> int:
    return round(FIRST.timestamp() * 1000 + hours * HOUR_MS)


def events(*, days: int = 14, busy: float = 1.0, seed: int = 1) -> Iterator[Event]:
    """Events in order of hours, not of milliseconds."""
    random = np.random.default_rng(seed)
    identity = 0
    for hour in range(24 * days):
        clock = hour % 24
        shop = max(math.sin((clock - 8) / 12 * math.pi), 0) * 9 * busy if 8 <= clock < 20 else 0.0
        road = (6 + 14 * math.exp(-((clock - 8) ** 2) / 3) + 18 * math.exp(-((clock - 17) ** 2) / 4)) * busy
        week = 1.15 if hour >= 168 else 1.0
        for _ in range(random.poisson(shop * week)):
            identity += 1
            yield from visit(random, hour + random.random(), identity)
        for _ in range(random.poisson(road * 0.4)):
            identity += 1
            yield from drive(random, hour + random.random(), identity)
    if days > 9:
        begin, end = OUT_H
        yield made("gap", end, stream="shop", since_s=begin * 3600)


def made(kind: str, hours: float, **values: object) -> Event:
    facts: dict = {"stream": "shop", "time_s": hours * 3600, "utc_ms": at_ms(hours), "revision": 3}
    return Event(kind=kind, **(facts | values))


def visit(random: np.random.Generator, hours: float, identity: int) -> Iterator[Event]:
    if OUT_H[0] <= hours < OUT_H[1]:
        return
    name = "person" if random.random() < 0.93 else "bicycle"
    one = {"identity": identity, "class_name": name}
    yield made("identity_start", hours, **one)
    yield made("crossing", hours, place="door", direction="in", bridged=bool(random.random() < 0.04), **one)
    stayed_s = float(random.lognormal(4.6, 0.9))
    out = hours + stayed_s / 3600
    censored = random.random()
    end = "lost" if censored < 0.12 else "left"
    began = "already_inside" if censored > 0.95 else "entered"
    zone = "hall" if random.random() < 0.7 else "till"
    stay = Stay(entered_s=hours * 3600, began=began)
    yield made("enter", hours, place=zone, stay=stay, **one)
    left = Stay(entered_s=hours * 3600, left_s=out * 3600, hidden_s=stayed_s * 0.06, began=began, end=end)
    yield made("leave", out, place=zone, stay=left, **one)
    if zone == "till":
        how = "served" if random.random() < 0.85 else "abandoned"
        yield made("queue_join", hours, place="queue", **one)
        yield made("queue_leave", out, place="queue", direction=how, since_s=hours * 3600, value=stayed_s / 2, **one)
        yield made("flow", out, place="door to till", since_s=hours * 3600, **one)
    elif random.random() < 0.5:
        yield made("flow", out, place="door to door", since_s=hours * 3600, **one)
    yield made("crossing", out, place="door", direction="out", **one)
    yield made("identity_end", out, **one)
    if random.random() < 0.15:
        yield made("group", hours, place="door", direction="in", value=float(random.integers(2, 5)), **one)
    for _ in range(random.poisson(3)):
        yield made(
            "passing", hours + float(random.random()) / 4, place="street", identity=identity, class_name="person"
        )


def drive(random: np.random.Generator, hours: float, identity: int) -> Iterator[Event]:
    name = str(random.choice(["car", "truck", "bus", "bicycle"], p=[0.78, 0.12, 0.04, 0.06]))
    one = {"identity": identity, "class_name": name, "stream": "road"}
    way = "north" if random.random() < 0.55 else "south"
    mean = {"car": 13.6, "truck": 12.0, "bus": 11.5, "bicycle": 5.2}[name]
    yield made("identity_start", hours, **one)
    yield made("crossing", hours, place="section", direction=way, **one)
    speed = max(float(random.normal(mean, 1.6)), 1.0)
    yield made("speed", hours, place="section", direction=way, value=speed, error=0.02 * speed, **one)
    if random.random() < 0.5:
        yield made("headway", hours, place="section", direction=way, value=float(random.exponential(6) + 0.8), **one)
    if random.random() < 0.04:
        yield made(
            "post_encroachment", hours, place="mouth", value=float(random.exponential(4)), other_identity=1, **one
        )
    for direction, size in (("width", 1.8), ("height", 1.5), ("ground_area", 8.1)):
        if random.random() < 0.3:
            factor = {"car": 1.0, "truck": 1.6, "bus": 1.7, "bicycle": 0.4}[name] * float(random.normal(1, 0.05))
            yield made("size", hours, direction=direction, value=size * factor, error=0.1, **one)
    yield made("identity_end", hours + 0.01, **one)


def write_weeks(path: Path, **how: object) -> Path:
    """The store of a number of days."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        create(connection)
        connection.executemany(insertion(), (row_of(event) | {"edition": 1} for event in events(**how)))
        connection.execute("COMMIT")
    return path
