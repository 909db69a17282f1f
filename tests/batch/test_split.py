"""One recording in chunks: the rows of an unsplit run, whatever the chunks hold."""

from __future__ import annotations

import json
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from demos.scenes.catalogue import open_recording
from demos.scenes.writers import write_video as write_scene
from tests.command import Run
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.batch.chunks import Chunk, cut
from tracker.batch.pool import Advanced, Ended, LocalPool, Lost
from tracker.batch.run import plan_batch
from tracker.batch.split import AHEAD, SplitWorker
from tracker.batch.spool import Spool, picture_digest, read_spool, write_spooled
from tracker.batch.task import Done
from tracker.errors import SourceError
from tracker.settings.stream import RunSettings
from tracker.sources.open import open_source
from tracker.types import Frame, Instances, Letterbox

pytest.importorskip("pyarrow")


def network_inputs(path: Path) -> list[bytes]:
    with open_source(str(path), network_size=(64, 64), want_image=False) as source:
        return [picture_digest(frame.network_image) for frame in source]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_chunks_give_the_pictures_of_the_whole(tmp_path: Path, suffix: str) -> None:
    video = write_video(tmp_path / f"in{suffix}", count=60, gop=10)
    chunks = list(cut(str(video), tmp_path, chunk_s=0.5))
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert len(chunks) >= 3
    assert sum(chunk.frames for chunk in chunks) == 60
    assert [chunk.first for chunk in chunks] == np.cumsum([0, *(chunk.frames for chunk in chunks)])[:-1].tolist()
    parts = [digest for chunk in chunks for digest in network_inputs(chunk.path)]
    assert parts == network_inputs(video)


def test_a_recording_without_packets_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match="run it without --split"):
        list(cut(str(tmp_path / "x.mp4"), tmp_path, chunk_s=1))


def frame(index: int, value: int) -> Frame:
    picture = np.full((48, 64, 3), value, np.uint8)
    letterbox = Letterbox(image_size=(64, 48), network_size=(64, 48), content_size=(64, 48))
    return Frame(
        index=index,
        time_s=index / 25,
        arrived_s=0.0,
        source="x",
        size=(64, 48),
        network_image=picture,
        letterbox=letterbox,
    )


def instances(count: int) -> Instances:
    boxes = np.tile(np.array([1, 1, 9, 9], np.float32), (count, 1))
    return Instances(boxes=boxes, scores=np.ones(count, np.float32), class_ids=np.zeros(count, np.int64))


def test_a_spool_gives_back_what_was_written(tmp_path: Path) -> None:
    with (tmp_path / "x.spool").open("wb") as file:
        for index in range(3):
            write_spooled(file, frame(index, index), instances(index), ("person",))
    found = read_spool(tmp_path / "x.spool")
    assert [len(found[picture_digest(frame(0, value).network_image)]) for value in range(3)] == [0, 1, 2]


def test_the_pass_waits_for_its_chunk_and_no_longer(tmp_path: Path) -> None:
    spool, got = Spool(), []
    thread = threading.Thread(target=lambda: got.extend(spool.take(frame(index, index)) for index in range(4)))
    thread.start()
    spool.know(Chunk(number=0, path=tmp_path, first=0, frames=2))
    spool.know(Chunk(number=1, path=tmp_path, first=2, frames=1))
    spool.arrive(1, {picture_digest(frame(2, 2).network_image): instances(2)})
    assert thread.is_alive()
    spool.arrive(0, {picture_digest(frame(0, 0).network_image): instances(1)})
    thread.join(0.2)
    assert thread.is_alive()  # the fourth frame is beyond all chunks that are known
    spool.know_all()
    thread.join(5)
    assert [None if one is None else len(one) for one in got] == [1, None, 2, None]
    assert (spool.found, spool.missed) == (2, 2)


def test_chunks_that_were_passed_are_forgotten(tmp_path: Path) -> None:
    spool = Spool()
    for number in range(50):
        spool.know(Chunk(number=number, path=tmp_path, first=number, frames=1))
    spool.know_all()
    for number in range(50):
        spool.arrive(number, {picture_digest(frame(number, number).network_image): instances(1)})
        assert spool.take(frame(number, number)) is not None
        assert len(spool._arrived) <= 4


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered scenes: one as it is, one with open groups of pictures, one with a single key frame."""
    folder = tmp_path_factory.mktemp("clips")
    for name, scene, options in (
        ("plain", "road", ["-g", "12"]),
        ("open", "shop", ["-g", "12", "-bf", "3", "-x264-params", "open-gop=1:scenecut=0"]),
        ("single", "door", ["-g", "9999", "-x264-params", "scenecut=0"]),
    ):
        recording = open_recording(scene, seed=0, size=(640, 360), duration_s=3.0)
        write_scene(recording.scene, folder / f"{name}.raw.mp4", 20, times_s=recording.times(20).tolist())
        with av.open(folder / f"{name}.raw.mp4") as raw, av.open(folder / f"{name}.mp4", "w") as out:
            keys = dict(zip(options[::2], options[1::2], strict=True))
            stream = out.add_stream("libx264", rate=20, options={key.lstrip("-"): value for key, value in keys.items()})
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            for number, picture in enumerate(raw.decode(video=0)):
                picture.pts, picture.time_base = number, Fraction(1, 20)
                out.mux(stream.encode(picture))
            out.mux(stream.encode())
        (folder / f"{name}.raw.mp4").unlink()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("plain", marks=pytest.mark.slow), "open", "single"])
def test_rows_are_those_of_an_unsplit_run(
    run: Run, tmp_path: Path, clips: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.batch.split.CHUNK_S", 0.5)
    out, plain = tmp_path / "out", tmp_path / "plain.parquet"
    words = ["--stride", 2] if name == "open" else []
    result = run("batch", clips / f"{name}.mp4", "--out", out, "--split", "--processes", 2, *words)
    assert result.status == 0, result.err
    [manifest] = [json.loads(path.read_text("utf-8")) for path in (out / "manifest").glob("*.json")]
    assert run("track", clips / f"{name}.mp4", "--records", plain, "--quiet", *words).status == 0
    assert (out / manifest["files"]["records"]).read_bytes() == plain.read_bytes()
    assert manifest["frames"] == (30 if words else 60)
    notes = " ".join(manifest["notes"])
    assert ("frames were segmented in the pass" in notes) == (name == "open")


class LatePool(LocalPool):
    """Workers that are free once they were waited for, as actors are that start."""

    waited = False
    expected = 0

    @property
    def free(self) -> int:
        return super().free if self.waited else 0

    def expect(self, tasks: int) -> None:
        self.expected = max(self.expected, tasks)

    def wait(self, timeout_s: float) -> list[Advanced | Ended | Lost]:
        self.waited = True
        return super().wait(timeout_s)


def test_workers_that_start_late_get_chunks(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", count=30, gop=10)
    settings = RunSettings(sources=(str(video),), model=str(end2end_model(tmp_path / "model.onnx")), workers=1)
    [task] = plan_batch(settings, str(tmp_path / "out")).tasks
    pool = LatePool(settings, processes=1)
    worker = SplitWorker(settings, open_pool=lambda _: pool, chunk_s=0.1)
    result = worker.run(task, progress=lambda _: None)
    worker.close()
    assert isinstance(result, Done)
    assert (result.manifest.frames, result.manifest.notes) == (30, [])
    assert 1 <= pool.expected <= AHEAD  # those that the pass would come to next


def test_a_recording_that_cannot_be_read_fails_as_ever(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    result = run("batch", broken, "--out", tmp_path / "out", "--split", "--processes", 1)
    assert result.status == 1
    assert "failed broken.mp4: " in result.text
