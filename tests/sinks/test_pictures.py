"""Annotated pictures as files, read back by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.sinks.streams import CLASS_NAMES, tracked_frame
from tracker.errors import ConfigError, SinkError
from tracker.plugins import open_sink
from tracker.render.annotate import Annotator
from tracker.sinks.pictures import PictureSink, picture_files


def frames(count: int, *, sources: list[str] | None = None):
    return [tracked_frame(n, boxes=[(20, 20, 80, 90)], source=sources[n] if sources else "v.mp4") for n in range(count)]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png"])
def test_one_picture_is_what_the_annotator_draws(tmp_path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    (frame,) = frames(1)
    with open_sink(path, class_names=CLASS_NAMES) as sink:
        sink.write(frame)
        assert not path.exists()  # a reader never sees half a picture
    found = cv2.imread(str(path)).astype(int)
    expected = Annotator().draw(frame).astype(int)
    assert found.shape == expected.shape == (120, 160, 3)
    assert np.abs(found - expected).mean() <= (0 if suffix == "png" else 4)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_second_picture_for_one_path_is_refused_and_the_first_is_kept(tmp_path) -> None:
    path = tmp_path / "x.jpg"
    sink = PictureSink(path, draw=Annotator().draw)
    first, second = frames(2)
    sink.write(first)
    with pytest.raises(SinkError, match="single picture") as caught:
        sink.write(second)
    assert "x-{frame}.jpg" in caught.value.remedy
    sink.abort()
    assert cv2.imread(str(path)) is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_pictures_of_a_video_are_numbered(tmp_path) -> None:
    with open_sink(tmp_path / "out-{frame}.png", class_names=CLASS_NAMES) as sink:
        for frame in frames(3):
            sink.write(frame)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f"out-{n:06d}.png" for n in range(3)]


def test_pictures_of_images_bear_their_names(tmp_path) -> None:
    with open_sink(tmp_path / "{image}.jpg", class_names=CLASS_NAMES) as sink:
        for frame in frames(2, sources=["in/a.png", "in/b.v2.png"]):
            sink.write(frame)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.jpg", "b.v2.jpg"]
    assert picture_files("o/{image}.jpg", []) == []


def test_no_picture_is_written_over_another_one_or_over_its_source(tmp_path) -> None:
    source = tmp_path / "a.jpg"
    source.write_bytes(b"precious")
    sink = PictureSink(tmp_path / "{image}.jpg", draw=Annotator().draw)
    with pytest.raises(SinkError, match="found the source"):
        sink.write(frames(1, sources=[str(source)])[0])
    assert source.read_bytes() == b"precious"
    first, second = frames(2, sources=["x/b.png", "y/b.png"])
    sink.write(first)
    before = (tmp_path / "b.jpg").read_bytes()
    with pytest.raises(SinkError, match="a second time"):
        sink.write(second)
    assert (tmp_path / "b.jpg").read_bytes() == before


def test_nothing_written_leaves_nothing(tmp_path) -> None:
    PictureSink(tmp_path / "x.jpg", draw=Annotator().draw).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.bmp", ConfigError),
        ("{image}/x.jpg", ConfigError),
        ("missing/x.jpg", SinkError),
        ("missing/{frame}.jpg", SinkError),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(tmp_path, name: str, kind) -> None:
    with pytest.raises(kind) as caught:
        PictureSink(tmp_path / name, draw=Annotator().draw)
    assert caught.value.remedy


def test_a_picture_too_large_for_jpeg_is_refused(tmp_path) -> None:
    sink = PictureSink(tmp_path / "x.jpg", draw=lambda _frame: np.zeros((1, 70_000, 3), np.uint8))
    with pytest.raises(SinkError, match="70000 x 1"):
        sink.write(frames(1)[0])
    sink.abort()
    assert list(tmp_path.iterdir()) == []
