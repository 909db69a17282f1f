"""Counting in a service: a site per camera, changed while it runs, its counts in the metrics, restarts and removals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.segment.models import end2end_model
from tests.sources.cameras import MjpegCamera, wait_until
from tracker.errors import ConfigError, SourceError
from tracker.events import Event
from tracker.formats.ledger import read_events
from tracker.service.cameras import LiveService
from tracker.service.metrics import Collector
from tracker.settings.service import ServiceSettings
from tracker.settings.stream import CameraSettings

SITE = "revision: {revision}\nzones:\n  - {{name: {name}, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}}\n"


def samples(service: LiveService, family: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for one in Collector(service.engine).collect()
        if one.name == family
        for sample in one.samples
    }


def ledger(path: Path, kind: str) -> list[Event]:
    return [event for event in read_events(path) if event.kind == kind]


def has(path: Path, kind: str, count: int) -> bool:
    """Whether a store has so many rows of a kind; it is there a moment before its tables are."""
    try:
        return len(ledger(path, kind)) == count
    except SourceError:
        return False


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(revision=1, name="yard"))
    return path


def test_a_site_is_counted_changed_and_taken_away(tmp_path: Path, site: Path) -> None:
    model = str(end2end_model(tmp_path / "constant.onnx"))
    store = tmp_path / "events.db"
    with MjpegCamera(size=(160, 96), rate=25) as gate, MjpegCamera(size=(160, 96), rate=25) as lobby:
        counted = CameraSettings(name="gate", url=gate.url(), model=model, site=str(site), events=str(store))
        plain = CameraSettings(name="lobby", url=lobby.url(), model=model)
        config = ServiceSettings(cameras=(counted, plain), device="cpu", state=str(tmp_path / "kept"))
        service = LiveService(config)
        present = {("gate", "yard", "person"): 1, ("gate", "yard", "car"): 1}
        assert wait_until(lambda: samples(service, "masktrail_zone_present") == present)
        assert wait_until(lambda: has(store, "enter", 2))
        stream = service.engine.streams[0]
        service.reload(config)
        assert service.engine.streams[0] is stream  # nothing has changed

        site.write_text(SITE.format(revision=2, name="yard") + "  - {name: door, polygon: [[0, 0], [1, 0], [1, 1]]}\n")
        service.reload(config)
        [stream] = [one for one in service.engine.streams if one.name == "gate"]
        assert wait_until(lambda: stream.meter.figures().frames > 20)
        assert {zone for _, zone, _ in samples(service, "masktrail_zone_present")} >= {"yard"}
        ends = {event.stay.end for event in ledger(store, "leave")}
        assert ends <= {"restart"}  # the stays go on; a store that is opened anew says so until their own end comes
        assert {event.revision for event in ledger(store, "enter") if event.place == "yard"} == {1}

        site.write_text("zones:\n  - {name: yard}\n")
        with pytest.raises(ConfigError, match=r"site\.yaml:2"):
            service.reload(config)
        assert not stream.over

        service.reload(config.replace(cameras=(plain,)))
        left = [event for event in ledger(store, "leave") if event.place == "yard" and event.stay.end != "restart"]
        assert [event.stay.end for event in left] == ["open", "open"]
        assert len({event.key for event in read_events(store)}) == len(list(read_events(store)))
        assert service.close() == 0


def test_a_restart_ends_no_stay_and_a_start_without_a_state_does(tmp_path: Path, site: Path) -> None:
    model = str(end2end_model(tmp_path / "constant.onnx"))
    store = tmp_path / "events.db"
    with MjpegCamera(size=(160, 96), rate=25) as gate:
        camera = CameraSettings(name="gate", url=gate.url(), model=model, site=str(site), events=str(store))
        config = ServiceSettings(cameras=(camera,), device="cpu", state=str(tmp_path / "kept"))
        for _ in range(2):
            service = LiveService(config)
            [stream] = service.engine.streams
            assert wait_until(lambda stream=stream: stream.meter.figures().frames > 20)
            assert service.close() == 0
            assert not (tmp_path / "kept" / "gate.events.jsonl").read_text()  # all of it is in the state
        assert len(ledger(store, "enter")) == 2
        assert [event for event in ledger(store, "leave") if event.stay.end == "open"] == []
        service = LiveService(config.replace(state=None))
        [stream] = service.engine.streams
        assert wait_until(lambda: stream.meter.figures().frames > 20)
        assert service.close() == 0
        assert len([event for event in ledger(store, "leave") if event.stay.end == "open"]) == 2


def test_classes_and_files_are_checked_before_anything_starts(tmp_path: Path, site: Path) -> None:
    model = str(end2end_model(tmp_path / "constant.onnx"))
    site.write_text(SITE.format(revision=1, name="yard, classes: [lorry]"))
    camera = CameraSettings(name="gate", url="rtsp://127.0.0.1:9/x", model=model, site=str(site))
    with pytest.raises(ConfigError, match="found 'lorry' in zone 'yard'"):
        LiveService(ServiceSettings(cameras=(camera,), device="cpu"))
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        LiveService(ServiceSettings(cameras=(camera.replace(site=str(tmp_path / "none.yaml")),), device="cpu"))
