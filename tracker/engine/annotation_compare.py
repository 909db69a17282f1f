"""Corrected tracks of CVAT and Label Studio compared with the records that they came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.boxes import iou
from tracker.engine.record_facts import facts_of, mask_code, shown_box
from tracker.errors import DetectionsError, SourceError
from tracker.formats.annotation import Expected
from tracker.formats.cvat import read_cvat
from tracker.formats.label_studio import read_label_studio
from tracker.formats.run_length import decode_crop
from tracker.formats.whole_rows import frames_of
from tracker.refine.corrected import Owners, assign, groups_of, numbers_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tracker.engine.record_facts import RecordFacts
    from tracker.formats.annotation import Annotations, Box
    from tracker.formats.whole_rows import WholeRow

__all__ = ["Corrections", "corrections_of"]

BATCH_SHAPES = 4096
OVERLAP = 0.3
"""Intersection over union of a silhouette's box with a row's, from which it is that of the row."""
FITS = 0.5
"""Of a silhouette's box with the row's moved box, from which it is kept where the tool showed no silhouettes."""
SAME_RECORDING = 0.5
"""Share of the boxes, or of the rows where there are fewer, that must lie on each other."""
SAME_BOXES = 0.1
"""Share of them that must be equal where the video has another name."""


@dataclass(slots=True, kw_only=True)
class Corrections:
    """What a file of corrections changes.

    Attributes:
        records: The records.
        facts: Of them.
        labels: Class of each track.
        owners: Tracks of each identity's rows over time.
        counts: Of what was changed, in words.
        left_out: Of what records cannot hold, in words.
        table: Boxes and silhouettes of changed rows, and added ones, by frame.
    """

    records: Path
    facts: RecordFacts
    table: sqlite3.Connection
    labels: dict[int, str] = field(default_factory=dict)
    owners: Owners = field(default_factory=Owners)
    counts: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def numbers(self) -> dict[int, int]:
        """The number of each track."""
        return dict(numbers_of(self.owners, max(self.facts.classes)))


def corrections_of(records: Path, corrected: Path, table: sqlite3.Connection, *, labels: Sequence[str]) -> Corrections:
    """Compare a file of corrections with the records; memory holds a frame, and a few numbers per identity.

    Args:
        records: That were exported.
        corrected: Exported by CVAT or Label Studio.
        table: Of :func:`tracker.engine.annotation_export.temporary_table`.
        labels: Classes that may come back besides those of the records.

    Raises:
        SourceError: A file cannot be read, is broken, or is of another recording.
        ConfigError: The records are of no format with whole rows.
    """
    facts = facts_of(records)
    found = Corrections(records=records, facts=facts, table=table)
    known = frozenset([*facts.classes.values(), *labels])
    annotations = _read(corrected, Expected(size=facts.size, last_frame=facts.last_frame, labels=known))
    silhouettes = _keep(table, corrected, annotations)
    groups = groups_of(annotations.labels, annotations.joined)
    found.labels = {group: annotations.labels[group] for group in set(groups.values())}
    found.left_out = Counter({name: count for name, count in annotations.left_out.items() if count})
    _Comparison(found, corrected, groups, silhouettes=silhouettes, source=annotations.source).run()
    return found


def _read(path: Path, expected: Expected) -> Annotations:
    try:
        with path.open("rb") as file:
            start = file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip()
        if start.startswith((b"PK", b"<")):
            return read_cvat(path, expected)
        if start.startswith((b"[", b"{")):
            return read_label_studio(path, expected)
    except OSError as failure:
        problem = f"expected corrected tracks, found: {failure.strerror or failure}"
        raise SourceError(path, problem, "check the path") from failure
    problem = "expected XML or ZIP of CVAT for video 1.1, or JSON of Label Studio, found neither"
    raise DetectionsError(path, problem, "export the corrected task in one of these formats")


def _keep(table: sqlite3.Connection, path: Path, annotations: Annotations) -> bool:
    """Put shapes into the table, from where they come by frame; whether there are silhouettes among them."""
    table.executescript(
        "CREATE TABLE shapes (frame INTEGER, track INTEGER, x1 REAL, y1 REAL, x2 REAL, y2 REAL, keyframe INTEGER, "
        "hint INTEGER, mask TEXT);"
        "CREATE TABLE changes (frame INTEGER, identity INTEGER, x1 REAL, y1 REAL, x2 REAL, y2 REAL, mask TEXT);"
        "CREATE TABLE added (frame INTEGER, track INTEGER, x1 REAL, y1 REAL, x2 REAL, y2 REAL, keyframe INTEGER, "
        "mask TEXT);"
    )
    waiting: list[tuple[Any, ...]] = []
    boxes = silhouettes = 0
    for shape in annotations.shapes:
        box = shape.box or (None,) * 4
        boxes, silhouettes = boxes + (shape.box is not None), silhouettes + (shape.box is None)
        waiting.append((shape.frame, shape.track, *box, shape.keyframe, shape.hint, shape.mask))
        if len(waiting) >= BATCH_SHAPES:
            table.executemany("INSERT INTO shapes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", waiting)
            waiting.clear()
    table.executemany("INSERT INTO shapes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", waiting)
    if not boxes:
        raise DetectionsError(path, "expected tracks of boxes, found none", "export the task with its tracks")
    table.execute("CREATE INDEX by_frame ON shapes (frame)")
    return silhouettes > 0


class _Comparison:
    """Rows and shapes, frame by frame."""

    def __init__(
        self, found: Corrections, path: Path, groups: dict[int, int], *, silhouettes: bool, source: str
    ) -> None:
        self._found, self._path, self._groups = found, path, groups
        self._silhouettes, self._source = silhouettes, source
        self._rows = self._boxes = self._same = self._near = 0

    def run(self) -> None:
        """Compare all frames."""
        table, size = self._found.table, self._found.facts.size
        frames = 0
        for rows in frames_of(self._found.records):
            frame = rows[0].get("frame")
            query = "SELECT track, x1, y1, x2, y2, keyframe, hint, mask FROM shapes WHERE frame = ? ORDER BY track"
            shapes = table.execute(query, (frame,)).fetchall()
            frames += sum(shape[1] is not None and shape[5] for shape in shapes)
            carried = [(row, box) for row in rows if (box := shown_box(row, size)) is not None]
            self._compare(frame, float(rows[0].get("time_s")), carried, shapes)
        query = "SELECT count(*) FROM shapes WHERE keyframe AND x1 IS NOT NULL"
        beyond = table.execute(query).fetchone()[0] - frames
        if beyond:
            self._found.left_out["boxes in frames without rows"] += beyond
        self._check_recording()
        table.execute("CREATE INDEX changed ON changes (frame)")
        table.execute("CREATE INDEX more ON added (frame)")

    def _check_recording(self) -> None:
        """Refuse boxes that lie elsewhere, or of a video with another name of which none is a row's."""
        least, named = min(self._rows, self._boxes), PurePath(self._found.facts.stream).stem
        other = named and self._source and named not in self._source and self._same < SAME_BOXES * least
        if other or self._same + self._near < SAME_RECORDING * least:
            video = f" of {self._source}" if self._source else ""
            problem = f"expected the tracks of {self._found.records.name}, found {self._boxes} boxes{video}, of which "
            problem += f"{self._same + self._near} lie where rows do"
            raise DetectionsError(self._path, problem, "name the file that was exported from these records")

    def _compare(
        self, frame: int, time_s: float, carried: list[tuple[WholeRow, Box]], shapes: list[tuple[Any, ...]]
    ) -> None:
        found, owners = self._found, self._found.owners
        boxes = [shape for shape in shapes if shape[1] is not None]
        tracks = [self._groups[shape[0]] for shape in boxes]
        if len(set(tracks)) < len(tracks):
            problem = f"expected joined tracks apart in time, found two in view in frame {frame}"
            raise DetectionsError(self._path, problem, "take the relation back, or end one before the other begins")
        ids = np.array([row.get("id") for row, _ in carried], np.int64)
        places = _array([box for _, box in carried])
        annotated = _array([shape[1:5] for shape in boxes])
        assigned = assign(ids, places, np.array([shape[6] for shape in boxes], np.int64), annotated)
        self._rows += len(carried)
        self._boxes += len(boxes)
        self._same += int((assigned.rows >= 0).sum() - assigned.moved.sum())
        self._near += sum(
            _overlap(places[row], annotated[assigned.rows[row]]) >= OVERLAP for row in np.flatnonzero(assigned.moved)
        )
        masks = self._masks(carried, assigned.rows, boxes, [shape for shape in shapes if shape[1] is None])
        for number, (row, _) in enumerate(carried):
            box = int(assigned.rows[number])
            owners.own(row.get("id"), time_s, None if box < 0 else tracks[box])
            if box < 0:
                found.counts["rows deleted"] += 1
                continue
            moved = boxes[box][1:5] if assigned.moved[number] else None
            mask = self._mask(row, moved, masks.get(box))
            if moved is not None or mask is not None:
                found.counts["boxes moved"] += moved is not None
                found.counts["silhouettes changed"] += mask is not None
                values = (frame, row.get("id"), *(moved or (None,) * 4), mask)
                found.table.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        for number in sorted(set(range(len(boxes))) - set(assigned.rows.tolist())):
            shape = boxes[number]
            found.counts["boxes added"] += 1
            owners.add(tracks[number], time_s)
            values = (frame, tracks[number], *shape[1:6], masks.get(number) or "")
            found.table.execute("INSERT INTO added VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _masks(
        self,
        carried: list[tuple[WholeRow, Box]],
        assigned: NDArray[np.int64],
        boxes: list[tuple[Any, ...]],
        silhouettes: list[tuple[Any, ...]],
    ) -> dict[int, str]:
        """The silhouette of each box: that of its row, else of the identity it went out with, else by overlap."""
        size = self._found.facts.size
        codes = {
            int(assigned[number]): mask_code(self._found.records, row.get("mask"), size)
            for number, (row, _) in enumerate(carried)
            if silhouettes and assigned[number] >= 0
        }
        found: dict[int, str] = {}
        rest = []
        for shape in silhouettes:
            same = [box for box, code in codes.items() if code == shape[7] and box not in found]
            hinted = [box for box in same if boxes[box][6] == shape[6]] or same
            if hinted:
                found[hinted[0]] = shape[7]
            else:
                rest.append(shape)
        for shape in rest:
            place = _reach(shape[7], size)
            free = [box for box in range(len(boxes)) if box not in found]
            hinted = [box for box in free if shape[6] and boxes[box][6] == shape[6]]
            best = max(hinted or free, key=lambda box: _overlap(place, boxes[box][1:5]), default=None)
            if best is None or (not hinted and _overlap(place, boxes[best][1:5]) < OVERLAP):
                self._found.left_out["silhouettes without a box"] += 1
            else:
                found[best] = shape[7]
        return found

    def _mask(self, row: WholeRow, moved: Any, code: str | None) -> str | None:
        """The new silhouette of a row, empty for none; ``None`` where it stays."""
        size = self._found.facts.size
        old = mask_code(self._found.records, row.get("mask"), size) if self._silhouettes or moved is not None else ""
        if self._silhouettes:
            if code and not row.has("mask"):
                self._found.left_out["silhouettes, as the records have no masks"] += 1
                return None
            return None if (code or "") == old else code or ""
        if moved is None or not old:
            return None
        return None if _overlap(_reach(old, size), moved) >= FITS else ""


def _array(boxes: list[Any]) -> NDArray[np.float64]:
    return np.array(boxes, np.float64).reshape(-1, 4)


def _reach(code: str, size: tuple[int, int]) -> Box:
    """The box about a silhouette."""
    crop, (left, top) = decode_crop({"size": [size[1], size[0]], "counts": code})
    return left, top, left + crop.shape[1], top + crop.shape[0]


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    return float(iou(_array([one]), _array([other]))[0, 0])
