"""Table of identities: one row per identity with its final class, times, frames and mean score.

Of a recording it is the table of the whole, of a camera's records one per part: the class is the vote at the part's
end, and of an identity that goes on in a later part the later table holds.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tracker.errors import ConfigError
from tracker.formats.cells import cell, plain
from tracker.sinks.base import Sink
from tracker.sinks.part_file import PartFile, refusal
from tracker.sinks.rows import IDENTITY_FIELDS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from tracker.sinks.base import SinkContext
    from tracker.types import TrackedFrame

__all__ = ["IdentitySink"]

SCORE_STEPS = 10_000
"""Scores are summed in whole steps of the records' last digit, so that the mean of chunks is that of the whole."""


@dataclass(slots=True)
class _Identity:
    class_name: str
    first_frame: int
    first_s: float
    last_frame: int
    last_s: float
    frames: int = 0
    score_steps: int = 0
    ended: bool = False


class IdentitySink(Sink):
    """One row per identity, ordered by id, as JSON Lines, CSV or Parquet by the last suffix.

    Memory follows the identities of the file. The table is written when it is complete; after a kill it can be made
    from the records.

    Args:
        path: The final path, ``*.identities.jsonl``, ``.csv`` or ``.parquet``.

    Raises:
        ConfigError: pyarrow is not installed, for Parquet.
        SinkError: The folder is missing or not writable.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if Path(path).suffix.lower() == ".parquet":
            _pyarrow(path)
        self._part = PartFile(path)
        self.path = self._part.path
        self.frames = 0
        self._identities: dict[int, _Identity] = {}
        self._closed = False

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:  # noqa: ARG003 - the table has no choices
        """Open it at a path; see :class:`tracker.sinks.base.Sink`."""
        return cls(address)

    @classmethod
    def why_not_joined(cls, address: str) -> str:  # noqa: ARG003 - every table can be
        """Nothing: tables can be added."""
        return ""

    @classmethod
    def join(cls, path: Path, chunks: Sequence[Path], starts_s: Sequence[float]) -> None:  # noqa: ARG003 - in the rows
        """Add the tables of all chunks."""
        sink = cls(path)
        try:
            for chunk in chunks:
                sink._add(_read(chunk))
                sink.frames += 1
        except BaseException:
            sink._part.discard()
            raise
        sink.close()

    @property
    def address(self) -> str:
        """The final path, as the user wrote it."""
        return str(self.path)

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Count one frame."""
        self.frames += 1
        tracks, frame = tracked_frame.tracks, tracked_frame.frame
        if tracks is None:
            return
        time_s = round(frame.time_s, 6)
        columns = (tracks.ids, tracks.class_ids, tracks.detection_rows, tracks.scores)
        for identity, class_id, row, score in zip(*(column.tolist() for column in columns), strict=True):
            name = tracked_frame.class_names[class_id]
            known = self._identities.setdefault(identity, _Identity(name, frame.index, time_s, frame.index, time_s))
            known.class_name, known.last_frame, known.last_s = name, frame.index, time_s
            if row >= 0:
                known.frames += 1
                known.score_steps += round(score * SCORE_STEPS)
        for identity in tracks.ended_ids.tolist():
            if identity in self._identities:
                self._identities[identity].ended = True

    def close(self) -> None:
        """Write the table and publish it; safe to call twice.

        Raises:
            SinkError: The system refuses; what stood there before stays.
        """
        if self._closed:
            return
        self._closed = True
        try:
            with self._part.open() as file:
                view = memoryview(_written(self.path, list(self._rows())))
                while view:
                    view = view[file.write(view) :]
        except OSError as failure:
            self._part.discard()
            raise refusal(self.path, failure, "write the table of identities") from failure
        self._part.publish()

    def abort(self) -> None:
        """Keep what is done without raising; without a frame nothing is published."""
        if self.frames == 0 and not self._closed:
            self._closed = True
            self._part.discard()
        super().abort()

    def _rows(self) -> Iterable[dict[str, Any]]:
        for identity, one in sorted(self._identities.items()):
            yield {
                "id": identity,
                "class": one.class_name,
                "first_frame": one.first_frame,
                "last_frame": one.last_frame,
                "first_s": one.first_s,
                "last_s": one.last_s,
                "frames": one.frames,
                "score": one.score_steps / (SCORE_STEPS * one.frames) if one.frames else None,
                "ended": one.ended,
            }

    def _add(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            frames = int(row["frames"])
            begun = _Identity(row["class"], row["first_frame"], row["first_s"], row["last_frame"], row["last_s"])
            known = self._identities.setdefault(row["id"], begun)
            known.class_name, known.last_frame, known.last_s = row["class"], row["last_frame"], row["last_s"]
            known.frames += frames
            known.score_steps += round(row["score"] * SCORE_STEPS * frames) if frames else 0
            known.ended = known.ended or bool(row["ended"])


def _written(path: Path, rows: list[dict[str, Any]]) -> bytes:
    """The whole table in the format of its name."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        from pyarrow import parquet

        data = io.BytesIO()
        parquet.write_table(_pyarrow(path).Table.from_pylist(rows, schema=_schema(path)), data, compression="zstd")
        return data.getvalue()
    if suffix == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name for field in IDENTITY_FIELDS)
        writer.writerows(map(cell, row.values()) for row in rows)
        return text.getvalue().encode()
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()


def _read(path: Path) -> list[dict[str, Any]]:
    """The reverse."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        from pyarrow import parquet

        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return rows
    text = path.read_text(encoding="utf-8")
    if suffix != ".csv":
        return [json.loads(line) for line in text.splitlines()]
    makes: dict[str, Callable[[str], Any]] = {
        "text": plain,
        "number": float,
        "whole": int,
        "flag": lambda value: value == "1",
    }
    kinds = {field.name: makes[field.kind] for field in IDENTITY_FIELDS}
    table = csv.DictReader(io.StringIO(text, newline=""))
    return [{name: kinds[name](value) if value else None for name, value in row.items()} for row in table]


def _pyarrow(path: str | os.PathLike[str]) -> Any:
    try:
        import pyarrow as pa
    except ImportError as missing:
        problem = "expected the package pyarrow for Parquet, found none"
        raise ConfigError(path, problem, 'pip install "masktrail[parquet]"') from missing
    return pa


def _schema(path: Path) -> Any:
    pa = _pyarrow(path)
    kinds = {"text": pa.string(), "number": pa.float64(), "whole": pa.int64(), "flag": pa.bool_()}
    return pa.schema([(field.name, kinds[field.kind]) for field in IDENTITY_FIELDS])
