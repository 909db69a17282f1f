"""The same recording gives the same bytes: as a run, as a camera of a service, from Python and in another process."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from demos.scenes.road import road
from demos.scenes.writers import write_video
from tests.command import Run
from tracker.engine.meter import StreamFigures
from tracker.engine.run import run as run_streams
from tracker.service.run import run_live
from tracker.settings.stream import RunSettings

FILES = ("a.jsonl", "a.csv", "a.mot.txt", "a.mots.txt", "a.coco.json")


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "road.mp4"
    write_video(road(seed=1), path, fps=12.5, duration_s=2.4)
    return path


def outputs(folder: Path) -> list[str]:
    folder.mkdir()
    return [str(folder / name) for name in FILES]


def live(clip: Path, folder: Path, extra: str = "") -> None:
    """``masktrail live`` with this recording as its only camera."""
    listed = ", ".join(f"'{path}'" for path in outputs(folder))
    config = folder / "cameras.yaml"
    text = f"device: cpu\nmetrics: off\ncameras:\n  - {{name: a, url: '{clip}', records: [{listed}]{extra}}}\n"
    config.write_text(text)
    assert run_live(config) == 0


def read(folder: Path, stream: object = "a") -> dict[str, bytes]:
    """The files; ``stream`` is how their notes call the stream, which is a path for one and a name for another."""
    own, plain = f'"stream":"{stream}"', '"stream":"a"'
    found = {name: (folder / name).read_bytes() for name in FILES}
    for mark in ('"', '""'):
        words = [text.replace('"', mark).encode() for text in (own, plain)]
        found = {name: data.replace(*words) for name, data in found.items()}
    return found


def track(run: Run, clip: Path, folder: Path, *options: object) -> None:
    """``masktrail track``."""
    named = [word for path in outputs(folder) for word in ("--records", path)]
    assert run("track", clip, "--device", "cpu", "--quiet", *named, *options).status == 0


@pytest.mark.slow
def test_four_ways_to_the_same_bytes(run: Run, scene: Path, tmp_path: Path) -> None:
    track(run, scene, tmp_path / "track")
    live(scene, tmp_path / "live")
    told: list[tuple[str, int]] = []

    def on_progress(name: str, figures: StreamFigures) -> None:
        told.append((name, figures.frames))

    [outcome] = run_streams(scene, records=outputs(tmp_path / "python"), device="cpu", on_progress=on_progress)
    settings = RunSettings(sources=(str(scene),), records=tuple(outputs(tmp_path / "pool")), device="cpu")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        [elsewhere] = pool.submit(run_streams, settings).result()
    whole = read(tmp_path / "track", scene)
    assert whole["a.jsonl"].count(b"\n") > 30
    assert read(tmp_path / "live") == whole
    for way in ("python", "pool"):
        assert read(tmp_path / way, scene) == whole, way
    assert told[-1] == (str(scene), 30)
    assert (outcome.figures.frames, outcome.identities) == (30, elsewhere.identities)
    assert outcome.identities.total() == len({line.split(b",")[1] for line in whole["a.mot.txt"].splitlines()})


def test_a_filter_and_another_threshold_are_the_same_everywhere(run: Run, scene: Path, tmp_path: Path) -> None:
    track(run, scene, tmp_path / "track", "--classes", "car,truck", "--conf", 0.3, "--confirm", 0.4, "--stride", 2)
    live(scene, tmp_path / "live", ", classes: [car, truck], conf: 0.3, confirm: 0.4, stride: 2")
    whole = read(tmp_path / "track", scene)
    assert b'"bus"' not in whole["a.jsonl"]
    assert read(tmp_path / "live") == whole


@pytest.mark.parametrize("clip", ["traffic.mp4", "moving_pedestrians.avi"])
def test_real_clips_give_the_same_bytes(run: Run, data_root: Path, tmp_path: Path, clip: str) -> None:
    """One camera that stands and one that moves; every 12th frame, to be quick."""
    source = data_root / "clips" / clip
    if not source.is_file():
        pytest.skip(f"no {source}")
    track(run, source, tmp_path / "track", "--stride", 12)
    live(source, tmp_path / "live", ", stride: 12")
    assert read(tmp_path / "live") == read(tmp_path / "track", source)
    assert read(tmp_path / "live")["a.mot.txt"]
