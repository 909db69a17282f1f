"""Webhooks: rows of the ledger posted as JSON to a web server, signed, in order, until it confirms them.

``webhook+https://:SECRET@host/path?query#private=on&kinds=crossing,alert``: what stands before ``#`` is the receiver's,
the password signs. Bodies are ``{"stream": ..., "rows": [...]}`` with the columns of the ledger; ``key`` is the same
for the same row however often it comes. Headers: ``Masktrail-Signature`` (:func:`signature`), ``Idempotency-Key``.

No redirect is followed, no proxy is used. The name is looked up once for a request, all its addresses are checked, and
the connection goes to one of these.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, ClassVar, Self

from tracker.errors import one_line, remember_secret
from tracker.formats.event_rows import plain_text
from tracker.sinks.courier import DeliveryError, Receipt, Receiver
from tracker.sinks.destination import Destination, flag
from tracker.sinks.outside import KINDS_EXAMPLE, OutsideSink, kinds_of
from tracker.sinks.pinned import PinnedConnection, look_up
from tracker.sinks.spool_names import open_spool
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.sinks.base import SinkContext
    from tracker.sinks.spool import Message

__all__ = ["WebhookSink", "signature"]

PORTS = {"webhook+https": 443, "webhook+http": 80}
OPTIONS = {"private": "on", "kinds": KINDS_EXAMPLE, "ca": "/etc/ssl/own-ca.pem"}
TIMEOUT_S = 10.0
BATCH = 100
LONGEST_ANSWER = 4096
LONGEST_RETRY_S = 3600.0
ALONE = 10
"""Rows that are tried one by one in search of one that is accepted."""
DEADLINE_S = 60.0
"""Of a whole request, since a server may send an endless answer byte by byte."""
REFUSED = frozenset({400, 409, 413, 415, 422})
"""Answers that may be about the rows themselves."""
REMEDIES = {
    401: "check the secret or the token in the URL",
    403: "check the secret or the token in the URL",
    404: "check the path of the URL",
    410: "check the path of the URL",
}


def signature(secret: str, time_s: int, body: bytes) -> str:
    """Value of the header ``Masktrail-Signature``: when it was signed, and HMAC-SHA256 of ``time.body`` in hexadecimal.

    A receiver computes the same with its copy of the secret, compares in constant time, and refuses old times.

    >>> signature("secret", 1795890465, b"{}")
    't=1795890465,v1=9eef5672fc3c13ace34ca29a794a19d2f4ae104a8818e9cef51b74d6b492c7c3'
    """
    mac = hmac.new(secret.encode(), f"{time_s}.".encode() + body, hashlib.sha256)
    return f"t={time_s},v1={mac.hexdigest()}"


class WebhookSink(OutsideSink):
    """Events of a stream, posted to a web server."""

    secret_path: ClassVar[bool] = True

    @classmethod
    def check(cls, address: str) -> None:
        """See :class:`tracker.sinks.base.Sink`."""
        _made(address, "")

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a URL; see :class:`tracker.sinks.base.Sink`. The server may be away."""
        destination, receiver, kinds = _made(address, context.stream)
        spool = open_spool(destination, context, _destination)
        return cls(destination, receiver, context, spool, kinds=kinds)


class WebhookReceiver(Receiver):
    """A web server.

    Args:
        destination: Where.
        stream: Name of the stream.

    Raises:
        ConfigError: An option is wrong.
    """

    batch: ClassVar[int] = BATCH

    def __init__(self, destination: Destination, stream: str) -> None:
        self._destination = destination
        self._quoted = json.dumps(plain_text(stream)).encode()
        self._private = destination.chosen("private", default=False, read=flag, expected="on or off")
        self._tls = destination.tls_context() if destination.scheme == "webhook+https" else None
        self._connection: PinnedConnection | None = None
        self._cut_off = False
        self._alone = 0
        self._target = (destination.path or "/") + (f"?{destination.query}" if destination.query else "")

    @property
    def shown(self) -> str:
        """Scheme and host, and a mark that distinguishes paths without showing them."""
        return f"{self._destination.shown}/~{self._destination.digest[:6]}"

    def deliver(self, messages: Sequence[Message], *, last: bool) -> Receipt:  # noqa: ARG002 - nothing is held back
        """Post the rows; one by one where the server refuses some of them.

        A row is given up only where it is refused again after a later one was accepted: a server that refuses all of
        them is at fault itself.

        Raises:
            DeliveryError: The server does not take them now.
        """
        if self._alone:
            return self._one_by_one(messages[:ALONE])
        status, reason, retry_s = self._post(messages)
        if status in REFUSED and len(messages) > 1:
            self._alone = len(messages)
            return self._one_by_one(messages[:ALONE])
        if not 200 <= status < 300:
            raise self._refusal(status, reason, retry_s)
        return Receipt(confirmed=messages)

    def _one_by_one(self, messages: Sequence[Message]) -> Receipt:
        """Post until one row is accepted: those before it that are refused again now are at fault themselves."""
        for number, message in enumerate(messages):
            status, reason, retry_s = self._post([message])
            if 200 <= status < 300:
                return self._sorted_out(messages[:number], accepted=message)
            if status not in REFUSED:
                break
        raise self._refusal(status, reason, retry_s)

    def _sorted_out(self, messages: Sequence[Message], *, accepted: Message) -> Receipt:
        """Post refused rows once more: the server may have recovered between them and the accepted one."""
        confirmed, refused, said = [accepted], [], ""
        for message in messages:
            try:
                status, reason, _ = self._post([message])
            except DeliveryError:
                break
            if 200 <= status < 300:
                confirmed.append(message)
            elif status in REFUSED:
                refused.append(message)
                said = f"expected a row to be accepted as others are, found {status} {reason}"
            else:
                break
        self._alone = max(self._alone - len(confirmed) - len(refused), 0)
        return Receipt(confirmed=confirmed, refused=refused, reason=said)

    def _refusal(self, status: int, reason: str, retry_s: float | None) -> DeliveryError:
        found = f"{status} {reason}"
        remedy = REMEDIES.get(status, "look at the server; rows wait and are sent again")
        if 300 <= status < 400:
            found, remedy = f"the redirect {found}, which is not followed", "write the final address into the file"
        problem = f"expected an answer of 200 to 299, found {found}"
        return DeliveryError(self.shown, problem, remedy, retry_s=retry_s)

    def interrupt(self) -> None:
        """Cut the connection."""
        connection = self._connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            self._cut_off = True
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _post(self, messages: Sequence[Message]) -> tuple[int, str, float | None]:
        """One request; its status, reason and ``Retry-After``."""
        body = b'{"stream":%s,"rows":[%s]}' % (self._quoted, b",".join(one.body for one in messages))
        addresses = look_up(self._destination, private=self._private)
        connection = PinnedConnection(self._destination, addresses, tls=self._tls, timeout_s=TIMEOUT_S)
        self._connection, self._cut_off = connection, False
        deadline = threading.Timer(DEADLINE_S, self.interrupt)
        deadline.daemon = True
        deadline.start()
        try:
            connection.request("POST", self._target, body, self._headers(messages, body))
            answer = connection.getresponse()
            answer.read(LONGEST_ANSWER)
            self._check_whole()
        except ssl.SSLCertVerificationError as failure:
            problem = f"expected a certificate of {self._destination.host}, found: {failure.verify_message}"
            raise DeliveryError(self.shown, problem, "check the server, or name its authority: #ca=FILE") from None
        except (OSError, http.client.HTTPException, ValueError) as failure:
            reason = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
            remedy = "look at the server and the network; rows wait and are sent again"
            raise DeliveryError(self.shown, f"expected an answer, found: {one_line(reason)}", remedy) from None
        finally:
            deadline.cancel()
            self._connection = None
            connection.close()
        return answer.status, one_line(answer.reason)[:100], _retry_s(answer.getheader("Retry-After"))

    def _check_whole(self) -> None:
        """An answer that was cut off reads like one that ended."""
        if self._cut_off:
            message = f"no whole answer within {DEADLINE_S:g} s"
            raise TimeoutError(message)

    def _headers(self, messages: Sequence[Message], body: bytes) -> dict[str, str]:
        digest = hashlib.sha256("\n".join(one.key for one in messages).encode()).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"masktrail/{__version__}",
            "Idempotency-Key": digest[:32],
            "Connection": "close",
        }
        if self._destination.password:
            headers["Masktrail-Signature"] = signature(self._destination.password, int(time.time()), body)
        return headers


def _made(address: str, stream: str) -> tuple[Destination, WebhookReceiver, frozenset[str]]:
    """What a URL says.

    Raises:
        ConfigError: A part of it is wrong.
    """
    destination = _destination(address)
    for secret in (destination.path, destination.query):
        remember_secret(secret if len(secret) >= 8 else "")
    return destination, WebhookReceiver(destination, stream), kinds_of(destination)


def _destination(address: str) -> Destination:
    return Destination.parse(address, PORTS, OPTIONS, in_fragment=True)


def _retry_s(written: str | None) -> float | None:
    """Seconds that a server asks to wait, by number or by date."""
    if written is None:
        return None
    try:
        wait_s = (
            float(written) if written.strip().isdigit() else parsedate_to_datetime(written).timestamp() - time.time()
        )
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), LONGEST_RETRY_S)
