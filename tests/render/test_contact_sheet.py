"""The contact sheet read back by OpenCV."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from tests.sinks.streams import CLASS_NAMES, stream, tracked_frame
from tracker.app.overview import strip_of_video, write_contact_sheet
from tracker.errors import ConfigError, SinkError
from tracker.plugins import open_sink
from tracker.render.contact_sheet import Moment, Strip, compose
from tracker.render.site_text import LegendEntry, Part
from tracker.sinks.multi import MultiSink


def recorded(folder, video="street.tracked.mp4", records="street.tracks.jsonl", frames=None):
    names = [folder / video, *([folder / records] if records else [])]
    with MultiSink([open_sink(name, class_names=CLASS_NAMES, frame_rate=25) for name in names]) as sink:
        for frame in frames or stream(40):
            sink.write(frame)
    return folder / video


def test_sheet_of_two_videos(tmp_path):
    first = recorded(tmp_path)
    second = recorded(tmp_path, "shop.mp4", None)
    write_contact_sheet(tmp_path / "sheet.png", [first, second], moments=6, columns=3)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 2 * 40 + 3 * 560 + 2 * 20
    assert sheet.shape[0] > 4 * 420
    assert not list(tmp_path.glob(".*"))


def test_moments_are_spread_and_counted(tmp_path):
    strip = strip_of_video(recorded(tmp_path), moments=4)
    assert strip.title == "street"
    times = [moment.time_s for moment in strip.moments]
    assert all(n * 0.4 <= time_s < (n + 1) * 0.4 for n, time_s in enumerate(times))
    assert strip.moments[0].present == Counter(car=1, person=1)
    assert "1 car" in strip.subtitle
    assert "160 x 120" in strip.subtitle


def test_the_busiest_moment_of_each_part_is_shown(tmp_path):
    def frames():
        for index in range(50):
            count = 5 if index == 33 else 1
            yield tracked_frame(index, boxes=[(5.0 + 30 * n, 10, 30.0 + 30 * n, 60) for n in range(count)])

    strip = strip_of_video(recorded(tmp_path, frames=frames()), moments=2)
    assert strip.moments[1].time_s == pytest.approx(33 / 25, abs=1e-3)
    assert strip.moments[1].present == Counter(car=5)
    assert strip.moments[1].caption == "0:01.3    5 cars"


def test_without_records_moments_are_in_the_middle_of_equal_parts(tmp_path):
    strip = strip_of_video(recorded(tmp_path, "shop.mp4", None), moments=2)
    assert [moment.time_s for moment in strip.moments] == pytest.approx([0.4, 1.2], abs=0.05)
    assert strip.moments[0].caption == "0:00.4"


def test_a_video_shorter_than_the_moments(tmp_path):
    video = recorded(tmp_path, "short.mp4", None, frames=[tracked_frame(boxes=[])])
    assert len(strip_of_video(video, moments=5).moments) >= 1


def test_pictures_of_several_shapes_share_a_sheet():
    wide = Moment(image=np.full((90, 160, 3), 200, np.uint8), time_s=0)
    tall = Moment(image=np.full((160, 90, 3), 100, np.uint8), time_s=1)
    sheet = compose(
        [Strip(title="a", subtitle="", moments=[wide, tall]), Strip(title="b", subtitle="", moments=[wide])], columns=4
    )
    assert sheet.shape[1] == 2 * 40 + 2 * 560 + 20
    assert (sheet == 200).all(axis=2).sum() > 2 * 0.9 * 560 * 315
    assert (sheet == 100).all(axis=2).sum() > 0.9 * 560 * 995


def test_errors_name_the_offender(tmp_path):
    with pytest.raises(ConfigError, match="found 0, 8 and 4"):
        write_contact_sheet(tmp_path / "sheet.png", [])
    with pytest.raises(SinkError, match=r"none\.mp4"):
        write_contact_sheet(tmp_path / "sheet.png", [tmp_path / "none.mp4"])
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(SinkError, match=r"text\.mp4"):
        write_contact_sheet(tmp_path / "sheet.png", [tmp_path / "text.mp4"])
    with pytest.raises(SinkError, match="mkdir"):
        write_contact_sheet(tmp_path / "none" / "sheet.png", [tmp_path / "text.mp4"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["text.mp4"]


def test_a_legend_stands_under_the_title_in_as_many_rows_as_it_needs():
    tag = ((Part("name", "door"), Part("dot"), Part("word", "in"), Part("number", "14")), (255, 221, 153))
    moment = Moment(image=np.full((90, 160, 3), 200, np.uint8), time_s=0)
    plain, one, many = (
        compose([Strip(title="a", subtitle="", moments=[moment], legend=[LegendEntry(*tag)] * count)], columns=1)
        for count in (0, 1, 30)
    )
    assert plain.shape[0] < one.shape[0] < many.shape[0]
    added = one.shape[0] - plain.shape[0]
    assert (one[-plain.shape[0] + 100 :] == plain[100:]).all()
    colour = (np.abs(one.astype(int) - (255, 221, 153)).max(axis=2) < 6).nonzero()[0]
    assert 60 < colour.min() < colour.max() < 70 + added
