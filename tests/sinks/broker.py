"""A real broker on loopback: mosquitto with passwords, rights and a memory that survives a kill; and a subscriber."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.ports import free_port

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (apt-get install mosquitto)")

CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/rights
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
user root
log_dest file {folder}/log
log_type all
"""
RIGHTS = """\
user camera
topic readwrite masktrail/#
topic readwrite homeassistant/#
user watcher
topic readwrite #
"""


class Broker:
    """mosquitto with the users ``camera`` and ``watcher``, whose passwords are ``PASSWORD``."""

    PASSWORD = "pass-of-the-broker"

    def __init__(self, folder: Path, *, extra: str = "", config: str = "") -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        for user in ("camera", "watcher"):
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, self.PASSWORD], check=True, capture_output=True)
        (folder / "rights").write_text(RIGHTS)
        (folder / "rights").chmod(0o600)
        if config:  # of a container
            config = config.replace("/mosquitto/config", str(folder)).replace("/mosquitto/data/", f"{folder}/")
            text = config.replace("listener 1883", f"listener {self.port} 127.0.0.1") + "user root\n"
        else:
            text = CONFIG.format(port=self.port, folder=folder) + extra
        (folder / "config").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [str(MOSQUITTO), "-c", str(self.folder / "config")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(3000):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.01)
            else:
                return
        pytest.fail("mosquitto did not start")

    def stop(self, how: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def received(self, topic: str) -> int:
        """How often a client has published to a topic."""
        return (self.folder / "log").read_text().count(f"'{topic}'") - self.sent(topic)

    def sent(self, topic: str) -> int:
        """How often a message of a topic was sent to a subscriber."""
        lines = (self.folder / "log").read_text().splitlines()
        return sum(f"'{topic}'" in line and "Sending PUBLISH" in line for line in lines)

    def url(self, options: str = "", *, user: str = "camera", password: str = PASSWORD, path: str = "") -> str:
        return f"mqtt://{user}:{password}@127.0.0.1:{self.port}{path}{options}"


class Watcher:
    """Subscribes to everything with a session that outlasts both sides' absence, and notes what comes."""

    def __init__(self, broker: Broker, name: str = "watcher") -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.username_pw_set("watcher", broker.PASSWORD)
        self.client.reconnect_delay_set(0.05, 0.05)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._note
        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", broker.port, clean_start=False, properties=lasting)
        self.client.loop_start()
        assert self.subscribed.wait(60)

    def _note(self, _client: Any, _data: Any, message: Any) -> None:
        self.messages.append((message.topic, message.payload, message.retain))

    def of(self, topic: str) -> list[dict[str, Any]]:
        """JSON bodies of a topic, in order."""
        return [json.loads(body) for name, body, _ in list(self.messages) if name == topic]

    def last(self, topic: str) -> str | None:
        bodies = [body.decode() for name, body, _ in list(self.messages) if name == topic]
        return bodies[-1] if bodies else None

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
