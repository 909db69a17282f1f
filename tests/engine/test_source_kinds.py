"""Runs on kinds of sources: images into pictures, pipes that are read once, rates of images."""

from __future__ import annotations

import os
import threading

import cv2
import pytest

from tests.sources.videos import picture, write_video
from tracker import run
from tracker.engine.claims import check_run
from tracker.engine.plan import plan_run
from tracker.errors import ConfigError, SinkError
from tracker.settings.stream import RunSettings

SIZE = (160, 96)


def images(folder, count: int = 3, suffix: str = "png"):
    folder.mkdir()
    for index in range(count):
        assert cv2.imwrite(str(folder / f"{index}.{suffix}"), picture(index, SIZE))
    return folder


def fifo(tmp_path, data: bytes):
    path = tmp_path / "pipe.ts"
    os.mkfifo(path)
    threading.Thread(target=lambda: path.write_bytes(data), daemon=True).start()
    return path


def settings(source, **options) -> RunSettings:
    return RunSettings(sources=[str(source)], **options)


def test_a_folder_of_images_is_saved_as_pictures_of_their_names(tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (outcome,) = run(settings(images(tmp_path / "in"), save=f"{out}/"))
    assert outcome.failures == []
    assert sorted(entry.name for entry in out.iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]
    assert cv2.imread(str(out / "2.jpg")).shape == (96, 160, 3)


def test_pictures_over_their_sources_are_refused_before_any_work(tmp_path) -> None:
    folder = images(tmp_path / "in", suffix="jpg")
    before = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    chosen = settings(folder, save=f"{folder}/")
    with pytest.raises(SinkError, match="source"):
        check_run(chosen, plan_run(chosen))
    with pytest.raises(SinkError, match="source"):
        run(chosen)
    assert {entry.name: entry.read_bytes() for entry in folder.iterdir()} == before


def test_a_video_into_a_folder_stays_a_video(tmp_path) -> None:
    (plan,) = plan_run(settings(write_video(tmp_path / "a.mkv", count=1), save=f"{tmp_path}/"))
    assert plan.outputs == (f"{tmp_path}/a.mp4",)


@pytest.mark.slow
def test_a_pipe_gives_the_records_of_its_file(tmp_path) -> None:
    video = write_video(tmp_path / "a.ts", count=12, size=SIZE)
    run(settings(video, records=[str(tmp_path / "file.jsonl")]))
    (outcome,) = run(settings(fifo(tmp_path, video.read_bytes()), records=[str(tmp_path / "pipe.jsonl")]))
    assert outcome.figures.frames == 12
    assert (tmp_path / "pipe.jsonl").read_bytes() == (tmp_path / "file.jsonl").read_bytes()


def test_a_pipe_cannot_be_drawn_twice(tmp_path) -> None:
    video = write_video(tmp_path / "a.ts", count=12, size=SIZE)
    path = fifo(tmp_path, video.read_bytes())
    with pytest.raises(ConfigError, match="a pipe") as caught:
        run(settings(path, save=str(tmp_path / "out.mp4"), refine=True))
    assert "save the recording first" in caught.value.remedy
    path.read_bytes()  # lets the writer go


@pytest.mark.parametrize(("options", "rate"), [({}, 10), ({"fps": 5}, 5)])
def test_images_run_at_the_rate_that_is_asked_for_or_noted_beside_them(tmp_path, options, rate: int) -> None:
    folder = images(tmp_path / "in")
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=10\n", encoding="utf-8")
    (outcome,) = run(settings(folder, **options))
    assert outcome.figures.media_s == pytest.approx(2 / rate)
