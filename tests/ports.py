"""A TCP port of loopback for a server that another program opens, and opens again after it was killed."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHANCE = random.SystemRandom()


def free_port() -> int:
    """A port that nothing listens on, and that the system gives to no outgoing connection while the server is away."""
    given_from = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    for _ in range(1000):
        port = _CHANCE.randrange(10_000, max(given_from, 10_001))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]
