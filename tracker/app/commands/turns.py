"""``masktrail turns``: turning counts of a junction by approach, with the peak hour and its factor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.console import console_for, foreign, show_table
from tracker.app.ledgers import LedgerWords, check_out, ledgers_of, shown_ledger
from tracker.app.sums import sums_of_ledgers
from tracker.app.times import Since, Until, bin_label, limits_of, zone_of
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from rich.table import Table

    from tracker.analytics.counts import Sums
    from tracker.analytics.turns import Leg, TurnBin
    from tracker.site import Site

__all__ = ["turns"]

FIGURES = ("left", "through", "right", "u_turn", "vehicles", "bicycles", "pedestrians_across", "bicycles_across")


def turns(
    ledgers: LedgerWords,
    *,
    site: Annotated[Path, typer.Option(metavar="SITE.yaml", help="With the flows between the legs of the junction.")],
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="Of a ledger that has several.")] = None,
    legs: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Where legs lie: mill lane=N,high street=SE; by default as names say."),
    ] = None,
    crossings: Annotated[
        str | None, typer.Option(metavar="LIST", help="Lines along which pedestrians cross a leg: zebra 1=north.")
    ] = None,
    since: Since = None,
    until: Until = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the times shown: Europe/Berlin; else the site's.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every quarter of an hour as CSV.")] = None,
) -> None:
    """Count left turns, through traffic, right turns and U-turns of each approach, with the peak hour.

    What no flow or line of the site counts, and times at which the camera did not watch, have no number.
    """
    from tracker.analytics.counts import BIN_S
    from tracker.analytics.turns import COLUMNS, legs_of, turn_bins
    from tracker.settings.site_file import read_site

    junction = read_site(site)
    zone = zone_of(timezone or junction.timezone)
    limits = limits_of(since, until, zone)
    named = ledgers_of(ledgers)
    check_out(out, [*named, site])
    found = legs_of(junction, bearings=_bearings(legs), crossings=_pairs("--crossings", crossings))
    sums = _of_stream(sums_of_ledgers(named, ["flow", "crossing"], COLUMNS, BIN_S, limits), stream, junction, named)
    rows = turn_bins(sums, junction, found, start_ms=limits[0], end_ms=limits[1])
    if out is None:
        console = console_for()
        show_table(console, _table(rows, found))
        for line in _peaks(rows, found, zone):
            console.print(line, highlight=False, soft_wrap=True)
        return
    from tracker.sinks.part_file import write_whole

    write_whole(out, _csv(rows, found, zone).encode())


def _of_stream(sums: Sums, stream: str | None, junction: Site, ledgers: Sequence[str | Path]) -> Sums:
    """Of one camera: the junction's flows have names that other cameras may have too.

    Raises:
        ConfigError: It is not clear which one.
    """
    from dataclasses import replace

    from tracker.analytics.group_counts import regrouped
    from tracker.analytics.turns import COLUMNS

    flows = {flow.name for flow in junction.flows}
    there = sorted({key[0] for _, _, key in sums.counts if key[1] == "flow" and key[2] in flows})
    if not there and not any(key[1] == "flow" for _, _, key in sums.counts):
        there = sorted({name for name, _ in sums.streams})  # nothing came, or it was deleted
    chosen = stream or (there[0] if len(there) == 1 else None)
    if chosen is None or (stream and stream not in there):
        found = ", ".join(there[:8]) or "none"
        problem = f"expected one stream with the site's flows, found {found}"
        raise ConfigError(
            shown_ledger(ledgers[0]), problem, "name it with --stream" if there else "check the site and the times"
        )
    kept = regrouped(sums, COLUMNS, lambda values: values if values["stream"] == chosen else None)
    own = {key: span for key, span in sums.streams.items() if key[0] == chosen}
    return replace(kept, outages=[out for out in sums.outages if out.stream == chosen], streams=own)


def _bearings(text: str | None) -> dict[str, float]:
    from tracker.analytics.turns import COMPASS, bearing_of

    found = {}
    for name, word in _pairs("--legs", text).items():
        bearing = bearing_of(word)
        if bearing is None:
            problem = f"expected directions of the compass, {', '.join(COMPASS).upper()}, found {word!r}"
            raise ConfigError("--legs", problem, "say where the leg lies as seen from the middle")
        found[name] = bearing
    return found


def _pairs(option: str, text: str | None) -> dict[str, str]:
    """``name=value`` pairs with commas between them."""
    found = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, separator, value = (piece.strip() for piece in part.rpartition("="))
        if not (name and separator and value):
            raise ConfigError(option, f"expected name=value pairs, found {part.strip()!r}", "such as north arm=N")
        found[name] = value
    return found


def _table(rows: Sequence[TurnBin], legs: Sequence[Leg]) -> Table:
    """Sums of the whole time, an approach a row; what nothing counts has a dash."""
    from rich.table import Table

    from tracker.analytics.turns import sum_known

    table = Table(box=None, padding=(0, 1), header_style="cyan")  # nine columns in the 80 of a terminal
    table.add_column("approach")
    for name in ("left", "through", "right", "u-turn", "vehicles", "bicycles", "peds\nacross", "bikes\nacross"):
        table.add_column(name, justify="right")
    own = {leg.name: [_figures(row) for row in rows if row.leg == leg.name] for leg in legs}
    for leg in legs:
        title = f"{leg.name} ({leg.heading})" if leg.heading else leg.name
        sums = map(sum_known, zip(*own[leg.name], strict=True)) if own[leg.name] else [None] * len(FIGURES)
        table.add_row(foreign(title), *map(_shown, sums))
    table.add_section()
    table.add_row("all", *(_shown(sum_known(column)) for column in zip(*map(_figures, rows), strict=True)))
    return table


def _shown(count: int | None) -> str:
    return "-" if count is None else str(count)


def _peaks(rows: Sequence[TurnBin], legs: Sequence[Leg], zone: ZoneInfo) -> list[str]:
    """The junction's peak hour, and the factors of its approaches in that hour."""
    from tracker.analytics.turns import peak_of

    peak = peak_of(rows)
    if peak is None:
        return ["no peak hour: less than four quarters of an hour in a row are known"]
    utc = all(row.utc for row in rows)
    when = bin_label(peak.start_ms, zone, utc=True) if utc else f"{peak.start_ms // 60_000} min"
    note = "; the camera was out for a part of it" if peak.outage else ""
    lines = [f"peak hour from {when}: {peak.volume} vehicles, PHF {_factor(peak.factor)}{note}"]
    for leg in legs:
        own = peak_of((row for row in rows if row.leg == leg.name), start_ms=peak.start_ms)
        if own is not None and own.volume:
            lines.append(f"  {foreign(leg.name)}: {own.volume}, PHF {_factor(own.factor)}")
    return lines


def _factor(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _figures(row: TurnBin) -> list[int | None]:
    return [*row.turns, row.volume, row.bicycles, row.pedestrians_across, row.bicycles_across]


def _csv(rows: Sequence[TurnBin], legs: Sequence[Leg], zone: ZoneInfo) -> str:
    """Every approach in every quarter of an hour; cells are empty where nothing was observed."""
    from tracker.formats.cells import csv_text

    headings = {leg.name: leg.heading for leg in legs}

    def cells(row: TurnBin) -> list[Any]:
        start = [bin_label(row.start_ms, zone, utc=True), row.start_ms] if row.utc else [row.start_ms / 1000, ""]
        figures = ["" if count is None else count for count in _figures(row)]
        return [*start, row.leg, headings[row.leg], *figures, row.outage]

    return csv_text(["from", "from_utc_ms", "approach", "heading", *FIGURES, "outage"], map(cells, rows))
