"""Notices to systemd, where it listens (sd_notify(3)): ready, alive, stopping."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["at_work", "notify"]

WATCHDOG_S = 10.0
OPENING_S = 900.0
"""Longest time for a reload, after which the watchdog may restart the service."""


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Keep systemd's watchdog quiet for a while: opening a model takes minutes where TensorRT builds an engine."""
    done = threading.Event()

    def keep_alive() -> None:
        for _ in range(round(OPENING_S / WATCHDOG_S)):
            if done.wait(WATCHDOG_S):
                return
            notify("WATCHDOG=1")

    thread = threading.Thread(target=keep_alive, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def notify(state: str) -> None:
    """Tell systemd, where it listens (sdnotify(3)): ready, alive, stopping."""
    # Not by the package sdnotify, which never closes its socket and loses one where no socket listens.
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(state.encode())
