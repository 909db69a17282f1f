"""Worker actors on a Ray cluster: one task at a time each, warm sessions, nodes that come and go.

What is lost with a node is no fault of a recording: :class:`tracker.batch.pool.Lost` says so, and it takes no try. Only
actors that answered get tasks, so that the actors of a node that is gone swallow none.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.batch.pool import Advanced, Ended, Lost
from tracker.batch.task import Worker
from tracker.errors import ConfigError, TrackerError, install_command

if TYPE_CHECKING:
    from tracker.batch.task import ChunkTask, Task
    from tracker.engine.meter import StreamFigures
    from tracker.settings.stream import RunSettings

__all__ = ["RayPool"]

TELL_S = 1.0
LOOK_S = 3.0
"""How often the nodes are looked at, for actors to be added."""
AHEAD = 8
"""Actors that wait for a node while tasks do, at least: what an autoscaler sees of them. As many as there are cores,
where those are more: it may double the cluster."""
STARTS = 5
"""Actors in a row that cannot be started, after which the batch cannot run."""


class _Actor:
    """What runs on a node, in the folder that the batch was started in; takes questions about its task meanwhile."""

    def __init__(self, settings: RunSettings, folder: str) -> None:
        with contextlib.suppress(OSError):  # not on this node: what was named by relative paths is told to be missing
            os.chdir(folder)
        self._worker = Worker(settings)
        self._lock = threading.Lock()
        self._at: tuple[int, float] = (0, 0.0)

    def node(self) -> str:
        """Name of the node."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def run(self, task: Task | ChunkTask) -> Any:
        """Do one task."""
        self._tell(None)
        return self._worker.run(task, progress=self._tell)

    def progress(self) -> tuple[int, float]:
        """Frames and media time of the task under way."""
        with self._lock:
            return self._at

    def stop(self) -> None:
        """End the task under way without a result."""
        self._worker.stop()

    def _tell(self, figures: StreamFigures | None) -> None:
        with self._lock:
            self._at = (0, 0.0) if figures is None else (figures.frames, figures.media_s)


@dataclass(slots=True, eq=False)
class _Slot:
    """One actor and what it does.

    Attributes:
        actor: Ray's handle.
        asked: The question for its node, until it is answered.
        node: Where it is; empty before it answered.
        key: Of its task.
        result: Of its task, as Ray's reference.
        told: The question for its progress.
        told_s: When that was asked last.
    """

    actor: Any
    asked: Any
    node: str = ""
    key: str | None = None
    result: Any = None
    told: Any = None
    told_s: float = field(default_factory=time.monotonic)


class RayPool:
    """Actors on all nodes of a cluster.

    Args:
        settings: Of the batch; ``workers`` are the cores of an actor, 1 by default.
        processes: Actors; ``None`` = as many as the cluster has room for, also when nodes come, and some that wait for
            nodes to come.
        most: Tasks that there will be. There are no more actors than tasks that have not ended, but one for each node:
            a task that took down its process is tried elsewhere. ``None`` = not known; :meth:`expect` says how many
            wait.
        gpus: Share of a card per actor; 0 = none.
        address: Of the cluster; ``None`` = ``RAY_ADDRESS``, else the one that runs on this machine, else a new one.

    Raises:
        ConfigError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(
        self,
        settings: RunSettings,
        *,
        processes: int | None = None,
        most: int | None = None,
        gpus: float = 0.0,
        address: str | None = None,
    ) -> None:
        self._ray = _connected(address)
        self._settings, self._wanted, self._most, self._gpus = settings, processes, most, gpus
        self._cpus = settings.workers or 1
        self._remote = self._ray.remote(
            max_concurrency=2, max_restarts=0, num_cpus=self._cpus, num_gpus=gpus, scheduling_strategy="SPREAD"
        )(_Actor)
        self._slots: list[_Slot] = []
        self._avoid: dict[str, set[str]] = {}
        self._false_starts = 0
        self._expected = 0
        self._looked_s = 0.0
        self._grow()

    @property
    def free(self) -> int:
        """Tasks that would start at once."""
        return sum(slot.key is None and bool(slot.node) for slot in self._slots)

    @property
    def busy(self) -> int:
        """Tasks under way."""
        return sum(slot.key is not None for slot in self._slots)

    @property
    def nodes(self) -> int:
        """Nodes that are alive."""
        return sum(bool(node["Alive"]) for node in self._ray.nodes())

    def start(self, task: Task | ChunkTask) -> None:
        """Give a task to a free actor, on a node on which it took none down, if there is one."""
        free = [slot for slot in self._slots if slot.key is None and slot.node]
        slot = min(free, key=lambda one: one.node in self._avoid.get(task.key, set()))
        slot.key, slot.result = task.key, slot.actor.run.remote(task)

    def expect(self, tasks: int) -> None:
        """See :class:`tracker.batch.pool.Pool`; the most that was said since the nodes were looked at counts."""
        self._expected = max(self._expected, tasks)

    def wait(self, timeout_s: float) -> list[Advanced | Ended | Lost]:
        """See :class:`tracker.batch.pool.Pool`."""
        if time.monotonic() - self._looked_s > LOOK_S:
            self._grow()
        asked = {
            reference: slot for slot in self._slots for reference in (slot.asked, slot.result, slot.told) if reference
        }
        if not asked:
            time.sleep(timeout_s)
            return []
        ready, _ = self._ray.wait(list(asked), num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        found = [event for reference in ready for event in self._answer(asked[reference], reference)]
        self._ask_progress()
        return found

    def stop(self) -> None:
        """See :class:`tracker.batch.pool.Pool`."""
        for slot in list(self._slots):
            if slot.key is not None:
                with contextlib.suppress(Exception):
                    slot.actor.stop.remote()

    def close(self) -> None:
        """See :class:`tracker.batch.pool.Pool`."""
        for slot in self._slots:
            with contextlib.suppress(Exception):
                self._ray.kill(slot.actor)
        self._slots.clear()
        self._ray.shutdown()

    def _grow(self) -> None:
        """Add actors up to what is wanted, or what the cluster has room for and some more."""
        self._looked_s = time.monotonic()
        wanted = self._wanted
        if wanted is None:
            total = self._ray.cluster_resources()
            room = int(total.get("CPU", 0) // self._cpus)
            if self._gpus:
                room = min(room, int(total.get("GPU", 0) / self._gpus + 1e-6))
            wanted = room + max(room, AHEAD)
            if self._most is None:
                wanted = max(min(wanted, room + self._expected), 1)
                self._expected = 0
                self._shrink(wanted)
        if self._most is not None:
            wanted = min(wanted, max(self._most, self.nodes))
        while len(self._slots) < wanted:
            actor = self._remote.remote(self._settings, str(Path.cwd()))
            self._slots.append(_Slot(actor=actor, asked=actor.node.remote()))

    def _answer(self, slot: _Slot, reference: Any) -> list[Advanced | Ended | Lost]:
        """What one answer of an actor means."""
        from ray.exceptions import RayActorError, RayTaskError

        try:
            answer = self._ray.get(reference)
        except RayTaskError as failure:
            if isinstance(failure.cause, TrackerError):
                raise failure.cause from None
            return self._lose(slot, reference, str(failure).splitlines()[-1], node_lost=False)
        except RayActorError as failure:
            return self._lose(slot, reference, _why(failure), node_lost=not self._alive(slot.node))
        if reference is slot.asked:
            slot.asked, slot.node, self._false_starts = None, answer, 0
            return []
        if reference is slot.told:
            slot.told = None
            return [Advanced(key=slot.key, frames=answer[0], media_s=answer[1])] if slot.key else []
        key, slot.key, slot.result = slot.key, None, None
        if key is not None and self._most is not None:
            self._most -= 1
            self._shrink(self._most)
        return [Ended(key=key, result=answer)] if key else []

    def _shrink(self, most: int) -> None:
        """Take back actors that wait for a node and would have no task, so that no node is started for them."""
        for slot in [slot for slot in reversed(self._slots) if not slot.node]:  # those that had room came first
            if len(self._slots) <= most:
                return
            self._slots.remove(slot)
            with contextlib.suppress(Exception):
                self._ray.kill(slot.actor)

    def _lose(self, slot: _Slot, reference: Any, how: str, *, node_lost: bool) -> list[Advanced | Ended | Lost]:
        """An actor is gone; another one takes its place where there is room."""
        if slot not in self._slots:
            return []
        if reference is slot.asked:
            self._false_starts += 1
            if self._false_starts >= STARTS:
                problem = f"expected actors that start, found {STARTS} that ended before ({how})"
                raise ConfigError("--engine ray", problem, "is the same masktrail installed on all nodes?")
        self._slots.remove(slot)
        self._looked_s = 0.0
        if slot.key is None:
            return []
        if not node_lost:
            self._avoid.setdefault(slot.key, set()).add(slot.node)
        return [Lost(key=slot.key, node=slot.node[:8], how=how, node_lost=node_lost)]

    def _alive(self, node: str) -> bool:
        return any(one["NodeID"] == node and one["Alive"] for one in self._ray.nodes())

    def _ask_progress(self) -> None:
        now_s = time.monotonic()
        for slot in self._slots:
            if slot.key is not None and slot.told is None and now_s - slot.told_s >= TELL_S:
                slot.told, slot.told_s = slot.actor.progress.remote(), now_s


def _connected(address: str | None) -> Any:
    """Ray, connected to a cluster."""
    try:
        import ray
    except ImportError as missing:
        problem = "expected the package ray, found none"
        raise ConfigError("--engine ray", problem, install_command("ray")) from missing
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address is not None:
            ray.init(address=address, **options)
        else:
            try:
                ray.init(address="auto", **options)
            except ConnectionError:
                os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 lets all other work of a machine go first
                ray.init(include_dashboard=False, **options)
    except Exception as failure:  # a cluster that does not come up in time is a bare one
        problem = f"expected a cluster that can be reached, found: {(str(failure) or repr(failure)).splitlines()[0]}"
        remedy = "start it with `ray start`; where it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here"
        raise ConfigError(f"--engine ray at {address or 'auto'}", problem, remedy) from failure
    return ray


def _why(failure: Exception) -> str:
    """The line of Ray's report that says how an actor ended."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return next((line for line in lines if "exit" in line.lower() or "died" in line.lower()), lines[0])[:200]
