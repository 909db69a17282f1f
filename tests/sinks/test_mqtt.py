"""MQTT through a real mosquitto: rows, objects, states, availability, discovery, restarts of both sides, refusals."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sinks.broker import Broker, Watcher, needs_broker
from tests.sinks.outside import certificate, context, crossing, frame, stay
from tests.sinks.streams import tracked_frame
from tests.sources.cameras import wait_until
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.plugins import open_sink
from tracker.premises import Queue
from tracker.sinks import courier as courier_module
from tracker.sinks import mqtt_receiver as receiver_module
from tracker.site import Line, Site, Zone

pytestmark = needs_broker
ROOT = Path(__file__).resolve().parents[2]
SQUARE = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9))
SITE = Site(
    lines=(Line(name="door", points=((0.0, 0.5), (1.0, 0.5))),),
    zones=(
        Zone(name="hall", polygons=(SQUARE,), classes=("person",)),
        Zone(name="till", polygons=(((0.0, 0.0), (0.05, 0.0), (0.05, 0.05)),)),
    ),
    queues=(Queue(name="main", zone="hall", served_at="till"),),
)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(courier_module, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(courier_module, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(receiver_module.MqttReceiver, "tick_s", 0.02)


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.stop()


@pytest.fixture
def watcher(broker):
    watcher = Watcher(broker)
    yield watcher
    watcher.close()


class View:
    """A running stream."""

    def __init__(self) -> None:
        self.state = "live"
        self.zones: dict[str, dict[str, int]] = {"hall": {}}
        self.queues: dict[str, int] = {}

    def present(self):
        return self.zones

    def waiting(self):
        return self.queues


def keys(watcher: Watcher) -> list[str]:
    return [row["key"] for row in watcher.of("masktrail/rows")]


def problem(sink) -> str:
    return sink.queues[0].problem


def test_rows_are_published_and_confirmed(tmp_path, broker, watcher):
    with open_sink(broker.url("?kinds=crossing,leave"), context(tmp_path)) as sink:
        sink.write(frame(crossing(1), stay(2), stay(3, kind="enter")))
        sink.write_events([crossing(4)])
        assert wait_until(lambda: sink.queues[0].rows == 0)
        assert sink.queues[0].sink == f"mqtt://127.0.0.1:{broker.port}"
        assert sink.queues[0].problem == ""
    assert wait_until(lambda: len(keys(watcher)) == 3)
    assert keys(watcher) == [crossing(1).key, stay(2).key, crossing(4).key]
    row = watcher.of("masktrail/rows")[0]
    assert (row["kind"], row["direction"], row["class"]) == ("crossing", "in", "person")
    assert not any(retain for topic, _, retain in watcher.messages if topic == "masktrail/rows")


def test_objects_have_a_life_of_new_update_and_end(tmp_path, broker, watcher):
    box = [(40.0, 20.0, 60.0, 100.0)]
    with open_sink(broker.url(), context(tmp_path, site=SITE, live=False)) as sink:
        entered = stay(1, kind="enter")
        sink.write(tracked_frame(0, boxes=box, class_ids=[0]))
        sink.write(replace(tracked_frame(1, boxes=box, class_ids=[0]), events=(entered,)))
        sink.write(replace(tracked_frame(2, boxes=box, class_ids=[0]), events=(stay(1),)))
        sink.write(tracked_frame(20, boxes=[(50.0, 20.0, 70.0, 100.0)], ids=[2], class_ids=[0], ended=(1,)))
    assert wait_until(lambda: len(watcher.of("masktrail/events")) == 5)
    told = watcher.of("masktrail/events")
    assert [(one["type"], one["after"]["identity"]) for one in told] == [
        ("new", 1),
        ("update", 1),
        ("end", 1),
        ("new", 2),
        ("end", 2),
    ]
    new, update, end = told[:3]
    assert (new["before"]["current_zones"], new["after"]["current_zones"]) == ([], ["hall"])
    assert (update["before"]["current_zones"], update["after"]["current_zones"]) == (["hall"], [])
    assert update["after"]["entered_zones"] == ["hall"]
    assert (end["after"]["end_time"], end["after"]["ended_by"]) == (0.8, "end")
    after = new["after"]
    assert (after["camera"], after["label"], after["box"], after["area"]) == ("gate", "person", [40, 20, 60, 100], 1600)
    assert (after["id"], after["ratio"], after["end_time"]) == ("-0.500-gate-1", 0.25, None)
    assert len({one["key"] for one in told}) == 5


def test_states_are_retained_and_end_with_the_connection(tmp_path, broker, watcher):
    view = View()
    sink = open_sink(broker.url(), context(tmp_path, site=SITE, view=view))
    assert wait_until(lambda: watcher.last("masktrail/gate/available") == "online")
    assert wait_until(lambda: watcher.last("masktrail/gate/line/door/in/all") == "0")
    assert watcher.last("masktrail/gate/zone/hall/all") == "0"
    view.zones, view.queues = {"hall": {"person": 2}}, {"main": 4}  # of before a restart: it had no rows of them
    sink.write(tracked_frame(0, boxes=[(4, 4, 60, 60), (70, 4, 90, 60)], class_ids=[0, 2]))
    sink.write(frame(crossing(1), crossing(2)))
    alert = Event(kind="alert", stream="gate", time_s=5.0, place="queue over 7", value=8.0)
    sink.write(frame(alert, Event(kind="bay_taken", stream="gate", time_s=5.0, place="B 1")))
    sink.write(tracked_frame(1, boxes=[(4, 4, 60, 60)], class_ids=[0]))
    wanted = {
        "line/door/in/all": "2",
        "line/door/in/person": "2",
        "line/door/out/all": "0",
        "zone/hall/person": "2",
        "queue/main": "4",
        "objects/all": "1",
        "objects/person": "1",
        "objects/car": "0",
        "alert/queue%20over%207": "ON",
        "bay/B%201": "ON",
        "status": "online",
        "state": "live",
    }
    assert wait_until(lambda: {name: watcher.last(f"masktrail/gate/{name}") for name in wanted} == wanted)
    view.state = "lost"  # no frame comes
    assert wait_until(lambda: watcher.last("masktrail/gate/status") == "offline")
    assert watcher.last("masktrail/gate/available") == "online"
    later = Watcher(broker, "later")
    assert wait_until(lambda: later.last("masktrail/gate/zone/hall/person") == "2")
    later.close()
    sink.close()
    assert wait_until(lambda: watcher.last("masktrail/gate/available") == "offline")


def test_a_broker_that_is_killed_in_mid_stream_loses_and_doubles_nothing(tmp_path, broker, watcher, caplog):
    caplog.set_level(logging.INFO, "tracker.live")
    view = View()
    with open_sink(broker.url("?objects=off"), context(tmp_path, site=SITE, view=view)) as sink:
        for number in range(60):
            sink.write(frame(crossing(number)))
            if number == 20:
                assert wait_until(lambda: sink.queues[0].rows == 0)
                assert wait_until(lambda: len(keys(watcher)) == 21)
                broker.stop()
            if number == 40:
                assert wait_until(lambda: problem(sink) != "")
                assert sink.queues[0].rows == 20
                view.zones = {"hall": {"person": 7}}
                broker.start()
        assert wait_until(lambda: sink.queues[0].rows == 0)
        assert wait_until(lambda: len(set(keys(watcher))) == 60)
        assert wait_until(lambda: watcher.last("masktrail/gate/zone/hall/person") == "7")
        assert wait_until(lambda: watcher.last("masktrail/gate/line/door/in/all") == "60")
    # What the subscriber had not acknowledged at the kill, the broker may send it again; we did not.
    assert list(dict.fromkeys(keys(watcher))) == [crossing(number).key for number in range(60)]
    assert broker.received("masktrail/rows") == 60
    said = [record.msg for record in caplog.records]
    assert said[0] == "output waits"
    assert said[-1] == "output back"
    assert len(said) <= 4  # each reason once: lost, refused, back


def test_a_process_that_is_killed_goes_on_where_it_was(tmp_path, broker, watcher):
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.sinks.outside import context, crossing, frame\n"
        "from tracker.plugins import open_sink\nsink = open_sink(sys.argv[1], context(Path(sys.argv[2])))\n"
        "for number in range(int(sys.argv[3]), 100_000):\n"
        "    sink.write(frame(crossing(number)))\n    print(number, flush=True)\n"
    )
    told, environment = 0, os.environ | {"PYTHONPATH": str(ROOT)}
    for _ in range(2):
        command = [sys.executable, "-c", code, broker.url(), str(tmp_path), str(told)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        for _ in range(60):
            process.stdout.readline()
        assert wait_until(lambda: watcher.last("masktrail/gate/available") == "online")
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.communicate(timeout=60)
        told += 60 + len(rest.split())
        assert wait_until(lambda: watcher.last("masktrail/gate/available") == "offline")  # the will
    with open_sink(broker.url(), context(tmp_path)) as sink:
        assert wait_until(lambda: sink.queues[0].rows == 0)
    assert wait_until(lambda: len(set(keys(watcher))) >= told)
    found = list(dict.fromkeys(keys(watcher)))
    assert found[:told] == [crossing(number).key for number in range(told)]
    assert len(found) <= told + 2
    assert len(keys(watcher)) - len(found) <= 2 * receiver_module.MqttReceiver.batch  # under way at the kills


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong-pass-word"}, "expected the broker to accept the login 'camera', found: Not authorized"),
        ({"user": "stranger"}, "expected the broker to accept the login 'stranger', found: Not authorized"),
        ({"path": "/elsewhere"}, "expected leave to publish to elsewhere/gate/available, found: Not authorized"),
    ],
)
def test_a_refusal_is_one_clear_line_and_counted(tmp_path, broker, caplog, change, said):
    with open_sink(broker.url("?discovery=off", **change), context(tmp_path)) as sink:
        sink.write(frame(crossing(1)))
        assert wait_until(lambda: said in problem(sink))
        assert sink.queues[0].rows == 1
        lines = [record for record in caplog.records if record.msg == "output waits" and said in record.problem]
        assert len(lines) == 1
        assert "remedy: " in lines[0].problem
        assert "wrong-pass-word" not in caplog.text + problem(sink) + sink.queues[0].sink + lines[0].problem


def test_a_full_spool_keeps_the_newest_and_says_so_once(tmp_path, broker, watcher, caplog):
    broker.stop(signal.SIGTERM)  # it saves the watcher's session, which a kill right after its start may lose
    size = 10 * len(json.dumps(watcher.messages)) + 4000
    with open_sink(broker.url(), context(tmp_path, spool_bytes=size)) as sink:
        for number in range(30):
            sink.write(frame(crossing(number)))
        dropped = sink.queues[0].dropped
        assert dropped > 10
        assert [record.msg for record in caplog.records].count("spool full") <= 2
        broker.start()
        assert wait_until(lambda: sink.queues[0].rows == 0)
    assert wait_until(lambda: len(keys(watcher)) == 30 - dropped)
    assert keys(watcher) == [crossing(number).key for number in range(dropped, 30)]


def test_home_assistant_discovers_the_camera_and_its_changes(tmp_path, broker, watcher):
    topic = "homeassistant/device/masktrail_gate/config"
    view = View()
    view.state = "live"
    with open_sink(broker.url(), context(tmp_path, site=SITE, view=view)) as sink:
        assert wait_until(lambda: watcher.last(topic) is not None)
        told = watcher.of(topic)[-1]
        assert told["dev"]["ids"] == ["masktrail_gate"]
        assert told["o"]["name"] == "masktrail"
        parts = told["cmps"]
        assert set(parts) == {
            "camera",
            "objects",
            "zone_hall",
            "zone_hall_class_person",
            "zone_hall_occupied",
            "zone_till",
            "zone_till_occupied",
            "queue_main",
            "line_door_in",
            "line_door_out",
        }
        assert parts["zone_hall"]["state_topic"] == "masktrail/gate/zone/hall/all"
        assert parts["zone_hall"]["availability"] == [
            {"topic": "masktrail/gate/available"},
            {"topic": "masktrail/gate/status"},
        ]
        assert parts["line_door_in"]["state_class"] == "total_increasing"
        assert parts["line_door_in"]["default_entity_id"] == "sensor.gate_line_door_in"
        assert "expire_after" not in json.dumps(told)
        assert len({one["unique_id"] for one in parts.values()}) == len(parts)
        sink.write(frame(Event(kind="alert", stream="gate", time_s=5.0, place="wrong way", value=1.0)))
        assert wait_until(lambda: any(name.startswith("alert_") for name in watcher.of(topic)[-1]["cmps"]))
        before = len(watcher.of(topic))
        watcher.client.publish("homeassistant/status", b"online")  # Home Assistant has started
        assert wait_until(lambda: len(watcher.of(topic)) == before + 1)
    states = {part["state_topic"] for part in watcher.of(topic)[-1]["cmps"].values()}
    assert states <= {name for name, _, _ in watcher.messages}
    # The line is removed from the site: its sensors go, and what the broker kept of it.
    without = Site(zones=SITE.zones)
    with open_sink(broker.url(), context(tmp_path, site=without, view=view)):
        assert wait_until(lambda: watcher.last("masktrail/gate/line/door/in/all") == "")
        assert wait_until(lambda: "line_door_in" not in watcher.of(topic)[-1]["cmps"])
    assert watcher.of(topic)[-2]["cmps"]["line_door_in"] == {"p": "sensor"}


def test_objects_that_a_killed_process_left_end_or_go_on(tmp_path, broker, watcher):
    box, other = (40.0, 20.0, 60.0, 100.0), (90.0, 20.0, 110.0, 100.0)
    with open_sink(broker.url(), context(tmp_path)) as sink:  # a camera: nothing ends with the process
        sink.write(tracked_frame(0, boxes=[box, other], age_s=30.0))
        assert wait_until(lambda: sink.queues[0].rows == 0)
    with open_sink(broker.url(), context(tmp_path)) as sink:  # with its identities restored
        sink.write(tracked_frame(50, boxes=[box], ids=[1], age_s=32.0))
        sink.write(tracked_frame(51, boxes=[], ended=(1,)))
    with open_sink(broker.url(), context(tmp_path)) as sink:
        sink.write(tracked_frame(0, boxes=[box], ids=[1], age_s=0.5))  # another one under the number of before
    assert wait_until(lambda: len(watcher.of("masktrail/events")) == 5)
    told = [(one["type"], one["after"]["identity"], one["after"]["ended_by"]) for one in watcher.of("masktrail/events")]
    assert told == [
        ("new", 1, None),
        ("new", 2, None),
        ("end", 2, "restart"),
        ("end", 1, "end"),
        ("new", 1, None),
    ]
    ids = [one["after"]["id"] for one in watcher.of("masktrail/events")]
    assert (ids[0], ids[1]) == (ids[3], ids[2])
    assert ids[4] != ids[0]


def test_hostile_names_stay_in_their_level(tmp_path, broker, watcher):
    name = "ha/ll+#$ %2F\u00fc"
    site = Site(zones=(Zone(name=name, polygons=(SQUARE,)),))
    with open_sink(broker.url(), context(tmp_path, stream="../a/#", site=site)) as sink:
        assert wait_until(lambda: sink.queues[0].problem == "")
        wanted = "masktrail/..%2Fa%2F%23/zone/ha%2Fll%2B%23%24%20%252F\u00fc/all"
        assert wait_until(lambda: watcher.last(wanted) == "0")
    devices = [topic for topic, _, _ in watcher.messages if topic.startswith("homeassistant/")]
    assert len(set(devices)) == 1
    assert all(part.replace("_", "").isalnum() for part in devices[0].split("/"))


def test_tls_and_the_version_of_before(tmp_path):
    files = certificate(tmp_path, "127.0.0.1")
    broker = Broker(tmp_path / "broker", extra=f"cafile {files[0]}\ncertfile {files[0]}\nkeyfile {files[1]}\n")
    try:
        address = broker.url().replace("mqtt:", "mqtts:")
        with open_sink(address, context(tmp_path)) as sink:
            sink.write(frame(crossing(1)))
            assert wait_until(lambda: "expected a certificate of 127.0.0.1, found: self" in problem(sink))
        with open_sink(f"{address}?ca={files[0]}", context(tmp_path)) as sink:
            assert wait_until(lambda: sink.queues[0].rows == 0)
    finally:
        broker.stop()


def test_a_broker_that_hangs_is_left_and_found_again(tmp_path, broker, watcher, monkeypatch):
    monkeypatch.setattr(receiver_module, "CONFIRM_S", 0.3)
    monkeypatch.setattr(receiver_module, "CONNECT_S", 0.3)
    with open_sink(broker.url("?objects=off"), context(tmp_path)) as sink:
        sink.write(frame(crossing(1)))
        assert wait_until(lambda: sink.queues[0].rows == 0)
        broker.signal(signal.SIGSTOP)
        sink.write(frame(crossing(2)))
        assert wait_until(lambda: "found: none within 0.3 s" in problem(sink))
        broker.signal(signal.SIGCONT)
        assert wait_until(lambda: sink.queues[0].rows == 0)
    assert wait_until(lambda: set(keys(watcher)) == {crossing(1).key, crossing(2).key})


def test_an_old_broker_is_spoken_to_in_its_version(tmp_path):
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, client.makefile("rwb", buffering=0) as stream:
                    while head := stream.read(1):
                        length = shift = 0
                        while (byte := stream.read(1)[0]) & 128:
                            length, shift = length | (byte & 127) << shift, shift + 7
                        body = stream.read(length | byte << shift)
                        if head[0] == 0x10:
                            stream.write(b"\x20\x02\x00" + (b"\x01" if body[6] == 5 else b"\x00"))
                            if body[6] == 5:
                                break
                        elif head[0] & 0xF0 == 0x30:
                            size = int.from_bytes(body[:2], "big")
                            heard.append(body[2 : 2 + size])
                            stream.write(b"\x40\x02" + body[2 + size : 4 + size])
                        elif head[0] == 0x82:
                            stream.write(b"\x90\x03" + body[:2] + b"\x01")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with open_sink(f"mqtt://127.0.0.1:{listener.getsockname()[1]}", context(tmp_path)) as sink:
            sink.write(frame(crossing(1)))
            assert wait_until(lambda: sink.queues[0].rows == 0)
        listener.shutdown(socket.SHUT_RDWR)
    assert heard.count(b"masktrail/rows") == 1
    assert heard[0] == heard[-1] == b"masktrail/gate/available"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mqtt://u:s3cret@host/a/+/b", "expected the path as a topic without +, #, empty levels"),
        ("mqtt://u:s3cret@host/$SYS", "a $ at its beginning, found '$SYS'"),
        ("mqtt://u:s3cret@host/?discovery=a//b", "expected discovery as a topic"),
        ("mqtt://u:s3cret@host/?qos=2", "expected options discovery, objects, kinds, ca, cert, key, each once"),
        ("mqtt://u:s3cret@host/?objects=1", "expected objects as on or off, found '1'"),
        ("mqtt://u:s3cret@host/?ca=x.pem", "expected mqtts:// for ca, found mqtt://"),
        (
            "mqtts://u:s3cret@host/?ca=none.pem",
            "expected certificates and keys in PEM in none.pem, found: No such",
        ),
        ("mqtt://u:s3cret@host/?kinds=x", "expected kinds of events"),
    ],
)
def test_wrong_addresses_are_told_at_once_without_secrets(tmp_path, address, said):
    with pytest.raises(ConfigError) as caught:
        open_sink(address, context(tmp_path))
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_without_the_extra_the_pip_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(ConfigError, match="found it is not installed\n  remedy: pip install"):
        open_sink("mqtt://host", context(tmp_path))
