"""Progress line of a run and its closing table, on the terminal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from tracker.app.console import foreign
from tracker.engine.meter import BRIEF_FRAMES
from tracker.errors import mask, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from rich.console import Console

    from tracker.engine.meter import StreamFigures
    from tracker.engine.run import Outcome
    from tracker.sources.reconnect import Link

__all__ = ["StreamProgress", "link_teller", "short_title", "summary_line", "summary_table"]

PLAIN_INTERVAL_S = 10.0
"""Seconds between progress lines where the output is no terminal, so that logs stay short."""

REFRESH_S = 0.1

TITLE_LETTERS = 24

STAGE_LETTERS = 60
"""Beside the first column of the closing table, on a terminal of 80 columns."""


class StreamProgress:
    """One progress line for one stream: frames, fps, speed against real time, time left, living identities.

    Args:
        console: Where the line goes.
        title: What is being worked on.
        frame_count: Frames expected, or ``None`` where the stream does not say.
        shows_identities: Whether the living identities are counted in the line.
    """

    def __init__(self, *, console: Console, title: str, frame_count: int | None, shows_identities: bool = True) -> None:
        self._console = console
        self._title = foreign(title)
        self._frame_count = frame_count
        self._shows_identities = shows_identities
        self._shown_s = time.monotonic()
        self._progress: Progress | None = None
        if console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[facts]}"),
                console=console,
                transient=True,
                auto_refresh=False,
            )
            self._task = self._progress.add_task(self._title, total=frame_count, facts="starting")

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the line away; safe to call twice."""
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, figures: StreamFigures) -> None:
        """Show the figures, at most ten times a second on a terminal."""
        now_s = time.monotonic()
        interval_s = REFRESH_S if self._progress is not None else PLAIN_INTERVAL_S
        if now_s - self._shown_s < interval_s:
            return
        self._shown_s = now_s
        facts = self._facts(figures)
        if self._progress is not None:
            self._progress.update(self._task, completed=figures.frames, facts=facts, refresh=True)
        else:
            self._console.print(f"{self._title}: {facts}", highlight=False)

    def _facts(self, figures: StreamFigures) -> str:
        count = f"{figures.frames}" if self._frame_count is None else f"{figures.frames}/{self._frame_count}"
        parts = [f"{count} frames", f"{figures.frames_per_s:.1f} fps"]
        if figures.wall_s > 0 and figures.media_s > 0:
            parts.append(f"{figures.media_s / figures.wall_s:.2f} x real time")
        if self._frame_count is not None and figures.frames_per_s > 0:
            left_s = max(self._frame_count - figures.frames, 0) / figures.frames_per_s
            parts.append(f"{int(left_s) // 60}:{int(left_s) % 60:02d} left")
        if self._shows_identities:
            parts.append(f"{figures.living} living")
        return ", ".join(parts)


def summary_line(outcome: Outcome) -> str:
    """What a stream gave, on one line."""
    figures = outcome.figures
    found = _by_class(outcome) or "none"
    speed = f"{figures.frames} frames at {figures.frames_per_s:.1f} fps"
    return f"{Path(outcome.name).name}: {outcome.identities.total()} identities ({found}), {speed}"


def _by_class(outcome: Outcome) -> str:
    """Identities by class, and how many of them were hardly seen."""
    brief = f"{outcome.figures.brief} of them in at most {BRIEF_FRAMES} frames"
    counts = ", ".join(f"{count} {name}" for name, count in outcome.identities.most_common())
    return counts + (f"; {brief}" if outcome.figures.brief else "")


def summary_table(outcome: Outcome) -> Table:
    """The closing table of a stream, for below its name."""
    figures = outcome.figures
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(style="cyan")
    table.add_column()
    if outcome.identities:
        total = outcome.identities.total()
        table.add_row("identities", f"{total}  ({foreign(_by_class(outcome))})")
    else:
        per_frame = figures.instances / figures.frames if figures.frames else 0.0
        table.add_row("instances", f"{figures.instances}  ({per_frame:.1f} a frame)")
    table.add_row("frames", f"{figures.frames}  ({figures.media_s:.1f} s of media in {figures.wall_s:.1f} s)")
    if figures.skipped or figures.interpolated:
        table.add_row(
            "not segmented", f"{figures.skipped} frames in which nothing moved, {figures.interpolated} interpolated"
        )
    real_time = f", {figures.media_s / figures.wall_s:.2f} x real time" if figures.wall_s > 0 else ""
    table.add_row("speed", f"{figures.frames_per_s:.1f} fps{real_time}")
    for title_of_row, value in _stage_rows(outcome.stage_ms):
        table.add_row(title_of_row, value)
    return table


def _stage_rows(stage_ms: Mapping[str, float]) -> list[tuple[str, str]]:
    """Milliseconds by stage, a stage never broken over two lines, and why they add up to more than a frame's time."""
    rows, line = [], ""
    for part in (f"{foreign(name)} {ms:.1f}" for name, ms in stage_ms.items()):
        longer = f"{line}, {part}" if line else part
        if len(longer) > STAGE_LETTERS:
            rows.append(f"{line},")
            longer = part
        line = longer
    rows += [line, "several frames at once: the sum may exceed a frame's time"]
    return [("" if number else "ms a frame", text) for number, text in enumerate(rows)]


def short_title(name: str) -> str:
    """The file's name, or the end of an address, so that the progress line keeps room for its figures."""
    title = Path(name).name or name
    return title if len(title) <= TITLE_LETTERS else f"...{title[3 - TITLE_LETTERS :]}"


def link_teller(console: Console) -> Callable[[Link], None]:
    """Says when a camera is lost and when it is back, once each."""
    state = "live"

    def tell(link: Link) -> None:
        nonlocal state
        if link.state == "lost" and state != "lost":
            text = f"connection lost ({link.problem}); reconnecting until it is back, Ctrl-C ends it"
            console.print(Text(printable(mask(text)), "yellow"))
        elif link.state == "live" and (state == "lost" or link.note):
            console.print(Text(printable(mask(link.note or "connected again")), "yellow"))
        state = link.state

    return tell
