"""Two ends enter, each a network of its own; a wire between them leaves on which packets are lost, late and overtaken.

What ``tc netem`` does, without a kernel that has it: each end is a network namespace with a TUN device, and the wire
is this process, which carries whole IP packets from one to the other. So TCP has to send again what was lost, and UDP
never learns of it. Needs the right to make namespaces and devices (root, ``CAP_NET_ADMIN``) and ``/dev/net/tun``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import heapq
import itertools
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

NEW_NETWORK = 0x40000000  # CLONE_NEWNET
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_UP = 0x400454CA, 0x0001, 0x1000, 0x1
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
PACKET_BYTES = 65536


@dataclass
class Faults:
    """What befalls packets on their way; may be changed while it runs.

    Attributes:
        loss: Probability that a packet is lost.
        jitter_s: Each packet is up to this late, so that some overtake others.
        lost: Packets lost so far.
    """

    loss: float = 0.0
    jitter_s: float = 0.0
    lost: int = 0


def _in_a_thread(work: Callable[[], Any]) -> Any:
    """Call something in a thread of its own, since what it does to its network must end with it."""
    outcome: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again below
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def _libc_call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name} refused")


@dataclass
class End:
    """One network with one device.

    Attributes:
        address: Of the device.
        network: Descriptor of the namespace.
        device: Descriptor of the TUN device: what is read was sent, what is written is received.
    """

    address: str
    network: int = field(init=False)
    device: int = field(init=False)

    def __post_init__(self) -> None:
        _in_a_thread(self._make)

    def _make(self) -> None:
        _libc_call("unshare", NEW_NETWORK)
        self.network = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.device, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for request, value in ((SIOCSIFADDR, self.address), (SIOCSIFNETMASK, "255.255.255.0")):
                place = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, struct.pack("16s16s8x", b"wire", place))
            for name in (b"wire", b"lo"):
                fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name, IFF_UP))

    def inside(self, work: Callable[[], Any]) -> Any:
        """Call something there; threads and processes that it starts stay there."""

        def enter() -> Any:
            _libc_call("setns", self.network, NEW_NETWORK)
            return work()

        return _in_a_thread(enter)

    def close(self) -> None:
        os.close(self.device)
        os.close(self.network)


@functools.cache
def why_not() -> str:
    """Why there can be no wire here; empty where there can."""
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    try:
        End("10.99.0.9").close()
    except (OSError, AttributeError) as error:
        return f"no right to make network namespaces and devices ({error})"
    return ""


class Wire:
    """Two ends and what carries packets between them.

    Attributes:
        near: Where clients are.
        far: Where servers are.
        faults: In both directions.
    """

    def __init__(self) -> None:
        if why_not():
            pytest.skip(why_not())
        self.near, self.far = End("10.99.0.2"), End("10.99.0.1")
        self.faults = Faults()
        self._random = np.random.default_rng(0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="wire", daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        other = {self.near.device: self.far.device, self.far.device: self.near.device}
        waiting: list[tuple[float, int, int, bytes]] = []
        number = itertools.count()
        while not self._over.is_set():
            wait_s = 0.05 if not waiting else min(max(waiting[0][0] - time.monotonic(), 0), 0.05)
            for device in select.select(list(other), [], [], wait_s)[0]:
                packet = os.read(device, PACKET_BYTES)
                if self._random.random() < self.faults.loss:
                    self.faults.lost += 1
                    continue
                due_s = time.monotonic() + self.faults.jitter_s * self._random.random()
                heapq.heappush(waiting, (due_s, next(number), other[device], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # a full queue is one more way to lose a packet
                    os.write(device, packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        self.near.close()
        self.far.close()
