"""How many actors there are on a cluster, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.batch.fakes import plan
from tracker.batch import ray_pool
from tracker.batch.pool import Ended
from tracker.batch.ray_pool import RayPool
from tracker.batch.task import Failed
from tracker.settings.stream import RunSettings


class FakeRay:
    """A cluster without processes: actors are where and when a test says so, and end a task at once."""

    def __init__(self, *, nodes: int = 1, **resources: float) -> None:
        self.resources: Mapping[str, float] = resources
        self.actors, self.killed, self.options = 0, 0, dict[str, Any]()
        self.answers: dict[object, object] = {}
        self._nodes = nodes

    def remote(self, **options: Any) -> Any:
        self.options = options

        def made(*_: object) -> SimpleNamespace:
            self.actors += 1
            asked = f"node of {self.actors}"
            return SimpleNamespace(node=SimpleNamespace(remote=lambda: asked), run=SimpleNamespace(remote=self._run))

        return lambda _kind: SimpleNamespace(remote=made)

    def cluster_resources(self) -> Mapping[str, float]:
        return self.resources

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True}] * self._nodes

    def place(self, *actors: int) -> None:
        """Have actors run, by their number from 1."""
        self.answers |= {f"node of {number}": "a node" for number in actors}

    def wait(self, references: list[object], **_: object) -> tuple[list[object], list[object]]:
        return [one for one in references if one in self.answers], []

    def get(self, reference: object) -> object:
        return self.answers[reference]

    def kill(self, _actor: object) -> None:
        self.killed += 1

    def _run(self, task: Any) -> object:
        self.answers[f"result of {task.key}"] = Failed(problem="none")
        return f"result of {task.key}"


def opened(monkeypatch: pytest.MonkeyPatch, cluster: FakeRay, *, workers: int | None = None, **words: Any) -> RayPool:
    monkeypatch.setattr(ray_pool, "_connected", lambda _address: cluster)
    return RayPool(RunSettings(sources=("x",), workers=workers), **words)


@pytest.mark.parametrize(
    ("cores", "words", "actors"),
    [
        (4, {"most": 100}, 4 + ray_pool.AHEAD),
        (40, {"most": 100}, 80),
        (40, {"most": 60}, 60),
        (40, {"most": 1}, 1),
        (0, {"most": 100}, ray_pool.AHEAD),
        (4, {"most": None}, 4),
        (0, {"most": None}, 1),
        (4, {"most": 100, "processes": 2}, 2),
        (4, {"most": 1, "processes": 2}, 1),
    ],
)
def test_actors_wait_for_nodes_as_long_as_tasks_would(
    monkeypatch: pytest.MonkeyPatch, cores: int, words: dict[str, Any], actors: int
) -> None:
    cluster = FakeRay(CPU=float(cores))
    pool = opened(monkeypatch, cluster, **words)
    assert (cluster.actors, pool.free) == (actors, 0)


def test_actors_need_cores_and_shares_of_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeRay(CPU=16.0, GPU=2.0)
    opened(monkeypatch, cluster, workers=2, gpus=0.5)
    assert cluster.actors == 4
    assert (cluster.options["num_cpus"], cluster.options["num_gpus"]) == (2, 0.5)


def test_actors_come_with_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "LOOK_S", -1.0)
    cluster = FakeRay(CPU=2.0)
    pool = opened(monkeypatch, cluster, most=1000)
    before = cluster.actors
    cluster.resources = {"CPU": 30.0}
    pool.wait(0.0)
    assert (before, cluster.actors) == (2 + ray_pool.AHEAD, 60)


def test_actors_wait_for_nodes_while_chunks_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "LOOK_S", -1.0)
    cluster = FakeRay(CPU=2.0)
    pool = opened(monkeypatch, cluster)
    actors = []
    for *expected, cores in ((3, 0, 2), (3, 2), (20, 5), (0, 5)):
        for tasks in expected:
            pool.expect(tasks)
        cluster.resources = {"CPU": float(cores)}
        pool.wait(0.0)
        actors.append(cluster.actors - cluster.killed)
    assert actors == [2 + 3, 2 + 3, 5 + ray_pool.AHEAD, 5]


def test_every_node_has_an_actor_for_a_recording_that_takes_processes_down(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeRay(nodes=3, CPU=24.0)
    opened(monkeypatch, cluster, most=1)
    assert (cluster.actors, cluster.options["scheduling_strategy"]) == (3, "SPREAD")


@pytest.mark.ray
def test_no_actor_waits_for_a_node_without_a_recording_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    cluster = FakeRay(CPU=2.0)
    tasks = plan(tmp_path, *"abcde").tasks
    pool = opened(monkeypatch, cluster, most=len(tasks))
    assert cluster.actors == 5
    cluster.place(1, 2)
    assert pool.wait(0.0) == []
    assert pool.free == 2
    killed = []
    for task in tasks:
        pool.start(task)
        [ended] = pool.wait(0.0)
        assert isinstance(ended, Ended)
        killed.append(cluster.killed)
    assert killed == [1, 2, 3, 3, 3]
    assert (cluster.actors, pool.free) == (5, 2)
