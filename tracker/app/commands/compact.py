"""``masktrail compact``: the tables of a batch as one file for each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracker.app.console import Quiet, console_for, foreign, steps
from tracker.errors import ConfigError
from tracker.sources.address import redact

__all__ = ["compact"]


def compact(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="What batch named with --out.")],
    *,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="For records.parquet and the others.")],
    quiet: Quiet = False,
) -> None:
    """Put the tables of all recordings of a batch into one file for each kind, with a column for the recording."""
    from tracker.batch.compact import compact as compact_all
    from tracker.batch.results import Results
    from tracker.batch.storage import is_remote

    if is_remote(out):
        problem = "expected a folder of this machine, found object storage"
        raise ConfigError(f"--out {redact(out)}", problem, "name a folder, and copy the files from there")
    console = console_for(quiet=quiet)
    with steps(console, "compacting") as show:
        rows = compact_all(Results.at(results), Path(out), progress=lambda done, total: show("tables", done, total))
    told = ", ".join(f"{count:,} {kind}" for kind, count in rows.items())
    console.print(f"{told} -> {foreign(out)}", highlight=False, soft_wrap=True)
