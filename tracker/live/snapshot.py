"""A tracker's state enters a file, atomically, and leaves it after a restart; arrays only, nothing is executed."""

from __future__ import annotations

import io
import logging
import os
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Snapshots"]

VERSION = 1

logger = logging.getLogger("tracker.live")


class Snapshots:
    """One file per stream in a folder, replaced as a whole: whoever is killed leaves the last complete one.

    Args:
        folder: Where the files are; made where it is missing.
        max_age_s: Older states are not taken up.

    Raises:
        ConfigError: The folder cannot be made or written.
    """

    def __init__(self, folder: Path, *, max_age_s: float = 86_400.0) -> None:
        self._folder = folder
        self._max_age_s = max_age_s
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"expected a folder for states, found: {error.strerror}"
            raise ConfigError(f"state {folder}", problem, "choose another folder") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"state {folder}", "expected a writable folder, found no permission", "chmod u+w")

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write a stream's state; a refusal of the system is logged, tracking goes on."""
        path = self._path(name)
        part = path.with_name(f".{path.name}.part")
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_flat({"version": VERSION, "saved_s": time.time(), "state": state}))
        try:
            with part.open("wb") as file:
                file.write(buffer.getvalue())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            logger.error("state not saved", extra={"camera": name, "problem": error.strerror})  # noqa: TRY400

    def load(self, name: str) -> tuple[dict[str, Any], float] | None:
        """A stream's state and the seconds since it was saved; ``None`` where there is none, or none to be used."""
        path = self._path(name)
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                values = _nested({key: archive[key] for key in archive.files})
            elapsed_s = time.time() - float(values["saved_s"])
            if values["version"] == VERSION and 0 <= elapsed_s <= self._max_age_s:
                return values["state"], elapsed_s
            logger.warning("state too old", extra={"camera": name, "age_s": round(elapsed_s)})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            logger.warning("state not readable", extra={"camera": name, "problem": type(error).__name__})
        return None

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.state.npz"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, NDArray[Any]]:
    """Nested dictionaries as one with slashes in its keys; ``None`` becomes an empty array.

    >>> sorted(_flat({"a": 1, "b": {"c": 2.5}}))
    ['a', 'b/c']
    """
    flat: dict[str, NDArray[Any]] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}/")
        else:
            flat[prefix + key] = np.zeros(0) if value is None else np.asarray(value)
    return flat


def _nested(flat: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The reverse: arrays without axes become numbers."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split("/")
        place = nested
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value if value.ndim else value.item()
    return nested
