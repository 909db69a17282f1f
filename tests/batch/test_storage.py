"""Object storage: results land, sources are read once, resumption works, broken connections leave no manifest."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.command import Run
from tests.nameless import nameless
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.batch.recordings import find_recordings
from tracker.batch.results import Results
from tracker.batch.storage import Place
from tracker.errors import ConfigError, SinkError, SourceError

pytest.importorskip("pyarrow")
moto = pytest.importorskip("moto.server", reason="moto is not installed")


@pytest.fixture(scope="module")
def store():
    """Options of an address on a mock of S3."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"?scheme=http&endpoint_override={quote(f'{host}:{port}', safe='')}&allow_bucket_creation=true"
    server.stop()


def test_a_recording_is_tracked_where_it_lies(run: Run, bucket, tmp_path: Path) -> None:
    model = end2end_model(tmp_path / "model.onnx")
    video = write_video(tmp_path / "a.mp4", count=30)
    Place.of(bucket("in")).upload(video, "a.mp4")
    rows = []
    for source in (bucket("in/a.mp4"), video):
        result = run("track", source, "--model", model, "--records", tmp_path / "x.csv")
        assert result.status == 0, result.err
        rows.append(nameless((tmp_path / "x.csv").read_bytes()))
    assert rows[0] == rows[1]
    refused = run("track", bucket("in/b.mp4"), "--model", model, "--records", tmp_path / "y.csv")
    assert refused.status != 0
    assert "expected a recording that can be read" in refused.text


def test_what_does_not_fit_the_scratch_is_read_in_place(
    bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracker.batch.run import plan_batch
    from tracker.batch.task import Done, Worker
    from tracker.settings.stream import RunSettings

    model = end2end_model(tmp_path / "model.onnx")
    Place.of(bucket("in")).upload(write_video(tmp_path / "a.mp4", count=10), "a.mp4")
    settings = RunSettings(sources=(bucket("in/a.mp4"),), model=str(model))
    copied = []
    monkeypatch.setattr(Place, "download", lambda *_: copied.append(1))
    monkeypatch.setattr("tracker.batch.task.SHARE", 0.0)
    [task] = plan_batch(settings, str(tmp_path / "out")).tasks
    answer = Worker(settings).run(task)
    assert isinstance(answer, Done)
    assert (answer.manifest.frames, copied) == (10, [])


@pytest.fixture
def bucket(store: str, monkeypatch: pytest.MonkeyPatch):
    """Addresses in a bucket of its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    place = Place.of(f"s3://videos{store}")
    place.system.create_dir("videos", recursive=True)
    place.system.delete_dir_contents("videos", missing_dir_ok=True)
    return lambda name: f"s3://videos/{name}{store}"


def test_results_land_and_are_resumed(run: Run, bucket, tmp_path: Path) -> None:
    model = end2end_model(tmp_path / "model.onnx")
    for number in range(2):
        video = write_video(tmp_path / f"{number}.mp4", count=20)
        Place.of(bucket("in")).upload(video, f"day/{number}.mp4")
    words = ["--out", bucket("out"), "--model", model, "--processes", 1]
    result = run("batch", bucket("in/*/0.mp4"), *words)
    assert result.status == 0, result.err
    result = run("batch", bucket("in"), *words, "--resume")
    assert result.status == 0, result.err
    assert "1 of 2 recordings, 1 before" in result.text
    results = Results.at(bucket("out"))
    found = list(results.manifests())
    assert sorted(one.recording for one in found) == ["day/0.mp4", "day/1.mp4"]
    run("track", bucket("in/day/1.mp4"), "--model", model, "--records", tmp_path / "plain.parquet")
    [one] = [one for one in found if one.address.split("?")[0].endswith("1.mp4")]
    assert results.place.read(one.files["records"]) == (tmp_path / "plain.parquet").read_bytes()
    assert "testing" not in json.dumps(one.settings)


def test_a_recording_is_read_once(bucket, tmp_path: Path) -> None:
    place = Place.of(bucket("in"))
    (tmp_path / "a.mp4").write_bytes(bytes(20 * 2**20))
    place.upload(tmp_path / "a.mp4", "a.mp4")
    reads = []

    class Counted:
        def __init__(self, system) -> None:
            self._system = system

        def __getattr__(self, name):
            return getattr(self._system, name)

        def open_input_stream(self, path):
            stream = self._system.open_input_stream(path)
            read = stream.read

            class Stream:
                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    stream.close()

                def read(self, size):
                    piece = read(size)
                    reads.append(len(piece))
                    return piece

            return Stream()

    place.system = Counted(place.system)
    place.download(f"{place.path}/a.mp4", tmp_path / "copy.mp4")
    assert (tmp_path / "copy.mp4").stat().st_size == sum(reads) == 20 * 2**20


def test_a_connection_that_breaks_leaves_no_manifest(bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracker.batch.run import plan_batch
    from tracker.batch.task import Failed, Worker
    from tracker.settings.stream import RunSettings

    video = write_video(tmp_path / "a.mp4", count=10)
    settings = RunSettings(sources=(str(video),), model=str(end2end_model(tmp_path / "model.onnx")))
    [task] = plan_batch(settings, bucket("out")).tasks
    uploads = []

    def cut(self: Place, file: Path, name: str) -> None:
        uploads.append(name)
        if len(uploads) == 2:
            raise SinkError(name, "expected a place that can be written, found: connection reset")

    monkeypatch.setattr(Place, "upload", cut)
    answer = Worker(settings).run(task)
    assert isinstance(answer, Failed)
    assert answer.everywhere
    assert Results.at(bucket("out")).done() == set()


def test_wrong_places_are_told(bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected a bucket, found none"):
        Place.of("s3://")
    with pytest.raises(ConfigError, match="expected an address of object storage") as told:
        Place.of("s3://key:hunter2@videos?nonsense=1")
    assert "hunter2" not in str(told.value)
    with pytest.raises(SourceError, match="expected recordings, found none"):
        find_recordings([bucket("nothing/here")])
    with pytest.raises(SourceError, match="expected recordings, found none"):
        find_recordings([bucket("in/*.nothing")])


def test_a_copy_without_room_is_refused(bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place.of(bucket("in"))
    (tmp_path / "a.mp4").write_bytes(bytes(2000))
    place.upload(tmp_path / "a.mp4", "a.mp4")
    usage = __import__("shutil")._ntuple_diskusage(10, 0, 10)
    monkeypatch.setattr("tracker.batch.storage.shutil.disk_usage", lambda _: usage)
    with pytest.raises(SourceError, match="name a larger disk with --scratch"):
        place.download(f"{place.path}/a.mp4", tmp_path / "copy.mp4")
    assert not (tmp_path / "copy.mp4").exists()
