"""Conversion: transactions of a till for each entry, in bins of time and opening hours."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracker.analytics.counts import BinCount
    from tracker.groups import SiteGroup, Transaction

__all__ = ["ConversionBin", "conversion_bins", "conversion_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionBin:
    """Entries and transactions of a bin.

    Attributes:
        start_ms: Begin of the bin, UTC in milliseconds.
        entries: Over all doors; ``None`` where a camera was out, or nothing is known, and nothing was counted.
        transactions: Of the till.
        outage: A camera was out for a part of it: there were more entries, and conversion is lower than it seems.
    """

    start_ms: int
    entries: int | None
    transactions: int
    outage: bool

    @property
    def conversion(self) -> float | None:
        """Transactions for each entry; ``None`` without entries, or where a camera was out."""
        return None if not self.entries or self.outage else self.transactions / self.entries


def conversion_bins(entries: Iterable[BinCount], till: Sequence[Transaction], group: SiteGroup) -> list[ConversionBin]:
    """Entries beside transactions, in the bins of the entries.

    Args:
        entries: Rows of entries, one for a bin.
        till: In any order; those at other times, and outside opening hours, are left out.
        group: With opening hours.
    """
    open_till = sorted(one for one in till if group.is_open(one.at_ms))
    times, sums = [one.at_ms for one in open_till], [0, *accumulate(one.receipts for one in open_till)]
    return [
        ConversionBin(
            start_ms=row.start_ms,
            entries=row.count,
            transactions=sums[bisect_left(times, row.end_ms)] - sums[bisect_left(times, row.start_ms)],
            outage=row.outage,
        )
        for row in entries
        if row.utc
    ]


def conversion_of(rows: Iterable[ConversionBin]) -> tuple[int, int, float | None]:
    """Entries and transactions of the bins in which all cameras saw everything, and their ratio."""
    whole = [row for row in rows if not row.outage and row.entries is not None]
    entries, sold = sum(row.entries or 0 for row in whole), sum(row.transactions for row in whole)
    return entries, sold, sold / entries if entries else None
