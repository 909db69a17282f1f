"""Nothing or one video enters; annotated videos, records and one contact sheet leave, with where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.app.clips import CLIPS, NoNetworkError, fetch
from tracker.engine.job import run_request
from tracker.errors import SinkError
from tracker.settings.stream import RunSettings

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from tracker.app.clips import Clip
    from tracker.engine.stream_job import Outcome

__all__ = ["run_demo"]

SCENE_S = 20.0
SCENE_FPS = 25.0


def run_demo(out: Path, *, video: str | None, device: str, console: Console) -> list[Outcome]:
    """Track the given video, or the two pinned clips, or without network two rendered scenes.

    Args:
        out: Folder for everything that is written; made if missing.
        video: A source of the user's, or ``None``.
        device: As for ``masktrail track``.
        console: Progress and tables go there.

    Returns:
        One outcome per video.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(out, f"cannot be made: {error.strerror}", "choose another folder with --out") from error
    sources = [video] if video is not None else _clips_or_scenes(out, console)
    outcomes = []
    for source in sources:
        request = RunSettings(
            sources=(source,),
            device=device,
            save=str(out / "{name}.tracked.mp4"),
            records=(str(out / "{name}.tracks.jsonl"), str(out / "{name}.mot.txt")),
        )
        outcomes += run_request(request, console=console)
        if outcomes[-1].interrupted:
            break
    _finish(out, outcomes, console)
    return outcomes


def _clips_or_scenes(out: Path, console: Console) -> list[str]:
    try:
        return [str(_fetch(clip, console)) for clip in CLIPS]
    except NoNetworkError as error:
        console.print(
            f"[yellow]No network[/yellow]: {error.problem}.\nThe demo goes on with two scenes that it renders itself.",
            highlight=False,
        )
        return [str(path) for path in _render_scenes(out, console)]


def _fetch(clip: Clip, console: Console) -> Path:
    """The clip, with a progress bar while it is downloaded."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(f"downloading {clip.name}"), BarColumn(24), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        path = fetch(clip, lambda received, total: progress.update(task, completed=received, total=total))
    console.print(f"[dim]{clip.name}: {path}  ({clip.credit})[/dim]", highlight=False)
    return path


def _render_scenes(out: Path, console: Console) -> list[Path]:
    from rich.progress import Progress

    from demos.scenes.road import road
    from demos.scenes.shop import shop
    from demos.scenes.writers import write_video

    paths = []
    with Progress(console=console, transient=True) as progress:
        for name, scene in (("road", road(seed=1)), ("shop", shop(seed=1))):
            task = progress.add_task(f"rendering {name}", total=int(SCENE_S * SCENE_FPS))
            path = out / f"{name}.mp4"
            write_video(
                scene,
                path,
                fps=SCENE_FPS,
                duration_s=SCENE_S,
                on_frame=lambda _image, _truth, task=task: progress.advance(task),  # type: ignore[misc]
            )
            paths.append(path)
    return paths


def _finish(out: Path, outcomes: list[Outcome], console: Console) -> None:
    """The contact sheet and where to look."""
    from tracker.app.overview import write_contact_sheet

    videos = [path for outcome in outcomes for path in outcome.outputs if path.suffix == ".mp4"]
    if videos:
        sheet = out / "contact-sheet.png"
        write_contact_sheet(sheet, videos)
        console.print(f"\nLook at [bold]{sheet}[/bold] first, then at the videos:", highlight=False)
        for path in videos:
            console.print(f"  {path}", highlight=False)
