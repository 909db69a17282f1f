"""Events of whole runs and services to receivers that are away, refuse or hang: tracking goes on, nothing is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Run
from tests.ports import free_port
from tests.segment.models import end2end_model
from tests.service.test_service import Service
from tests.sinks.broker import Broker, Watcher, needs_broker
from tests.sinks.outside import Hook, web_server
from tests.sources.cameras import MjpegCamera, wait_until
from tests.sources.videos import write_video
from tracker.formats.ledger import read_events

MODEL = ("--model", "constant.onnx", "--device", "cpu", "--quiet")
SITE = "version: 1\nzones:\n  - {name: all, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}\n"
SECRET = "c4n4ry-of-the-hook"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    end2end_model(tmp_path / "constant.onnx")
    write_video(tmp_path / "a.mp4", count=40, size=(160, 96))
    shutil.copy("a.mp4", "b.mp4")
    (tmp_path / "site.yaml").write_text(SITE)
    return tmp_path


@pytest.fixture
def broker(folder: Path) -> Iterator[Broker]:
    broker = Broker(folder / "broker")
    yield broker
    broker.stop()


@pytest.fixture
def watcher(broker: Broker) -> Iterator[Watcher]:
    watcher = Watcher(broker)
    yield watcher
    watcher.close()


def keys(path: str) -> list[str]:
    return [event.key for event in read_events(path)]


def test_a_run_posts_what_its_ledger_holds_and_a_second_one_nothing_new(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", SECRET)
    with web_server(Hook()) as hook:
        address = f"webhook+http://:${{HOOK}}@127.0.0.1:{hook.port}/p4th-of-it/{{name}}#private=on"
        events = ("--site", "site.yaml", "--events", "{name}.events.jsonl", "--events", address, "--spool", "spool")
        for _ in range(2):
            result = run("track", "a.mp4", "b.mp4", *MODEL, *events, "--json", "out.json")
            assert result.status == 0, result.text
            said = result.text + (folder / "out.json").read_text()
            assert SECRET not in said
            assert "p4th" not in said
            assert f"webhook+http://127.0.0.1:{hook.port}" in said
    assert hook.keys == keys("a.events.jsonl") + keys("b.events.jsonl")
    assert {path for path, _, _ in hook.requests} == {"/p4th-of-it/a", "/p4th-of-it/b"}


def test_a_receiver_that_is_away_costs_a_run_nothing_but_a_line(run: Run, folder: Path) -> None:
    port = free_port()
    address = f"webhook+http://127.0.0.1:{port}/#private=on"
    events = ("--site", "site.yaml", "--events", "a.events.jsonl", "--events", address, "--spool", "spool")
    result = run("track", "a.mp4", *MODEL, *events)
    assert result.status == 0, result.text
    assert "Connection refused" in result.text
    assert "messages wait in" in result.text
    assert "Traceback" not in result.text
    with web_server(Hook(), port=port) as hook:
        assert run("track", "a.mp4", *MODEL, *events).status == 0
    assert hook.keys == keys("a.events.jsonl")


def test_wrong_addresses_end_a_run_before_it_begins(run: Run, folder: Path) -> None:
    for address, said in (
        ("smtp://h?to=a@b", "expected a mailbox in from"),
        ("carrier://pigeon/coop", "found carrier://"),
    ):
        result = run("track", "a.mp4", *MODEL, "--site", "site.yaml", "--events", address, "--spool", "spool")
        assert result.status == 2
        assert said in result.text
        assert "Traceback" not in result.text


def test_a_receiver_that_is_named_twice_is_told_at_once(run: Run, folder: Path) -> None:
    address = "webhook+http://127.0.0.1:1/p4th#private=on"
    result = run("track", "a.mp4", *MODEL, "--site", "site.yaml", *("--events", address) * 2, "--spool", "spool")
    assert result.status == 2
    assert "webhook+http://127.0.0.1:1: expected each receiver of a.mp4 once, found it 2 times" in result.text
    assert "p4th" not in result.text
    assert not (folder / "spool").exists()


def test_wrong_addresses_end_a_service_before_it_begins(folder: Path) -> None:
    text = (
        "model: constant.onnx\nmetrics: off\ncameras:\n"
        "  - {name: gate, url: 'rtsp://127.0.0.1:1/x', site: site.yaml, "
        "events: 'webhook+https://:c4n4ry@host/p4th#retry=1'}\n"
    )
    service = Service(folder, text)
    try:
        assert service.wait() == 2
        said = service.log_path.read_text()
    finally:
        service.close()
    assert "expected options private, kinds, ca, each once, found 'retry'" in said
    assert "c4n4ry" not in said
    assert "p4th" not in said


@pytest.mark.slow
@needs_broker
def test_a_service_tells_a_refusal_in_health_and_goes_on_when_the_broker_does(
    folder: Path, broker: Broker, watcher: Watcher
) -> None:
    camera = MjpegCamera(rate=25)
    text = (
        "model: constant.onnx\nmetrics: 127.0.0.1:0\ncameras:\n"
        f"  - {{name: gate, url: '{camera.url()}', site: site.yaml, spool: spool, events: "
        f"[all.sqlite, 'mqtt://camera:${{BROKER}}@127.0.0.1:{broker.port}']}}\n"
    )
    wrong = Service(folder, "device: cpu\n" + text, BROKER="c4n4ry-wrong")
    try:
        assert wait_until(lambda: "Not authorized" in json.dumps(wrong.camera("gate")["queues"]))
        assert wait_until(lambda: wrong.camera("gate")["queues"][0]["rows"] > 0)
        health = json.loads(wrong.get("/healthz"))
        assert (health["status"], health["not_well"]) == ("degraded", ["gate"])
        assert health["cameras"]["gate"]["state"] == "live"
        assert 'masktrail_sink_problem{camera="gate",sink="mqtt://127.0.0.1' in wrong.get("/metrics")
        assert [line["event"] for line in wrong.log() if "Not authorized" in json.dumps(line)] == ["output waits"]
        assert "c4n4ry" not in wrong.log_path.read_text() + wrong.get("/healthz") + wrong.get("/metrics")
        wrong.signal(15)
        assert wrong.wait() == 0
    finally:
        wrong.close()
    right = Service(folder, "device: cpu\n" + text, BROKER=Broker.PASSWORD)
    try:
        assert wait_until(lambda: right.camera("gate")["frames"] > 10)
        assert wait_until(lambda: watcher.last("masktrail/gate/zone/all/all") not in {None, "0"})
        broker.stop()
        assert wait_until(lambda: right.camera("gate")["queues"][0]["problem"] != "")
        broker.start()
        assert wait_until(lambda: right.camera("gate")["queues"][0]["problem"] == ""), right.camera("gate")["queues"]
        frames = right.camera("gate")["frames"]
        assert wait_until(lambda: right.camera("gate")["frames"] > frames)
        right.signal(15)
        assert right.wait() == 0
        assert wait_until(lambda: watcher.last("masktrail/gate/available") == "offline")
    finally:
        right.close()
        camera.kill()
    published = {row["key"] for row in watcher.of("masktrail/rows")}
    assert published == set(keys("all.sqlite"))
    told = [(one["type"], one["after"]["id"]) for one in watcher.of("masktrail/events")]
    assert {kind for kind, _ in told} >= {"new"}


@pytest.mark.slow
def test_rows_that_wait_when_an_option_changes_in_a_running_service_are_sent(folder: Path) -> None:
    camera, port = MjpegCamera(rate=25), free_port()
    text = (
        "device: cpu\nmodel: constant.onnx\nmetrics: 127.0.0.1:0\ncameras:\n"
        f"  - {{name: gate, url: '{camera.url()}', site: site.yaml, spool: spool, events: "
        f"[all.sqlite, 'webhook+http://127.0.0.1:{port}/#private=on&kinds=KINDS']}}\n"
    )
    service = Service(folder, text.replace("KINDS", "enter"))
    try:
        assert wait_until(lambda: any(queue["rows"] for queue in service.camera("gate")["queues"]))
        before = len(list((folder / "spool").glob("*.spool")))
        service.config.write_text(text.replace("KINDS", "enter,leave,identity_start"))
        service.signal(1)
        assert wait_until(lambda: bool(service.events("reloaded")))
        with web_server(Hook(), port=port) as hook:
            assert wait_until(lambda: any("|enter|" in key for key in hook.keys))
            service.signal(15)
            assert service.wait() == 0
    finally:
        service.close()
        camera.kill()
    assert [len(list((folder / "spool").glob("*.spool"))), before] == [1, 1]
    first = [event.key for event in read_events("all.sqlite") if event.kind == "enter"]
    assert first
    assert first == [key for key in hook.keys if "|enter|" in key]


def test_what_was_confirmed_and_what_waits_is_told_in_the_place_of_wrote(run: Run, folder: Path) -> None:
    port = free_port()
    address, shown = f"webhook+http://127.0.0.1:{port}/#private=on", f"webhook+http://127.0.0.1:{port}"
    events = ("--site", "site.yaml", "--events", address, "--spool", "spool", "--json", "out.json")
    loud = MODEL[:-1]
    away = run("track", "a.mp4", *loud, *events)
    assert away.status == 0, away.text
    assert f"wrote {shown}" not in away.out
    [kept] = json.loads((folder / "out.json").read_text())[0]["deliveries"]
    assert (kept["confirmed"], kept["waiting"] > 0, Path(kept["kept_in"]).parent) == (0, True, Path("spool"))
    told = f"{kept['output']}: 0 messages confirmed, {kept['waiting']} wait in {kept['kept_in']} for the next run"
    assert kept["output"].startswith(shown)
    assert told in away.text
    with web_server(Hook(), port=port):
        there = run("track", "a.mp4", *loud, *events)
    assert f"{kept['output']}: {kept['waiting']} messages confirmed" in there.text
    [sent] = json.loads((folder / "out.json").read_text())[0]["deliveries"]
    assert sent == {"output": kept["output"], "confirmed": kept["waiting"], "refused": 0, "dropped": 0, "waiting": 0}
