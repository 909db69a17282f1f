"""Health and metrics over HTTP, read with somebody else's parser."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import uvicorn
from prometheus_client.parser import text_string_to_metric_families

from tests.engine.fakes import FakeSource, ListSink, SlowSegmenter, frame, stream
from tests.sources.cameras import wait_until
from tracker.engine.meter import StreamFigures
from tracker.engine.scheduler import Engine
from tracker.errors import ConfigError, SinkError
from tracker.service import status as status_module
from tracker.service.bounded import CLIENT_S, CLIENTS
from tracker.service.metrics import CameraMetrics
from tracker.service.status import StatusServer
from tracker.sinks.base import QueueFigures, Sink
from tracker.sinks.multi import MultiSink
from tracker.sources.decoded import SourceCounters
from tracker.sources.reconnect import Link

ROOT = Path(__file__).parents[2]


class DeadSink(Sink):
    """Takes nothing."""

    def write(self, _: object) -> None:
        raise SinkError("out.jsonl", "expected room, found none", "make some")

    def close(self) -> None:
        pass


def get(server: StatusServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.address}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def engine():
    engine = Engine(segmenter=SlowSegmenter(0.001), workers=1)
    yield engine
    engine.close()


@pytest.fixture
def server(engine):
    server = StatusServer(engine, "127.0.0.1:0")
    yield server
    server.close()


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures_of_every_stream(engine, server) -> None:
    good, dead = FakeSource("good"), FakeSource("dead", policy="latest")
    engine.add(stream(good))
    engine.add(stream(dead))
    dead.on_link(Link(state="lost", problem="no server listening", retry_s=2.0))
    good.fill(7)
    assert wait_until(lambda: engine.streams[0].state == "ended")
    code, text = get(server, "/healthz")
    state = json.loads(text)
    assert code == 200
    assert (state["status"], state["not_well"]) == ("degraded", ["dead"])
    assert state["cameras"]["good"]["frames"] == 7
    assert state["cameras"]["dead"]["problem"] == "no server listening"
    assert state["cameras"]["dead"]["age_p99_s"] is None
    told = state["cameras"]["good"]
    assert {"fps", "age_p50_s", "age_p99_s", "dropped", "late", "reconnects", "stalls", "identities"} <= set(told)
    assert {"clock_takeovers", "repaired_times", "broken", "concealed", "time_from"} <= set(told)
    assert set(told["stage_ms"]) == {"segment", "associate"}
    assert (told["model"], told["model_share"], state["cameras"]["dead"]["model_share"]) == ("model", 1.0, 0.0)
    assert state["models"]["model"]["batches"] == 7
    assert state["models"]["model"]["gpu_share"] == 0.0
    code, text = get(server, "/metrics")
    assert code == 200
    values = samples(text)
    assert values["masktrail_frames_total", "good"] == 7
    assert values["masktrail_identities_total", "good"] == 1
    assert values["masktrail_state", "dead", "lost"] == 1
    assert values["masktrail_state", "dead", "live"] == 0
    assert values["masktrail_dropped_total", "good"] == 0
    assert values["masktrail_batched_frames_total", "model"] == 7
    assert values["masktrail_frame_age_seconds", "good", "0.99"] > 0
    assert values["masktrail_stage_seconds_total", "good", "segment"] > 0
    assert values["masktrail_reconnects_total", "good"] == 0
    assert values["masktrail_model_share", "good"] == 1.0
    assert values["masktrail_gpu_share", "cpu", "model"] == 0.0


def test_other_paths_and_stuck(engine, server, monkeypatch) -> None:
    assert get(server, "/etc/passwd")[0] == 404
    assert json.loads(get(server, "/healthz")[1])["status"] == "ok"
    monkeypatch.setattr(status_module, "STUCK_S", -1.0)
    code, text = get(server, "/healthz?full=1")
    assert (code, json.loads(text)["status"]) == (503, "stuck")


def raw(server: StatusServer, request: bytes) -> bytes:
    """Everything that is answered until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), timeout=10) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def open_connections(server: StatusServer) -> int:
    return len(server._server.server_state.connections)


def test_who_says_nothing_or_goes_away_costs_nothing(engine, server, monkeypatch, capfd) -> None:
    monkeypatch.setattr("tracker.service.bounded.CLIENT_S", 0.2)
    port = int(server.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert wait_until(lambda: open_connections(server) == 1)
        assert wait_until(lambda: open_connections(server) == 0)
    with socket.create_connection(("127.0.0.1", port)) as hasty:
        hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        hasty.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert raw(server, b"what is this\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert wait_until(lambda: open_connections(server) == 0)
    assert capfd.readouterr().err == ""


def test_a_fault_of_its_own_is_a_line_of_the_log(engine, server, monkeypatch, caplog, capfd) -> None:
    monkeypatch.setattr("tracker.service.status.health", lambda _: 1 / 0)
    assert get(server, "/healthz")[0] == 500
    assert wait_until(lambda: caplog.records)
    assert [record.problem for record in caplog.records] == ["ZeroDivisionError: division by zero"]
    assert "Traceback" not in capfd.readouterr().err


def test_the_head_has_a_deadline_as_a_whole(engine, server, monkeypatch) -> None:
    monkeypatch.setattr("tracker.service.bounded.CLIENT_S", 0.5)
    began_s = time.monotonic()
    place = ("127.0.0.1", int(server.address.rpartition(":")[2]))
    with socket.create_connection(place, timeout=10) as client, contextlib.suppress(OSError):
        for _ in range(1000):  # a byte every 0.02 s: never silent for long, and never done
            client.sendall(b"G")
            time.sleep(0.02)
    assert 0.45 < time.monotonic() - began_s < 10
    assert wait_until(lambda: open_connections(server) == 0)


def test_a_new_client_takes_the_place_of_the_oldest_silent_one(engine, server) -> None:
    port = int(server.address.rpartition(":")[2])
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(40)]
    try:
        began_s = time.monotonic()
        assert get(server, "/healthz")[0] == 200
        assert time.monotonic() - began_s < CLIENT_S
        assert wait_until(lambda: open_connections(server) <= CLIENTS)
        assert slow[0].recv(1) == b""
        slow[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert slow[-1].recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        for client in slow:
            client.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9117", 200),
        ("localhost:9117", 200),
        ("[::1]:9117", 200),
        ("evil.example", 400),
        ("evil.example:9117", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
    ],
)
def test_a_page_elsewhere_cannot_read_it_by_a_name_that_points_here(engine, server, host: str, status: int) -> None:
    answer = raw(server, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"cameras" in answer) == (status == 200)
    assert b"\r\nserver:" not in answer.lower()


def test_every_network_is_told_of_in_the_log_and_may_use_any_name(engine, caplog) -> None:
    server = StatusServer(engine, "0.0.0.0:0")
    try:
        [record] = caplog.records
        assert (record.levelname, record.message) == ("WARNING", "status open to the network")
        assert record.address == server.address
        assert raw(server, b"GET /healthz HTTP/1.1\r\nHost: tracker.example\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    finally:
        server.close()


def test_lost_outputs_are_seen(engine, server, tmp_path) -> None:
    source = FakeSource("a")
    engine.add(stream(source, sink=DeadSink()))
    source.fill(3)
    assert wait_until(lambda: engine.streams[0].state == "ended")
    state = json.loads(get(server, "/healthz")[1])
    assert (state["status"], state["not_well"]) == ("degraded", ["a"])
    assert state["cameras"]["a"]["output_failures"] == 1
    assert state["cameras"]["a"]["output_problem"] == "out.jsonl: expected room, found none"
    assert samples(get(server, "/metrics")[1])["masktrail_output_failures_total", "a"] == 1


def test_what_waits_for_receivers_is_seen(engine, server) -> None:
    source, queues = FakeSource("a"), []

    class WaitingSink(ListSink):
        @property
        def queues(self):
            return tuple(queues)

    engine.add(stream(source, sink=MultiSink([WaitingSink(), WaitingSink()])))
    queues.append(QueueFigures(sink="mqtt://broker/m", rows=7, dropped=2, refused=1, last_success_ms=1500))
    source.handoff.put(frame(0, source="a"))
    assert wait_until(lambda: engine.streams[0].meter.figures().frames == 1)
    assert wait_until(lambda: len(json.loads(get(server, "/healthz")[1])["cameras"]["a"]["queues"]) == 2)
    state = json.loads(get(server, "/healthz")[1])
    assert (state["status"], state["cameras"]["a"]["queues"][0]["rows"]) == ("ok", 7)
    queues[0] = dataclasses.replace(queues[0], problem="broker: expected a login, found a refusal")
    state = json.loads(get(server, "/healthz")[1])
    assert (state["status"], state["not_well"]) == ("degraded", ["a"])
    values = samples(get(server, "/metrics")[1])
    assert values["masktrail_sink_spool_rows", "a", "mqtt://broker/m"] == 7
    assert values["masktrail_sink_dropped_total", "a", "mqtt://broker/m"] == 2
    assert values["masktrail_sink_refused_total", "a", "mqtt://broker/m"] == 1
    assert values["masktrail_sink_problem", "a", "mqtt://broker/m"] == 1
    assert values["masktrail_sink_last_success_timestamp_seconds", "a", "mqtt://broker/m"] == 1.5


def test_every_count_of_a_stream_has_a_metric() -> None:
    told = {one.name for one in dataclasses.fields(CameraMetrics)}
    assert {one.name for one in dataclasses.fields(SourceCounters)} <= told
    names = {one.name for one in dataclasses.fields(StreamFigures)}
    elsewhere = {  # other names and units
        "age_p50_s": "frame_age_seconds",
        "age_p99_s": "frame_age_seconds",
        "identities_by_class": "identities",
        "losses": "dropped",  # of the last minutes; the counts since the start are the source's
        "media_s": "media_seconds",
        "silence_s": "silence_seconds",
        "stage_s": "stage_seconds",
        "tally": "line_crossings",
        "monitor": "flows",
    }
    assert {elsewhere.get(name, name) for name in names} - told == {
        "brief",  # of identities that have ended, for the summary of a recording
        "output_problem",  # words are for /healthz
        "wall_s",  # no count: how long the stream has been there
    }


@contextlib.contextmanager
def besieged(folder: Path):
    """A service with few files, in a process of its own: its port, and what sends it a word and reads the answer."""
    command = [sys.executable, "-m", "tests.service.besieged", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:

        def ask(word: str) -> dict:
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
            return {} if word == "starve" else json.loads(process.stdout.readline())

        try:
            yield int(json.loads(process.stdout.readline())["address"].rpartition(":")[2]), ask
            assert process.wait(timeout=30) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def attack(port: int, stopping: threading.Event, *, clients: int = 100) -> None:
    """Connections that send a byte every three seconds, and come again when they are cut."""
    sockets: list[socket.socket | None] = [None] * clients
    while not stopping.is_set():
        for place, one in enumerate(sockets):
            try:
                if one is None:
                    sockets[place] = socket.create_connection(("127.0.0.1", port), timeout=0.5)
                else:
                    one.send(b"G")
            except OSError:
                if one is not None:
                    one.close()
                sockets[place] = None
        stopping.wait(3)
    for one in sockets:
        if one is not None:
            one.close()


def asked_again(url: str, *, times: int = 5) -> dict:
    """What it answers; a client that is slow to ask in the midst of a hundred new ones is cut and comes again."""
    for left in reversed(range(times)):
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)
        except (ConnectionError, urllib.error.URLError):
            if not left:
                raise
    raise AssertionError


@pytest.mark.skipif(sys.platform != "linux", reason="limits of open files as Linux has them")
def test_slow_clients_cost_no_record_and_keep_nobody_away(tmp_path) -> None:
    stopping = threading.Event()
    with besieged(tmp_path) as (port, ask):
        attacker = threading.Thread(target=attack, args=(port, stopping))
        attacker.start()
        try:
            for _ in range(14):
                state = asked_again(f"http://127.0.0.1:{port}/healthz")
                time.sleep(0.5)
        finally:
            stopping.set()
            attacker.join()
        assert (state["status"], state["cameras"]["a"]["output_failures"]) == ("ok", 0)
        told = ask("stop")
    assert told["log"] == []
    lines = [line for part in tmp_path.glob("a-*.jsonl") for line in part.read_text().splitlines()]
    frames = [json.loads(line)["frame"] for line in lines]
    assert sorted(set(frames)) == sorted(frames)
    assert len(frames) == told["camera"]["frames"] > 100
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of open files as Linux has them")
def test_without_files_it_pauses_and_says_so_once(tmp_path) -> None:
    with besieged(tmp_path) as (port, ask):
        for _ in range(5):  # the camera, too, opens and closes files: now and then its last one is free for a client
            ask("starve")
            clients = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(5)]
            time.sleep(3)
            told = ask("feed")
            if told["log"]:
                break
            for client in clients:
                client.close()
        problem = "socket.accept() out of system resource: [Errno 24] Too many open files"
        assert told["log"] == [["status not served", problem]]
        assert told["cpu_s"] < 1.5  # of three seconds, with the camera; a loop without the pause takes all of them
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            client.close()
        camera = ask("stop")["camera"]
    assert camera["output_failures"] >= 1  # no part could be opened, and health says so
    assert "Too many open files" in camera["output_problem"]


def test_health_on_an_address_of_version_6(engine) -> None:
    try:
        server = StatusServer(engine, "[::1]:0")
    except ConfigError as error:
        pytest.skip(str(error))
    assert get(server, "/healthz")[0] == 200
    server.close()


@pytest.mark.parametrize("name", ["prometheus_client", "starlette", "uvicorn"])
def test_a_package_that_is_not_there_is_one_line(engine, monkeypatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"found no {name}\n.*pip install .*uvicorn"):
        StatusServer(engine, "127.0.0.1:0")


def test_a_taken_port_is_an_error_with_a_remedy(engine, server) -> None:
    with pytest.raises(ConfigError, match="choose another port"):
        StatusServer(engine, server.address)


def test_a_server_that_gets_no_file_is_an_error_with_a_remedy(engine, monkeypatch) -> None:
    """Its loop and its modules need files: without them its thread ended, and no client ever got an answer."""

    async def starved(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(uvicorn.Server, "serve", starved)
    with pytest.raises(ConfigError, match=r"found: Too many open files\n.*free what it lacks"):
        StatusServer(engine, "127.0.0.1:0")
