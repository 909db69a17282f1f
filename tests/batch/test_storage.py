"""Object storage: results land, sources are read once, resumption works, broken connections leave no manifest."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest

from tests.batch.wire import Wire
from tests.command import Run
from tests.nameless import nameless
from tests.segment.models import end2end_model
from tests.sources.videos import textured, write_video
from tracker.batch.recordings import find_recordings
from tracker.batch.results import Results
from tracker.batch.run import plan_batch
from tracker.batch.storage import Entry, Place
from tracker.batch.task import Done, Failed, Worker
from tracker.errors import ConfigError, SourceError
from tracker.settings.stream import RunSettings

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


@pytest.mark.slow
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


def host_of(store: str) -> str:
    """``host:port`` of the options of an address."""
    [found] = parse_qs(store[1:])["endpoint_override"]
    return found


@pytest.fixture
def wire(store: str) -> Iterator[tuple[Wire, str]]:
    """A wire to the store that can break, and the options of addresses over it."""
    host, port = host_of(store).rsplit(":", 1)
    found = Wire((host, int(port)))
    yield found, store.replace(quote(f"{host}:{port}", safe=""), quote(f"127.0.0.1:{found.port}", safe=""))
    found.close()


@pytest.mark.slow
@pytest.mark.parametrize("copies", [True, False], ids=["copied", "in-place"])
def test_a_recording_costs_at_most_three_times_its_bytes(
    bucket, wire: tuple[Wire, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: bool
) -> None:
    link, options = wire
    video = write_video(tmp_path / "a.mp4", count=60, size=(640, 480), draw=textured, options={"crf": "10"})
    Place.of(bucket("in")).upload(video, "a.mp4")
    monkeypatch.setattr("tracker.batch.task.SHARE", 0.5 if copies else 0.0)
    settings = RunSettings(sources=(f"s3://videos/in{options}",), model=str(end2end_model(tmp_path / "model.onnx")))
    [task] = plan_batch(settings, str(tmp_path / "out")).tasks
    link.down = 0
    answer = Worker(settings).run(task)
    assert isinstance(answer, Done)
    assert answer.manifest.frames == 60
    size = video.stat().st_size
    assert size > 2**20
    assert size < link.down < (1.1 if copies else 3) * size


@pytest.mark.slow
def test_a_connection_that_breaks_in_mid_write_leaves_no_manifest_and_is_resumed(
    run: Run, bucket, wire: tuple[Wire, str], tmp_path: Path
) -> None:
    link, options = wire
    model = end2end_model(tmp_path / "model.onnx")
    video, plain = write_video(tmp_path / "a.mp4", count=200), tmp_path / "plain.parquet"
    assert run("track", video, "--model", model, "--records", plain, "--quiet").status == 0
    settings = RunSettings(sources=(str(video),), model=str(model))
    worker, results = Worker(settings), Results.at(bucket("out"))
    [task] = plan_batch(settings, f"s3://videos/out{options}").tasks
    link.breaks_after = plain.stat().st_size // 2
    answer = worker.run(task)
    assert link.broken > 0
    assert isinstance(answer, Failed)
    assert answer.everywhere
    assert "expected a place that can be written" in answer.problem
    assert results.done() == set()
    link.breaks_after = None
    [task] = plan_batch(settings, f"s3://videos/out{options}", resume=True).tasks
    assert isinstance(worker.run(task), Done)
    [one] = results.manifests()
    assert results.place.read(one.files["records"]) == plain.read_bytes()


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


def test_a_disk_that_fills_up_during_a_copy_is_no_fault_of_the_recording(
    bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Place.of(bucket("in")).upload(write_video(tmp_path / "a.mp4", count=10), "a.mp4")
    settings = RunSettings(sources=(bucket("in/a.mp4"),), model=str(end2end_model(tmp_path / "model.onnx")))
    [task] = plan_batch(settings, str(tmp_path / "out"), scratch=str(tmp_path)).tasks

    def full(self: Path, *words: object, **options: object):
        if words and words[0] == "wb" and "masktrail-" in str(self):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, *words, **options)

    opened = Path.open
    monkeypatch.setattr(Path, "open", full)
    answer = Worker(settings).run(task)
    assert isinstance(answer, Done)
    assert answer.manifest.frames == 10


ODD = tuple(f"{name}.mp4" for name in ("with space", "ünï", "a[1]", "what?", "h#1", "50%", "a%20b", "plus+", "a=b&c"))


def test_objects_are_read_whatever_they_are_called(bucket, tmp_path: Path) -> None:
    place = Place.of(bucket("in"))
    for number, name in enumerate((*ODD, "._hidden.mp4")):
        (tmp_path / "one").write_bytes(bytes([number]))
        place.upload(tmp_path / "one", f"day 1/{name}")
    found = find_recordings([bucket("in")])
    assert sorted(one.name for one in found) == sorted(f"day 1/{name}" for name in ODD)
    for one in found:
        place = Place.of(one.address)
        with place.system.open_input_stream(place.path) as stream:
            content = stream.read()
        assert content == bytes([ODD.index(one.name.partition("/")[2])])
        [same] = find_recordings([one.address])
        assert same == replace(one, name=one.name.partition("/")[2])
    typed = [bucket("in/day 1/with space.mp4"), bucket("in/day%201/with space.mp4"), bucket("in/day 1/with sp*")]
    assert [one.name for one in find_recordings(typed)] == ["with space.mp4"]


def test_equal_names_of_objects_get_their_folders_and_no_options(bucket, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    for day in ("mon", "tue"):
        Place.of(bucket("in")).upload(tmp_path / "a.mp4", f"{day}/a.mp4")
    names = [one.name for one in find_recordings([bucket("in/mon"), bucket("in/tue")])]
    assert names == ["mon/a.mp4", "tue/a.mp4"]


def test_recordings_keep_the_account_and_the_key_that_their_source_was_named_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Place, "files", lambda _: [Entry(path="videos/in/day 1/a.mp4", size=1, stamp="1")])
    azure, secret, options = "az://videos@account.dfs.core.windows.net/in", "s3://key:hunter2@videos/in", "?region=x-1"
    for source, address in (
        (azure, f"{azure}/day%201/a.mp4"),
        (f"{azure}/*/a.*", f"{azure}/day%201/a.mp4"),
        (secret + options, f"{secret}/day%201/a.mp4{options}"),
    ):
        [one] = find_recordings([source])
        assert (one.name, one.address) == ("day 1/a.mp4", address)
        assert Place.of(one.address).path == "videos/in/day 1/a.mp4"
    both = [azure, azure.replace("account", "other"), secret + options, f"{secret}{options}&scheme=http"]
    assert "hunter2" not in str([one.name for one in find_recordings(both)])


@pytest.mark.parametrize(
    "uri", ["az://videos@account.dfs.core.windows.net/in", "abfs://videos@account.dfs.core.windows.net/in"]
)
def test_both_names_of_azure_are_one_place(uri: str) -> None:
    place = Place.of(uri)
    assert (type(place.system).__name__, place.path, place.is_local) == ("AzureFileSystem", "videos/in", False)


def test_a_copy_without_room_is_refused(bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place.of(bucket("in"))
    (tmp_path / "a.mp4").write_bytes(bytes(2000))
    place.upload(tmp_path / "a.mp4", "a.mp4")
    usage = __import__("shutil")._ntuple_diskusage(10, 0, 10)
    monkeypatch.setattr("tracker.batch.storage.shutil.disk_usage", lambda _: usage)
    with pytest.raises(SourceError, match="name a larger disk with --scratch"):
        place.download(f"{place.path}/a.mp4", tmp_path / "copy.mp4")
    assert not (tmp_path / "copy.mp4").exists()
