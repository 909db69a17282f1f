"""Clips for demo and benchmarks: pinned downloads, verified and cached, and rendered ones from the wheel."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CLIPS", "Clip", "NoNetworkError", "cache_folder", "fetch", "rendered"]

CONNECT_TIMEOUT_S = 15.0

PACKAGE = Path(__file__).resolve().parents[1]
RENDERED_FOLDERS = (PACKAGE / "_clips", PACKAGE.parent / "demos" / "clips")
"""Where the rendered clips lie: in an installed wheel, in a checkout."""


class NoNetworkError(SourceError):
    """The clip is not in the cache and its address cannot be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A video hosted elsewhere, pinned to one commit and one checksum.

    Attributes:
        name: Its name here and in the cache (``<name>.mp4``).
        url: Where it is downloaded from.
        sha256: Checksum of the file; the address alone is never trusted.
        credit: Its author and under which licence its repository stands.
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


def rendered(name: str) -> Path:
    """A rendered clip that comes with masktrail: ``road`` or ``shop``, 640 x 360, 20 s at 25 fps.

    Raises:
        SourceError: The installation lacks it.
    """
    candidates = [folder / f"{name}.mp4" for folder in RENDERED_FOLDERS]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        problem = f"expected a rendered clip at {candidates[0]}, found nothing"
        raise SourceError(name, problem, "install masktrail again")
    return found


def cache_folder() -> Path:
    """Where downloads are kept: ``MASKTRAIL_CACHE``, else the platform's cache directory."""
    if chosen := os.environ.get("MASKTRAIL_CACHE"):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("masktrail", appauthor=False)


class _Bar:
    """The progress bar that pooch drives: ``total`` is set once, :meth:`update` adds bytes."""

    def __init__(self, on_progress: Callable[[int, int | None], None]) -> None:
        self.total: int | None = None
        self._on_progress = on_progress
        self._received = 0

    def update(self, count: int) -> None:
        self._received += count
        self._on_progress(self._received, self.total)

    def reset(self) -> None:
        """Pooch ends every download by winding the bar back before it fills it once more."""
        self._received = 0

    def close(self) -> None:
        """Nothing to release."""


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
    import pooch
    import requests

    path = cache_folder() / f"{clip.name}.mp4"
    if path.exists():
        found = pooch.file_hash(str(path))
        if found == clip.sha256:
            return path
        raise SourceError(path, f"expected SHA-256 {clip.sha256}, found {found}", "delete the file and run again")
    pooch.get_logger().setLevel(logging.WARNING)
    bar = _Bar(on_progress) if on_progress is not None else False
    downloader = pooch.HTTPDownloader(progressbar=bar, timeout=CONNECT_TIMEOUT_S)
    try:
        pooch.retrieve(
            clip.url, known_hash=f"sha256:{clip.sha256}", fname=path.name, path=path.parent, downloader=downloader
        )
    except (OSError, requests.RequestException) as error:
        problem = f"expected a download from {clip.url}, found {_reason(error)}"
        raise NoNetworkError(f"clip {clip.name}", problem, f"connect to it, or put the file at {path}") from error
    except ValueError as error:
        problem = f"expected SHA-256 {clip.sha256}, found another file"
        raise SourceError(clip.url, problem, "the file there has changed") from error
    return path


def _reason(error: BaseException) -> str:
    """What the system said, beneath the layers of the HTTP library."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__ or getattr(cause, "reason", None)
    return str(error)
