"""`masktrail demo --serve`: the clips as endless cameras, with the dashboard, until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.app.console import foreign
from tracker.app.looped_camera import LoopedCameras
from tracker.errors import SinkError
from tracker.settings.dashboard import DASHBOARD_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

__all__ = ["serve_demo"]

FOLDER = "live"
SETTINGS = "cameras.yaml"


def serve_demo(
    out: Path, clips: Sequence[Path], *, device: str, console: Console, address: str = DASHBOARD_ADDRESS
) -> int:
    """Run ``masktrail live`` on clips that play in a loop, each at its own pace.

    Args:
        out: Folder; the settings, accounts, sites and counts go to ``live`` in it and are there at the next start.
        clips: Video files.
        device: As for ``masktrail track``.
        address: Of the page.
        console: The page's address goes there.

    Returns:
        The exit status of the service.

    Raises:
        TrackerError: A clip cannot be read, or the service cannot start.
    """
    from tracker.service.run import run_live

    folder = out / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(folder, f"cannot be made: {error.strerror}", "choose another folder with --out") from error
    with LoopedCameras(_named(clips)) as cameras:
        settings = folder / SETTINGS
        settings.write_text(_settings(cameras.urls, folder, device=device, address=address), encoding="utf-8")
        console.print(
            f"The clips play as endless cameras; {foreign(settings)} has them. Open the address below, make an account"
            " and draw a line. Ctrl-C ends it.",
            highlight=False,
            soft_wrap=True,
        )
        return run_live(settings)


def _named(clips: Sequence[Path]) -> dict[str, Path]:
    """Names that a camera may have, each once."""
    named: dict[str, Path] = {}
    for clip in clips:
        name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in clip.stem).strip("-")[:80]
        name = name or "clip"
        number = sum(other == name or other.startswith(f"{name}-") for other in named)
        named[f"{name}-{number + 1}" if number else name] = clip
    return named


def _settings(urls: dict[str, str], folder: Path, *, device: str, address: str) -> str:
    """A cameras.yaml; JSON strings are YAML too, whatever a path has in it."""
    import json

    lines = [
        "# Written anew by every `masktrail demo --serve`.",
        "metrics: off",
        f"device: {json.dumps(device)}",
        f"state: {json.dumps(str(folder / 'state'))}",
        f"dashboard: {{address: {json.dumps(address)}, folder: {json.dumps(str(folder / 'dashboard'))}}}",
        "cameras:",
        *(f"  - {{name: {json.dumps(name)}, url: {json.dumps(url)}}}" for name, url in urls.items()),
    ]
    return "\n".join(lines) + "\n"
