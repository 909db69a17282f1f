"""What several commands print with: consoles, foreign text made harmless, a progress bar, options of their own."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TextIO

import typer

from tracker.errors import mask, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.table import Table

__all__ = [
    "Json",
    "LastingOutput",
    "Quiet",
    "console_for",
    "error_console",
    "foreign",
    "show_table",
    "steps",
    "tell_waits",
]

WHOLE_LINE = 1000
"""Columns where there is no terminal."""

Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the summary there too.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no table; failures are told on stderr.")]


class LastingOutput:
    """Standard output that does not stop what is printed about: where it is refused, that is told once on stderr.

    Args:
        stream: The output; it leads nowhere once the system has refused it.
    """

    refused: ClassVar[bool] = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write it, or say that it cannot be written."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            raise  # whoever read it wants no more
        except OSError as failure:
            self.give_up(failure)
            return len(text)

    def flush(self) -> None:
        """The same for what was held back."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as failure:
            self.give_up(failure)

    def give_up(self, failure: OSError) -> None:
        """Say so, and let the rest lead nowhere."""
        type(self).refused = True
        problem = f"expected to write, found: {failure.strerror or failure}"
        print(f"masktrail: standard output: {problem}", file=sys.stderr)  # noqa: T201 - where it belongs
        print("  remedy: free space on its disk; files of the run are not concerned", file=sys.stderr)  # noqa: T201
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self._stream.fileno())
        finally:
            os.close(nowhere)


def console_for(*, quiet: bool = False) -> Console:
    """Where progress and tables go; a file and the next program of a pipe get whole lines."""
    from rich.console import Console

    if sys.stdout is None:  # closed by whoever started the command
        return Console(quiet=True)
    whole_lines = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    printed: Any = LastingOutput(sys.stdout)
    return Console(quiet=quiet, width=WHOLE_LINE if whole_lines else None, file=printed)


def error_console() -> Console:
    """Where failures go, whatever is quiet."""
    from rich.console import Console

    return Console(stderr=True)


def show_table(console: Console, table: Table) -> None:
    """Print a table with whole words: where the terminal is narrower, it wraps lines rather than letters."""
    wide = console.options.update(max_width=WHOLE_LINE)
    for column in table.columns:
        column.min_width = max(console.measure(cell, options=wide).minimum for cell in (column.header, *column.cells))
    if (least := console.measure(table, options=wide).minimum) > console.width:
        table.width = least
    console.print(table, crop=False)


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
    """From now on it is told on stderr what is waited for, why a recording is not resumed, and what is broken.

    Safe to call twice.
    """
    for name in ("tracker.live.pipes", "tracker.live.outside", "tracker.live.resume", "tracker.live.device"):
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _Waits) for handler in logger.handlers):
            logger.addHandler(_Waits())


@contextlib.contextmanager
def steps(console: Console, title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar over named steps: call it with the name, the number done and their total."""
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda name, done, total: progress.update(task, description=foreign(name), completed=done, total=total)
