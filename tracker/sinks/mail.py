"""E-mail: alerts at once, other events of a service as digests, one per period in which there were any; SMTP with TLS.

``smtp://user:password@host:587?from=cameras@example.org&to=me@example.org,you@example.org&every=900``. ``smtp`` wants
STARTTLS, ``smtps`` is TLS from the beginning. What belongs to a mail depends only on when it was queued, and so does
its ``Message-ID``: a mail that is sent again after a kill is the same one, and mail programs show it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import smtplib
import socket
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

from tracker.errors import ConfigError, one_line
from tracker.events import EventKind
from tracker.formats.event_rows import plain_text
from tracker.sinks.courier import DeliveryError, Receipt, Receiver
from tracker.sinks.destination import Destination, seconds
from tracker.sinks.digest import alert_mail, digest_mail
from tracker.sinks.digest_desk import DigestDesk
from tracker.sinks.outside import KINDS_EXAMPLE, OutsideSink, kinds_of
from tracker.sinks.spool_names import open_spool, spool_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from email.message import EmailMessage
    from pathlib import Path

    from tracker.sinks.base import QueueFigures, SinkContext
    from tracker.sinks.spool import Message, Spool

__all__ = ["MailSink"]

logger = logging.getLogger("tracker.live.outside")

PORTS = {"smtp": 587, "smtps": 465}
OPTIONS = {
    "from": "cameras@example.org",
    "to": "me@example.org,you@example.org",
    "every": "900",
    "alerts": "digest",
    "kinds": KINDS_EXAMPLE,
    "tls": "off",
    "ca": "/etc/ssl/own-ca.pem",
}
EVERY_S = 900.0
TIMEOUT_S = 15.0
MOST_ALERTS = 20
"""Alerts that wait and get a mail each; more of them, after an outage, are one digest."""
MARK_DIGITS = 12
MOST_ROWS = 2000
"""Rows of one mail; a period with more has several."""
ALERT = b'"kind":"alert"'
"""Stands in the body of a row that is one, and in no other: within texts quotation marks are escaped."""
QUIET = frozenset(
    "enter leave identity_start identity_end reclassified rekeyed speed headway time_gap size group_member".split()  # noqa: SIM905 - reads as a list
)
"""Kinds that a mail is not about unless they are asked for."""
_MAILBOX = re.compile(r"[^\s@<>,;:\"\\()\[\]]+@[^\s@<>,;:\"\\()\[\]]+")


class MailSink(OutsideSink):
    """Events of a stream as mails: one per alert, one per period for the others of all streams of a service.

    Args:
        destination: Where it goes.
        receiver: Of the stream's own mails.
        context: Of the stream.
        spool: Of the stream's own mails.
        kinds: Of the rows that are mailed.
        digests: Receiver of the digests that the streams share; ``None`` = the stream has its own.
    """

    def __init__(
        self,
        destination: Destination,
        receiver: MailReceiver,
        context: SinkContext,
        spool: Spool,
        *,
        kinds: frozenset[str],
        digests: MailReceiver | None = None,
    ) -> None:
        super().__init__(destination, receiver, context, spool, kinds=kinds)
        self._at_once = receiver.alerts_at_once
        self._desk: DigestDesk | None = None
        if digests is not None:
            path = _desk_path(destination, context, digests)
            self._desk = DigestDesk.join(self, path, digests, digests.timezones, limit_bytes=context.spool_bytes)
            if self._desk is not None and context.outputs:
                self._desk.take_over(plain_text(context.stream), _left_desks(path, context))

    @property
    def queues(self) -> tuple[QueueFigures, ...]:
        """What waits: for the digest of all streams, with the first of them, and for mails of this one."""
        return (() if self._desk is None else self._desk.figures_for(self)) + super().queues

    def close(self) -> None:
        """Send what can be sent within seconds; what waits then stays in the spools. Safe to call twice."""
        if self._desk is not None:
            self._desk.leave(self)  # before the stream's own spool, for which the next process waits longer
        super().close()

    def _put(self, messages: Sequence[Message], notes: Mapping[str, bytes | None] | None = None) -> None:
        if self._desk is None:
            super()._put(messages, notes)
            return
        own: list[Message] = []
        rest: list[Message] = []
        for message in messages:
            (own if self._at_once and ALERT in message.body else rest).append(message)
        super()._put(own, notes)
        if rest:
            self._desk.put(rest)

    @classmethod
    def check(cls, address: str) -> None:
        """See :class:`tracker.sinks.base.Sink`."""
        destination = _destination(address)
        MailReceiver(destination, "", "UTC")
        kinds_of(destination)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a URL; see :class:`tracker.sinks.base.Sink`. The server may be away."""
        destination = _destination(address)
        timezone = "UTC" if context.site is None else context.site.timezone
        receiver = MailReceiver(destination, plain_text(context.stream), timezone)
        digests = MailReceiver(destination, plain_text(context.stream), timezone, shared=True) if context.live else None
        kinds = kinds_of(destination) or frozenset(get_args(EventKind)) - QUIET
        spool = open_spool(destination, context, _destination)
        return cls(destination, receiver, context, spool, kinds=kinds, digests=digests)


class MailReceiver(Receiver):
    """A mail server.

    Args:
        destination: Where, with the login.
        stream: Name of the stream.
        timezone: Of the times in mails, as the IANA names it.
        shared: It has the digests of several streams, whose timezones are added.

    Attributes:
        timezones: By stream.
        alerts_at_once: Each alert has a mail.

    Raises:
        ConfigError: A mailbox or an option is missing or wrong.
    """

    batch: ClassVar[int] = MOST_ROWS

    def __init__(self, destination: Destination, stream: str, timezone: str, *, shared: bool = False) -> None:
        self._destination, self._stream, self._shared = destination, "" if shared else stream, shared
        self._timezone, self.timezones = timezone, {stream: timezone}
        [self._sender] = _mailboxes(destination, "from", most=1)
        self._recipients = _mailboxes(destination, "to", most=50)
        expected = "seconds from 1 to 86400"
        self._every_ms = int(1000 * destination.chosen("every", EVERY_S, seconds(1, 86_400), expected))
        self.alerts_at_once = "alerts" not in destination.options
        if destination.options.get("alerts", "digest") != "digest":
            problem = f"expected alerts=digest or nothing, found alerts={destination.options['alerts']}"
            raise ConfigError(destination.shown, problem, "leave it out: alerts are sent at once")
        self._encrypted = destination.options.get("tls") != "off"
        self._tls = destination.tls_context()
        self._client: smtplib.SMTP | None = None
        if (self._encrypted and "tls" in destination.options) or (
            not self._encrypted and destination.scheme == "smtps"
        ):
            problem = f"expected tls=off with smtp:// or nothing, found tls={destination.options['tls']}"
            raise ConfigError(destination.shown, problem, "smtp:// wants STARTTLS, smtps:// is TLS from the beginning")
        if not self._encrypted and destination.user:
            problem = "expected TLS for a login, found tls=off with a user"
            raise ConfigError(destination.shown, problem, "leave one of the two out")

    @property
    def shown(self) -> str:
        """Scheme and host, and which of both queues."""
        return f"{self._destination.shown} (digest)" if self._shared else self._destination.shown

    @property
    def mark(self) -> str:
        """The same for outputs whose digests are one mail: the same mailboxes and period."""
        told = "\0".join((self._sender, *self._recipients, str(self._every_ms), str(self.alerts_at_once)))
        return hashlib.sha256(told.encode()).hexdigest()[:MARK_DIGITS]

    def deliver(self, messages: Sequence[Message], *, last: bool) -> Receipt:
        """Send one mail: of an alert that waits, else with the rows of the oldest period, if that is over.

        Raises:
            DeliveryError: The server does not take it now.
        """
        alerts = [message for message in messages if self.alerts_at_once and not self._shared and ALERT in message.body]
        if len(alerts) > MOST_ALERTS:
            self._post(self._digest(alerts), "alerts", alerts[0].key)
            return Receipt(confirmed=alerts)
        if alerts:
            self._post(alert_mail(self._stream, alerts[0].body, self._timezone), alerts[0].key)
            return Receipt(confirmed=alerts[:1])
        period = messages[0].put_ms // self._every_ms
        ends_ms = (period + 1) * self._every_ms
        left_s = ends_ms / 1000 - time.time()
        if left_s > 0 and not last:
            return Receipt(next_s=min(left_s + 0.01, self._every_ms / 1000))
        rows = [message for message in messages if message.put_ms // self._every_ms == period]
        self._post(self._digest(rows), str(period), rows[0].key)
        return Receipt(confirmed=rows)

    def _digest(self, messages: Sequence[Message]) -> EmailMessage:
        return digest_mail(self._stream, [one.body for one in messages], self._timezone, self.timezones)

    def _post(self, mail: EmailMessage, *about: str) -> None:
        """Send a mail; what it is about makes its number, so that the same mail has the same one."""
        told = "\0".join((self._stream, *self._recipients, *about))
        mail["From"], mail["To"] = self._sender, ", ".join(self._recipients)
        mail["Message-ID"] = f"<{hashlib.sha256(told.encode()).hexdigest()[:32]}@masktrail.invalid>"
        self._send(mail)

    def interrupt(self) -> None:
        """Cut the connection."""
        client = self._client
        sock = None if client is None else client.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _send(self, mail: EmailMessage) -> None:
        place, remedy = self._destination, "look at the server and the network; what waits is sent later"
        try:
            with self._connected() as client:
                self._client = client
                if place.user:
                    client.login(place.user, place.password)
                refused = client.send_message(mail, self._sender, self._recipients)
        except smtplib.SMTPAuthenticationError as failure:
            problem = f"expected the server to accept the login {place.user!r}, found: {_answer(failure)}"
            raise DeliveryError(self.shown, problem, "check user and password in the URL") from None
        except smtplib.SMTPRecipientsRefused as failure:
            code, said = next(iter(failure.recipients.values()))
            problem = f"expected a mailbox that the server takes mail for, found: {code} {_text(said)}"
            raise DeliveryError(self.shown, problem, "check `to` in the URL") from None
        except smtplib.SMTPNotSupportedError:
            problem = "expected a server with STARTTLS and a login, found one without"
            raise DeliveryError(self.shown, problem, "write smtps://, or tls=off on a network of your own") from None
        except smtplib.SMTPResponseException as failure:
            problem = f"expected the mail to be taken, found: {_answer(failure)}"
            raise DeliveryError(self.shown, problem, "look at the server; what waits is sent later") from None
        except ssl.SSLCertVerificationError as failure:
            problem = f"expected a certificate of {place.host}, found: {failure.verify_message}"
            raise DeliveryError(self.shown, problem, "check the server, or name its authority: ca=FILE") from None
        except (OSError, smtplib.SMTPException) as failure:
            reason = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
            raise DeliveryError(self.shown, f"expected an answer, found: {one_line(reason)}", remedy) from None
        finally:
            self._client = None
        if refused:
            problem = f"expected mailboxes that the server takes mail for, found {len(refused)} that it refused"
            logger.warning("mail not for all", extra={"camera": self._stream, "problem": problem})

    def _connected(self) -> smtplib.SMTP:
        place = self._destination
        if place.scheme == "smtps":
            return smtplib.SMTP_SSL(place.host, place.port, timeout=TIMEOUT_S, context=self._tls)
        client = smtplib.SMTP(place.host, place.port, timeout=TIMEOUT_S)
        if self._encrypted:
            try:
                client.starttls(context=self._tls)
            except BaseException:
                client.close()
                raise
        return client


def _desk_path(destination: Destination, context: SinkContext, digests: MailReceiver) -> Path:
    """The spool of a desk: the same for all streams that share it."""
    return spool_path(destination, replace(context, stream=f"digest-{digests.mark}"))


def _left_desks(path: Path, context: SinkContext) -> list[Path]:
    """Spools of desks on the same server that no output of the stream has now: an option was changed."""
    outputs = [_destination(output) for output in context.outputs if output.partition("://")[0].lower() in PORTS]
    taken = {_desk_path(one, context, MailReceiver(one, "", "UTC", shared=True)) for one in outputs}
    server = re.escape(path.name[len("digest-") + MARK_DIGITS : -len("123456.spool")])
    desk = re.compile(rf"digest-[0-9a-f]{{{MARK_DIGITS}}}{server}[0-9a-f]{{6}}\.spool")
    return [one for one in path.parent.iterdir() if desk.fullmatch(one.name) and one not in taken]


def _destination(address: str) -> Destination:
    return Destination.parse(address, PORTS, OPTIONS)


def _mailboxes(destination: Destination, name: str, *, most: int) -> list[str]:
    """The mailboxes of an option.

    Raises:
        ConfigError: There is none, or one is malformed.
    """
    found = [part for part in destination.options.get(name, "").split(",") if part]
    if not 1 <= len(found) <= most or not all(_MAILBOX.fullmatch(part) and part.isprintable() for part in found):
        wanted = "a mailbox" if most == 1 else "mailboxes, divided by commas,"
        problem = f"expected {wanted} in {name}, found {destination.options.get(name, 'nothing')!r}"
        raise ConfigError(destination.shown, problem, f"write {name}={OPTIONS[name]}")
    return found


def _answer(failure: smtplib.SMTPResponseException) -> str:
    return f"{failure.smtp_code} {_text(failure.smtp_error)}"


def _text(said: Any) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return one_line(text)[:200]
