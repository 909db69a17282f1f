"""Examples of clusters: their form, and that all places name the same Ray and the same health checks."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.batch.ray_cluster import HEALTH

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
QUANTITY = re.compile(r"\d+(\.\d+)?(m|[KMGT]i?)?")


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "examples" / name).read_text("utf-8"))


def check_pod(template: dict[str, Any]) -> None:
    """What Kubernetes wants of a pod: names, images, texts for values, quantities."""
    for container in template["spec"]["containers"]:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", container["name"])
        assert container["image"]
        assert {one["name"]: one["value"] for one in container["env"]} == HEALTH
        for kind in container["resources"].values():
            assert all(QUANTITY.fullmatch(value) for value in kind.values())
    for toleration in template["spec"].get("tolerations", ()):
        assert toleration["operator"] in {"Exists", "Equal"}


def test_the_cluster_of_kubernetes_has_the_form_of_a_raycluster() -> None:
    cluster = load("kuberay.yaml")
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec = cluster["spec"]
    assert set(spec) <= {"rayVersion", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"}
    assert spec["enableInTreeAutoscaling"] is True
    head = spec["headGroupSpec"]
    assert set(head) == {"rayStartParams", "template"}
    assert head["rayStartParams"] == {"num-cpus": "0"}  # it runs no recordings
    check_pod(head["template"])
    for group in spec["workerGroupSpecs"]:
        assert set(group) == {"groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"}
        assert 0 <= group["minReplicas"] <= group["maxReplicas"]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        check_pod(group["template"])


def test_the_cluster_of_virtual_machines_has_nodes_that_come_and_go() -> None:
    cluster = load("ray-cluster.yaml")
    types = cluster["available_node_types"]
    assert types[cluster["head_node_type"]]["resources"] == {"CPU": 0}
    worker = types["worker"]
    assert worker["min_workers"] == 0 < worker["max_workers"] <= cluster["max_workers"]
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    starts = " ".join(cluster["head_start_ray_commands"])
    assert all(f"{name}={value}" in starts for name, value in HEALTH.items())


def test_every_place_names_one_ray_and_one_health_check() -> None:
    pinned = re.search(r"^RAY \?= ray==(\S+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert pinned
    for name in ("kuberay.yaml", "ray-cluster.yaml"):
        assert f"ray=={pinned[1]}" in (ROOT / "examples" / name).read_text("utf-8")
    guide = (ROOT / "docs" / "guide" / "batch.md").read_text("utf-8")
    assert all(f"{name}={value}" in guide for name, value in HEALTH.items())


@pytest.mark.ray
def test_ray_takes_the_cluster_of_virtual_machines() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    found = importlib.util.find_spec("ray")
    if found is None or not found.submodule_search_locations:
        pytest.skip("ray is not installed: make test-ray")
    schema = Path(found.submodule_search_locations[0]) / "autoscaler" / "ray-schema.json"
    jsonschema.validate(load("ray-cluster.yaml"), json.loads(schema.read_text("utf-8")))
