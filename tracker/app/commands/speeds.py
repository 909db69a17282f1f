"""``masktrail speeds``: speeds over lines as a table or as JSON, or every passage as CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.console import console_for, foreign, show_table
from tracker.app.ledgers import LedgerWords, check_out, columns_of, ledgers_of
from tracker.app.periods import asked_of, tell_deleted
from tracker.app.times import Since, Until, moment, zone_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rich.table import Table

    from tracker.analytics.speeds import PassageSpeed, Speeds

__all__ = ["speeds"]

COLUMNS = {"stream": "stream", "line": "place", "direction": "direction", "class": "class"}
UNITS = {"km/h": 3.6, "mph": 3600 / 1609.344, "m/s": 1.0}
FIGURES = ("v15", "v50", "v85", "time_mean", "space_mean")


def speeds(
    ledgers: LedgerWords,
    *,
    by: Annotated[
        str, typer.Option(metavar="LIST", help="What is taken apart: stream, line, direction, class.")
    ] = "line,direction,class",
    unit: Annotated[str, typer.Option(metavar="UNIT", help=f"{', '.join(UNITS)}.")] = "km/h",
    free_flow: Annotated[
        bool, typer.Option("--free-flow", help="Only passages more than 4 s behind the one before on their lane.")
    ] = False,
    since: Since = None,
    until: Until = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    timezone: Annotated[str, typer.Option(metavar="NAME", help="Of the times: Europe/Berlin.")] = "UTC",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every passage as a row of a CSV.")] = None,
) -> None:
    """Say how fast identities passed lines that measure speeds.

    n: passages with a speed; unknown: those whose speed was not known to 10 %. Percentiles of fewer than 30 are not
    told. mean: time-mean, of what passed; space mean: harmonic, of what is on the road at one time.
    """
    from tracker.analytics.speeds import KINDS, passages
    from tracker.analytics.speeds import speeds as speeds_of
    from tracker.formats.ledger import read_events

    zone, columns, factor = zone_of(timezone), columns_of(by, COLUMNS), _factor(unit)
    named = ledgers_of(ledgers)
    check_out(out, named)
    asked = asked_of(since, until, zone, named, ("speed", "crossing"))
    found = passages([event for event in read_events(*named) if event.kind in KINDS])
    found = [one for one in found if asked.holds(one.stream, one.at_ms, utc=one.utc)]
    tell_deleted(asked, zone)
    if free_flow:
        found = [one for one in found if one.is_free]
    if out is not None:
        from tracker.sinks.part_file import write_whole

        write_whole(out, _csv(found, zone, factor, unit).encode())
        return
    rows = speeds_of(found, by=[COLUMNS[name] for name in columns])
    if as_json:
        typer.echo(json.dumps([_row(row, columns, factor, unit) for row in rows], indent=1, ensure_ascii=False))
        return
    console = console_for()
    show_table(console, _table(rows, columns, factor, unit))
    if not rows:
        console.print(
            "no speeds in that time: a line measures them with `measures: [speed]` and a site with `ground`",
            style="dim",
            markup=False,
        )


def _table(rows: Sequence[Speeds], columns: Sequence[str], factor: float, unit: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="cyan", caption=f"in {unit}", caption_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    for name in ("n", "unknown", "v15", "v50", "v85", "mean", "space mean"):
        table.add_column(name, justify="right")
    for row in rows:
        figures = (getattr(row, name) for name in FIGURES)
        cells = ("-" if value is None else f"{value * factor:.1f}" for value in figures)
        table.add_row(*map(foreign, row.group), str(row.n), str(row.unknown), *cells)
    return table


def _row(row: Speeds, columns: Sequence[str], factor: float, unit: str) -> dict[str, object]:
    values = asdict(row)
    figures = {name: None if values[name] is None else round(values[name] * factor, 3) for name in FIGURES}
    named = dict(zip(columns, row.group, strict=True))
    return {**named, "unit": unit, "n": row.n, "unknown": row.unknown, **figures}


def _csv(found: Sequence[PassageSpeed], zone: ZoneInfo, factor: float, unit: str) -> str:
    """Every passage in order of time; times of streams without a wall clock are seconds of media time."""
    from tracker.formats.cells import csv_text

    columns = ["stream", "line", "direction", "identity", "class", "time"]

    def row(one: PassageSpeed) -> list[Any]:
        numbers = [
            "" if value is None else round(value * scale, 3)
            for value, scale in ((one.speed_m_s, factor), (one.error_m_s, factor), (one.headway_s, 1.0))
        ]
        names = [one.stream, one.place, one.direction, one.identity, one.class_name]
        return [*names, moment(one.at_ms, zone, utc=one.utc), *numbers]

    return csv_text([*columns, f"speed ({unit})", f"error ({unit})", "headway_s"], map(row, found))


def _factor(unit: str) -> float:
    if unit not in UNITS:
        raise ConfigError("--unit", f"expected one of {', '.join(UNITS)}, found {unit!r}", "change it")
    return UNITS[unit]
