"""Webhooks to a real web server on loopback: signed, in order, retried, never redirected, nothing lost or doubled."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sinks.outside import Hook, certificate, context, crossing, frame, stay, web_server
from tests.sources.cameras import wait_until
from tracker.errors import ConfigError
from tracker.plugins import open_sink
from tracker.sinks import courier as courier_module
from tracker.sinks import pinned as pinned_module
from tracker.sinks import webhook as webhook_module

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cret-of-the-hook"


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(courier_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(courier_module, "LONGEST_PAUSE_S", 0.05)


@pytest.fixture
def hook():
    with web_server(Hook()) as hook:
        yield hook


def url(hook: Hook, options: str = "private=on", *, path: str = "/in?token=t0ken-of-the-path") -> str:
    return f"webhook+http://:{SECRET}@127.0.0.1:{hook.port}{path}#{options}"


def problem(sink) -> str:
    return sink.queues[0].problem


def test_rows_come_signed_and_in_order(tmp_path, hook):
    with open_sink(url(hook), context(tmp_path)) as sink:
        sink.write(frame(crossing(1), stay(2)))
        sink.write(frame())
        assert wait_until(lambda: sink.queues[0].rows == 0)
        sink.write_events([crossing(3)])
    assert hook.keys == [crossing(1).key, stay(2).key, crossing(3).key]
    path, headers, body = hook.requests[0]
    assert path == "/in?token=t0ken-of-the-path"
    assert headers["Host"] == f"127.0.0.1:{hook.port}"
    assert headers["Content-Type"] == "application/json"
    stamp, mac = headers["Masktrail-Signature"].removeprefix("t=").split(",v1=")
    assert abs(int(stamp) - time.time()) < 60
    assert mac == hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert len(headers["Idempotency-Key"]) == 32
    told = json.loads(body)
    assert told["stream"] == "gate"
    assert (told["rows"][0]["kind"], told["rows"][0]["place"]) == ("crossing", "door")
    assert told["rows"][0]["utc"] == "2026-11-28T18:20:01.000Z"


def test_only_the_kinds_that_are_asked_for(tmp_path, hook):
    with open_sink(url(hook, "private=on&kinds=leave,alert"), context(tmp_path)) as sink:
        sink.write(frame(crossing(1), stay(2)))
    assert hook.keys == [stay(2).key]


def test_a_server_that_restarts_and_one_that_is_busy_lose_and_double_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(webhook_module.WebhookReceiver, "batch", 2)
    hook, keys = Hook(), [crossing(number).key for number in range(12)]
    with web_server(hook):
        sink = open_sink(url(hook), context(tmp_path))
        hook.answers = [(503, {"Retry-After": "0"}), (500, {})]
        for number in range(4):
            sink.write(frame(crossing(number)))
        assert wait_until(lambda: len(hook.keys) == 4)
    for number in range(4, 8):
        sink.write(frame(crossing(number)))
    assert wait_until(lambda: problem(sink) != "")
    assert "Connection refused" in problem(sink)
    assert sink.queues[0].rows == 4
    sink.close()
    # The next process, which is given rows again.
    with web_server(hook, port=hook.port), open_sink(url(hook), context(tmp_path)) as sink:
        for number in range(2, 12):
            sink.write(frame(crossing(number)))
        assert wait_until(lambda: len(hook.keys) == 12)
        assert sink.queues[0].problem == ""
    assert hook.keys == keys


def test_a_killed_process_loses_nothing_and_repeats_under_the_same_keys(tmp_path, hook):
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.sinks.outside import context, crossing, frame\n"
        "from tracker.plugins import open_sink\nsink = open_sink(sys.argv[1], context(Path(sys.argv[2])))\n"
        "for number in range(int(sys.argv[3]), 100_000):\n"
        "    sink.write(frame(crossing(number)))\n    print(number, flush=True)\n"
    )
    environment, told = os.environ | {"PYTHONPATH": str(ROOT)}, 0
    for _ in range(2):
        command = [sys.executable, "-c", code, url(hook), str(tmp_path), str(told)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        for _ in range(60):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.communicate(timeout=60)
        told += 60 + len(rest.split())
    with open_sink(url(hook), context(tmp_path)) as sink:
        assert wait_until(lambda: sink.queues[0].rows == 0)
    assert list(dict.fromkeys(hook.keys))[:told] == [crossing(number).key for number in range(told)]
    assert len(set(hook.keys)) <= told + 2  # those under way when it was killed
    assert len(hook.keys) - len(set(hook.keys)) <= 2 * webhook_module.BATCH  # a batch that was not confirmed, at most


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((302, {"Location": "http://169.254.169.254/latest"}), "found the redirect 302 Found, which is not followed"),
        ((401, {}), "expected an answer of 200 to 299, found 401 Unauthorized"),
        ((404, {}), "found 404 Not Found"),
        ((400, {}), "found 400 Bad Request"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_without_secrets_and_the_rows_wait(tmp_path, hook, caplog, answer, said):
    hook.answers = [answer] * 5
    with open_sink(url(hook), context(tmp_path)) as sink:
        sink.write(frame(crossing(1)))
        assert wait_until(lambda: problem(sink) != "")
        assert said in problem(sink)
        assert sink.queues[0].rows == 1
        assert wait_until(lambda: sink.queues[0].rows == 0)
    assert hook.keys == [crossing(1).key]
    [record] = [record for record in caplog.records if record.msg == "output waits"]
    told = f"{record.problem} {sink.queues[0].sink} {sink.address}"
    assert said in told
    for secret in (SECRET, "t0ken", "169.254.169.254"):
        assert secret not in told


def test_a_row_that_the_server_will_not_have_is_given_up_and_counted(tmp_path, hook, caplog):
    caplog.set_level(logging.INFO, "tracker.live")
    bad = {crossing(number).key for number in (0, 3, 4)}
    hook.refuse = lambda body: 422 if bad & {row["key"] for row in body["rows"]} else None
    hook.answers = [(503, {})] * 3  # until all rows are there
    with open_sink(url(hook), context(tmp_path)) as sink:
        sink.write(frame(*(crossing(number) for number in range(8))))
        assert wait_until(lambda: sink.queues[0].rows == 0)
        assert sink.queues[0].refused == 3
    assert hook.keys == [crossing(number).key for number in (1, 2, 5, 6, 7)]
    refusals = [record for record in caplog.records if record.msg == "output refused"]
    assert [record.messages for record in refusals] == [1, 2]
    assert refusals[0].problem == "expected a row to be accepted as others are, found 422 Unprocessable Entity"


def test_a_server_that_refuses_every_row_is_at_fault_itself(tmp_path, hook):
    hook.refuse = lambda _: 400
    with open_sink(url(hook), context(tmp_path)) as sink:
        sink.write(frame(*(crossing(number) for number in range(30))))
        assert wait_until(lambda: "400 Bad Request" in problem(sink))
        assert (sink.queues[0].rows, sink.queues[0].refused) == (30, 0)
        hook.refuse = lambda _: None
        assert wait_until(lambda: sink.queues[0].rows == 0)
        assert sink.queues[0].refused == 0
    assert sorted(hook.keys) == sorted(crossing(number).key for number in range(30))


def test_a_server_that_recovers_between_two_rows_loses_none(tmp_path, hook):
    hook.answers = [(503, {})] * 3  # until all rows are there
    seen = []

    def refuse(body):
        seen.append(len(body["rows"]))
        return 400 if len(seen) <= 4 else None  # all of them, then three alone

    hook.refuse = refuse
    with open_sink(url(hook), context(tmp_path)) as sink:
        sink.write(frame(*(crossing(number) for number in range(8))))
        assert wait_until(lambda: sink.queues[0].rows == 0)
        assert sink.queues[0].refused == 0
    assert hook.keys == [crossing(number).key for number in (3, 0, 1, 2, 4, 5, 6, 7)]
    assert seen == [8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_private_addresses_are_refused_unless_the_file_allows_them(tmp_path, hook):
    with open_sink(url(hook, ""), context(tmp_path)) as sink:
        sink.write(frame(crossing(1)))
        assert wait_until(lambda: problem(sink) != "")
        assert "expected a public address of 127.0.0.1, found 127.0.0.1" in problem(sink)
    assert hook.requests == []


def test_a_name_is_looked_up_once_a_request_and_no_second_answer_counts(tmp_path, hook, monkeypatch):
    asked = []

    real = socket.getaddrinfo

    def rebinding(host, port, *rest, **named):
        if host != "hooks.example":
            return real(host, port, *rest, **named)
        asked.append(host)
        address = "127.0.0.1" if len(asked) % 2 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    create = socket.create_connection
    reached = []

    def connect(address, *rest, **named):
        reached.append(address[0])
        return create(address, *rest, **named)

    monkeypatch.setattr(pinned_module.socket, "create_connection", connect)
    monkeypatch.setattr(pinned_module, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(pinned_module.socket, "getaddrinfo", rebinding)
    address = url(hook, "").replace("127.0.0.1", "hooks.example")
    with open_sink(address, context(tmp_path)) as sink:
        sink.write(frame(crossing(1)))
        assert wait_until(lambda: sink.queues[0].rows == 0)
        assert asked == ["hooks.example"]
        sink.write(frame(crossing(2)))
        assert wait_until(lambda: "found 169.254.169.254" in problem(sink) or sink.queues[0].rows == 0)
        assert wait_until(lambda: sink.queues[0].rows == 0)
    assert set(reached) == {"127.0.0.1"}
    assert hook.requests[0][1]["Host"] == f"hooks.example:{hook.port}"


def test_tls_is_checked_against_the_name(tmp_path, monkeypatch):
    files = certificate(tmp_path, "127.0.0.1")
    with web_server(Hook(), tls=files) as hook:
        address = url(hook).replace("webhook+http:", "webhook+https:")
        with open_sink(address, context(tmp_path)) as sink:
            sink.write(frame(crossing(1)))
            assert wait_until(lambda: "expected a certificate of 127.0.0.1, found: self" in problem(sink))
        with open_sink(f"{address}&ca={files[0]}", context(tmp_path)) as sink:
            assert wait_until(lambda: sink.queues[0].rows == 0)
        other = f"{address}&ca={files[0]}".replace("@127.0.0.1", "@localhost")
        with open_sink(other, context(tmp_path)) as sink:
            sink.write(frame(crossing(2)))
            assert wait_until(lambda: "Hostname mismatch" in problem(sink))
    assert hook.keys == [crossing(1).key]


def test_an_endless_answer_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(webhook_module, "DEADLINE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hook = Hook()
        hook.port = listener.getsockname()[1]
        with open_sink(url(hook), context(tmp_path)) as sink:
            sink.write(frame(crossing(1)))
            client, _ = listener.accept()
            with client:
                client.recv(10)
                client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                began_s = time.monotonic()
                assert wait_until(lambda: problem(sink) != "")
                assert time.monotonic() - began_s < 8
                assert sink.queues[0].rows == 1
            listener.close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("webhook+https://:s3cret@/in", "webhook+https://: expected a URL with a host and no blanks"),
        ("webhook+https://:s3cret@host:99999/in", "expected a URL with a host and a port from 1 to 65535"),
        ("webhook+https://:s3cret@host/in#retry=3", "expected options private, kinds, ca, each once, found 'retry'"),
        ("webhook+https://:s3cret@host/in#private=yes", "expected private as on or off, found 'yes'"),
        ("webhook+https://:s3cret@host/in#kinds=crosing", "expected kinds of events (crossing, enter, "),
        ("webhook+https://:s3cret@host/in#ca=none.pem", "expected certificates and keys in PEM in none.pem, found: "),
        ("https://:s3cret@host/in", "expected one of the suffixes"),
    ],
)
def test_wrong_addresses_are_told_at_once_without_secrets(tmp_path, address, said):
    with pytest.raises(ConfigError) as caught:
        open_sink(address, context(tmp_path))
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert not (tmp_path / "spool").exists()
