"""Snapshots of a stream's state on disk: written atomically, read after a restart; values only, nothing is executed.

The file is a NumPy archive: every array under a number of its own, and ``layout``, JSON that says where in the state
which array goes. So whatever a stage keeps (dictionaries, lists, numbers, texts, arrays) comes back as it was.

A number is never given twice: beside each state stands a line with the next number, for the day on which the state
itself is damaged, too old or of another version.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import re
import time
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.engine.journal import Journal
from tracker.errors import ConfigError, SinkError
from tracker.sinks.part_file import write_whole
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Kept", "Loaded", "Snapshots", "next_number", "numbered"]

FORMAT = "masktrail state"
VERSION = 2

MOST_BYTES = 1 << 28
"""Of a state, packed or unpacked: a camera's has a megabyte, a thousand identities with embeddings 20."""

MOST_IDS = 1 << 53
"""Numbers beyond this are damage: no camera gives so many, and JSON's readers lose them."""

ALERTS = "analytics alerts"
"""The stage whose rows of before are ended where nothing is continued."""

logger = logging.getLogger("tracker.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was in a file.

    Attributes:
        state: As it was saved.
        elapsed_s: Seconds since.
        facts: What was noted beside it.
        numbers_only: The identities are not to be gone on with; ``state`` holds the next number, and alerts to end.
    """

    state: dict[str, Any] = field(repr=False)
    elapsed_s: float
    facts: dict[str, Any]
    numbers_only: bool = False


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

    def save(self, name: str, state: Mapping[str, Any], *, facts: Mapping[str, Any] | None = None) -> bool:
        """Write a stream's state and facts about it; a refusal of the system is logged, tracking continues.

        Returns:
            Whether it was written.

        Raises:
            TypeError: Something in it is neither an array, a number, a text, ``None``, nor a list or dictionary of
                them.
        """
        arrays: list[NDArray[Any]] = []
        values = {"state": state, "facts": facts or {}, "saved_s": time.time(), "made_by": __version__}
        layout = json.dumps({"format": FORMAT, "version": VERSION, "values": _packed(values, arrays)})
        buffer = io.BytesIO()
        named = {f"array{number}": array for number, array in enumerate(arrays)}
        np.savez(buffer, allow_pickle=False, layout=np.array(layout), **named)
        number = next_number(state)
        try:
            if number is not None:  # first: a kill between the two leaves out numbers and gives none twice
                write_whole(self._numbers(name), f"{number}\n".encode())
            write_whole(self._path(name), buffer.getvalue())
        except SinkError as error:
            logger.error("state not saved", extra={"camera": name, "problem": error.problem})  # noqa: TRY400
            return False
        return True

    def load(self, name: str, *, any_age: bool = False) -> Loaded | None:
        """A stream's state; ``None`` where there is none at all.

        One that is damaged, too old or from the future (the clock was set back) gives the next number only, and the log
        says why.

        Args:
            name: Of the stream.
            any_age: The state of a recording, whose media time does not depend on the clock on the wall.
        """
        path = self._path(name)
        values: dict[str, Any] = {}
        elapsed_s = 0.0
        try:
            if not path.exists() and not self._numbers(name).exists():
                return None
            values, problem = _read(path)
            elapsed_s = time.time() - float(values["saved_s"]) if not problem else 0.0
            fits = any_age or 0 <= elapsed_s <= self._max_age_s
            if not problem and fits and isinstance(values["state"], dict) and isinstance(values["facts"], dict):
                # A recording continues from its checkpoint, whatever numbers it gave after that
                state = values["state"] if any_age else self._advanced(name, values["state"])
                return Loaded(state=state, elapsed_s=elapsed_s, facts=values["facts"])
            if not problem:
                found = f"one of {elapsed_s:.0f} s ago" if elapsed_s >= 0 else f"one of {-elapsed_s:.0f} s ahead"
                problem = f"expected a state of the last {self._max_age_s:.0f} s, found {found}"
        except Exception as error:  # noqa: BLE001 - whatever damage does to whatever reads it
            problem = f"expected {FORMAT} {VERSION}, found a file that cannot be read ({type(error).__name__}: {error})"
        number = max(self._noted_number(name), next_number(values.get("state")) or 0)
        then = f"numbers go on from {number}" if number else "starting fresh"
        logger.warning("state not used", extra={"camera": name, "problem": f"{path.name}: {problem}; {then}"})
        if not number:
            return None
        state = numbered(number, values.get("state"))
        return Loaded(state=state, elapsed_s=max(elapsed_s, 0.0), facts={}, numbers_only=True)

    def _advanced(self, name: str, state: dict[str, Any]) -> dict[str, Any]:
        """A camera's state with the next number of the line beside it, where that is higher.

        Raises:
            ValueError: The line has a number and the state has none.
        """
        noted, stated = self._noted_number(name), next_number(state)
        if noted <= (stated or 0):
            return state
        if stated is None:
            message = f"no next number, {noted} is noted"
            raise ValueError(message)
        tracker = (state["stages"]["associate"] if "stages" in state else state)["tracker"]
        tracker["next_id"] = noted
        return state

    def journal(self, name: str) -> Journal:
        """The events that a stream found since its state was saved."""
        return Journal(self._folder / f"{name}.events.jsonl")

    def _noted_number(self, name: str) -> int:
        """The next number by the line beside the state; 0 where there is none."""
        with contextlib.suppress(OSError), self._numbers(name).open("rb") as file:
            line = file.read(32)
            if re.fullmatch(rb"[0-9]{1,16}\n", line) and int(line) <= MOST_IDS:
                return int(line)
        return 0

    def _numbers(self, name: str) -> Path:
        return self._folder / f"{name}.next-id"

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.state.npz"


def next_number(state: Any) -> int | None:
    """The number that a stream's next identity takes, by its state; ``None`` where that does not say."""
    keys: tuple[str, ...] = ("stages", "associate", "tracker", "next_id")
    if isinstance(state, dict) and "stages" not in state:  # kept by a version that had the tracker's state only
        keys = keys[2:]
    for key in keys:
        state = state.get(key) if isinstance(state, dict) else None
    return state if isinstance(state, int) and 1 <= state <= MOST_IDS else None


def numbered(number: int, before: Any = None) -> dict[str, Any]:
    """A state that holds the next number and no identity.

    Args:
        number: The next one.
        before: The state that is not continued: the alerts that lasted in it are to be ended.
    """
    stages: dict[str, Any] = {"associate": {"tracker": {"next_id": number}}}
    earlier = before.get("stages") if isinstance(before, dict) else None
    if isinstance(earlier, dict) and isinstance(earlier.get(ALERTS), dict):
        stages[ALERTS] = earlier[ALERTS]
    return {"stages": stages}


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """The values of a file, or the reason why it is none of ours.

    Raises:
        Exception: Whatever a damaged file leads to.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        return {}, f"expected at most {MOST_BYTES} bytes, found {size}"
    with zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        unpacked = sum(member.file_size for member in members.values())
        if unpacked > MOST_BYTES:
            return {}, f"expected at most {MOST_BYTES} bytes when unpacked, found {unpacked}"
        arrays = {name: _array(archive.read(member), name) for name, member in members.items()}
    if "layout" not in arrays:
        return {}, f"expected {FORMAT} {VERSION}, found a file without a layout, of an older version or foreign"
    layout = json.loads(str(arrays["layout"]))
    if layout.get("format") != FORMAT or layout.get("version") != VERSION:
        found = f"{layout.get('format')} {layout.get('version')}"
        return {}, f"expected {FORMAT} {VERSION}, found {found}"
    values = _unpacked(layout["values"], arrays)
    return (values, "") if isinstance(values, dict) else ({}, "expected a table of values, found another")


def _array(data: bytes, name: str) -> NDArray[Any]:
    """An array of a whole ``.npy`` file; its header is believed only as far as the bytes go."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    count = math.prod(shape)
    if dtype.hasobject or count * dtype.itemsize != len(data) - file.tell():
        message = f"{name}: expected {shape} of {dtype}, found {len(data) - file.tell()} bytes"
        raise ValueError(message)
    file.seek(0)
    return np.asarray(np.load(file, allow_pickle=False))


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


def _unpacked(value: Any, archive: Mapping[str, NDArray[Any]]) -> Any:
    """The reverse; tuples come back as lists."""
    if isinstance(value, list):
        return [_unpacked(inner, archive) for inner in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return archive[f"array{value['array']}"]
    return {key: _unpacked(inner, archive) for key, inner in value["dict"]}
