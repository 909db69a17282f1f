"""Small records of three identities in a picture of 64 x 48, with masks and notes, for annotation tools."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from tracker.formats.run_length import encode_crop
from tracker.sinks.lines import COLUMNS

SIZE = (64, 48)
SEEN = {1: range(20), 2: range(8), 3: range(12, 20)}
"""Frames of each identity: 3 could be 2 after a gap."""
CLASSES = {1: "car", 2: "person", 3: "person"}


def mask_of(left: int, top: int) -> dict[str, Any]:
    """A silhouette with a hole, 6 x 8 pixels."""
    crop = np.ones((8, 6), np.bool_)
    crop[2:4, 2:4] = False
    crop[0, 0] = False
    return encode_crop(crop, (left, top), SIZE)


def rows(*, masks: bool = True, seen: dict[int, range] = SEEN) -> list[dict[str, Any]]:
    """Rows as JSON Lines have them."""
    made = []
    for frame in range(20):
        first = True
        for identity, frames in seen.items():
            if frame not in frames:
                continue
            left, top = frame + 10 * identity, 4 * identity
            row: dict[str, Any] = {
                "frame": frame,
                "time_s": frame / 10,
                "id": identity,
                "class": CLASSES[identity],
                "score": 0.9,
                "box": [left + 0.25, top, left + 6.25, top + 8],
                "velocity_px_s": [10.0, 0.0],
                "age_s": (frame - frames[0]) / 10,
                "area_px": 43,
                "detection": identity,
                "coasting": False,
                "contact": [left + 3.0, top + 8.0],
                "contact_state": "seen",
            }
            if first:
                ended = [2] if frame == 10 else []
                row["notes"] = {"v": 1, "stream": "gate.mp4", "size": list(SIZE)} | ({"ended": ended} if ended else {})
            if masks:
                row["mask"] = mask_of(left, top)
            made.append(row)
            first = False
    return made


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    """Rows as a file of records, by its suffix."""
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in made)
        path.write_text(text, encoding="utf-8")
        return path
    flat = [_flat(row) for row in made]
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [*COLUMNS, "mask"], lineterminator="\n")
            table.writeheader()
            for row in flat:
                row["mask"] = json.dumps(row["mask"], separators=(",", ":")) if row["mask"] else ""
                table.writerow(row | {"coasting": int(row["coasting"])})
        return path
    import pyarrow as pa
    from pyarrow import parquet

    from tracker.sinks.parquet import _schema

    schema = _schema(pa, "rle", image_names=False)
    parquet.write_table(pa.Table.from_pylist(flat, schema=schema), path)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of JSON Lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    notes = json.dumps(row["notes"], separators=(",", ":")) if "notes" in row else None
    return {
        **{name: row.get(name) for name in COLUMNS if name in row},
        "class_then": row.get("class_then"),
        **dict(zip(("x1", "y1", "x2", "y2"), row["box"], strict=True)),
        **dict(zip(("vx_px_s", "vy_px_s"), row["velocity_px_s"], strict=True)),
        **dict(zip(("contact_x", "contact_y"), row["contact"], strict=True)),
        "notes": notes,
        "mask": row.get("mask"),
    }
