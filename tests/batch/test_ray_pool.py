"""How many actors there are on a cluster, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tracker.batch import ray_pool
from tracker.batch.ray_pool import RayPool
from tracker.settings.stream import RunSettings


class FakeRay:
    """Counts the actors that were asked for; none of them answers."""

    def __init__(self, **resources: float) -> None:
        self.resources: Mapping[str, float] = resources
        self.actors, self.options = 0, dict[str, Any]()

    def remote(self, **options: Any) -> Any:
        self.options = options

        def made(*_: object) -> SimpleNamespace:
            self.actors += 1
            return SimpleNamespace(node=SimpleNamespace(remote=object))

        return lambda _kind: SimpleNamespace(remote=made)

    def cluster_resources(self) -> Mapping[str, float]:
        return self.resources

    def wait(self, references: list[object], **_: object) -> tuple[list[object], list[object]]:
        return [], references


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
