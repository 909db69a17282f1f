"""A pool whose workers do what a test says, without processes or models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tracker.batch.pool import Advanced, Ended, Lost
from tracker.batch.recordings import Recording
from tracker.batch.results import Manifest, Results
from tracker.batch.run import BatchPlan
from tracker.batch.task import Done, Failed, Task
from tracker.settings.stream import RunSettings

Answer = Done | Failed | Lost | None
Behave = Callable[[str, int], Answer]
"""What becomes of a task, by its key and how often it was started before."""


def manifest(key: str, **changes: object) -> Manifest:
    values = {
        "key": key,
        "recording": key,
        "address": f"/in/{key}",
        "size": 10,
        "attempt": "a",
        "files": {"records": f"records/recording={key}/a.parquet"},
        "sha256": {"records": "0"},
        "frames": 5,
        "media_s": 0.2,
        "wall_s": 0.1,
        "identities": {"car": 1},
        "counts": None,
        "notes": [],
        "settings": {},
        "masktrail": "0",
        "finished_at": "2026-01-01T00:00:00+00:00",
    }
    return Manifest(**(values | changes))


def plan(folder: Path, *keys: str) -> BatchPlan:
    settings = RunSettings(sources=("x",))
    tasks = [
        Task(
            key=key,
            recording=Recording(name=key, address=f"/in/{key}", size=10, stamp="1"),
            settings=settings,
            kinds=("records",),
            out=str(folder),
            scratch=None,
            facts={},
        )
        for key in keys
    ]
    return BatchPlan(tasks=tuple(tasks), done=(), results=Results.at(str(folder)))


class FakePool:
    """Ends tasks in the order of their start, one per wait.

    Attributes:
        started: Keys in order.
        together: Keys that ran at the same time, at every start.
    """

    def __init__(self, behave: Behave, *, workers: int = 2) -> None:
        self._behave, self._workers = behave, workers
        self._running: list[str] = []
        self.started: list[str] = []
        self.together: list[set[str]] = []
        self.stopped = False

    @property
    def free(self) -> int:
        return self._workers - len(self._running)

    @property
    def busy(self) -> int:
        return len(self._running)

    def start(self, task: Task) -> None:
        assert self.free
        self._running.append(task.key)
        self.started.append(task.key)
        self.together.append(set(self._running))

    def expect(self, tasks: int) -> None:
        pass

    def wait(self, timeout_s: float) -> list[Advanced | Ended | Lost]:
        del timeout_s
        key = self._running.pop(0)
        before = Advanced(key=key, frames=1, media_s=0.04)
        answer = None if self.stopped else self._behave(key, self.started.count(key) - 1)
        return [before, answer if isinstance(answer, Lost) else Ended(key=key, result=answer)]

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        pass
