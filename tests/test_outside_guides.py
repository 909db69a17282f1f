"""Guides to events elsewhere: their settings are taken, their URLs can be opened, their entities and topics exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.sinks.streams import tracked_frame
from tracker.errors import ConfigError
from tracker.plugins import SINKS, sink_class
from tracker.settings.yaml_file import parse_service_settings
from tracker.sinks import mail, mqtt, webhook
from tracker.sinks.home_assistant import device, device_topic
from tracker.sinks.object_events import ObjectEvents
from tracker.sinks.state_topics import StateTopics
from tracker.site import Line, Site, Zone

ROOT = Path(__file__).resolve().parent.parent
GUIDES = ("outside.md", "home-assistant.md")
SECRETS = {"GATE_PASSWORD": "a", "MQTT_PASSWORD": "b", "HOOK_SECRET": "c", "MAIL_PASSWORD": "d"}
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SQUARE = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9))
SITE = Site(lines=(Line(name="door", points=((0.0, 0.5), (1.0, 0.5))),), zones=(Zone(name="hall", polygons=(SQUARE,)),))


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text("utf-8")


@pytest.mark.parametrize("guide", GUIDES)
def test_its_cameras_are_settings_whose_addresses_are_right(guide):
    blocks = [text for text in BLOCK.findall(text_of(f"guide/{guide}")) if "cameras:" in text]
    assert blocks
    for text in blocks:
        for camera in parse_service_settings(text, environment=SECRETS).cameras:
            for address in camera.events:
                kind = ".sqlite" if address.endswith(".sqlite") else None
                sink_class(address, kind).check(address)
                if "://" in address:
                    mark = "&" if "=" in address else "#" if address.startswith("webhook") else "?"
                    with pytest.raises(ConfigError, match="expected options"):
                        sink_class(address).check(f"{address}{mark}unheard=of")


def test_automations_are_about_entities_and_topics_that_exist():
    automations = [
        one
        for text in BLOCK.findall(text_of("guide/home-assistant.md"))
        for one in yaml.safe_load(text).get("automation", ())
    ]
    assert len(automations) == 3
    topics = StateTopics("masktrail", "gate", SITE, None)
    entities = {part["default_entity_id"] for part in device(topics, "gate", SITE)["cmps"].values()}
    for trigger in (trigger for one in automations for trigger in one["triggers"]):
        if trigger["trigger"] == "state":
            assert trigger["entity_id"] in entities
        else:
            assert trigger["topic"] in {"masktrail/events", "masktrail/rows"}
    named = set(re.findall(r"`((?:binary_)?sensor\.gate_\w+[a-z])`", text_of("guide/home-assistant.md")))
    assert named == entities - {"sensor.gate_line_door_out"}


def test_every_topic_field_and_option_is_described():
    page = text_of("reference/messages.md") + text_of("guide/outside.md") + text_of("guide/home-assistant.md")
    topics = StateTopics("masktrail", "CAMERA", None, None)
    for topic in (topics.available, topics.status, *topics.values(), "masktrail/rows", "masktrail/events"):
        assert f"`{topic}`" in page
    assert f"`{device_topic('homeassistant', 'CAMERA')}`" in page
    [new] = ObjectEvents("gate").process(tracked_frame(0, boxes=[(1, 1, 9, 9)], masks=False))
    assert [name for name in new.after if f"`{name}`" not in page] == []
    for options in (mqtt.OPTIONS, webhook.OPTIONS, mail.OPTIONS):
        assert [name for name in options if not re.search(rf"\b{name}=", page)] == []
    assert [name for name in SINKS.names if not name.startswith(".") and f"`{name}://`" not in page] == []
