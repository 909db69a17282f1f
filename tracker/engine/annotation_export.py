"""Records as annotated tracks for CVAT and Label Studio."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, cast

from tracker.engine.record_facts import facts_of, mask_code, shown_box
from tracker.errors import ConfigError, SinkError
from tracker.formats.annotation import Recording, ShownRow, Tool
from tracker.formats.cvat import cvat_labels, write_cvat
from tracker.formats.label_studio import label_studio_config, write_label_studio
from tracker.formats.whole_rows import frames_of
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.part_file import PartFile, refusal, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from tracker.engine.record_facts import RecordFacts

__all__ = ["Exported", "export_annotations", "temporary_table"]

SUFFIXES: dict[str, tuple[str, ...]] = {"cvat": (".xml", ".zip"), "label-studio": (".json",)}
BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written for a tool.

    Attributes:
        path: The tracks.
        labels: What the tool's project is set up with, beside it.
        identities: How many there are.
        left_out: What the tool cannot hold, and how many of it.
    """

    path: Path
    labels: Path
    identities: int
    left_out: Counter[str]


def export_annotations(
    records: Path, out: Path, tool: Tool, *, masks: bool = True, labels: Sequence[str] = (), video: Path | None = None
) -> Exported:
    """Write the tracks of records for an annotation tool; memory holds a frame, the rest waits in a temporary file.

    Args:
        records: JSON Lines, CSV or Parquet.
        out: ``.xml`` or ``.zip`` for CVAT, ``.json`` for Label Studio.
        tool: Which.
        masks: Silhouettes go along where the tool takes them.
        labels: Classes that may be chosen besides those of the records.
        video: The recording, whose name the tool is told.

    Raises:
        SourceError: The records cannot be read, or do not say how large the picture is.
        ConfigError: The suffix is none of the tool's.
        SinkError: A file cannot be written.
    """
    if out.suffix.lower() not in SUFFIXES[tool]:
        problem = f"expected {' or '.join(SUFFIXES[tool])} for {tool}, found {out.suffix or 'no suffix'}"
        raise ConfigError(f"--out {out}", problem, f"write {out.with_suffix(SUFFIXES[tool][0]).name}, say")
    beside = out.with_name(out.stem + (".labels.json" if tool == "cvat" else ".interface.xml"))
    read = [records] if video is None else [records, video]
    check_claims([Claim(path=out, named_by="--out"), Claim(path=beside)], [Claim(path=path) for path in read])
    facts = facts_of(records)
    recording = Recording(
        name=video.name if video is not None else PurePath(facts.stream).name or records.stem,
        size=facts.size,
        last_frame=facts.last_frame,
        last_s=facts.last_s,
        step=facts.step,
        labels=tuple(dict.fromkeys([*sorted(set(facts.classes.values())), *labels])),
    )
    tracks = sorted(facts.classes.items())
    left_out: Counter[str] = Counter()
    with temporary_table() as table:
        _fill(table, records, facts, left_out, masks=masks, tool=tool)
        shown = [(identity, label) for identity, label in tracks if next(_rows(table, identity), None)]
        with _written(out) as target:
            if tool == "cvat":
                write_cvat(target, recording, shown, lambda identity: _rows(table, identity), masks=masks)
            else:
                write_label_studio(target, recording, shown, lambda identity: _rows(table, identity))
    setup = cvat_labels(recording.labels) if tool == "cvat" else label_studio_config(recording.labels, fps=facts.fps)
    write_whole(beside, setup.encode())
    return Exported(path=out, labels=beside, identities=len(shown), left_out=left_out)


@contextmanager
def temporary_table() -> Iterator[sqlite3.Connection]:
    """A database in a temporary file without a name, which is gone when the block ends.

    Raises:
        SinkError: The system refuses it.
    """
    try:
        with closing(sqlite3.connect("")) as connection:
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;")
            yield connection
    except sqlite3.OperationalError as failure:
        problem = f"expected to write it, found: {failure}"
        raise SinkError("temporary file", problem, "free space in TMPDIR") from failure


@contextmanager
def _written(out: Path) -> Iterator[BinaryIO]:
    """A file, or the one in a ZIP archive, that appears when it is whole."""
    with PartFile(out) as part:
        try:
            with part.open() as raw, io.BufferedRandom(raw, 1 << 20) as file:
                if out.suffix.lower() == ".zip":
                    with (
                        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
                        archive.open("annotations.xml", "w", force_zip64=True) as target,
                    ):
                        yield cast("BinaryIO", target)
                else:
                    yield file
        except OSError as failure:
            raise refusal(part.path, failure, "write here") from failure


def _fill(
    table: sqlite3.Connection, records: Path, facts: RecordFacts, left_out: Counter[str], *, masks: bool, tool: Tool
) -> None:
    """Rows by identity and frame: records have them by frame."""
    table.execute(
        "CREATE TABLE shown (identity INTEGER, frame INTEGER, time_s REAL, x1 REAL, y1 REAL, x2 REAL, y2 REAL, "
        "hidden INTEGER, mask TEXT, PRIMARY KEY (identity, frame)) WITHOUT ROWID"
    )
    waiting: list[tuple[object, ...]] = []
    for rows in frames_of(records):
        frame, time_s = rows[0].get("frame"), float(rows[0].get("time_s"))
        for row in rows:
            box = shown_box(row, facts.size)
            if box is None:
                left_out["boxes outside of the picture"] += 1
                continue
            mask = row.get("mask") if masks else None
            if mask and tool == "label-studio":
                left_out["silhouettes (Label Studio's regions of videos are boxes)"] += 1
            code = mask_code(records, mask, facts.size) if tool == "cvat" else ""
            hidden = bool(row.get("coasting")) or row.get("contact_state") in {"hidden", "predicted"}
            waiting.append((row.get("id"), frame, time_s, *box, hidden, code))
        if len(waiting) >= BATCH_ROWS:
            _insert(table, records, waiting)
    _insert(table, records, waiting)


def _insert(table: sqlite3.Connection, records: Path, waiting: list[tuple[object, ...]]) -> None:
    try:
        table.executemany("INSERT INTO shown VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", waiting)
    except sqlite3.IntegrityError as failure:
        problem = "expected each identity once in a frame, found one twice"
        raise ConfigError(records, problem, "check the file") from failure
    waiting.clear()


def _rows(table: sqlite3.Connection, identity: int) -> Iterator[ShownRow]:
    query = "SELECT frame, time_s, x1, y1, x2, y2, hidden, mask FROM shown WHERE identity = ? ORDER BY frame"
    for frame, time_s, x1, y1, x2, y2, hidden, mask in table.execute(query, (identity,)):
        yield ShownRow(frame, time_s, (x1, y1, x2, y2), bool(hidden), mask)
