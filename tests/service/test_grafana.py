"""Board of Grafana: every expression is answered by a real Prometheus that scrapes a running engine."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import urllib.request
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.engine.fakes import FakeSource, ListSink, SlowSegmenter, frame, stream
from tests.service.prometheus_server import PrometheusServer
from tests.sinks.ledgers import crossing
from tests.sources.cameras import wait_until
from tracker.analytics.monitor import MOST_KEYS, Monitor
from tracker.engine.scheduler import Engine
from tracker.events import Event, Stay
from tracker.service.metrics import CameraMetrics, ModelMetrics
from tracker.service.status import StatusServer
from tracker.sinks.base import QueueFigures

EXAMPLES = Path(__file__).parents[2] / "examples"
BOARD = json.loads((EXAMPLES / "grafana" / "dashboards" / "masktrail.json").read_text("utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def event(kind: str, number: int = 1, **values: object) -> Event:
    facts = {"stream": "gate", "time_s": float(number), "place": "place", "identity": number, "class_name": "car"}
    return Event(kind=kind, **(facts | values))


EVENTS = [
    crossing(1),
    event("enter", stay=Stay(entered_s=1.0)),
    event("leave", 9, stay=Stay(entered_s=1.0, left_s=9.0, end="left")),
    event("flow", since_s=0.0),
    event("speed", value=13.9, direction="north"),
    event("queue_leave", 40, value=35.0, direction="served"),
    event("bay_taken"),
    event("camera_moved"),
    event("alert", value=8.0),
]


class WaitingSink(ListSink):
    """Has a receiver that is away."""

    queues = (QueueFigures(sink="postgresql://me@db/shop", rows=7, last_success_ms=1500, problem="away"),)


@pytest.fixture
def engine(monkeypatch):
    engine = Engine(segmenter=SlowSegmenter(0.001), workers=1)
    source = FakeSource("gate")
    engine.add(stream(source, sink=WaitingSink()))
    source.handoff.put(frame(0, source="gate"))
    assert wait_until(lambda: engine.streams[0].meter.figures().frames == 1)
    engine.streams[0].meter.add_events(EVENTS)
    monkeypatch.setattr(type(engine.streams[0]), "present", lambda _: {"hall": {"car": 2}})
    monkeypatch.setattr(type(engine.streams[0]), "waiting", lambda _: {"place": 2})
    yield engine
    engine.close()


@pytest.fixture
def status(engine):
    server = StatusServer(engine, "127.0.0.1:0")
    yield server
    server.close()


@pytest.fixture
def prometheus(tmp_path, status):
    server = PrometheusServer(tmp_path, status.address)
    yield server
    server.kill()


def filled(expr: str) -> str:
    """The expression as Grafana sends it."""
    for name, value in (("camera", ".+"), ("__rate_interval", "2s"), ("__range", "10s")):
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr
    return expr


def test_every_expression_is_answered(prometheus):
    values = {}
    for expr in EXPRESSIONS:
        assert wait_until(partial(prometheus.ask, filled(expr))), expr
        values[expr] = prometheus.ask(filled(expr))
    [speed] = [found for expr, found in values.items() if "speed" in expr]
    assert speed == {("gate", "north", "place"): pytest.approx(float("nan"), nan_ok=True)}  # nothing new in the range
    bucket = "masktrail_speed_meters_per_second_bucket{le='%s'}"
    assert prometheus.ask(f"{bucket % '15'} - ignoring(le) {bucket % '12.5'}") == {("gate", "north", "place"): 1.0}
    assert prometheus.ask("masktrail_queue_length") == {("gate", "place"): 2.0}
    assert prometheus.ask("masktrail_outage == 1") == {("gate", "camera_moved"): 1.0}
    assert prometheus.ask("sum(masktrail_zone_dwell_seconds_sum)") == {(): 8.0}
    assert prometheus.ask("masktrail_sink_spool_rows") == {("gate", "postgresql://me@db/shop"): 7.0}


@pytest.mark.slow
def test_a_prometheus_that_is_killed_loses_and_doubles_no_count(prometheus, engine):
    count = "sum(masktrail_line_crossings_total)"
    assert wait_until(lambda: prometheus.ask(count) == {(): 1.0})
    prometheus.kill()
    engine.streams[0].meter.add_events([crossing(number) for number in range(2, 40)])
    prometheus.start()
    assert wait_until(lambda: prometheus.ask(count) == {(): 39.0})
    assert prometheus.ask("sum(resets(masktrail_line_crossings_total[1m]))") == {(): 0.0}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here (apt-get install prometheus)")
def test_promtool_takes_the_metrics_and_the_examples(status):
    with urllib.request.urlopen(f"http://{status.address}/metrics", timeout=30) as answer:
        text = answer.read()
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    told = [line for line in found.stderr.decode().splitlines() if "masktrail_frame_age_seconds" not in line]
    assert told == [], found.stderr  # that one has quantiles of the last frames, which no histogram has
    words = ["promtool", "check", "config", str(EXAMPLES / "prometheus.yaml")]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_rules_are_about_metrics_that_are_there():
    rules = yaml.safe_load((EXAMPLES / "prometheus-rules.yaml").read_text("utf-8"))
    told = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert len(told) == 5
    known = names()
    for expr in [*told, *EXPRESSIONS]:
        assert set(re.findall(r"masktrail_\w+", expr)) <= known, expr


def names() -> set[str]:
    found = set()
    for one in (*dataclasses.fields(CameraMetrics), *dataclasses.fields(ModelMetrics)):
        ends = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
        found |= {f"masktrail_{one.name}{end}" for end in ends[one.metadata["metric"].kind]}
    return found


def test_the_board_loads_where_it_is_provisioned():
    assert (BOARD["id"], BOARD["uid"]) == (None, "masktrail-counts")
    variables = {one["name"]: one for one in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["camera"]["allValue"] == ".+"
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for panel in PANELS:
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources)
        assert panel["title"]


def test_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_compose_file_mounts_what_is_there():
    compose = yaml.safe_load((EXAMPLES / "compose.monitoring.yaml").read_text("utf-8"))
    for service in compose["services"].values():
        for mount in service["volumes"]:
            place = mount.split(":")[0]
            assert place in compose["volumes"] or (EXAMPLES / place).exists(), mount
    provided = yaml.safe_load((EXAMPLES / "grafana/provisioning/dashboards/masktrail.yaml").read_text("utf-8"))
    folder = provided["providers"][0]["options"]["path"]
    assert any(mount.split(":")[1] == folder for mount in compose["services"]["grafana"]["volumes"])
    scraped = yaml.safe_load((EXAMPLES / "prometheus.yaml").read_text("utf-8"))
    assert scraped["scrape_configs"][0]["static_configs"] == [{"targets": ["masktrail:9117"]}]


# ---- what is behind it ------------------------------------------------------------------------------------------


def test_states_begin_and_end():
    monitor = Monitor()
    assert set(monitor.outages.values()) == {0}
    monitor.add([event("dark"), event("alert"), event("bay_taken")])
    copied = monitor.copy()
    assert (monitor.outages["dark",], monitor.alerts, monitor.bays) == (1, {("place",): 1}, {("place",): 1})
    monitor.add([event("dark", since_s=0.0), event("alert", since_s=0.0), event("bay_free", value=3.0)])
    assert (monitor.outages["dark",], monitor.alerts, monitor.bays) == (0, {("place",): 0}, {("place",): 0})
    assert copied.alerts == {("place",): 1}


def test_stays_that_were_not_seen_whole_are_in_no_histogram():
    monitor = Monitor()
    inside = Stay(entered_s=1.0, left_s=9.0, began="already_inside", end="left")
    lost = Stay(entered_s=1.0, left_s=9.0, end="lost")
    monitor.add([event("enter", stay=inside), event("leave", stay=inside), event("leave", stay=lost)])
    assert (monitor.entries, monitor.dwell) == ({}, {})


def test_labels_are_bounded_whatever_places_there_are():
    monitor = Monitor()
    monitor.add(event("flow", number, place=f"identity {number}") for number in range(3 * MOST_KEYS))
    monitor.add(event("speed", number, place=f"{number}", value=1.0) for number in range(3 * MOST_KEYS))
    assert len(monitor.flows) == len(monitor.speeds) == MOST_KEYS + 1
    assert monitor.flows["other", "other"] == 2 * MOST_KEYS
    assert sum(monitor.flows.values()) == 3 * MOST_KEYS
