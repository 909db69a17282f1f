"""``masktrail conversion``: transactions of a till for each entry over the doors of a group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracker.app.commands.counts import UNKNOWN, group_rows
from tracker.app.console import console_for, show_table
from tracker.app.groups import GroupName, GroupsFile, chosen_group, with_doors
from tracker.app.ledgers import LedgerWords, check_out, ledgers_of
from tracker.app.times import Since, Until, bin_label, bin_seconds, limits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from tracker.analytics.conversion import ConversionBin
    from tracker.groups import SiteGroup

__all__ = ["conversion"]


def conversion(
    ledgers: LedgerWords,
    *,
    group: GroupName,
    till: Annotated[str, typer.Option(metavar="FILE|URL", help="Receipts with times: CSV or JSON, or https://...")],
    groups: GroupsFile = None,
    bins: Annotated[str, typer.Option(metavar="TIME", help="Length of the bins: 15m, 1h, 1d.")] = "1h",
    since: Since = None,
    until: Until = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a CSV file instead of a table.")] = None,
) -> None:
    """Divide transactions by entries, in the opening hours of a group.

    Times are those of the group's time zone. A token for the till's API comes from MASKTRAIL_TILL_TOKEN.
    """
    from tracker.analytics.conversion import conversion_bins
    from tracker.app.till import transactions

    place, bin_s = with_doors(chosen_group(group, groups)), bin_seconds(bins)
    start_ms, end_ms = limits_of(since, until, place.zone)
    named = ledgers_of(ledgers)
    check_out(out, [*named, *([] if "://" in till else [Path(till)])])
    sold = transactions(till, place.zone)
    entries = [
        row
        for row in group_rows(named, place, by=["direction"], bin_s=bin_s, limits=(start_ms, end_ms), open_only=True)
        if row.group == ("entry",)
    ]
    rows = conversion_bins(entries, sold, place)
    if out is None:
        show_table(console_for(), _table(rows, place))
        return
    from tracker.sinks.part_file import write_whole

    write_whole(out, _csv(rows, place).encode())


def _table(rows: Sequence[ConversionBin], place: SiteGroup) -> Table:
    from rich.table import Table

    from tracker.analytics.conversion import conversion_of

    table = Table(box=None, padding=(0, 1), header_style="cyan")
    table.add_column("from", no_wrap=True)
    for name in ("entries", "transactions", "conversion"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        if row.entries or row.transactions or row.outage:
            entries = "-" if row.entries is None else str(row.entries)
            note = UNKNOWN if row.outage else ""
            table.add_row(
                bin_label(row.start_ms, place.zone, utc=True),
                entries,
                str(row.transactions),
                _percent(row.conversion),
                note,
            )
    entries_all, sold, ratio = conversion_of(rows)
    table.add_section()
    note = "without bins of which a part is not known" if any(row.outage for row in rows) else ""
    table.add_row("total", str(entries_all), str(sold), _percent(ratio), note)
    return table


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def _csv(rows: Sequence[ConversionBin], place: SiteGroup) -> str:
    from tracker.formats.cells import csv_text

    def cells(row: ConversionBin) -> list[Any]:
        entries = "" if row.entries is None else row.entries
        ratio = "" if row.conversion is None else round(row.conversion, 4)
        start = [bin_label(row.start_ms, place.zone, utc=True), row.start_ms]
        return [*start, place.name, entries, row.transactions, ratio, row.outage]

    columns = ("from", "from_utc_ms", "group", "entries", "transactions", "conversion", "outage")
    return csv_text(columns, map(cells, rows))
