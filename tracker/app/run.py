"""``track``, ``segment`` and ``demo`` on a terminal: a run of the engine with progress, tables and Ctrl-C."""

from __future__ import annotations

import contextlib
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from tracker.app.console import error_console, foreign
from tracker.app.counts import counts_table
from tracker.app.interrupt import interruptible
from tracker.app.progress import StreamProgress, link_teller, short_title, summary_line, summary_table
from tracker.engine.claims import check_run
from tracker.engine.run import Listener, Run
from tracker.errors import TrackerError
from tracker.sinks.summary import open_summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress, TaskID

    from tracker.engine.meter import StreamFigures
    from tracker.engine.plan import StreamPlan
    from tracker.engine.run import Outcome
    from tracker.errors import SinkError
    from tracker.settings.stream import RunSettings
    from tracker.sinks.base import QueueFigures
    from tracker.sources.decoded import SourceInfo
    from tracker.sources.reconnect import Link

__all__ = ["delivery_line", "run_on_terminal"]


def run_on_terminal(
    settings: RunSettings, *, console: Console, summary: Path | None = None, brief: bool = False
) -> list[Outcome]:
    """Run every stream, one after another; the first Ctrl-C ends the one that runs, with what is done.

    Args:
        settings: What to do.
        console: Progress and tables go there; failures go to stderr, also where it is quiet.
        summary: JSON file of all outcomes.
        brief: One line per stream in the place of a table and a list of files; the model is not described.

    Returns:
        One outcome per stream.

    Raises:
        TrackerError: A source, model or output cannot be opened, or an output is a source or another output.
    """
    terminal = _Terminal(console, shows_identities=settings.associates, brief=brief)
    run = Run(settings, listener=terminal)
    terminal.stop = run.stop
    check_run(settings, run.plans, summary=summary)
    with open_summary(summary) as write_summary:
        outcomes = run.run()
        for plan, outcome in zip(run.plans, outcomes, strict=False):
            terminal.keep_site(plan, outcome)
        write_summary([outcome.as_json() for outcome in outcomes])
    return outcomes


def delivery_line(one: QueueFigures) -> str:
    """What a receiver confirmed, what it did not, and where that waits."""
    parts = [f"{one.confirmed:,} messages confirmed"]
    if one.rows:
        parts.append(f"{one.rows:,} wait in {one.kept_in} for the next run")
    for count, what in ((one.refused, "refused for good"), (one.dropped, "given up for want of room")):
        parts += [f"{count:,} {what}"] if count else []
    return f"{one.sink}: {', '.join(parts)}"


class _Terminal(Listener):
    """Prints the progress of a run, and catches Ctrl-C from a stream's start to its end."""

    def __init__(self, console: Console, *, shows_identities: bool, brief: bool = False) -> None:
        self.stop: Callable[[], None] = lambda: None
        self._console = console
        self._errors = error_console()
        self._told: set[str] = set()
        self._shows_identities, self._brief = shows_identities, brief
        self._running = contextlib.ExitStack()
        self._progress: StreamProgress | None = None
        self._second_pass: tuple[Progress, TaskID] | None = None
        self._tell_link = link_teller(console)

    def model_opened(self, role: str, description: str) -> None:
        if not self._brief:
            self._console.print(f"[dim]{role}: {foreign(description)}[/dim]", highlight=False)

    def started(self, name: str, info: SourceInfo, frame_count: int | None) -> None:
        del info
        self._running.enter_context(interruptible(self.stop))
        self._progress = StreamProgress(
            console=self._console,
            title=short_title(name),
            frame_count=frame_count,
            shows_identities=self._shows_identities,
        )
        self._running.enter_context(self._progress)

    def progressed(self, name: str, figures: StreamFigures) -> None:
        del name
        if self._progress is not None:
            self._progress(figures)

    def link_changed(self, name: str, link: Link) -> None:
        del name
        self._tell_link(link)

    def output_lost(self, name: str, failure: SinkError) -> None:
        del name
        self._told.add(str(failure))
        self._errors.print(f"[red]output lost[/red]: {foreign(failure)}", highlight=False, soft_wrap=True)

    def refined(self, name: str, done: int, total: int) -> None:
        del name
        if self._second_pass is None:
            from rich.progress import Progress

            if self._progress is not None:
                self._progress.close()
            progress = self._running.enter_context(Progress(console=self._console, transient=True))
            self._second_pass = progress, progress.add_task("second pass", total=None)
        progress, task = self._second_pass
        progress.update(task, completed=done, total=total)

    def ended(self, name: str, outcome: Outcome | None) -> None:
        del name
        self._running.close()
        self._progress = self._second_pass = None
        self._tell_link = link_teller(self._console)
        if outcome is None:
            return
        if self._brief:
            self._console.print(foreign(summary_line(outcome)), highlight=False, soft_wrap=True)
        else:
            self._console.print(f"[bold]{foreign(outcome.name)}[/bold]", highlight=False, soft_wrap=True)
            self._console.print(summary_table(outcome))
            if outcome.tally is not None:
                self._console.print(counts_table(outcome.tally))
        self._tell_outputs(outcome)
        for note in outcome.notes:
            self._console.print(f"  [yellow]note[/yellow]: {foreign(note)}", highlight=False)
        for failure in outcome.failures:
            if self._console.quiet and str(failure) in self._told:
                continue
            self._errors.print(f"  [red]failed[/red]: {foreign(failure)}", highlight=False, soft_wrap=True)

    def keep_site(self, plan: StreamPlan, outcome: Outcome) -> None:
        """Put a copy of the site beside the results, so that a folder of results knows the lines of its counts."""
        given = plan.settings.site
        if plan.site is None or given is None or not outcome.outputs or not plan.events:
            return
        from tracker.settings.site_copy import keep_copy, named_after  # 0.06 s of imports

        # The dashboard looks for it beside records, else beside the video.
        ordered = sorted(plan.outputs, key=lambda one: (one in plan.events, one == plan.settings.save))
        files = [Path(one) for one in ordered if "://" not in one and Path(one).is_file()]
        try:
            copy = keep_copy(plan.site, Path(given), files, plan.name)
        except TrackerError as failure:
            self._errors.print(f"  [red]no copy of the site[/red]: {foreign(failure)}", highlight=False, soft_wrap=True)
            return
        if copy is not None and copy.written and not self._brief:
            self._console.print(
                f"  wrote {foreign(copy.path)}, a copy of {foreign(given)}", highlight=False, soft_wrap=True
            )
        elif copy is not None and not copy.written:
            told = f"{foreign(copy.path)} is kept, which is not {foreign(given)}: the dashboard goes by it"
            self._console.print(f"  [yellow]note[/yellow]: {told}", highlight=False, soft_wrap=True)
        elif files and not named_after(files, plan.name) and not self._brief:
            stem = foreign(PurePath(plan.name).stem)
            told = f"no copy of {foreign(given)} is written: the dashboard knows this recording by files named {stem}.*"
            self._console.print(f"  [yellow]note[/yellow]: {told}", highlight=False, soft_wrap=True)

    def _tell_outputs(self, outcome: Outcome) -> None:
        """Files that were written, and what receivers confirmed; where it is brief, only what waits."""
        for path in () if self._brief else outcome.outputs:
            if not any(one.sink.startswith(path) for one in outcome.deliveries):
                self._console.print(f"  wrote {foreign(path)}", highlight=False, soft_wrap=True)
        for one in outcome.deliveries:
            if not self._brief:
                self._console.print(f"  {foreign(delivery_line(one))}", highlight=False, soft_wrap=True)
            elif one.rows:
                self._errors.print(foreign(delivery_line(one)), highlight=False, soft_wrap=True)
