"""States of a stream as retained MQTT topics: what is in view, in zones, over lines, which alerts hold.

All topics of a stream begin with ``prefix/camera``; names of people's making are escaped by :func:`topic_level`.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tracker.formats.event_rows import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tracker.events import Event
    from tracker.sinks.base import StreamView
    from tracker.site import Site
    from tracker.types import TrackedFrame

__all__ = ["ALL", "StateTopics", "class_level", "from_topic_level", "topic_level"]

ALL = "all"
"""The level of a sum over all classes."""


def topic_level(name: str) -> str:
    """A name as one level of a topic: letters, digits, ``_``, ``-`` and ``.`` as they are, other bytes as ``%XX``.

    So no name holds a ``/``, ``+``, ``#``, ``$`` or NUL, and :func:`from_topic_level` gives the name back.

    >>> topic_level("Tür 1/2"), topic_level("#"), topic_level("a+b")
    ('Tür%201%2F2', '%23', 'a%2Bb')
    """
    return "".join(
        character
        if character.isalnum() or character in "_-."
        else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in plain_text(name)
    )


def class_level(name: str) -> str:
    """The level of a class, which is never that of the sum.

    >>> class_level("car"), class_level("all")
    ('car', '%61ll')
    """
    return "%61ll" if name == ALL else topic_level(name)


def from_topic_level(level: str) -> str:
    """The name of a level of a topic.

    >>> from_topic_level("Tür%201%2F2"), from_topic_level("%61ll")
    ('Tür 1/2', 'all')
    """
    return unquote(level)


class StateTopics:
    """The values of all topics of a stream, kept by its writing thread and read by another one.

    Args:
        prefix: Of all topics.
        camera: Name of the stream.
        site: Its lines and zones have values from the beginning.
        view: The running stream: counts of zones and queues are its own, so that they are right after a restart too.

    Attributes:
        base: ``prefix/camera``.
        alerts: Names of the alert rules, those of the site first.
        bays: Names of the parking bays, those of the site first.
        queues: Names of the site's queues.
        classes: Names of the classes that were in view so far.
    """

    def __init__(self, prefix: str, camera: str, site: Site | None, view: StreamView | None) -> None:
        self.base = f"{prefix}/{topic_level(camera)}"
        self.alerts: list[str] = [] if site is None else [rule.name for rule in site.alerts]
        self.bays: list[str] = [] if site is None else [bay.name for bay in site.bays]
        self.queues: list[str] = [] if site is None else [queue.name for queue in site.queues]
        self.classes: list[str] = []
        self._view = view
        self._lock = threading.Lock()
        self._values: dict[str, str] = {f"{self.base}/objects/{ALL}": "0"}
        self._crossings: Counter[str] = Counter()
        self._inside: dict[tuple[str, int], str] = {}
        zones, lines = ((), ()) if site is None else (site.zones, site.lines)
        self._waiting: set[tuple[str, int]] = set()
        self._zones = [zone.name for zone in zones]
        for zone in zones:
            self._begin(f"{self.base}/zone/{topic_level(zone.name)}", zone.classes)
        for line in lines:
            for direction in line.directions:
                self._begin(f"{self.base}/line/{topic_level(line.name)}/{topic_level(direction)}", line.classes)

    @property
    def available(self) -> str:
        """The topic that says ``online`` or ``offline``: whether the process is there."""
        return f"{self.base}/available"

    @property
    def status(self) -> str:
        """The topic that says ``online`` or ``offline``: whether the camera is there and its counts go on."""
        return f"{self.base}/status"

    def take(self, tracked: TrackedFrame) -> None:
        """Take a frame."""
        tracks = tracked.tracks
        counts: Counter[str] = Counter()
        if tracks is not None:
            counts = Counter(tracked.class_names[number] for number in tracks.class_ids.tolist())
        with self._lock:
            for name in counts:
                self._remember(self.classes, name)
            self._set_counts(f"{self.base}/objects", counts)
            for event in tracked.events:
                self._note(event)
            if tracks is not None:
                self._leave(tracks.ended_ids.tolist())

    def take_events(self, events: Iterable[Event]) -> None:
        """Take what was found at the end of the stream."""
        with self._lock:
            for event in events:
                self._note(event)

    def state(self) -> dict[str, Any]:
        """Plain values to continue from: counts of lines, contents of zones and queues, alerts and bays."""
        with self._lock:
            return {
                "values": dict(self._values),
                "crossings": dict(self._crossings),
                "inside": [[*key, name] for key, name in self._inside.items()],
                "waiting": sorted(self._waiting),
                "names": [self.alerts, self.bays, self.classes],
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state`."""
        with self._lock:
            self._values |= state["values"]
            self._crossings = Counter(state["crossings"])
            self._inside = {(place, identity): name for place, identity, name in state["inside"]}
            self._waiting = {(place, identity) for place, identity in state["waiting"]}
            for known, names in zip((self.alerts, self.bays, self.classes), state["names"], strict=True):
                known += [name for name in names if name not in known]

    def values(self) -> dict[str, str]:
        """Every topic and its value now."""
        state = "live" if self._view is None else self._view.state
        present, waiting = (None, {}) if self._view is None else (self._view.present(), self._view.waiting())
        with self._lock:
            for zone in self._zones:
                inside = self._counted(zone) if present is None else Counter(present.get(zone, {}))
                self._set_counts(f"{self.base}/zone/{topic_level(zone)}", inside)
            for queue in self.queues:
                length = sum(place == queue for place, _ in self._waiting)
                self._values[f"{self.base}/queue/{topic_level(queue)}"] = str(waiting.get(queue, length))
            self._values[f"{self.base}/state"] = state
            self._values[self.status] = "online" if state == "live" else "offline"
            return dict(self._values)

    def _begin(self, topic: str, classes: Iterable[str]) -> None:
        self._values |= {f"{topic}/{leaf}": "0" for leaf in (ALL, *map(class_level, classes))}

    def _set_counts(self, topic: str, counts: Counter[str]) -> None:
        """Each class that ever had a value has one, 0 included."""
        before = [name for name in self._values if name.startswith(f"{topic}/") and not name.endswith(f"/{ALL}")]
        self._values |= dict.fromkeys(before, "0")
        self._values |= {f"{topic}/{class_level(name)}": str(count) for name, count in counts.items()}
        self._values[f"{topic}/{ALL}"] = str(counts.total())

    def _note(self, event: Event) -> None:
        place = topic_level(event.place)
        if event.kind == "crossing":
            for leaf in (ALL, class_level(event.class_name)):
                topic = f"{self.base}/line/{place}/{topic_level(event.direction)}/{leaf}"
                self._crossings[topic] += 1
                self._values[topic] = str(self._crossings[topic])
        elif event.kind == "enter":
            self._inside[event.place, event.identity] = event.class_name
        elif event.kind == "leave":
            self._inside.pop((event.place, event.identity), None)
        elif event.kind == "rekeyed":
            self._rekey(event.was_identity, event.identity)
        elif event.kind == "queue_join":
            self._waiting.add((event.place, event.identity))
        elif event.kind == "queue_leave":
            # A wait may go on under another number than that under which it began.
            self._waiting.discard((event.place, event.other_identity or event.identity))
        elif event.kind == "alert":
            self._remember(self.alerts, event.place)
            self._values[f"{self.base}/alert/{place}"] = "ON" if event.since_s is None else "OFF"
        elif event.kind in {"bay_taken", "bay_free"}:
            self._remember(self.bays, event.place)
            self._values[f"{self.base}/bay/{place}"] = "ON" if event.kind == "bay_taken" else "OFF"

    def _rekey(self, was: int, now: int) -> None:
        renamed = {place: name for (place, identity), name in self._inside.items() if identity == was}
        self._inside |= {(place, now): name for place, name in renamed.items()}
        self._waiting = {(place, now if identity == was else identity) for place, identity in self._waiting}
        self._leave([was])

    @staticmethod
    def _remember(names: list[str], name: str) -> None:
        if name not in names:
            names.append(name)

    def _leave(self, ended: list[int]) -> None:
        for identity in ended:
            for zone in self._zones:
                self._inside.pop((zone, identity), None)

    def _counted(self, zone: str) -> Counter[str]:
        return Counter(name for (place, _), name in self._inside.items() if place == zone)
