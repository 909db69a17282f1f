"""Frame rate of a MOTChallenge sequence from its ``seqinfo.ini``."""

from __future__ import annotations

import configparser
import math
from typing import TYPE_CHECKING

from tracker.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["sequence_fps"]


def sequence_fps(files: Sequence[Path]) -> float | None:
    """Frames per second from the ``seqinfo.ini`` of a MOTChallenge sequence, which lies beside or above its images.

    Args:
        files: The images.

    Returns:
        ``frameRate``; ``None`` where there is no such file or it does not say.

    Raises:
        SourceError: The file is damaged, or the rate is not a positive number.
    """
    folders = {file.parent for file in files}
    if len(folders) != 1:
        return None
    folder = folders.pop()
    path = next((f / "seqinfo.ini" for f in (folder, folder.parent) if (f / "seqinfo.ini").is_file()), None)
    if path is None:
        return None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8-sig")
        text = parser["Sequence"].get("framerate")
    except (configparser.Error, KeyError, UnicodeDecodeError) as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())
        raise SourceError(
            path, f"expected an ini file with [Sequence], found {found}", "correct or remove it, or pass --fps"
        ) from error
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= 1000:
        problem = f"frameRate: expected a number above 0 and up to 1000, found {text!r}"
        raise SourceError(path, problem, "correct the line, or pass --fps")
    return rate
