"""Corrected tracks of CVAT and Label Studio as a new revision of the records that they came from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.engine.identities import write_revision
from tracker.formats.renumber import Renumbering, next_revision
from tracker.formats.run_length import decode_crop, polygons
from tracker.refine.corrected import is_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tracker.engine.annotation_compare import Corrections
    from tracker.formats.whole_rows import WholeRow

__all__ = ["Corrected", "corrected_summary", "write_corrected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A new revision of records.

    Attributes:
        path: Of the file; ``None`` where nothing was corrected.
        before, after: Identities in the old file and in this one.
        rekeyed: New numbers of joined identities.
        named: Class of each number.
        reclassified: For each number with another class, the old and the new one.
        recount: What was changed besides, which a ledger cannot be told.
    """

    path: Path | None
    before: int
    after: int
    rekeyed: dict[int, int]
    named: dict[int, str]
    reclassified: dict[int, tuple[str, str]]
    recount: tuple[str, ...]


def write_corrected(found: Corrections) -> Corrected:
    """Write the records with their corrections beside the old file, which stays as it is.

    Raises:
        SourceError: The records cannot be read.
        SinkError: The new file cannot be written.
    """
    summary, numbers = corrected_summary(found), found.numbers
    if summary.path is None:
        return summary
    parts: dict[int, list[tuple[float, int | None]]] = {
        identity: [(from_s, None if track is None else numbers[track]) for from_s, track in owned]
        for identity, owned in found.owners.parts.items()
    }
    # Added rows go through the same renumbering, under numbers that no identity has.
    parts |= {-track: [(-math.inf, number)] for track, number in numbers.items()}
    last_s = {numbers[track]: time_s for track, time_s in found.owners.last_s.items()}
    extended = {numbers[track] for track in found.owners.extended}
    edit = _Edit(found, Renumbering(parts, {}, last_s, extended))
    write_revision(found.records, summary.path, edit.rows)
    return summary


def corrected_summary(found: Corrections) -> Corrected:
    """What writing corrections will do; nothing is written."""
    numbers, owners, classes = found.numbers, found.owners, found.facts.classes
    lost = [one for one, parts in owners.parts.items() if all(track is None for _, track in parts)]
    cut = [one for one, parts in owners.parts.items() if one not in lost and not is_whole(parts)]
    rekeyed = {
        one: numbers[track]
        for one, parts in sorted(owners.parts.items())
        for _, track in parts
        if track is not None and is_whole(parts) and numbers[track] != one
    }
    named = {number: found.labels[track] for track, number in numbers.items()}
    reclassified = {
        number: (classes[number], label)
        for number, label in named.items()
        if number in classes and classes[number] != label
    }
    recount = [f"{count} {name}" for name, count in found.counts.items() if count and "silhouettes" not in name]
    recount = [*recount, *([f"{len(cut)} identities split"] if cut else [])]
    changed = bool(recount or rekeyed or reclassified or lost or found.counts.total() or _renamed(found))
    kept = len(classes) - len(owners.parts)  # never shown: outside of the picture all the time
    return Corrected(
        path=next_revision(found.records) if changed else None,
        before=len(classes),
        after=len(numbers) + kept,
        rekeyed=rekeyed,
        named=named,
        reclassified=reclassified,
        recount=tuple(recount),
    )


def _renamed(found: Corrections) -> bool:
    return any(
        track is not None and found.labels[track] != found.facts.classes[identity]
        for identity, parts in found.owners.parts.items()
        for _, track in parts
    )


class _Edit:
    """Corrections of rows, frame by frame."""

    def __init__(self, found: Corrections, renumbering: Renumbering) -> None:
        self._found, self._renumbering = found, renumbering
        self._tracks = Renumbering(found.owners.parts, {}, {})

    def rows(self, rows: list[WholeRow]) -> list[WholeRow]:
        """The rows of a frame as they are written."""
        frame, time_s, table = rows[0].get("frame"), float(rows[0].get("time_s")), self._found.table
        query = "SELECT identity, x1, y1, x2, y2, mask FROM changes WHERE frame = ?"
        changes = {change[0]: change[1:] for change in table.execute(query, (frame,))}
        query = "SELECT track, x1, y1, x2, y2, keyframe, mask FROM added WHERE frame = ? ORDER BY track"
        added = [self._added(rows[0], shape) for shape in table.execute(query, (frame,))]
        for row in rows:
            identity = row.get("id")
            *box, mask = changes.get(identity, (None,) * 5)
            if box[0] is not None:
                _move(row, box)
            if mask is not None:
                self._draw(row, mask)
            track = self._tracks.number(identity, time_s) if identity in self._found.owners.parts else None
            if track is not None and self._found.labels[track] != self._found.facts.classes[identity]:
                row.set("class", self._found.labels[track])
                row.set("class_then", None)
        return self._renumbering.edit([*rows, *added])

    def _added(self, like: WholeRow, shape: tuple[Any, ...]) -> WholeRow:
        """A row of a box that a person, or the tool between two of a person's, added."""
        track, *box, keyframe, mask = shape
        row = like.copy()
        for name in ("velocity_px_s", "area_px", "detection", "mask", "mask_from", "class_then", "notes"):
            row.set(name, None)
        row.set("id", -track)
        row.set("class", self._found.labels[track])
        row.set("score", 1.0)
        row.set("box", [round(side, 2) for side in box])
        row.set("age_s", round(float(row.get("time_s")) - self._found.owners.first_s[track], 3))
        row.set("coasting", not keyframe)
        row.set("contact", [round((box[0] + box[2]) / 2, 3), round(box[3], 3)])
        row.set("contact_state", "seen" if keyframe else "predicted")
        if mask:
            self._draw(row, mask)
        return row

    def _draw(self, row: WholeRow, mask: str) -> None:
        """Another silhouette in the form that the row's records have; empty for none."""
        size = self._found.facts.size
        row.set("mask_from", None)
        if not mask:
            row.set("mask", None)
            row.set("area_px", None)
            return
        code = {"size": [size[1], size[0]], "counts": mask}
        crop, origin = decode_crop(code)
        outlined = isinstance(row.get("mask"), list)
        row.set("mask", polygons(crop, origin) if outlined else code)
        row.set("area_px", int(np.count_nonzero(crop)))


def _move(row: WholeRow, box: Sequence[float]) -> None:
    """Another box; the ground contact keeps its place in it."""
    x1, y1, x2, y2 = row.get("box")
    contact = row.get("contact")
    if contact is not None:
        across, down = (contact[0] - x1) / max(x2 - x1, 1e-9), (contact[1] - y1) / max(y2 - y1, 1e-9)
        moved = box[0] + across * (box[2] - box[0]), box[1] + down * (box[3] - box[1])
        row.set("contact", [round(one, 3) for one in moved])
    row.set("box", [round(side, 2) for side in box])
