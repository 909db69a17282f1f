"""The server on a real socket: slow clients keep no other away, TLS, addresses that are not free, an end in time."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.dashboard.served import Served
from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard import connections
from tracker.dashboard.server import run
from tracker.errors import ConfigError
from tracker.settings.dashboard import DashboardSettings

ROOT = Path(__file__).resolve().parents[2]


def get(served: Served, path: str, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(served.origin + path, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def closed_within(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_clients_that_never_finish_their_request_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 2.0)
    with Served(tmp_path) as served:
        silent = [served.connect() for _ in range(20)]
        dripping, bodiless = served.connect(), served.connect()
        bodiless.sendall(
            f"POST /api/session HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nOrigin: {served.origin}\r\n"
            "X-Masktrail-CSRF: anonymous\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        begun_s = time.monotonic()
        for letter in b"GET / HTTP/1.1\r\nX-Slow: ":
            try:
                dripping.sendall(bytes([letter]))
            except OSError:
                break
            time.sleep(0.1)
        assert json.loads(get(served, "/api/session"))["user"] is None, "others are served meanwhile"
        assert all(closed_within(one, 10) for one in (*silent, dripping, bodiless))
        assert time.monotonic() - begun_s < 15


@pytest.mark.slow
def test_a_client_that_reads_nothing_costs_little_and_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "STALL_S", 2.0)
    events = [crossing(number, identity=number) for number in range(1, 20_001)]
    ledger = write_ledger(tmp_path / "e.sqlite", events)
    with Served(tmp_path / "dash", ledgers=[ledger]) as served:
        served.context.ledgers.read()
        headers = served.headers()
        whole = get(served, "/api/export/events.json", headers)
        assert len(json.loads(whole)) == 20_000
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        stalled = [served.connect(small=True) for _ in range(4)]
        for one in stalled:
            lines = [f"GET /api/export/events.json HTTP/1.1\r\nHost: 127.0.0.1:{served.port}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            one.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        begun_s = time.monotonic()
        get(served, "/api/session", headers)
        assert time.monotonic() - begun_s < 30
        time.sleep(5)
        received = 0
        for one in stalled:
            one.settimeout(5)
            try:
                while data := one.recv(65536):
                    received += len(data)
            except OSError:
                pass
        assert received < len(whole), "each was cut long before its end"
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
        assert grown_kb < 4 * 1024 + 20_000, "the pieces that wait, and what reading takes anyway"


def test_a_socket_of_this_machine_that_is_not_free(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = DashboardSettings(address=f"127.0.0.1:{taken.getsockname()[1]}", folder=str(tmp_path))
        with pytest.raises(ConfigError, match="free address"):
            run(settings)


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="folder for accounts"):
        run(DashboardSettings(address="127.0.0.1:0", folder=str(tmp_path / "file")))
    foreign = tmp_path / "other"
    foreign.mkdir()
    import sqlite3

    connection = sqlite3.connect(foreign / "dashboard.sqlite")
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    with pytest.raises(ConfigError, match="another program"):
        run(DashboardSettings(address="127.0.0.1:0", folder=str(foreign)))


def certificate(folder: Path) -> tuple[str, str]:
    """Self-signed, for localhost."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "c.pem"), str(folder / "k.pem")


def test_tls(tmp_path):
    chain, key = certificate(tmp_path)
    settings = {"tls_certificate": chain, "tls_key": key, "address": "localhost:0"}
    with Served(tmp_path / "dash", settings=settings) as served:
        assert served.origin.startswith("https://localhost:")
        trusting = ssl.create_default_context(cafile=chain)
        with urllib.request.urlopen(f"{served.origin}/api/session", context=trusting, timeout=30) as answer:
            assert answer.headers["strict-transport-security"].startswith("max-age=")
            assert json.loads(answer.read())["setup_needed"]
        with pytest.raises(OSError):
            urllib.request.urlopen(served.origin.replace("https", "http") + "/", timeout=30)
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(ConfigError, match="certificate and its key"):
        run(
            DashboardSettings(
                address="127.0.0.1:0", folder=str(tmp_path / "d"), tls_certificate=str(broken), tls_key=key
            )
        )


def test_the_command_serves_a_folder_until_it_is_stopped(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    write_ledger(runs / "road.events.jsonl", [crossing(1, stream="road.mp4", utc=False)])
    words = [sys.executable, "-m", "tracker", "dashboard", str(runs), "--address", "127.0.0.1:0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*words, "--folder", str(tmp_path / "dash"), "--no-login"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    try:
        page = process.stdout.readline().strip()
        assert page.startswith("http://127.0.0.1:"), page
        deadline_s = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(f"{page}/api/recordings", timeout=30) as answer:
                found = json.loads(answer.read())["recordings"]
            if found or time.monotonic() > deadline_s:
                break
            time.sleep(0.2)
        assert [one["id"] for one in found] == ["road.mp4"]
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert "Traceback" not in rest
    assert process.returncode in {0, 130}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "expected a folder of results, found nothing"),
        ([".", "--address", "0.0.0.0:8600"], "TLS or a proxy"),
        ([".", "--address", "0.0.0.0:8600", "--no-login"], "TLS or a proxy"),
        ([".", "--address", "8600"], "host:port"),
        ([".", "--behind-proxy", "10.0.0.1"], "proxy_secret"),
    ],
)
def test_the_command_refuses_what_is_not_safe(run, words, said, tmp_path):
    result = run("dashboard", *words, "--folder", tmp_path / "d")
    assert result.status == 2
    assert said in result.text
    assert "remedy" in result.text
    assert not (tmp_path / "d").exists()


def test_the_command_says_faults_on_stderr(run, tmp_path, monkeypatch):
    def fault(*_: object, **__: object) -> None:
        logging.getLogger("tracker.dashboard").error("request failed", extra={"path": "/api/users"})

    monkeypatch.setattr("tracker.dashboard.server.run", fault)
    result = run("dashboard", tmp_path, "--folder", tmp_path / "d")
    assert "request failed" in result.text
    assert "/api/users" in result.text
