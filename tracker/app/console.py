"""What several commands print with: the console, a progress bar over named steps, options of their own."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

__all__ = ["Json", "Quiet", "console_for", "steps"]

Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the summary there too.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table.")]


def console_for(*, quiet: bool = False) -> Console:
    """Where progress and tables go."""
    from rich.console import Console

    return Console(quiet=quiet)


@contextlib.contextmanager
def steps(console: Console, title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar over named steps: call it with the name, the number done and their total."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda name, done, total: progress.update(task, description=name, completed=done, total=total)
