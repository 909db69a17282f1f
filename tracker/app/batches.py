"""Outputs of batches as inputs of commands: recordings by their manifests, tables as files of this machine."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.batch.results import Manifest, Results

__all__ = ["copied", "heat_store", "is_batch", "local_file", "recordings_of"]

MOST_NAMED = 8
"""Recordings that a message names."""


def is_batch(source: str) -> bool:
    """Whether a source is the output of a batch: a folder with manifests, or an address of object storage."""
    from tracker.batch.storage import is_remote

    return is_remote(source) or (Path(source) / "manifest").is_dir()


def recordings_of(results: Results, kind: str, *, remedy: str) -> tuple[list[Manifest], int]:
    """The manifests that have a table, by the names of the recordings, and of how many.

    Args:
        results: Of a batch.
        kind: Of :data:`tracker.batch.results.TABLES`.
        remedy: What to do if there is none.

    Raises:
        SourceError: There is none, or a recording is there under two settings.
    """
    from tracker.batch.compact import check_names

    manifests = sorted(results.manifests(), key=lambda one: (one.recording, one.key))
    found = [one for one in manifests if kind in one.files]
    if not found:
        problem = f"expected {kind} of a batch, found {len(manifests):,} recordings without any"
        raise SourceError(results.place.shown, problem, remedy)
    check_names(results, found)
    return found, len(manifests)


def local_file(results: Results, name: str, folder: Path | None) -> Path:
    """A file of the results where it lies, or its copy.

    Args:
        results: Of a batch.
        name: Path below the results.
        folder: For the copy; ``None`` where the results are a folder of this machine.
    """
    if folder is None:
        return Path(results.place.at(name))
    copy = folder / name.replace("/", "_")
    results.place.download(results.place.at(name), copy)
    return copy


@contextlib.contextmanager
def heat_store(source: str, recording: str | None) -> Iterator[tuple[Path, str]]:
    """The store of a batch that keeps the heatmap of a recording, and the recording's name.

    Args:
        source: Output of a batch.
        recording: Which; ``None`` = the only one.

    Raises:
        SourceError: The batch has none.
        ConfigError: There are several, or none of that name.
    """
    from tracker.batch.results import Results

    results = Results.at(source)
    done, _ = recordings_of(results, "heatmap", remedy="run the batch with --heatmap, or name the records")
    names = [one.recording for one in done]
    if (recording or names[0]) not in names or (recording is None and len(names) > 1):
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        found = f"{len(names)} recordings" if recording is None else repr(recording)
        problem = f"expected one of {', '.join(names[:MOST_NAMED])}{more}, found {found}"
        raise ConfigError("--stream", problem, f"write --stream {names[0]}")
    [one] = [one for one in done if one.recording == (recording or names[0])]
    with copied(results) as folder:
        yield local_file(results, one.files["heatmap"], folder), one.recording


@contextlib.contextmanager
def copied(results: Results) -> Iterator[Path | None]:
    """A folder for copies, which are removed when the block ends; ``None`` where none are needed."""
    if results.place.is_local:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="masktrail-batch-") as folder:
        yield Path(folder)
