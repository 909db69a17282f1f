"""``masktrail compact``: the tables of a batch as one file for each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.console import Quiet, console_for, foreign, steps

__all__ = ["compact"]


def compact(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="What batch named with --out.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For records.parquet and the others.")],
    quiet: Quiet = False,
) -> None:
    """Put the tables of all recordings of a batch into one file for each kind, with a column for the recording."""
    from tracker.batch.compact import compact as compact_all
    from tracker.batch.results import Results

    console = console_for(quiet=quiet)
    with steps(console, "compacting") as show:
        rows = compact_all(Results.at(results), out, progress=lambda done, total: show("tables", done, total))
    told = ", ".join(f"{count:,} {kind}" for kind, count in rows.items())
    console.print(f"{told} -> {foreign(out)}", highlight=False, soft_wrap=True)
