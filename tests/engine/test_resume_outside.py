"""Recordings with outputs to other programs that are killed and resumed: nothing lost, nothing a second time."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.engine.test_resume import launch, resumed_at
from tests.ports import free_port
from tests.segment.models import end2end_model
from tests.sinks.broker import Broker, Watcher, needs_broker
from tests.sinks.outside import Hook, context, crossing, frame, web_server
from tests.sinks.test_mail import Office, rows
from tests.sources.cameras import wait_until
from tests.sources.videos import write_video
from tracker.engine.direct import DirectOutputs
from tracker.engine.resume import ChunkedSink, Resumption
from tracker.engine.snapshot import Snapshots
from tracker.formats.ledger import read_events
from tracker.plugins import open_sink, sink_class
from tracker.sinks.base import Checkpoint

EVERYWHERE = "[[0, 0], [1, 0], [1, 1], [0, 1]]"
CAMERA = "{state}model: constant.onnx\nmetrics: off\ncameras:\n  - name: a\n    url: a.mp4\n    site: site.yaml\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_video(tmp_path / "a.mp4", count=700, size=(32, 32))
    end2end_model(tmp_path / "constant.onnx")
    (tmp_path / "site.yaml").write_text(f"zones:\n  - {{name: all, loiter_s: 9, polygon: {EVERYWHERE}}}\n")
    return tmp_path


def configure(folder: Path, events: list[str], *, state: str = "state: st\n") -> None:
    listed = "".join(f"      - '{one}'\n" for one in events)
    (folder / "cameras.yaml").write_text(f"{CAMERA.format(state=state)}    spool: spool\n    events:\n{listed}")


def checkpoint(folder: Path) -> int:
    """Index of the next frame at the last checkpoint."""
    loaded = Snapshots(folder / "st" / "a.chunks").load("checkpoint", any_age=True)
    return 0 if loaded is None else loaded.facts.get("next_index", 0)


def kill_in_the_middle(folder: Path, *, times: int, how: int = signal.SIGKILL) -> None:
    for _ in range(times):
        process, before = launch(folder, "--resume"), checkpoint(folder)
        try:
            assert wait_until(lambda before=before: checkpoint(folder) > before)
        finally:
            process.send_signal(how)
            process.wait(60)


def whole(folder: Path) -> list[str]:
    """Keys of a run without interruption."""
    configure(folder, ["whole.events.jsonl"], state="")
    assert launch(folder).wait(100) == 0
    return [event.key for event in read_events(folder / "whole.events.jsonl")]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_web_server_a_mailbox_and_a_file_get_each_row_once(folder: Path, how: int) -> None:
    expected = whole(folder)
    office = Office(folder / "office")
    port = free_port()
    hook = Hook()
    mail = office.url("&kinds=enter,leave,loitering,identity_start,identity_end")
    configure(folder, ["out.events.jsonl", f"webhook+http://127.0.0.1:{port}/in#private=on", mail])
    try:
        with web_server(hook, port=port):
            kill_in_the_middle(folder, times=1, how=how)
        kill_in_the_middle(folder, times=1, how=how)  # the server is away, too
        with web_server(hook, port=port):
            assert launch(folder, "--resume").wait(100) == 0
    finally:
        office.stop()
    assert resumed_at(folder)
    assert "not resumable" not in (folder / "log.jsonl").read_text()
    assert [event.key for event in read_events(folder / "out.events.jsonl")] == expected
    assert list(dict.fromkeys(hook.keys)) == expected  # what was under way at a kill comes again under its key
    assert [json.loads(row)["key"] for mail in office.mails for row in rows(mail)] == expected
    assert len(office.mails) == 1  # of a recording, at its end, however often it was cut off


@pytest.mark.slow
@needs_broker
def test_objects_and_states_of_a_broker_go_on_exactly(folder: Path) -> None:
    broker = Broker(folder / "broker")
    watcher = Watcher(broker)
    try:
        configure(folder, [broker.url(path="/masktrail/whole")], state="")
        assert launch(folder).wait(100) == 0
        configure(folder, [broker.url(path="/masktrail/pieces")])
        kill_in_the_middle(folder, times=2)
        assert launch(folder, "--resume").wait(100) == 0
        assert resumed_at(folder)
        ended = ("masktrail/whole/a/available", "masktrail/pieces/a/available")
        assert wait_until(lambda: [watcher.last(topic) for topic in ended] == ["offline", "offline"])
        for topic in ("events", "rows"):
            told, in_pieces = (watcher.of(f"masktrail/{one}/{topic}") for one in ("whole", "pieces"))
            assert told
            assert list({one["key"]: one for one in in_pieces}.values()) == told
    finally:
        watcher.close()
        broker.stop()


@pytest.mark.slow
def test_a_database_has_what_a_run_without_interruption_gives(folder: Path, postgres) -> None:
    expected = whole(folder)
    address = postgres.fresh()
    configure(folder, [address])
    kill_in_the_middle(folder, times=2)
    assert launch(folder, "--resume").wait(100) == 0
    assert resumed_at(folder)
    assert [event.key for event in read_events(address)] == expected
    assert '"event": "already done"' not in (folder / "log.jsonl").read_text()
    assert launch(folder, "--resume").wait(100) == 0
    assert '"event": "already done"' in (folder / "log.jsonl").read_text()


def test_a_recording_is_not_done_while_something_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.sinks.courier.LAST_S", 0.2)
    port = free_port()
    facts = context(tmp_path, live=False, resumable=True)

    def run() -> Resumption:
        resumption = Resumption(tmp_path / "st", "a", {})
        address = f"webhook+http://127.0.0.1:{port}/in#private=on"
        sink = ChunkedSink([], lambda output, **_: open_sink(output, facts), resumption, direct=[address])
        sink.write(frame(crossing(1)))
        sink.checkpoint(Checkpoint(next_index=1, state=None, complete=True))
        sink.close()
        return resumption

    assert not run().done
    with web_server(Hook(), port=port) as hook:
        assert run().done
    assert hook.keys == [crossing(1).key]


def test_what_is_compared_takes_the_events_before_the_checkpoint_again() -> None:
    taken = []

    class Taker:
        resumes, queues = "whole", ()

        def write_events(self, events):
            taken.extend(event.key for event in events)

        def write(self, tracked):
            taken.extend(event.key for event in tracked.events)

    earlier = [crossing(number) for number in range(2500)]
    outputs = DirectOutputs(["postgresql://h/x"], lambda _address: Taker(), lambda: iter(earlier))
    assert sink_class("postgresql://h/x").resumes == "whole"
    assert outputs.compare
    outputs.write(frame(crossing(2500)))
    outputs.write(frame(crossing(2501)))
    assert taken == [crossing(number).key for number in range(2502)]
