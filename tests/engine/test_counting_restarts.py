"""Counting over a restart: what was open continues, and no event is lost or doubled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.counted import (
    BEGUN,
    SITE,
    WHOLE,
    Served,
    event_of,
    kinds,
    stages,
)
from tracker.alert_rules import AlertRule
from tracker.engine.journal import Delivery, Expected, Journal
from tracker.engine.meter import StreamMeter
from tracker.engine.resume import restore
from tracker.engine.snapshot import Kept, Snapshots
from tracker.events import Event, Sighting, Stay
from tracker.site import Site


def restarted(kept: Kept, *, begun_s: float, site: Site = SITE, journal: Journal | None = None, **options) -> Served:
    made = stages(site)
    restore(made, StreamMeter(), kept)
    return Served(made=made, begun_s=begun_s, delivery=Delivery(kept.state["events"], journal), **options)


def test_a_restart_continues_open_stays_and_sides() -> None:
    """The process is away while the person passes the line, and again while it is in the zone."""
    first = Served().put(0, 60)
    first.stream.continued = True
    first.engine.close()
    second = restarted(Kept(state=first.stream.snapshot(), elapsed_s=1.0), begun_s=60 / 25 + 1.0).put(0, 40)
    second.stream.continued = True
    second.engine.close()
    third = restarted(Kept(state=second.stream.snapshot(), elapsed_s=0.4), begun_s=100 / 25 + 1.4).put(0, 10).end()
    assert [kinds(one.sink.events) for one in (first, second, third)] == [
        ["identity_start"],
        ["crossing", "enter"],
        ["leave", "identity_end"],
    ]
    entered, left = second.sink.events[1], third.sink.events[0]
    assert left.stay.began == "entered"
    at_ms = round(BEGUN.timestamp() * 1000)
    assert abs(second.sink.events[0].utc_ms - at_ms - 3000) <= 40
    assert abs(entered.utc_ms - at_ms - 3750) <= 40
    assert abs((left.time_s - left.stay.entered_s) * 1000 - (left.utc_ms - entered.utc_ms)) <= 45


@pytest.mark.quick("80", "90", "110")
@pytest.mark.parametrize("killed_at", [70, 80, 89, 90, 94, 100, 110, 120])
def test_a_kill_and_a_restart_neither_lose_nor_double_an_event(tmp_path: Path, killed_at: int) -> None:
    """Snapshots every thirty frames; the person is over the line after 75, in the zone after 94."""
    snapshots = Snapshots(tmp_path)
    first = Served(delivery=Delivery(None, snapshots.journal("gate")))
    for past in range(1, killed_at + 1):
        first.put(past - 1, past)
        if past % 30 == 0:
            state = first.stream.snapshot()
            assert snapshots.save("gate", state)
            first.stream._ordered._delivery._journal.forget(state["events"])
            saved_s = past / 25
    before = first.sink.events
    loaded, begun_s = snapshots.load("gate"), killed_at / 25 + 0.5
    kept = Kept(state=loaded.state, elapsed_s=begun_s - saved_s, skip_ids=1000)
    second = restarted(kept, begun_s=begun_s, journal=snapshots.journal("gate")).put(0, 150 - killed_at).end()
    rows = {event.key: event for event in (*before, *second.sink.events)}
    assert sorted(kinds(list(rows.values()))) == sorted(WHOLE)
    counted = second.stream.figures().tally.crossings
    assert counted == ({} if any(event.kind == "crossing" for event in before) else {("line", "in"): {"person": 1}})
    first.engine.close()


@pytest.mark.quick("85", "112", "121")
@pytest.mark.parametrize("killed_at", [85, 100, 108, 112, 119, 121, 130])
def test_a_kill_and_a_restart_neither_lose_nor_double_an_alert(tmp_path: Path, killed_at: int) -> None:
    """Snapshots every thirty frames; the alert begins half a second after the person entered the zone."""
    rule = AlertRule(name="taken", watch="presence", place="right", for_s=0.5)
    site = replace(SITE, alerts=(rule,))
    snapshots = Snapshots(tmp_path)
    first = Served(made=stages(site), delivery=Delivery(None, snapshots.journal("gate")))
    for past in range(1, killed_at + 1):
        first.put(past - 1, past)
        if past % 30 == 0:
            state = first.stream.snapshot()
            assert snapshots.save("gate", state)
            first.stream._ordered._delivery._journal.forget(state["events"])
            saved_s = past / 25
    begun_s = killed_at / 25 + 0.2
    kept = Kept(state=snapshots.load("gate").state, elapsed_s=begun_s - saved_s, skip_ids=1000)
    second = restarted(kept, begun_s=begun_s, site=site, journal=snapshots.journal("gate"))
    second.put(0, 145 - killed_at).end()
    rows = {event.key: event for event in (*first.sink.events, *second.sink.events)}
    [alert] = [event for event in rows.values() if event.kind == "alert"]
    assert (alert.place, alert.value, alert.since_s) == ("taken", 1.0, None)
    assert abs(alert.utc_ms - round(BEGUN.timestamp() * 1000) - 4250) <= 240
    first.engine.close()


def test_an_alert_that_went_on_otherwise_is_not_expected_again() -> None:
    on = Event(kind="alert", stream="gate", time_s=3, place="rule", value=8.0)
    off = replace(on, time_s=9, since_s=3.0)
    assert Expected([on]).without([on, off]) == (off,)
    assert Expected([on, off]).without([on]) == (on,)
    assert Expected([on]).without([off, on]) == (off, on)


def test_a_journal_is_of_what_came_since_and_damage_costs_one_line(tmp_path: Path, caplog) -> None:
    journal = Journal(tmp_path / "gate.events.jsonl")
    stay = Stay(entered_s=1.0, began="already_inside")
    events = [replace(event_of(number), stay=stay, before=Sighting(time_s=0, x=0.5, y=0.5)) for number in range(4)]
    journal.add(events[:3], 3)
    journal.forget(1)
    journal.add(events[3:], 4)
    assert Journal(tmp_path / "gate.events.jsonl").load(2) == events[2:]
    assert Journal(tmp_path / "gate.events.jsonl").load(0) == events[1:]
    with (tmp_path / "gate.events.jsonl").open("a") as file:
        file.write('{"number": 5, "event": {"ki')
    again = Journal(tmp_path / "gate.events.jsonl")
    assert again.load(0) == events[1:]
    again.add(events[:1], 5)
    assert Journal(tmp_path / "gate.events.jsonl").load(4) == events[:1]
    assert Journal(tmp_path / "none.events.jsonl").load(0) == []
    (tmp_path / "folder").mkdir()
    refused = Journal(tmp_path / "folder")
    refused.add(events, 4)
    refused.add(events, 8)
    assert [record.message for record in caplog.records] == ["journal not written"]


def test_what_was_undone_before_the_kill_is_not_expected() -> None:
    there, back = event_of(1), replace(event_of(2), direction="out")
    assert Expected([there, back]).without([there]) == (there,)
    assert Expected([there, back, there]).without([there, back]) == (back,)
    gone = Event(kind="identity_end", stream="gate", time_s=3, identity=1, since_s=0.0)
    expected = Expected([there])
    assert expected.without([gone]) == (gone,)
    assert expected.without([there]) == (there,)
    outage = Event(kind="gap", stream="gate", time_s=3, since_s=0.0)
    assert Expected([outage]).without([outage]) == (outage,)


def test_numbers_alone_restore_no_counts() -> None:
    first = Served().put(0, 140)
    kept = Kept(state=first.stream.snapshot(), elapsed_s=0.2, numbers_only=True)
    first.engine.close()
    second = restarted(kept, begun_s=5.4).put(0, 15).end()
    assert kinds(second.sink.events) == ["identity_start", "enter", "leave", "identity_end"]
    assert second.sink.events[1].stay.began == "already_inside"
    assert {event.identity for event in second.sink.events} == {2}


def test_counts_of_another_version_are_left_and_the_identities_continue(caplog) -> None:
    first = Served().put(0, 60)
    state = first.stream.snapshot()
    first.engine.close()
    state["stages"]["analytics"]["version"] = 99
    second = restarted(Kept(state=state, elapsed_s=0.2), begun_s=2.6).put(0, 20).end()
    assert [record.message for record in caplog.records] == ["counts begin anew"]
    assert {event.identity for event in second.sink.events} == {1}
    with pytest.raises(ValueError, match="99"):  # a recording is not continued by half
        restarted(Kept(state=state, elapsed_s=None), begun_s=2.4)


def test_a_line_that_was_changed_begins_anew_and_the_other_parts_continue() -> None:
    first = Served().put(0, 110)  # past the line, in the zone
    first.stream.continued = True
    first.engine.close()
    moved = replace(SITE, lines=(replace(SITE.lines[0], points=((0.75, 0.1), (0.75, 0.95))),), revision=1)
    kept = Kept(state=first.stream.snapshot(), elapsed_s=0.2)
    second = restarted(kept, begun_s=4.6, site=moved).put(0, 30).end()
    assert kinds(second.sink.events) == ["crossing", "leave", "identity_end"]
    assert second.sink.events[1].stay.began == "entered"
    assert {event.revision for event in second.sink.events} == {1}
