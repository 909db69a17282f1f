"""What several commands print with: consoles, foreign text made harmless, a progress bar, options of their own."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.errors import mask, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

__all__ = ["Json", "Quiet", "console_for", "error_console", "foreign", "steps", "tell_waits"]

Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the summary there too.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table; failures are told on stderr.")]


def console_for(*, quiet: bool = False) -> Console:
    """Where progress and tables go."""
    from rich.console import Console

    return Console(quiet=quiet)


def error_console() -> Console:
    """Where failures go, whatever is quiet."""
    from rich.console import Console

    return Console(stderr=True)


def foreign(text: object) -> str:
    r"""Text from elsewhere (a path, a class, a message) for a console: no markup, no control character, no secret.

    >>> foreign("cats[/red]"), foreign("a\x1bc")
    ('cats\\[/red]', 'a\\x1bc')
    """
    from rich.markup import escape

    return escape(printable(mask(str(text))))


class _Waits(logging.Handler):
    """Says on stderr what a command waits for, whatever is quiet; `live` has a log for it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it, with what the record says beside its message."""
        if not logging.getLogger("tracker.live").handlers:
            said = getattr(record, "problem", "") or getattr(record, "note", "")
            text = f"{record.getMessage()}: {said}" if said else record.getMessage()
            print(f"masktrail: {printable(mask(text))}", file=sys.stderr)  # noqa: T201 - where it belongs


def tell_waits() -> None:
    """From now on waits for a pipe's other end, or for receivers of events, are told on stderr; safe to call twice."""
    for name in ("tracker.live.pipes", "tracker.live.outside"):
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _Waits) for handler in logger.handlers):
            logger.addHandler(_Waits())


@contextlib.contextmanager
def steps(console: Console, title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar over named steps: call it with the name, the number done and their total."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda name, done, total: progress.update(task, description=foreign(name), completed=done, total=total)
