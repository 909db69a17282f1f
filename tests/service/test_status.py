"""Health and metrics over HTTP, read with somebody else's parser."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.engine.fakes import FakeSource, SlowSegmenter, stream
from tests.sources.cameras import wait_until
from tracker.engine.scheduler import Engine
from tracker.errors import ConfigError
from tracker.service import status as status_module
from tracker.service.status import StatusServer
from tracker.sources.reconnect import Link


def get(server: StatusServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.address}{path}", timeout=5) as answer:
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
    dead.on_link(Link(state="lost", problem="nobody listening", retry_s=2.0))
    good.fill(7)
    assert wait_until(lambda: engine.streams[0].state == "ended")
    code, text = get(server, "/healthz")
    state = json.loads(text)
    assert code == 200
    assert (state["status"], state["not_well"]) == ("degraded", ["dead"])
    assert state["cameras"]["good"]["frames"] == 7
    assert state["cameras"]["dead"]["problem"] == "nobody listening"
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


def test_who_says_nothing_or_goes_away_costs_nothing(engine, server, monkeypatch, capfd) -> None:
    monkeypatch.setattr("tracker.service.status.health", lambda _: 1 / 0)

    def serving() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if "process_request" in thread.name}

    port = int(server.address.rpartition(":")[2])
    server._server.RequestHandlerClass.timeout = 0.2
    before = serving()
    with socket.create_connection(("127.0.0.1", port)):
        assert wait_until(lambda: serving() - before)
        assert wait_until(lambda: not serving() - before)
    with socket.create_connection(("127.0.0.1", port)) as hasty:
        hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        hasty.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    with pytest.raises((OSError, http.client.HTTPException)):
        get(server, "/healthz")
    assert wait_until(lambda: not serving() - before)
    assert "Traceback" not in capfd.readouterr().err


def test_health_on_an_address_of_version_6(engine) -> None:
    try:
        server = StatusServer(engine, "[::1]:0")
    except ConfigError as error:
        pytest.skip(str(error))
    assert get(server, "/healthz")[0] == 200
    server.close()


def test_a_taken_port_is_an_error_with_a_remedy(engine, server) -> None:
    with pytest.raises(ConfigError, match="choose another port"):
        StatusServer(engine, server.address)
