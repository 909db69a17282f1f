"""Connection to a broker: one client per connection, so that nothing old is sent after something new."""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

from tracker.sinks.courier import DeliveryError, Receipt, Receiver
from tracker.sinks.home_assistant import device, device_topic

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from paho.mqtt.client import Client
    from paho.mqtt.enums import MQTTProtocolVersion

    from tracker.sinks.destination import Destination
    from tracker.sinks.spool import Message, Spool
    from tracker.sinks.state_topics import StateTopics
    from tracker.site import Site

__all__ = ["MqttReceiver"]

CONNECT_S = 10.0
CONFIRM_S = 10.0
KEEPALIVE_S = 30
GOODBYE_S = 2.0
COMPONENTS, TOPICS = "discovery", "topics"
"""Names of the spool's notes about what a broker keeps of this stream."""


class MqttReceiver(Receiver):
    """A broker.

    Args:
        destination: Where it is, with the login.
        topics: States of the stream.
        site: Of the stream.
        camera: Its name.
        spool: Remembers what the broker keeps of this stream.
        discovery: Prefix of Home Assistant's topics; empty = no discovery.
        tls: For ``mqtts``.
    """

    batch: ClassVar[int] = 100
    tick_s: ClassVar[float | None] = 0.5

    def __init__(
        self,
        destination: Destination,
        *,
        topics: StateTopics,
        site: Site | None,
        camera: str,
        spool: Spool,
        discovery: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._destination, self._topics, self._site, self._camera = destination, topics, site, camera
        self._spool, self._discovery, self._tls = spool, discovery, tls
        self._session: _Session | None = None
        self._speaks_5 = True
        self._told: dict[str, str] = {}
        self._announced = ""
        notes = spool.notes()
        self._components: dict[str, str] = json.loads(notes.get(COMPONENTS, b"{}"))
        self._kept: set[str] = set(json.loads(notes.get(TOPICS, b"[]")))

    @property
    def shown(self) -> str:
        """Scheme, host and prefix."""
        return self._destination.shown + self._destination.path

    def tick(self) -> None:
        """Connect where there is no connection, and tell the states that changed.

        Raises:
            DeliveryError: The broker is away, or does not let this client in.
        """
        session = self._session
        if session is None or session.lost:
            self._drop()
            session = self._connect()
            self._say_online(session)
            self._session = session
            self._told, self._announced = {}, ""
            self._forget_topics(session)
        if session.reannounce:
            session.reannounce = False
            self._told, self._announced = {}, ""
        self._announce(session)
        self._tell(session)

    def _tell(self, session: _Session) -> None:
        """States that are not those that were told before."""
        values = {self._topics.available: "online", **self._topics.values()}
        for topic, value in values.items():
            if self._told.get(topic) != value:
                session.publish(topic, value.encode(), retain=True)
        self._told = values
        if not self._kept.issuperset(values):
            self._kept |= values.keys()
            self._spool.put([], {TOPICS: json.dumps(sorted(self._kept)).encode()})

    def deliver(self, messages: Sequence[Message], *, last: bool) -> Receipt:  # noqa: ARG002 - nothing is held back
        """Publish, and wait until the broker has confirmed every message or the connection is lost.

        Raises:
            DeliveryError: None was confirmed.
        """
        session = self._session
        if session is None or session.lost:
            raise self._failed("expected a connection", "none", "look at the broker and the network")
        numbers = [session.publish(message.topic, message.body) for message in messages]
        whole = session.wait_confirmed(numbers, CONFIRM_S)
        answers = [session.confirmed.pop(number, None) for number in numbers]
        confirmed = [message for message, answer in zip(messages, answers, strict=True) if answer == ""]
        lost = session.lost or f"none within {CONFIRM_S:g} s"
        if not whole:
            self._drop()
        if confirmed:
            return Receipt(confirmed=confirmed)
        refused = next((place for place, answer in enumerate(answers) if answer), None)
        if refused is not None:
            raise self._forbidden(messages[refused].topic, str(answers[refused]))
        raise self._failed("expected a confirmation", lost, "look at the broker and the network")

    def interrupt(self) -> None:
        """Wait for no confirmation any more."""
        if (session := self._session) is not None:
            session.lose("it was cut off")

    def close(self) -> None:
        """Say that the stream is off-line, and disconnect."""
        session = self._session
        if session is not None and not session.lost:
            self._tell(session)
            number = session.publish(self._topics.available, b"offline", retain=True)
            session.wait_confirmed([number], GOODBYE_S)
        self._drop()

    def _say_online(self, session: _Session) -> None:
        """The first message; only a broker that takes it is there.

        Raises:
            DeliveryError: It does not.
        """
        number = session.publish(self._topics.available, b"online", retain=True)
        session.wait_confirmed([number], CONFIRM_S)
        answer = session.confirmed.get(number)
        if answer == "":
            return
        lost = session.lost or f"none within {CONFIRM_S:g} s"
        session.close()
        if answer is None:
            raise self._failed("expected a confirmation", lost, "look at the broker and the network")
        raise self._forbidden(self._topics.available, answer)

    def _announce(self, session: _Session) -> None:
        """The device of Home Assistant, where it is not what was announced before."""
        if not self._discovery:
            return
        announcement = device(self._topics, self._camera, self._site, self._components)
        text = json.dumps(announcement, ensure_ascii=False)
        if text == self._announced:
            return
        topic = device_topic(self._discovery, self._camera)
        session.publish(topic, text.encode(), retain=True)
        present = {name: values for name, values in announcement["cmps"].items() if len(values) > 1}
        components = {name: values["p"] for name, values in present.items()}
        if len(present) < len(announcement["cmps"]):  # removed by the first message, left out from now on
            text = json.dumps(announcement | {"cmps": present}, ensure_ascii=False)
            session.publish(topic, text.encode(), retain=True)
        self._announced = text
        if components != self._components:
            self._components = components
            self._spool.put([], {COMPONENTS: json.dumps(components).encode()})

    def _forget_topics(self, session: _Session) -> None:
        """Clear what the broker keeps of lines and zones that are there no more."""
        values = self._topics.values()
        places = {_place(topic, self._topics.base) for topic in values}
        for topic in sorted(self._kept - values.keys()):
            kind, _ = place = _place(topic, self._topics.base)
            if kind in {"line", "zone"} and place not in places:
                session.publish(topic, b"", retain=True)
                self._kept.discard(topic)

    def _connect(self) -> _Session:
        """A connection that the broker has accepted.

        Raises:
            DeliveryError: It has not.
        """
        from paho.mqtt.enums import MQTTProtocolVersion

        host, version = self._destination, MQTTProtocolVersion.MQTTv5
        session = _Session(self._client(version if self._speaks_5 else MQTTProtocolVersion.MQTTv311))
        remedy = "look at the broker and the network; what waits is sent when it is back"
        try:
            session.client.connect(host.host, host.port, KEEPALIVE_S)
        except ssl.SSLCertVerificationError as failure:
            problem = f"expected a certificate of {host.host}", failure.verify_message
            raise self._failed(*problem, "check the broker, or name its authority: ?ca=FILE") from None
        except (OSError, ValueError) as failure:
            reason = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
            raise self._failed("expected a broker that answers", reason, remedy) from None
        session.client.loop_start()
        answer = session.wait_answer(CONNECT_S)
        if answer == "":
            if self._discovery:
                session.client.subscribe(f"{self._discovery}/status", qos=1)
            return session
        session.close()
        if answer is None:
            raise self._failed("expected a broker that answers", session.lost or "no answer", remedy)
        if "rotocol version" in answer:
            self._speaks_5 = not self._speaks_5  # of 3.1.1, which is tried next
        login = f"the login {host.user!r}" if host.user else "a client without a login"
        raise self._failed(f"expected the broker to accept {login}", answer, "check user and password in the URL")

    def _client(self, version: MQTTProtocolVersion) -> Client:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        name = f"masktrail-{secrets.token_hex(6)}"
        client = Client(CallbackAPIVersion.VERSION2, name, protocol=version, reconnect_on_failure=False)
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(self.batch)
        if self._destination.user:
            client.username_pw_set(self._destination.user, self._destination.password or None)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.will_set(self._topics.available, b"offline", qos=1, retain=True)
        return client

    def _failed(self, expected: str, found: str, remedy: str) -> DeliveryError:
        return DeliveryError(self.shown, f"{expected}, found: {found}", remedy)

    def _forbidden(self, topic: str, answer: str) -> DeliveryError:
        return self._failed(f"expected leave to publish to {topic}", answer, "allow it in the broker's list of rights")

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


class _Session:
    """One connection: what its network thread reports.

    Args:
        client: Not connected yet.

    Attributes:
        client: Of this connection only.
        lost: Why it is over; empty while it lives.
        confirmed: Answers of the broker to messages by their number: empty, or why it refused one.
        reannounce: Home Assistant has started.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.lost = ""
        self.confirmed: dict[int, str] = {}
        self.reannounce = False
        self._answer: str | None = None
        self._changed = threading.Condition()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> int:
        """Publish with QoS 1; the number by which it will be confirmed."""
        return self.client.publish(topic, body, qos=1, retain=retain).mid

    def wait_answer(self, timeout_s: float) -> str | None:
        """What the broker says to the login: empty, or why not; ``None`` = nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._answer is not None or bool(self.lost), timeout_s)
            return self._answer

    def wait_confirmed(self, numbers: Collection[int], timeout_s: float) -> bool:
        """Whether all of these were answered in time."""
        until_s = time.monotonic() + timeout_s
        with self._changed:
            while not (whole := all(number in self.confirmed for number in numbers)) and not self.lost:
                left_s = until_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            return whole

    def lose(self, reason: str) -> None:
        """The connection is over."""
        with self._changed:
            self.lost = self.lost or reason
            self._changed.notify_all()

    def close(self) -> None:
        """Disconnect, and end the network thread."""
        self.client.disconnect()
        self.client.loop_stop()
        self.lose("it was closed")

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._changed:
            self._answer = str(reason) if reason.is_failure else ""
            self._changed.notify_all()

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.lose(f"the connection was lost ({reason})")

    def _on_publish(self, _client: Any, _data: Any, number: int, reason: Any, _properties: Any) -> None:
        with self._changed:
            self.confirmed[number] = str(reason) if reason.is_failure else ""
            if len(self.confirmed) > 10_000:  # states, whose answers are not waited for
                self.confirmed.pop(next(iter(self.confirmed)))
            self._changed.notify_all()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if message.payload == b"online":
            self.reannounce = True


def _place(topic: str, base: str) -> tuple[str, str]:
    """Kind and name, as a level, of what a topic of a stream is about."""
    kind, _, rest = topic.removeprefix(f"{base}/").partition("/")
    return kind, rest.partition("/")[0]
