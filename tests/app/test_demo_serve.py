"""`masktrail demo --serve`: clips loop as cameras without being encoded again, and the service runs on them."""

from __future__ import annotations

import itertools
import statistics
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.sources.videos import write_video
from tracker.app.clips import rendered
from tracker.app.console import console_for
from tracker.app.demo_serve import serve_demo
from tracker.app.looped_camera import LoopedCameras
from tracker.errors import SinkError, SourceError
from tracker.settings.yaml_file import load_service_settings
from tracker.sources.reconnect import open_live


@pytest.mark.timeout(120)
def test_a_looped_clip_never_ends_and_its_clock_goes_on(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "short clip.mp4", count=25, size=(160, 96))
    with LoopedCameras({"a b": clip}) as cameras, open_live(cameras.urls["a b"], stall_s=20) as source:
        frames = list(itertools.islice(source, 80))  # three times through
        counters = source.counters
    times = [frame.time_s for frame in frames]
    assert times == sorted(times)
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert statistics.median(steps) == pytest.approx(1 / 25, abs=0.01)
    assert sum(steps) > 0.9 * 79 / 25  # more where the machine is busy
    assert frames[0].size == (160, 96)
    assert (counters.broken, counters.reconnects, counters.clock_takeovers) == (0, 0, 0)


def test_only_the_clips_are_served() -> None:
    with LoopedCameras({"road": rendered("road")}) as cameras:
        address = cameras.urls["road"].rpartition("/")[0]
        for path in ("/", "/../../etc/passwd", "/shop.ts"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address + path, timeout=30)
        with urllib.request.urlopen(cameras.urls["road"], timeout=30) as answer:
            assert answer.headers["content-type"] == "video/mp2t"
            assert answer.read(188)[0] == 0x47  # a transport stream's sync byte


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("no video")
    with pytest.raises(SourceError, match="expected a video"):
        LoopedCameras({"x": tmp_path / "x.mp4"})


def test_the_service_is_run_on_the_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    ran = []

    def run(path: Path) -> int:
        ran.append(load_service_settings(path))
        return 0

    monkeypatch.setattr("tracker.service.run.run_live", run)
    clips = [write_video(tmp_path / name, count=5, size=(64, 48)) for name in ("Ünï cödé (1).mp4", "b.mp4")]
    (tmp_path / "other").mkdir()
    clips.append(write_video(tmp_path / "other" / "b.mp4", count=5, size=(64, 48)))
    assert serve_demo(tmp_path / "out", clips, device="cpu", address="127.0.0.1:0", console=console_for()) == 0
    [settings] = ran
    assert [camera.name for camera in settings.cameras] == ["n--c-d---1", "b", "b-2"]
    assert all(camera.url.startswith("http://127.0.0.1:") for camera in settings.cameras)
    assert settings.dashboard.address == "127.0.0.1:0"
    assert Path(settings.state).is_relative_to(tmp_path / "out")
    assert yaml.safe_load((tmp_path / "out/live/cameras.yaml").read_text())["device"] == "cpu"
    assert "make an account" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="--out"):
        serve_demo(tmp_path / "file", [], device="cpu", console=console_for())


def test_a_site_s_file_is_drawn_in_the_page(run, tmp_path: Path) -> None:
    result = run("demo", "--serve", "--site", tmp_path / "site.yaml", "--out", tmp_path / "out")
    assert result.status == 2
    assert "import it in the page's editor" in result.text
