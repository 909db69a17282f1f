"""MQTT: the life of objects, rows of the ledger and states of a camera to a broker, with discovery for Home Assistant.

``mqtts://user:password@host:8883/prefix?discovery=homeassistant&objects=on&kinds=crossing,alert&ca=FILE``. Messages
wait in a spool on the disk and are published with QoS 1; one is done when the broker has confirmed it. States are
retained, are told again after every connection and when Home Assistant starts, and are not queued: the newest counts.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any, Self

from tracker.errors import ConfigError, install_command
from tracker.formats.event_rows import plain_text
from tracker.sinks.destination import Destination, flag
from tracker.sinks.mqtt_receiver import MqttReceiver
from tracker.sinks.object_events import ObjectEvent, ObjectEvents
from tracker.sinks.outside import KINDS_EXAMPLE, OutsideSink, kinds_of
from tracker.sinks.spool import Message
from tracker.sinks.spool_names import open_spool
from tracker.sinks.state_topics import StateTopics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.events import Event
    from tracker.sinks.base import Checkpoint, SinkContext
    from tracker.sinks.spool import Spool
    from tracker.types import TrackedFrame

__all__ = ["MqttSink"]

PORTS = {"mqtt": 1883, "mqtts": 8883}
OPTIONS = {
    "discovery": "homeassistant",
    "objects": "off",
    "kinds": KINDS_EXAMPLE,
    "ca": "/etc/ssl/own-ca.pem",
    "cert": "/etc/masktrail/client.pem",
    "key": "/etc/masktrail/client.key",
}
PREFIX = "masktrail"
DISCOVERY = "homeassistant"
LONGEST_SETTLE_S = 2.0
OPEN = "open/"
"""Beginning of the spool's notes about objects that have no ``end`` yet."""
AT = "at/"
"""Beginning of its notes about checkpoints of a recording: the index of the frame that comes next follows."""


class MqttSink(OutsideSink):
    """Events and states of a stream, published by a broker."""

    def __init__(self, destination: Destination, context: SinkContext, spool: Spool) -> None:
        prefix = _prefix(destination)
        camera = plain_text(context.stream)
        self._topics = StateTopics(prefix, camera, context.site, context.view)
        zones = () if context.site is None else context.site.zones
        settle_s = min(max((zone.enter_s for zone in zones), default=0.0) + 0.1, LONGEST_SETTLE_S)
        earlier = [json.loads(value) for value in spool.notes(OPEN).values()]
        self._objects: ObjectEvents | None = None
        if _wants_objects(destination):
            self._objects = ObjectEvents(camera, settle_s=settle_s if zones else 0.0, earlier=earlier)
        self._events_topic = f"{prefix}/events"
        self._live = context.live
        self._checkpoints = [] if context.live else [int(name.removeprefix(AT)) for name in spool.notes(AT)]
        self._written = False
        receiver = MqttReceiver(
            destination,
            topics=self._topics,
            site=context.site,
            camera=camera,
            spool=spool,
            discovery=_discovery(destination),
            tls=_tls(destination),
        )
        super().__init__(destination, receiver, context, spool, topic=f"{prefix}/rows", kinds=kinds_of(destination))

    @classmethod
    def check(cls, address: str) -> None:
        """See :class:`tracker.sinks.base.Sink`."""
        destination = _destination(address)
        try:
            import paho.mqtt.client  # noqa: F401 - asked for before anything is made
        except ImportError:
            problem = "expected the package paho-mqtt, found it is not installed"
            raise ConfigError(destination.shown, problem, install_command("mqtt")) from None
        kinds_of(destination)
        _prefix(destination)
        _discovery(destination)
        _wants_objects(destination)
        _tls(destination)

    @classmethod
    def open(cls, address: str, context: SinkContext) -> Self:
        """Open it at a URL; see :class:`tracker.sinks.base.Sink`. The broker may be away."""
        cls.check(address)
        destination = _destination(address)
        spool = open_spool(destination, context, _destination)
        try:
            return cls(destination, context, spool)
        except BaseException:
            spool.close()
            raise

    def write(self, tracked_frame: TrackedFrame) -> None:
        """Take a frame: queue what it has of events and objects, and keep its states.

        Raises:
            SinkError: The spool is damaged. A broker that is away raises nothing.
        """
        if not self._written:
            self._written = True
            self._resume(tracked_frame.frame.index)
        self._topics.take(tracked_frame)
        objects = [] if self._objects is None else self._objects.process(tracked_frame)
        self._put_all(objects, self.messages(tracked_frame.events))

    def write_events(self, events: Sequence[Event]) -> None:
        """Queue what was found at the end of the stream.

        Raises:
            SinkError: As for :meth:`write`.
        """
        self._topics.take_events(events)
        self._put_all([], self.messages(events))

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep what is open and how the states are there, for a process that resumes from it."""
        super().checkpoint(checkpoint)
        forgotten = self._checkpoints if checkpoint.complete else self._checkpoints[:-1]
        notes: dict[str, bytes | None] = {f"{AT}{index}": None for index in forgotten}
        self._checkpoints = self._checkpoints[len(forgotten) :]
        if not checkpoint.complete:  # the one before stays: a kill may come before the other outputs have this one
            state = {"topics": self._topics.state(), "objects": self._objects and self._objects.state()}
            notes[f"{AT}{checkpoint.next_index}"] = _json(state)
            self._checkpoints.append(checkpoint.next_index)
        self._put([], notes)

    def close(self) -> None:
        """End what is open of a recording that is over, send what can be sent in seconds, and say that it is off."""
        if not self._closed and self._objects is not None and not self._live and not self._resumable:
            self._put_all(self._objects.close(), [])
        super().close()

    def _resume(self, index: int) -> None:
        """At the first frame: go on from the last checkpoint before it."""
        self._checkpoints.sort()
        before = [one for one in self._checkpoints if one <= index]
        if not before or not self._resumable:
            return
        kept = json.loads(self._spool.notes(AT)[f"{AT}{before[-1]}"])
        self._topics.restore(kept["topics"])
        if self._objects is not None and kept["objects"] is not None:
            self._objects.restore(kept["objects"])

    def _put_all(self, objects: Sequence[ObjectEvent], rows: Sequence[Message]) -> None:
        notes: dict[str, bytes | None] = {}
        messages = []
        for one in objects:
            messages.append(Message(key=one.key, topic=self._events_topic, body=_json(one.body)))
            notes[OPEN + one.after["id"]] = None if one.remembered is None else _json(one.remembered)
        self._put([*rows, *messages], notes)


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself where the other side is not believed: the library leaves that to chance."""

    def do_handshake(self, *arguments: Any, **named: Any) -> None:
        try:
            super().do_handshake(*arguments, **named)
        except BaseException:
            self.close()
            raise


def _json(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _destination(address: str) -> Destination:
    return Destination.parse(address, PORTS, OPTIONS)


def _prefix(destination: Destination) -> str:
    return _level(destination, "the path", destination.path.strip("/") or PREFIX)


def _discovery(destination: Destination) -> str:
    """Prefix of Home Assistant's topics; empty = none are wanted."""
    chosen = destination.options.get("discovery", DISCOVERY)
    return "" if chosen == "off" else _level(destination, "discovery", chosen)


def _wants_objects(destination: Destination) -> bool:
    return destination.chosen("objects", default=True, read=flag, expected="on or off")


def _level(destination: Destination, what: str, written: str) -> str:
    """A topic under which others are made.

    Raises:
        ConfigError: It has wildcards, empty levels or the broker's own beginning.
    """
    from urllib.parse import unquote

    topic = unquote(written)
    if not topic.isprintable() or set(topic) & set("+#") or topic.startswith("$") or "" in topic.split("/"):
        problem = f"expected {what} as a topic without +, #, empty levels and a $ at its beginning, found {topic!r}"
        raise ConfigError(destination.shown, problem, f"write {PREFIX}, say")
    return topic


def _tls(destination: Destination) -> ssl.SSLContext | None:
    """For ``mqtts``: the system's authorities or the file's, and a certificate of this client where there is one.

    Raises:
        ConfigError: A file cannot be read, or TLS options stand in a URL without TLS.
    """
    options = destination.options
    if destination.scheme == "mqtt":
        if found := [name for name in ("ca", "cert", "key") if name in options]:
            raise ConfigError(
                destination.shown, f"expected mqtts:// for {', '.join(found)}, found mqtt://", "add the s"
            )
        return None
    context = destination.tls_context()
    context.sslsocket_class = _ClosingSocket
    return context
