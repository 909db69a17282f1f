"""What several commands print with: the console, a progress bar over named steps, a summary as a JSON file."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

__all__ = ["Json", "Quiet", "console_for", "steps", "write_json"]

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


def write_json(path: Path | None, results: object) -> None:
    """A summary as a file, where one was asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
