"""Heatmap of a report: hours of a store and their sum, pictures with and without a still."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from tests.report.weeks import ZONE, at_ms, write_weeks
from tests.sinks.ledgers import crossing, write_ledger
from tracker.formats.heat_tiles import write_tiles
from tracker.heat import TILE_MS, HeatTile
from tracker.report.build import Asked, build
from tracker.report.document import Note, Picture
from tracker.report.heat_section import Heat, heat_picture, heat_section, stills_of
from tracker.report.store import Ledger
from tracker.site import Site


def write_records(path: Path) -> Path:
    """One identity that stands for 3 s."""
    lines = []
    for index, time_s in enumerate([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]):
        row = {
            "frame": index,
            "time_s": time_s,
            "id": 1,
            "class": "person",
            "box": [300, 100, 340, 200],
            "contact": [320.0, 199.0],
            "contact_state": "seen",
        }
        if index == 0:
            row["notes"] = {"v": 1, "stream": "gate", "size": [640, 360]}
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines), "utf-8")
    return path


def tile(stream: str, hour: int, cell: int, seconds: float) -> HeatTile:
    begin = at_ms(hour) // TILE_MS * TILE_MS
    return HeatTile(
        stream=stream,
        utc=True,
        tile_ms=begin,
        from_ms=begin,
        to_ms=begin + TILE_MS - 1,
        shape=(36, 64),
        class_names=("person",),
        keys=np.array([[0, cell]]),
        values=np.array([[seconds, 0.0, 1.0]]),
    )


def test_hours_of_a_store_that_the_period_touches_add_up(tmp_path):
    store = write_weeks(tmp_path / "days.sqlite", days=2)
    with closing(sqlite3.connect(store)) as connection, connection:
        tiles = [tile("shop", hour, 70, 10.0 * hour) for hour in (9, 10, 30)]
        write_tiles(connection, [*tiles, tile("road", 9, 3, 500.0), tile("yard", 40, 3, 1.0)])
    day = {"from_ms": at_ms(0), "to_ms": at_ms(24), "stills": {"": np.full((360, 640, 3), 99, np.uint8)}}
    report = build(Asked(ledgers=[Ledger(path=store)], zone=ZONE, **day)).report
    [section] = [one for one in report.sections if one.key == "heatmap"]
    assert [part.caption for part in section.parts] == [
        "road: 8 min 20 s of presence, from whole hours of the store",
        "shop: 3 min 10 s of presence, from whole hours of the store",
    ]
    other = write_ledger(tmp_path / "x.events.jsonl", [crossing(1, utc_ms=at_ms(3))])
    ledgers = [Ledger(path=store), Ledger(path=other)]
    report = build(Asked(ledgers=ledgers, zone=ZONE, streams=("shop",), **day)).report
    [section] = [one for one in report.sections if one.key == "heatmap"]
    assert len(section.parts) == 1


def test_pictures_of_sites_are_stills(tmp_path):
    cv2.imwrite(str(tmp_path / "gate.png"), np.full((360, 640, 3), 90, np.uint8))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    sites = {tmp_path / f"{name}.yaml": Site(reference_picture=f"{name}.png") for name in ("gate", "bad", "gone")}
    stills = stills_of(sites | {tmp_path / "none.yaml": Site()})
    assert {name: image.shape for name, image in stills.items()} == {"gate": (360, 640, 3)}
    heat = Heat(stream="out/gate.mp4", seconds=np.eye(36, 64), origin="records")
    assert len(heat_section([heat], stills).parts) == 1


def test_a_parked_car_does_not_eat_the_range():
    seconds = np.zeros((36, 64))
    seconds[5:25, 10:60] = 2.0
    seconds[30, 5] = 1e6
    image = heat_picture(seconds, None)
    assert image.shape[1] == 1280
    assert image.shape[0] > 720  # with its scale
    assert image[300, 700].max() > 150
    assert image[10, 10].max() < 60


def test_it_lies_on_the_still():
    still = np.full((480, 640, 3), 200, np.uint8)
    seconds = np.zeros((36, 64))
    seconds[10, 10] = 1.0
    heat = Heat(stream="gate", seconds=seconds, origin="records")
    [picture] = heat_section([heat], {"gate": still}).parts
    assert isinstance(picture, Picture)
    assert picture.size[0] == 1280
    assert picture.size[1] > 960
    assert isinstance(heat_section([heat], {"yard": still}).parts[-1], Note)
    assert heat_section([], {}) is None
