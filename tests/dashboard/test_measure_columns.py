"""Measures by columns are those of the commands on the same events, of thousands of events with corrections."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.busy_store import SITE, events
from tests.sinks.ledgers import write_ledger
from tracker.analytics.spans import spans_of
from tracker.analytics.speeds import passages, speeds
from tracker.analytics.visitors import COUNTS, visitors
from tracker.analytics.waits import columns_of, queue_figures, waits
from tracker.dashboard.filters import Filter
from tracker.dashboard.ledgers import Ledgers
from tracker.dashboard.premises import footfall_of
from tracker.dashboard.speeds import speeds_of
from tracker.dashboard.wait_columns import waits_of
from tracker.events import Event
from tracker.settings.site_file import parse_site


def corrections(rows: list[Event]) -> list[Event]:
    """Some identities of those that wait and come in groups go on under the numbers of others."""
    random = np.random.default_rng(5)
    chosen = [one for one in rows if one.kind in {"queue_leave", "group_member", "re_entry"}]
    found = []
    for number in random.choice(len(chosen), 40, replace=False).tolist():
        one = chosen[number]
        names = {"stream": one.stream, "identity": one.identity + 1, "was_identity": one.identity}
        found.append(Event(kind="rekeyed", time_s=one.time_s + 1, utc_ms=one.utc_ms + 1000, **names))
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    rows = list(events(6000, seed=3))
    rows = sorted([*rows, *corrections(rows)], key=lambda one: one.time_s)
    ledgers = Ledgers()
    ledgers.want([write_ledger(tmp_path_factory.mktemp("busy") / "e.sqlite", rows)])
    ledgers.read()
    yield rows, ledgers.history
    ledgers.close()


def asked(rows: list[Event]) -> Filter:
    return Filter(streams=sorted({one.stream for one in rows}))


def test_waits(world):
    rows, history = world
    spans = spans_of(rows)
    expected, found = columns_of(waits(rows, spans)), waits_of(history, asked(rows))
    assert len(found.queue) > 200

    def as_rows(of):
        columns = (of.joined_ms, of.left_ms, of.end, of.seen, np.nan_to_num(of.reach_m, nan=-1))
        lists = (column.tolist() for column in columns)
        return sorted(zip([of.queues[one] for one in of.queue.tolist()], *lists, strict=True))

    for mine, theirs in zip(as_rows(found), as_rows(expected), strict=True):
        assert mine[0] == theirs[0]
        assert mine[1:] == pytest.approx(theirs[1:], abs=1), "a millisecond at most"
    mine, theirs = (queue_figures(one, spans) for one in (found, expected))
    for one, other in zip(mine, theirs, strict=True):
        assert one.mean_length == pytest.approx(other.mean_length, rel=1e-6)
        assert (one.longest, one.served, one.waiting) == (other.longest, other.served, other.waiting)


def test_footfall(world):
    rows, history = world
    site = parse_site(SITE)
    shops = sorted({one.stream for one in rows if one.kind == "passing"})
    expected = {one.stream: one for one in visitors(rows, site)}
    found = footfall_of(
        history,
        Filter(streams=shops),
        bin_s=3600,
        timezone="UTC",
        sites=dict.fromkeys(shops, site),
        every_count=True,
    )["footfall"]
    assert sum(one["grouped"] for one in found) > 50
    for one in found:
        counts = {name: getattr(expected[one["stream"]], name) for name in COUNTS}
        assert {name: one[name] for name in COUNTS} == counts
        assert {name: sum(filter(None, one["bins"][name])) for name in COUNTS} == counts


def test_speeds(world):
    rows, history = world
    found = speeds_of(history, asked(rows), unit="m/s", free_flow=True)["groups"]
    expected = speeds([one for one in passages(rows) if one.is_free])
    assert [(one["stream"], one["place"], one["direction"], one["class"]) for one in found] == [
        one.group for one in expected
    ]
    assert [(one["n"], one["unknown"]) for one in found] == [(one.n, one.unknown) for one in expected]
    assert [one["time_mean"] for one in found] == [pytest.approx(one.time_mean, abs=0.006) for one in expected]
