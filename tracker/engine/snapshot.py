"""Snapshots of a stream's state on disk: written atomically, read after a restart; values only, nothing is executed.

The file is a NumPy archive: every array under a number of its own, and ``layout``, JSON that says where in the state
which array goes. So whatever a stage keeps (dictionaries, lists, numbers, texts, arrays, in any depth) comes back as
it was.
"""

from __future__ import annotations

import io
import json
import logging
import os
import time
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ConfigError, SinkError
from tracker.sinks.part_file import write_whole
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Kept", "Loaded", "Snapshots"]

FORMAT = "masktrail state"
VERSION = 2

logger = logging.getLogger("tracker.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was in a file.

    Attributes:
        state: As it was saved.
        elapsed_s: Seconds since.
        facts: What was noted beside it.
    """

    state: dict[str, Any]
    elapsed_s: float
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """State of an earlier stream for a new one to continue.

    Attributes:
        state: Of its tracker.
        elapsed_s: Seconds that passed since, for a camera, whose media time restarts; ``None`` for a recording,
            whose media time continues.
        skip_ids: Numbers to leave out, since they may have been given after the state was kept.
        numbers_only: No identity continues (another scene, another model), but no number is given twice.
    """

    state: dict[str, Any] = field(repr=False)
    elapsed_s: float | None
    skip_ids: int = 0
    numbers_only: bool = False


class Snapshots:
    """One file per stream in a folder, replaced as a whole: after a kill the last complete one is there.

    Args:
        folder: Where the files are; made where it is missing.
        max_age_s: Older states are not restored.

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

    def save(self, name: str, state: Mapping[str, Any], *, facts: Mapping[str, Any] | None = None) -> None:
        """Write a stream's state and facts about it; a refusal of the system is logged, tracking continues.

        Raises:
            TypeError: Something in it is neither an array, a number, a text, ``None``, nor a list or dictionary of
                them.
        """
        path = self._path(name)
        arrays: list[NDArray[Any]] = []
        values = {"state": state, "facts": facts or {}, "saved_s": time.time(), "made_by": __version__}
        layout = json.dumps({"format": FORMAT, "version": VERSION, "values": _packed(values, arrays)})
        buffer = io.BytesIO()
        named = {f"array{number}": array for number, array in enumerate(arrays)}
        np.savez(buffer, allow_pickle=False, layout=np.array(layout), **named)
        try:
            write_whole(path, buffer.getvalue())
        except SinkError as error:
            logger.error("state not saved", extra={"camera": name, "problem": error.problem})  # noqa: TRY400

    def load(self, name: str) -> Loaded | None:
        """A stream's state; ``None`` where there is none or none to be used, and then the log says why."""
        path = self._path(name)
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                values, problem = _read(archive)
        except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
            values, problem = {}, f"expected {FORMAT} {VERSION}, found a file that cannot be read ({error})"
        if not problem:
            elapsed_s = time.time() - float(values["saved_s"])
            if 0 <= elapsed_s <= self._max_age_s:
                return Loaded(state=values["state"], elapsed_s=elapsed_s, facts=values["facts"])
            problem = f"expected a state of the last {self._max_age_s:.0f} s, found one of {elapsed_s:.0f} s ago"
        logger.warning("state not used", extra={"camera": name, "problem": f"{path.name}: {problem}; starting fresh"})
        return None

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.state.npz"


def _read(archive: Any) -> tuple[dict[str, Any], str]:
    """The values of an archive, or the reason why it is none of ours."""
    if "layout" not in archive.files:
        return {}, f"expected {FORMAT} {VERSION}, found a file without a layout, of an older version or foreign"
    layout = json.loads(str(archive["layout"]))
    if layout.get("format") != FORMAT or layout.get("version") != VERSION:
        found = f"{layout.get('format')} {layout.get('version')}"
        return {}, f"expected {FORMAT} {VERSION}, found {found}"
    return _unpacked(layout["values"], archive), ""


def _packed(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """A value as JSON has it; arrays go to the list and leave their number.

    >>> _packed({"a": 1, "b": [np.arange(3), None]}, [])
    {'dict': [['a', 1], ['b', [{'array': 0}, None]]]}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _packed(value.item(), arrays)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int):
                message = f"expected keys that are texts or whole numbers, found {key!r}"
                raise TypeError(message)
        return {"dict": [[key, _packed(inner, arrays)] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(inner, arrays) for inner in value]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays.append(value)
        return {"array": len(arrays) - 1}
    message = f"expected arrays, numbers, texts, lists and dictionaries, found {type(value).__name__}"
    raise TypeError(message)


def _unpacked(value: Any, archive: Any) -> Any:
    """The reverse; tuples come back as lists."""
    if isinstance(value, list):
        return [_unpacked(inner, archive) for inner in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return archive[f"array{value['array']}"]
    return {key: _unpacked(inner, archive) for key, inner in value["dict"]}
