"""A pinned clip's name enters; the path of its verified copy in the cache leaves, downloaded on first use."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import platform
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SinkError, SourceError
from tracker.sinks.part_file import PartFile

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CLIPS", "Clip", "NoNetworkError", "cache_folder", "fetch"]

CONNECT_TIMEOUT_S = 15.0
CHUNK_BYTES = 1 << 16


class NoNetworkError(SourceError):
    """The clip is not in the cache and its address cannot be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A video somebody else hosts, pinned to one commit and one checksum.

    Attributes:
        name: Its name here and in the cache (``<name>.mp4``).
        url: Where it is downloaded from.
        sha256: Checksum of the file; the address alone is never trusted.
        credit: Whose it is and under which licence its repository stands.
    """

    name: str
    url: str
    sha256: str
    credit: str


CLIPS = (
    Clip(
        name="traffic",
        url="https://raw.githubusercontent.com/abhishek-verma-github/Vehicle_Speed_tracking/"
        "df4967b1d1474bb79345b1a8b689900d1eca7f2c/highway.mp4",
        sha256="077441dc0794556b41aaa0a10e98df0d6bc35470de28f14403cd118b7e6f7c5a",
        credit="abhishek-verma-github/Vehicle_Speed_tracking, MIT",
    ),
    Clip(
        name="retail",
        url="https://raw.githubusercontent.com/NVIDIA-AI-IOT/deepstream_reference_apps/"
        "9946965e8adb1aa93b1b66983ec4196351c9190c/deepstream-tracker-3d/streams/Retail02_short.mp4",
        sha256="f5b4726f0eff528c210fffc3b4270e236664e290edf2edbc1b2375ffb47ce20f",
        credit="NVIDIA-AI-IOT/deepstream_reference_apps, Apache-2.0",
    ),
)


def cache_folder() -> Path:
    """Where downloads are kept: ``MASKTRAIL_CACHE``, else the platform's cache directory."""
    if chosen := os.environ.get("MASKTRAIL_CACHE"):
        return Path(chosen).expanduser()
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Caches" / "masktrail"
    if local := os.environ.get("LOCALAPPDATA"):
        return Path(local) / "masktrail" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "masktrail"


def fetch(clip: Clip, on_progress: Callable[[int, int | None], None] | None = None) -> Path:
    """The verified local copy of a clip.

    Args:
        clip: Which one.
        on_progress: Called with the bytes so far and the total (``None`` if the server does not say) while downloading.

    Returns:
        Path in the cache.

    Raises:
        NoNetworkError: It is not in the cache and cannot be downloaded.
        SourceError: What came, or what lies in the cache, has another checksum.
    """
    path = cache_folder() / f"{clip.name}.mp4"
    if path.exists():
        found = _sha256(path)
        if found == clip.sha256:
            return path
        raise SourceError(path, f"expected SHA-256 {clip.sha256}, found {found}", "delete the file and run again")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with PartFile(path) as part:
            digest = _download(clip.url, part, on_progress)
            if digest != clip.sha256:
                raise SourceError(
                    clip.url, f"expected SHA-256 {clip.sha256}, found {digest}", "the file there has changed"
                )
    except SinkError as error:
        raise NoNetworkError(clip.url, f"cannot be kept in the cache: {error.problem}", error.remedy) from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NoNetworkError(clip.url, f"cannot be downloaded: {reason}", f"or put the file at {path}") from error
    return path


def _download(url: str, part: PartFile, on_progress: Callable[[int, int | None], None] | None) -> str:
    """Fetch ``url`` into the part file; its SHA-256."""
    digest = hashlib.sha256()
    received = 0
    with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_S) as response, io.BufferedWriter(part.open()) as file:  # noqa: S310
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            if on_progress is not None:
                on_progress(received, total)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
