"""Two Ray nodes in two network namespaces with a cable between them, as root on Linux."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
HEAD, OTHER = "10.88.0.1", "10.88.0.2"
HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""A node that is cut off is noticed after some five seconds, and not after more than a minute."""


def why_not() -> str:
    """Why there can be no cluster here; empty where there can."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "needs Linux and root, for network namespaces"
    if shutil.which("ip") is None:
        return "needs the command ip (iproute2)"
    probe = subprocess.run(["ip", "netns", "add", f"probe{os.getpid()}"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", f"probe{os.getpid()}"], capture_output=True, check=False)
    return f"no network namespaces here: {probe.stderr.strip()}" if probe.returncode else ""


class Cluster:
    """The cluster: a head and another node.

    Args:
        folder: For Ray's files; short, since sockets lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = (f"mta{os.getpid()}", f"mtb{os.getpid()}")
        self._env = os.environ | HEALTH | {"PYTHONPATH": str(ROOT), "RAY_DISABLE_IMPORT_WARNING": "1"}
        self._env |= {"RAY_USAGE_STATS_ENABLED": "0", "MASKTRAIL_TRIAL": "off"}
        self._env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
        self._wire()
        self._ray = str(Path(sys.executable).parent / "ray")
        head = ["--head", "--port", "6379", f"--node-ip-address={HEAD}", "--include-dashboard=false"]
        self._start(0, *head)
        self._start(1, f"--address={HEAD}:6379", f"--node-ip-address={OTHER}")

    def batch(self, *words: object, folder: Path = ROOT) -> subprocess.Popen[str]:
        """Start a batch beside the head, in a folder."""
        command = [sys.executable, "-m", "tracker", "batch", *map(str, words), "--engine", "ray"]
        return subprocess.Popen(
            self._inside(0, *command, "--address", f"{HEAD}:6379"),
            cwd=folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def cut(self) -> None:
        """Take the cable away."""
        self._ip("netns", "exec", self._names[1], "ip", "link", "set", "eth0", "down")

    def join(self) -> None:
        """Put it back, with a new node."""
        self.kill_raylet()
        self._ip("netns", "exec", self._names[1], "ip", "link", "set", "eth0", "up")
        self._start(1, f"--address={HEAD}:6379", f"--node-ip-address={OTHER}")

    def workers(self, number: int) -> list[psutil.Process]:
        """The actors' processes on a node."""
        return [one for one in self._processes(number) if "_Actor" in " ".join(one.cmdline())]

    def kill_raylet(self) -> None:
        """Kill everything on the second node."""
        for one in self._processes(1):
            if one.is_running():
                one.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """End both nodes and their network."""
        for number in (1, 0):
            for one in self._processes(number):
                if one.is_running():
                    one.kill()
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def _wire(self) -> None:
        for name in self._names:
            self._ip("netns", "add", name)
        self._ip("link", "add", f"va{os.getpid()}", "type", "veth", "peer", "name", f"vb{os.getpid()}")
        for letter, name, address in (("a", self._names[0], HEAD), ("b", self._names[1], OTHER)):
            self._ip("link", "set", f"v{letter}{os.getpid()}", "netns", name, "name", "eth0")
            for words in (
                ("addr", "add", f"{address}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
                ("link", "set", "lo", "up"),
            ):
                self._ip("netns", "exec", name, "ip", *words)

    def _start(self, number: int, *words: str) -> None:
        folder = ["--temp-dir", str(self._folder)] if not number else []
        size = ["--num-cpus", "2", "--object-store-memory", "80000000", "--disable-usage-stats"]
        subprocess.run(
            self._inside(number, self._ray, "start", *words, *folder, *size),
            env=self._env,
            check=True,
            capture_output=True,
            timeout=90,
        )

    def _inside(self, number: int, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self._names[number], *command]

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    def _processes(self, number: int) -> list[psutil.Process]:
        found = subprocess.run(
            ["ip", "netns", "pids", self._names[number]], capture_output=True, text=True, check=False
        ).stdout.split()
        processes = []
        for pid in map(int, found):
            try:
                processes.append(psutil.Process(pid))
            except psutil.NoSuchProcess:
                continue
        return processes


def wait_for(what, timeout_s: float = 240.0) -> None:
    """Wait until it is true."""
    end_s = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end_s
        time.sleep(0.05)
