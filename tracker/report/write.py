"""Files of a report: the page, the picture and the CSV, each whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import SinkError
from tracker.report.build import build
from tracker.report.page import render_page
from tracker.sinks.part_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tracker.report.build import Asked, Built

__all__ = ["Outputs", "write_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where a report goes.

    Attributes:
        page: HTML.
        png: Picture; ``None`` = none.
        csv: Folder of the figures, which is made; ``None`` = none.
    """

    page: Path
    png: Path | None = None
    csv: Path | None = None


def write_report(
    asked: Asked,
    outputs: Outputs,
    *,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
) -> Built:
    """Make a report and write it; the page comes last, so that what has one is complete.

    Raises:
        SourceError: A ledger or another file cannot be read, or there is nothing in the period.
        ConfigError: What is asked for does not fit.
        SinkError: A file cannot be written.
    """
    built = build(asked, progress=progress)
    if outputs.csv is not None:
        try:
            outputs.csv.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            problem = f"expected a folder for CSV files, found: {failure.strerror}"
            raise SinkError(outputs.csv, problem, "name another one") from failure
        for name, data in built.csv().items():
            write_whole(outputs.csv / name, data)
    if outputs.png is not None:
        from tracker.report.picture import render_picture

        write_whole(outputs.png, render_picture(built.report))
    write_whole(outputs.page, render_page(built.report).encode())
    return built
