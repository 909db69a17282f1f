"""Events, contexts and web servers for outputs whose receiver is another program."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sinks.streams import CLASS_NAMES, tracked_frame
from tracker.events import Event, Stay
from tracker.sinks.base import SinkContext
from tracker.types import TrackedFrame


def context(folder: Path, *, stream: str = "gate", live: bool = True, **facts) -> SinkContext:
    return SinkContext(class_names=CLASS_NAMES, stream=stream, live=live, spool=str(folder / "spool"), **facts)


def crossing(number: int, *, stream: str = "gate", place: str = "door", direction: str = "in") -> Event:
    return Event(
        kind="crossing",
        stream=stream,
        time_s=float(number),
        utc_ms=1_795_890_000_000 + 1000 * number,
        place=place,
        direction=direction,
        identity=number,
        class_name="person",
    )


def stay(
    number: int, *, kind: str = "leave", seconds: float = 12.0, place: str = "hall", stream: str = "gate"
) -> Event:
    left_s = None if kind == "enter" else number + seconds
    return Event(
        kind=kind,
        stream="gate",
        time_s=float(number) if left_s is None else left_s,
        place=place,
        identity=number,
        class_name="person",
        stay=Stay(entered_s=float(number), left_s=left_s, end="open" if left_s is None else "left"),
    )


def frame(*events: Event, index: int = 0) -> TrackedFrame:
    """A frame without objects and with these events."""
    from dataclasses import replace

    return replace(tracked_frame(index, boxes=[], masks=False), events=events)


class Hook:
    """What a web server was sent and will answer.

    Attributes:
        bodies: Of the accepted requests.
        requests: Path, headers and body of all of them.
        answers: Status and headers by which the next are answered; then 204.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.bodies: list[dict] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.refuse = lambda _body: None
        self.port = 0
        self.hosts: list[str] = []

    @property
    def keys(self) -> list[str]:
        return [row["key"] for body in self.bodies for row in body["rows"]]


@contextmanager
def web_server(hook: Hook, *, port: int = 0, tls: tuple[Path, Path] | None = None) -> Iterator[Hook]:
    """A server on loopback that notes what it is sent; on the port of before when it is started again."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.requests.append((self.path, dict(self.headers), body))
            status, headers = hook.answers.pop(0) if hook.answers else (hook.refuse(json.loads(body)) or 204, {})
            if 200 <= status < 300:
                hook.bodies.append(json.loads(body))
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        allow_reuse_address = True

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        chosen = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chosen.load_cert_chain(*tls)
        server.socket = chosen.wrap_socket(server.socket, server_side=True)
    hook.port = server.server_address[1]
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A self-signed certificate for names, and its key, in two files."""
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    alternatives = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return certificate_file, key_file
