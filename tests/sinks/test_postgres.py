"""Ledger in PostgreSQL: what runs leave there is what they leave in the SQLite store, over kills of either side."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.ports import free_port
from tests.sinks.ledgers import EVENTS, crossing, frame_with, frames_with
from tests.sinks.outside import context
from tests.sources.cameras import wait_until
from tests.thorough import examples
from tracker.errors import SinkError
from tracker.events import Event, Stay
from tracker.formats.event_rows import row_of
from tracker.formats.ledger import read_editions, read_events
from tracker.plugins import open_sink
from tracker.sinks import courier
from tracker.sinks.outside import OutsideSink
from tracker.sinks.postgres import PostgresSink
from tracker.sinks.sqlite import SqliteSink

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(courier, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(courier, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(courier, "LAST_S", 60.0)


class Both:
    """A SQLite store and a database that get the same runs."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address, self.store = folder, address, folder / "x.sqlite"

    def run(self, events, *, per_frame: int = 1, **facts) -> None:
        failures = []
        for place, spool in ((self.store, {}), (self.address, {"spool": str(self.folder / "spool")})):
            try:
                with open_sink(place, **facts, **spool) as sink:
                    for frame in frames_with(events, per_frame=per_frame):
                        sink.write(frame)
            except SinkError as failure:
                failures.append(failure.problem)
        assert len(set(failures)) <= 1
        assert len(failures) in {0, 2}, failures
        if failures:
            raise SinkError("both", failures[0])

    @property
    def rows(self) -> list[dict]:
        """Of both, which are the same."""
        ours, theirs = ([row_of(event) for event in read_events(place)] for place in (self.store, self.address))
        assert theirs == ours
        return ours


@pytest.fixture
def both(postgres, tmp_path) -> Both:
    return Both(tmp_path, postgres.fresh())


def enter(number: int, *, identity: int = 7, **values: object) -> Event:
    stay = Stay(entered_s=float(number))
    return crossing(number, kind="enter", place="shop", direction="", identity=identity, stay=stay, **values)


LEFT = crossing(51, kind="leave", place="shop", direction="", identity=7, stay=Stay(entered_s=10.0, left_s=51.0))


# ---- the same as the SQLite store -------------------------------------------------------------------------------


def test_a_second_analysis_adds_nothing_and_streams_share_the_ledger(both):
    for _ in range(2):
        both.run([crossing(number) for number in range(10)], stream="gate")
    both.run([crossing(number, stream="yard") for number in range(5)], stream="yard")
    assert len(both.rows) == 15


def test_stays_of_a_killed_process_are_ended_when_the_camera_is_back(both):
    both.run([enter(10), crossing(50)])
    both.run([crossing(90), crossing(95)], stream="gate", live=True)
    both.run([crossing(100)], stream="gate", live=True)
    assert [row["stay_end"] for row in both.rows if row["kind"] == "leave"] == ["restart"]


def test_a_stay_whose_end_is_given_again_needs_no_other(both):
    both.run([enter(10), crossing(50)])
    both.run([LEFT, crossing(90)], per_frame=2, stream="gate", live=True)
    assert [row["stay_end"] for row in both.rows if row["kind"] == "leave"] == ["open"]


def test_of_other_streams_nothing_is_ended(both):
    both.run([enter(10, stream="yard")], stream="yard", live=True)
    both.run([crossing(90)], stream="gate", live=True)
    assert all(row["kind"] != "leave" for row in both.rows)


@pytest.mark.parametrize("utc", [True, False])
def test_a_recording_that_gives_other_events_is_refused_and_adds_nothing(both, utc):
    events = [crossing(number, utc=utc) for number in range(20)]
    both.run(events, stream="gate")
    with pytest.raises(SinkError, match="found others of the same time"):
        both.run([*events[:5], replace(events[5], place="else"), *events[6:]], stream="gate")
    with pytest.raises(SinkError, match="wall clock"):
        both.run([crossing(number, utc=not utc) for number in range(3)], stream="gate")
    assert len(both.rows) == 20
    both.run([crossing(number, utc=utc) for number in range(25)], stream="gate")
    assert len(both.rows) == 25


@pytest.mark.slow
@settings(max_examples=examples(12), deadline=None)
@given(kept=st.integers(0, 30), utc=st.booleans())
def test_a_recording_that_was_cut_off_is_completed(postgres, tmp_path_factory, kept, utc):
    both = Both(tmp_path_factory.mktemp("x"), postgres.emptied())
    events = [crossing(number if number % 4 else max(number - 3, 0), identity=number, utc=utc) for number in range(30)]
    both.run(events[:kept], per_frame=7)
    both.run(events, per_frame=7)
    assert len(both.rows) == 30


@settings(max_examples=examples(12), deadline=None)
@given(events=st.lists(EVENTS, max_size=12, unique_by=lambda event: event.key))
def test_reading_is_writing(postgres, tmp_path_factory, events):
    events = [event for event in events if "\0" not in event.stream + event.place + event.direction]
    events = [event for event in events if "\0" not in event.class_name + event.was_class]
    address = postgres.emptied()
    live = context(tmp_path_factory.mktemp("x"), stream="", live=True)
    assume(events)  # of a camera without any there may be no ledger
    with open_sink(address, live) as sink:
        for frame in frames_with(events, per_frame=3):
            sink.write(replace(frame, frame=replace(frame.frame, captured_at=None)))
    assert list(read_events(address)) == events


def test_editions(both):
    old = [crossing(number, utc=False, place="old") for number in range(3)]
    new = [crossing(number, utc=False, place="new") for number in range(1, 5)]
    both.run(old, stream="gate")
    for events, count in ((old, 1), (new, 2), (new, 2), ([], 3)):
        both.run(events, stream="gate", edition="revise")
        editions = [[(one.edition, one.rows) for one in read_editions(place)] for place in (both.store, both.address)]
        assert editions[0] == editions[1]
        assert len(editions[0]) == count
        assert len(both.rows) == len(events)
    both.run(old, stream="gate", edition="hold")
    assert both.rows == []
    SqliteSink.settle(str(both.store), "gate")
    PostgresSink.settle(both.address, "gate")
    assert len(both.rows) == 3
    both.run([*old, crossing(9, utc=False)], stream="gate")
    assert len(both.rows) == 4


def test_an_edition_that_breaks_off_is_never_seen(postgres, tmp_path):
    address, facts = postgres.fresh(), {"stream": "gate", "spool": str(tmp_path / "spool")}
    before = [crossing(1, utc=False)]
    for events, edition in ((before, "append"), ([crossing(2, utc=False)], "revise")):
        sink = open_sink(address, edition=edition, **facts)
        sink.write_events(events)
        sink.abort()
    assert list(read_events(address)) == before
    assert postgres.ask(address, "SELECT max(edition) FROM masktrail.ledger") == [[1]]
    killed = open_sink(address, edition="revise", **facts)
    killed.write_events([crossing(3, utc=False)])
    assert wait_until(lambda: killed.queues[0].rows == 0)
    killed._put(killed.messages([crossing(4, utc=False)]))
    OutsideSink.close(killed)  # as the end of its process: no end of the run is told
    with open_sink(address, edition="revise", **facts) as sink:
        sink.write_events([crossing(5, utc=False)])
    assert list(read_events(address)) == [crossing(5, utc=False)]
    assert postgres.ask(address, "SELECT count(*) FROM masktrail.ledger") == [[2]]


# ---- databases that are away, or wrong --------------------------------------------------------------------------


def test_a_database_that_is_killed_loses_nothing_and_doubles_nothing(postgres, tmp_path):
    address = postgres.fresh()
    with open_sink(address, context(tmp_path)) as sink:
        for number in range(1200):
            sink.write(frame_with([crossing(number)]))
            if number == 300:
                assert wait_until(lambda: sink.queues[0].last_success_ms is not None)
                postgres.kill()
            if number == 900:
                assert wait_until(lambda: sink.queues[0].problem)
                figures = sink.queues[0]
                assert figures.rows >= 500
                postgres.start()
        assert wait_until(lambda: sink.queues[0].rows == 0)
        assert sink.queues[0].problem == ""
    assert list(read_events(address)) == [crossing(number) for number in range(1200)]


@pytest.mark.slow
def test_a_camera_begins_without_its_database_and_an_hour_of_events_waits(postgres, tmp_path, monkeypatch):
    address = postgres.fresh()
    postgres.kill()
    monkeypatch.setattr(courier, "LAST_S", 0.05)
    try:
        for first in (0, 3600):  # two processes, one after another, none of which reaches it
            with open_sink(address, context(tmp_path)) as sink:
                sink.write(frame_with([enter(first, identity=first + 1)]))
                sink.write(frame_with([crossing(number) for number in range(first + 1, first + 3600)]))
                assert wait_until(lambda: "Connection refused" in sink.queues[0].problem)
    finally:
        postgres.start()
    monkeypatch.setattr(courier, "LAST_S", 60.0)
    with open_sink(address, context(tmp_path)) as sink:
        assert wait_until(lambda: sink.queues[0].rows == 0)
    found = list(read_events(address))
    assert [event for event in found if event.kind == "crossing"] == [
        crossing(number) for number in range(7200) if number % 3600
    ]
    ended = [event for event in found if event.kind == "leave"]
    assert [(event.stay.end, event.time_s) for event in ended] == [("restart", 3599.0)]


def test_an_answer_that_is_lost_after_the_commit_adds_nothing_twice(postgres, tmp_path, monkeypatch):
    address = postgres.fresh()
    sink = open_sink(address, context(tmp_path))
    receiver, lost = sink._receiver, []
    take = type(receiver)._take

    def losing(self, book, messages):
        receipt = take(self, book, messages)
        if not lost:
            lost.append(len(messages))
            self._connection.run("COMMIT")
            self.interrupt()
        return receipt

    monkeypatch.setattr(type(receiver), "_take", losing)
    with sink:
        sink.write(frame_with([crossing(number) for number in range(50)]))
        sink.write(frame_with([crossing(number) for number in range(50, 90)]))
    assert lost
    assert list(read_events(address)) == [crossing(number) for number in range(90)]


def test_a_connection_that_was_ended_while_it_was_idle_is_no_problem(postgres, tmp_path, caplog):
    address = postgres.fresh()
    with open_sink(address, context(tmp_path)) as sink:
        sink.write(frame_with([crossing(1)]))
        assert wait_until(lambda: sink.queues[0].rows == 0)
        name = address.rpartition("/")[2]
        postgres.ask("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        sink.write(frame_with([crossing(2)]))
        assert wait_until(lambda: sink.queues[0].rows == 0)
    assert list(read_events(address)) == [crossing(1), crossing(2)]
    assert not [record for record in caplog.records if record.msg == "output waits"]


WRITER = """
import sys
from tests.sinks.ledgers import crossing, frame_with
from tests.sinks.outside import context
from pathlib import Path
from tracker.plugins import open_sink
sink = open_sink(sys.argv[1], context(Path(sys.argv[2])))
for number in range(int(sys.argv[3]), 100_000):
    sink.write(frame_with([crossing(number)]))
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing_and_the_next_one_doubles_nothing(postgres, tmp_path):
    address = postgres.fresh()
    last = 0
    for _ in range(2):
        code = [sys.executable, "-c", WRITER, address, str(tmp_path), str(max(last - 20, 0))]
        here = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(code, stdout=subprocess.PIPE, text=True, env=here) as one:
            assert one.stdout is not None
            sent = [int(line) for line, _ in zip(one.stdout, range(400), strict=False)]
            os.kill(one.pid, signal.SIGKILL)
            one.communicate(timeout=60)
        last = sent[-1]
    with open_sink(address, context(tmp_path)) as sink:
        assert wait_until(lambda: sink.queues[0].rows == 0)
    found = [event.time_s for event in read_events(address)]
    assert len(found) == len(set(found))
    assert sorted(found)[: last + 1] == list(range(last + 1))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda server, name: server.address(name, "guarded", "wrong-Pa55word"), "found the login of guarded refused"),
        (lambda server, name: server.address("nowhere"), "found no database nowhere"),
        (lambda server, name: f"postgresql://me:Pa55word-of-me@127.0.0.1:{free_port()}/x", "Connection refused"),
    ],
)
def test_a_wrong_address_is_one_line_and_counted(postgres, tmp_path, caplog, monkeypatch, *, change, found):
    address = change(postgres, postgres.fresh().rpartition("/")[2])
    with pytest.raises(SinkError, match=found) as refused:  # a recording does not begin
        open_sink(address, context(tmp_path, live=False))
    caplog.clear()
    with open_sink(address, context(tmp_path)) as sink:  # a camera does, and says what is wrong
        sink.write(frame_with([crossing(1)]))
        assert wait_until(lambda: found in sink.queues[0].problem)
        sink.write(frame_with([crossing(2)]))  # the reason is the same with two of them
        time.sleep(0.2)
        assert sink.queues[0].rows == 2
        monkeypatch.setattr(courier, "LAST_S", 0.05)  # no wait for what cannot come
    told = [record for record in caplog.records if record.msg == "output waits" and hasattr(record, "problem")]
    assert len(told) == 1
    for text in (str(refused.value), sink.queues[0].sink, *(str(record.__dict__) for record in caplog.records)):
        assert "Pa55word" not in text


def test_a_recording_whose_database_goes_away_says_what_waits_and_the_next_run_adds_it(postgres, tmp_path, monkeypatch):
    address = postgres.fresh()
    monkeypatch.setattr(courier, "LAST_S", 0.3)
    recording = context(tmp_path, live=False)
    sink = open_sink(address, recording)
    sink.write(frame_with([crossing(number) for number in range(10)]))
    assert wait_until(lambda: sink.queues[0].rows == 0)
    postgres.kill()
    try:
        sink.write(frame_with([crossing(number) for number in range(10, 20)]))
        with pytest.raises(SinkError, match=r"(?s)found 11 that wait .*run it again"):
            sink.close()
    finally:
        postgres.start()
    monkeypatch.setattr(courier, "LAST_S", 60.0)
    with open_sink(address, recording) as sink:
        sink.write(frame_with([crossing(number) for number in range(25)]))
    assert list(read_events(address)) == [crossing(number) for number in range(25)]


def test_a_stay_goes_on_over_the_rest_of_a_run_that_was_cut_off(postgres, tmp_path, monkeypatch):
    address = postgres.fresh()
    monkeypatch.setattr(courier, "LAST_S", 0.3)
    recording = context(tmp_path, live=False)
    events = [enter(10), crossing(40), LEFT, crossing(60)]
    sink = open_sink(address, recording)
    sink.write(frame_with(events[:1]))
    assert wait_until(lambda: sink.queues[0].rows == 0)
    postgres.kill()
    try:
        sink.write(frame_with(events[1:2]))
        OutsideSink.close(sink)  # as a kill leaves it: nothing says that the run is over
    finally:
        postgres.start()
    monkeypatch.setattr(courier, "LAST_S", 60.0)
    with open_sink(address, recording) as sink:
        sink.write(frame_with(events))
    assert list(read_events(address)) == events


def test_a_row_that_the_server_will_not_have_holds_up_no_other(postgres, tmp_path):
    address = postgres.fresh()
    with contextlib.closing(open_sink(address, context(tmp_path))) as sink:
        sink.write(frame_with([crossing(0)]))
    postgres.ask(address, "ALTER TABLE masktrail.ledger ADD CHECK (identity <> 13)")
    with open_sink(address, context(tmp_path)) as sink:
        for number in range(30):
            sink.write(frame_with([crossing(number)]))
        assert wait_until(lambda: sink.queues[0].rows == 0)
        assert (sink.queues[0].refused, sink.queues[0].dropped) == (1, 0)
    assert [event.identity for event in read_events(address)] == [one for one in range(1, 31) if one != 13]


def test_schemas_keep_installations_apart(postgres, tmp_path):
    address = postgres.fresh()
    for schema in ("north", "south"):
        with open_sink(f"{address}?schema={schema}", context(tmp_path)) as sink:
            sink.write(frame_with([crossing(len(schema), place=schema)]))
    assert [event.place for event in read_events(f"{address}?schema=south")] == ["south"]
    assert len(list((tmp_path / "spool").glob("*.spool"))) == 2
