"""``masktrail validate``: random intervals for a person to count, and how good the ledger's counts are beside them."""

from __future__ import annotations

import math
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.checked import CheckedCommand
from tracker.app.console import console_for, foreign, show_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from tracker.measure.validation import Agreement

__all__ = ["validate_app"]

validate_app = typer.Typer(
    help="Check counts against a person's: draw intervals to count, then report.", no_args_is_help=True
)

Ledger = Annotated[Path, typer.Argument(metavar="LEDGER", help="*.events.jsonl, *.events.parquet or *.sqlite.")]
Seed = Annotated[int | None, typer.Option(metavar="N", min=0, help="Of the random numbers; printed if left out.")]


@validate_app.command(cls=CheckedCommand)
def draw(
    ledger: Ledger,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the sheet, the page and the clips.")],
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="The recording: clips, and light.")] = None,
    site: Annotated[
        Path | None, typer.Option(metavar="SITE.yaml", help="Also ask for lines that the ledger has nothing of.")
    ] = None,
    intervals: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many.")] = 20,
    length: Annotated[float, typer.Option(metavar="SECONDS", min=1, max=86_400, help="Of each.")] = 60.0,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="Of a ledger of several.")] = None,
    timezone: Annotated[str | None, typer.Option(metavar="NAME", help="Of the hours; else the site's, or UTC.")] = None,
    seed: Seed = None,
) -> None:
    """Draw random intervals, by hour and light in proportion, and write a sheet and a page to count them on."""
    import numpy as np

    from tracker.app.times import zone_of
    from tracker.measure.validation_draw import draw_validation
    from tracker.settings.site_file import read_site

    console = console_for()
    asked = None if site is None else read_site(site)
    number = secrets.randbelow(1_000_000) if seed is None else seed
    drawn = draw_validation(
        ledger,
        out,
        rng=np.random.default_rng(number),
        zone=zone_of(timezone or ("UTC" if asked is None else asked.timezone)),
        video=video,
        site=asked,
        stream=stream,
        count=intervals,
        length_s=length,
        progress=lambda words: console.print(f"{words} ...", style="dim"),
    )
    groups = len({one.stratum for one in drawn.intervals})
    text = f"{len(drawn.intervals)} intervals of {length:g} s from {groups} groups of hour and light, seed {number}"
    console.print(text, highlight=False)
    console.print(f"count on {foreign(drawn.page)}, or fill in {foreign(drawn.sheet)}", highlight=False, soft_wrap=True)


@validate_app.command(cls=CheckedCommand)
def report(
    filled: Annotated[Path, typer.Argument(metavar="FILLED.csv", help="The sheet, filled in.")],
    ledger: Ledger,
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write the table as CSV too.")] = None,
    site: Annotated[
        Path | None, typer.Option(metavar="SITE.yaml", help="Knows lines that the ledger has nothing of.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Bias, GEH and a 95 % interval of the counts per line, direction and class, and which classes are weak."""
    import numpy as np

    from tracker.measure.validation import agreements, weak_words
    from tracker.measure.validation_draw import events_of
    from tracker.measure.validation_sheet import read_sheet
    from tracker.settings.site_file import read_site

    if out is not None:
        from tracker.sinks.claims import Claim, check_claims

        read = [Claim(path=path) for path in (filled, ledger, site) if path is not None]
        check_claims([Claim(path=out, named_by="--out")], read)
    sheet = read_sheet(filled)
    _, events = events_of(ledger, sheet.stream)
    drawn = None if site is None else read_site(site)
    known = {event.place for event in events if event.place}
    if drawn is not None:
        known |= {line.name for line in drawn.lines} | {zone.name for zone in drawn.zones}
    sheet.check_places(known)
    found = agreements(sheet.cells(events), rng=np.random.default_rng(seed))
    console = console_for()
    show_table(console, _table(found))
    done = len({row.interval for row in sheet.rows if row.counted is not None})
    total = len({row.interval for row in sheet.rows})
    method = f"{done} of {total} intervals counted; 95 % intervals by bootstrap over intervals, seed {seed}; where all "
    console.print(method + "of them agree, by the rule of three", highlight=False, style="dim")
    for words in weak_words(found) or ["No weak class."]:
        console.print(foreign(words), highlight=False)
    if out is not None:
        from tracker.sinks.part_file import write_whole

        write_whole(out, _csv(found).encode())


def _table(found: Sequence[Agreement]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="cyan")
    for name in ("line", "direction", "class"):
        table.add_column(name, overflow="fold")
    for name in ("n", "ledger", "person", "ratio", "95 %", "GEH"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in found:
        ratio = "-" if math.isnan(one.ratio) else f"{one.ratio:.2f}"
        span = "-" if math.isnan(one.low) else f"{one.low:.2f}-{one.high:.2f}"
        numbers = [str(one.intervals), str(one.ledger), str(one.person), ratio, span, f"{one.geh:.1f}"]
        table.add_row(foreign(one.place), foreign(one.direction), foreign(one.class_name), *numbers, one.verdict)
    return table


def _csv(found: Sequence[Agreement]) -> str:
    """Numbers with all digits; empty where a person counted none."""
    from tracker.formats.cells import csv_text

    head = ["line", "direction", "class", "intervals", "hours", "ledger", "person", "ratio", "low", "high", "method"]

    def row(one: Agreement) -> list[Any]:
        ratios = ["" if math.isnan(value) else f"{value:.4f}" for value in (one.ratio, one.low, one.high)]
        names = [one.place, one.direction, one.class_name]
        numbers = [one.intervals, f"{one.hours:.4f}", one.ledger, one.person]
        return [*names, *numbers, *ratios, one.method, f"{one.geh:.3f}", one.verdict]

    return csv_text([*head, "geh", "verdict"], map(row, found))
