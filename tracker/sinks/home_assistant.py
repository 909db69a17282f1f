"""Home Assistant's discovery of a camera as one device: sensors of its zones, lines, bays and alerts."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from tracker.formats.event_rows import plain_text
from tracker.sinks.state_topics import ALL, topic_level
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracker.sinks.state_topics import StateTopics
    from tracker.site import Site

__all__ = ["device", "device_topic", "slug"]

MOST_CLASSES = 10
"""Sensors of single classes beside the sums, at most: a model may have 80."""


def slug(*names: str) -> str:
    """Names as one identifier of letters, digits and ``_``; others get a mark, so that no two names become one.

    >>> slug("gate", "hall"), slug("Tür 1"), slug("Tür-1")
    ('gate_hall', 'T_r_1_f6ad66', 'T_r_1_d31ed2')
    """
    text = "_".join(plain_text(name) for name in names)
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", text)
    exact = plain == text and all("_" not in name for name in names[:-1])
    mark = "" if exact else "_" + hashlib.sha256("\0".join(map(plain_text, names)).encode()).hexdigest()[:6]
    return plain[:100] + mark


def device_topic(discovery: str, camera: str) -> str:
    """Where a camera's device is announced."""
    return f"{discovery}/device/masktrail_{slug(camera)}/config"


def device(
    topics: StateTopics, camera: str, site: Site | None, before: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The announcement of a camera.

    Args:
        topics: Its states; classes that were seen have sensors of their own where a line or zone names none.
        camera: Its name.
        site: Its lines and zones.
        before: Components that were announced before, with their platforms; those that are there no more are removed.
    """
    components = _components(topics, camera, site, topics.classes[:MOST_CLASSES])
    removed = {name: {"p": platform} for name, platform in (before or {}).items() if name not in components}
    return {
        "dev": {"ids": [f"masktrail_{slug(camera)}"], "name": plain_text(camera), "mf": "masktrail", "sw": __version__},
        "o": {"name": "masktrail", "sw": __version__},
        "qos": 1,
        "cmps": removed | components,
    }


def _components(
    topics: StateTopics, camera: str, site: Site | None, classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    here = [{"topic": topics.available}]
    counting = {"availability": [*here, {"topic": topics.status}], "availability_mode": "all"}
    made: dict[str, dict[str, Any]] = {}

    def add(platform: str, names: tuple[str, ...], said: str, topic: str, **values: Any) -> None:
        name = slug(*names)
        own = f"{platform}.{slug(camera, *names)}".lower()
        made[name] = {"p": platform, "name": plain_text(said), "unique_id": f"masktrail_{slug(camera, *names)}"}
        made[name] |= {"default_entity_id": own, "state_topic": topic, **values}

    def add_counts(names: tuple[str, ...], said: str, topic: str, wanted: Iterable[str], **values: Any) -> None:
        add("sensor", names, said, f"{topic}/{ALL}", **values, **counting)
        for name in wanted:
            add(
                "sensor",
                (*names, "class", name),
                f"{said} {name}",
                f"{topic}/{topic_level(name)}",
                **values,
                **counting,
            )

    add(
        "binary_sensor",
        ("camera",),
        "Camera",
        topics.status,
        device_class="connectivity",
        payload_on="online",
        payload_off="offline",
        availability=here,
    )
    add_counts(("objects",), "Objects", f"{topics.base}/objects", classes[:MOST_CLASSES], state_class="measurement")
    for zone in () if site is None else site.zones:
        topic = f"{topics.base}/zone/{topic_level(zone.name)}"
        wanted = (zone.classes or classes)[:MOST_CLASSES]
        add_counts(("zone", zone.name), zone.name, topic, wanted, state_class="measurement")
        template = "{{ 'ON' if value | int(0) > 0 else 'OFF' }}"
        values = {"device_class": "occupancy", "value_template": template, **counting}
        add("binary_sensor", ("zone", zone.name, "occupied"), f"{zone.name} occupied", f"{topic}/{ALL}", **values)
    for line in () if site is None else site.lines:
        for direction in line.directions:
            topic = f"{topics.base}/line/{topic_level(line.name)}/{topic_level(direction)}"
            names, said = ("line", line.name, direction), f"{line.name} {direction}"
            wanted = (line.classes or classes)[:MOST_CLASSES]
            add_counts(names, said, topic, wanted, state_class="total_increasing")
    for queue in topics.queues:
        values = {"state_class": "measurement", **counting}
        add("sensor", ("queue", queue), f"{queue} waiting", f"{topics.base}/queue/{topic_level(queue)}", **values)
    for rule in topics.alerts:
        values = {"device_class": "problem", "availability": here}
        add("binary_sensor", ("alert", rule), rule, f"{topics.base}/alert/{topic_level(rule)}", **values)
    for bay in topics.bays:
        values = {"device_class": "occupancy", **counting}
        add("binary_sensor", ("bay", bay), bay, f"{topics.base}/bay/{topic_level(bay)}", **values)
    return made
