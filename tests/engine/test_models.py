"""Several models in one engine: fair turns whatever they cost, sessions for as long as somebody needs them."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import weakref
from pathlib import Path

import pytest

from tests.engine.fakes import FakeSource, SlowSegmenter, frame, stream
from tests.segment.models import end2end_model
from tests.service.test_service import Service
from tests.sources.cameras import MjpegCamera, wait_until
from tests.sources.videos import write_video
from tracker.associate.tracker import Tracker
from tracker.engine.batcher import Batcher, Turns
from tracker.engine.models import Models
from tracker.engine.plan import plan_camera
from tracker.engine.resume import Resumption
from tracker.engine.scheduler import Engine
from tracker.errors import ConfigError, TrackerError
from tracker.service.cameras import LiveService
from tracker.settings.service import ServiceSettings
from tracker.settings.stream import CameraSettings, DeviceSettings


def costing(seconds: float, cameras: int = 1) -> Batcher:
    """A model that has cost ``seconds`` a batch so far, with cameras that are live."""
    batcher = Batcher(SlowSegmenter(), name=str(seconds))
    batcher.batches, batcher.busy_s = 10, 10 * seconds
    for number in range(cameras):
        batcher.streams.append(stream(FakeSource(f"{seconds}-{number}")))
        batcher.streams[-1].state = "live"
    return batcher


def simulate(turns: Turns, due: list[Batcher], seconds: float) -> dict[Batcher, float]:
    """One worker with nothing else to do for so long; the time that each model had."""
    spent = dict.fromkeys(due, 0.0)
    while sum(spent.values()) < seconds:
        batcher, charged = turns.begin(due)
        spent[batcher] += batcher.cost_s
        turns.end(batcher, charged, batcher.cost_s)
    return spent


def test_cameras_have_the_same_time_whatever_their_model_costs() -> None:
    cheap, dear = costing(0.01), costing(0.2)
    spent = simulate(Turns(), [cheap, dear], 40.0)
    assert spent[cheap] == pytest.approx(spent[dear], abs=0.2)
    one, seven = costing(0.03), costing(0.05, cameras=7)
    spent = simulate(Turns(), [one, seven], 80.0)
    assert spent[seven] == pytest.approx(7 * spent[one], rel=0.02)


def test_who_was_idle_saves_no_claim_up() -> None:
    turns, busy, idle = Turns(), costing(0.02), costing(0.02)
    simulate(turns, [busy], 100.0)
    spent = simulate(turns, [busy, idle], 4.0)
    assert spent[busy] == pytest.approx(spent[idle], abs=0.05)


def test_a_camera_that_is_away_claims_nothing() -> None:
    here, half_away = costing(0.02), costing(0.02, cameras=2)
    half_away.streams[0].state = "lost"
    spent = simulate(Turns(), [here, half_away], 4.0)
    assert spent[here] == pytest.approx(spent[half_away], abs=0.05)


def test_a_guess_of_the_cost_is_set_right() -> None:
    """The first batch of a model is charged nothing; what it cost counts all the same."""
    turns, known, fresh = Turns(), costing(0.1), costing(0.1)
    fresh.batches, fresh.busy_s = 0, 0.0
    batcher, charged = turns.begin([fresh, known])
    assert (batcher, charged) == (fresh, 0.0)
    turns.end(fresh, charged, 5.0)
    spent = {fresh: 0.0, known: 0.0}
    for _ in range(49):
        batcher, charged = turns.begin([fresh, known])
        spent[batcher] += 0.1
        turns.end(batcher, charged, 0.1)
    assert spent[fresh] == 0.0


def test_models_share_the_workers_and_none_starves() -> None:
    engine = Engine(workers=2)
    batchers = {cost: Batcher(SlowSegmenter(cost), name=str(cost)) for cost in (0.002, 0.02)}
    sources = []
    for cost, batcher in batchers.items():
        engine.add_model(batcher)
        for number in range(2):
            sources.append(FakeSource(f"{cost}-{number}", policy="latest"))
            engine.add(stream(sources[-1]), batcher)
            sources[-1].feed(1000)
    cheap, dear = batchers.values()
    assert wait_until(lambda: dear.batches >= 30)
    assert cheap.batches > 2 * dear.batches
    for one in engine.streams:
        assert one.meter.figures().frames >= 10
    names = {frame_name for batch in cheap.segmenter.batches for frame_name, _ in batch}
    assert names == {"0.002-0", "0.002-1"}
    for source in sources:
        source.close()
    engine.close()


def test_a_batch_that_is_held_for_more_frames_holds_no_other_model_up() -> None:
    engine = Engine(workers=1)
    patient = Batcher(SlowSegmenter(), name="patient", batch_size=4, batch_wait_s=30.0)
    prompt = Batcher(SlowSegmenter(), name="prompt")
    sources = [FakeSource("slow"), FakeSource("quick")]
    for batcher, source in zip((patient, prompt), sources, strict=True):
        engine.add_model(batcher)
        engine.add(stream(source), batcher)
    sources[0].handoff.put(frame(0, source="slow"))
    sources[1].fill(50)
    assert wait_until(lambda: prompt.batches == 50)
    assert patient.batches == 0
    engine.close()


@pytest.fixture
def model(tmp_path) -> Path:
    return end2end_model(tmp_path / "constant.onnx")


def camera(name: str, model: Path, **settings) -> CameraSettings:
    return CameraSettings(name=name, url="rtsp://127.0.0.1:9/x", model=str(model), timeout_s=0.2, **settings)


def test_cameras_of_one_model_share_a_session_that_lets_through_what_the_least_strict_wants(tmp_path, model) -> None:
    other = end2end_model(tmp_path / "other.onnx", order=("scores", "boxes", "class_ids", "masks"))
    models = Models(DeviceSettings(device="cpu"), batch_wait_s=0.0)
    a, b, c = plans = [
        plan_camera(one)
        for one in (
            camera("a", model, score_threshold=0.6),
            camera("b", model),
            camera("c", other, score_threshold=0.7),
        )
    ]
    change = models.change(plans)
    assert len(change.sessions) == 2
    assert sorted(lowest for _, lowest in change.sessions.values()) == [0.1, 0.7]
    engine = Engine(workers=1)
    models.carry_out(change, engine)
    assert models.batcher(a) is models.batcher(b) is not models.batcher(c)
    before = models.segmenter(c)
    assert models.change(plans).sessions == {}
    lower = plan_camera(camera("d", other, score_threshold=0.05))
    models.carry_out(models.change([*plans, lower]), engine)  # another session, the same batcher
    assert models.segmenter(c) is models.segmenter(lower) is not before
    assert len(engine.batchers) == 2
    engine.close()


def test_sessions_end_with_their_last_camera(model, tmp_path) -> None:
    other = end2end_model(tmp_path / "other.onnx")
    service = LiveService(
        ServiceSettings(
            cameras=(camera("a", model), camera("b", other), camera("c", other)), device="cpu", metrics=None
        )
    )
    sessions = {batcher.name: weakref.ref(batcher.segmenter) for batcher in service.engine.batchers}
    stays = service.engine.streams[0]
    assert len(sessions) == 2
    service.reload(ServiceSettings(cameras=(camera("a", model), camera("b", other)), device="cpu"))
    assert len(service.engine.batchers) == 2
    service.reload(ServiceSettings(cameras=(camera("a", model),), device="cpu"))
    gc.collect()
    assert [batcher.name for batcher in service.engine.batchers] == [str(model)]
    assert sessions[str(other)]() is None
    assert sessions[str(model)]() is not None
    assert service.engine.streams == [stays]
    service.reload(ServiceSettings(cameras=(camera("a", model), camera("d", other)), device="cpu"))
    assert len(service.engine.batchers) == 2
    assert service.close() == 0


def test_networks_for_appearance_end_with_their_last_camera(model, monkeypatch) -> None:
    class Embedder:
        def embed(self, frame, instances):
            return instances

        def describe(self) -> str:
            return "people"

    made: list[weakref.ref] = []

    def open_embedder(self, name: str) -> Embedder:
        embedder = Embedder()
        made.append(weakref.ref(embedder))
        return embedder

    monkeypatch.setattr(Models, "_open_embedder", open_embedder)
    a, b = camera("a", model, reid="people"), camera("b", model, reid="people")
    service = LiveService(ServiceSettings(cameras=(a, b), device="cpu"))
    service.reload(ServiceSettings(cameras=(a,), device="cpu"))
    gc.collect()
    assert [reference() is not None for reference in made] == [True]
    service.reload(ServiceSettings(cameras=(a.replace(reid=None),), device="cpu"))
    gc.collect()
    assert [reference() is not None for reference in made] == [False]
    assert service.close() == 0


def test_a_model_that_cannot_be_used_changes_nothing(model, tmp_path) -> None:
    service = LiveService(ServiceSettings(cameras=(camera("a", model),), device="cpu"))
    before = service.engine.streams
    for wrong in (tmp_path / "none.onnx", Path("no-such-model")):
        with pytest.raises(TrackerError, match="no"):
            service.reload(ServiceSettings(cameras=(camera("a", model, stride=2), camera("b", wrong)), device="cpu"))
    with pytest.raises(TrackerError, match="found 'lorry'"):
        service.reload(ServiceSettings(cameras=(camera("a", model, classes=("lorry",)),), device="cpu"))
    assert service.engine.streams == before
    assert service.close() == 0


def test_a_camera_that_failed_begins_anew_on_reload(model, monkeypatch) -> None:
    """Under numbers that were not given; one that is well runs on, and a mended failure is none in the end."""
    failing = threading.Event()
    update = Tracker.update

    def fail(self, instances, time_s, **warp):
        if failing.is_set() and threading.current_thread().name.startswith("segment") and self is doomed:
            message = "no such row"
            raise IndexError(message)
        return update(self, instances, time_s, **warp)

    monkeypatch.setattr(Tracker, "update", fail)
    with MjpegCamera(size=(160, 96), rate=25) as gate, MjpegCamera(size=(160, 96), rate=25) as lobby:
        cameras = tuple(
            CameraSettings(name=name, url=one.url(), model=str(model))
            for name, one in (("gate", gate), ("lobby", lobby))
        )
        config = ServiceSettings(cameras=cameras, device="cpu")
        service = LiveService(config)
        before = {stream.name: stream for stream in service.engine.streams}
        doomed = before["gate"]._ordered._stages[-1]._tracker
        assert wait_until(lambda: all(one.meter.figures().identities == 2 for one in before.values()))
        failing.set()
        assert wait_until(lambda: before["gate"].state == "failed")
        service.reload(config)
        after = {stream.name: stream for stream in service.engine.streams}
        assert after["lobby"] is before["lobby"]
        assert after["gate"] is not before["gate"]
        assert wait_until(lambda: after["gate"].meter.figures().identities == 4)
        assert service.close() == 0


def test_a_camera_that_cannot_be_started_on_reload_keeps_no_other_out(model, tmp_path, monkeypatch, caplog) -> None:
    def refuse(self) -> None:
        if self.chunks.name == "b.chunks":
            raise ConfigError("state st", "expected to remove it, found: not permitted", "make it writable")

    monkeypatch.setattr(Resumption, "restart", refuse)
    clip = write_video(tmp_path / "a.mp4", count=5, size=(160, 96))
    service = LiveService(ServiceSettings(cameras=(camera("a", model),), device="cpu", state=str(tmp_path / "st")))
    tape = CameraSettings(name="b", url=str(clip), model=str(model))
    wanted = (camera("a", model), tape, tape.replace(name="c"))
    service.reload(ServiceSettings(cameras=wanted, device="cpu", state=str(tmp_path / "st")))
    assert [stream.name for stream in service.engine.streams] == ["a", "c"]
    [record] = [record for record in caplog.records if record.message == "camera not started"]
    assert (record.camera, "not permitted" in record.problem) == ("b", True)
    assert service.close() == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGHUP")
def test_a_running_service_takes_models_up_and_lets_them_go(tmp_path, model) -> None:
    """What did not change keeps its identities; what changed in its outputs only keeps them as well."""
    end2end_model(tmp_path / "other.onnx")
    with MjpegCamera(size=(160, 96), rate=25) as gate, MjpegCamera(size=(160, 96), rate=25) as lobby:
        head = "model: constant.onnx\nmetrics: 127.0.0.1:0\ncameras:\n"
        first = f"  - {{name: gate, url: '{gate.url()}'}}\n"
        second = f"  - {{name: lobby, url: '{lobby.url()}', %s}}\n"
        service = Service(tmp_path, head + first + second % "model: other.onnx, classes: car, stride: 2")
        try:
            assert wait_until(lambda: service.events("status")), service.log_path.read_text()
            assert wait_until(lambda: service.camera("lobby")["identities"] == 1)
            assert wait_until(lambda: service.camera("gate")["identities"] == 2)
            state = json.loads(service.get("/healthz"))
            assert set(state["models"]) == {"constant.onnx", "other.onnx"}
            assert state["cameras"]["lobby"]["model"] == "other.onnx"
            assert state["models"]["other.onnx"]["device"] == "cpu"
            frames = service.camera("gate")["frames"]

            def reload(text: str) -> None:
                done = len(service.events("reloaded"))
                service.config.write_text(text)
                service.signal(signal.SIGHUP)
                assert wait_until(lambda: len(service.events("reloaded")) > done), service.log_path.read_text()

            reload(head + first + second % "model: other.onnx, classes: car")
            assert wait_until(lambda: service.camera("lobby")["frames"] > 10)
            assert service.camera("lobby")["identities"] == 1  # the same scene, the same model
            reload(head + first + second % "classes: car")
            assert wait_until(lambda: service.camera("lobby")["frames"] > 10)
            assert service.camera("lobby")["identities"] == 2  # another model: a new number, not number 1 again
            assert [line["model"] for line in service.events("model closed")] == ["other.onnx"]
            assert set(json.loads(service.get("/healthz"))["models"]) == {"constant.onnx"}
            assert service.camera("gate")["frames"] > frames
            assert service.camera("gate")["identities"] == 2
            service.signal(signal.SIGTERM)
            assert service.wait() == 0
        finally:
            service.close()


def threads_of(segmenter) -> int:
    return segmenter.session.get_session_options().intra_op_num_threads


@pytest.mark.parametrize(("workers", "cores", "threads"), [(1, 1, 1), (1, 3, 3), (2, 4, 2), (3, 3, 1), (4, 2, 1)])
def test_the_cores_of_a_process_are_divided_among_its_batches(tmp_path, model, workers, cores, threads) -> None:
    models = Models(DeviceSettings(device="cpu", workers=workers), batch_wait_s=0.0, cores=cores)
    plan = plan_camera(camera("a", model))
    [(segmenter, _)] = models.change([plan]).sessions.values()
    assert threads_of(segmenter) == threads
    assert models.workers([segmenter]) == workers
    assert threads_of(models.open_alone(plan)) == cores  # nothing runs beside it


def test_a_process_that_shares_nothing_takes_all_cores(tmp_path, model) -> None:
    models = Models(DeviceSettings(device="cpu"), batch_wait_s=0.0, cores=3)
    [(segmenter, _)] = models.change([plan_camera(camera("a", model))]).sessions.values()
    assert (models.workers([segmenter]), threads_of(segmenter)) == (3, 1)
