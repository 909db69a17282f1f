"""Recordings of a batch: folders, lists and patterns, names apart, keys that follow content and settings."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tracker.batch.recordings import find_recordings, key_of
from tracker.errors import SourceError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def test_a_folder_gives_all_videos_below_it(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a/1.mkv", "a/b/2.TS", "a/notes.txt", "a/x.jpg")
    found = find_recordings([str(tmp_path)])
    assert [one.name for one in found] == ["a/1.mkv", "a/b/2.TS", "b.mp4"]
    assert [one.size for one in found] == [7, 8, 5]


def test_a_folder_of_images_is_one_recording(tmp_path: Path) -> None:
    touch(tmp_path / "gate", "1.jpg", "2.jpg")
    [one] = find_recordings([str(tmp_path / "gate")])
    assert (one.name, one.size) == ("gate", 10)


def test_a_list_names_sources_and_its_line_stands_in_errors(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4", "b.mp4")
    names = tmp_path / "all.txt"
    names.write_text(f"# morning\n\nin\n{tmp_path / 'b.mp4'}\n", "utf-8")
    assert [one.name for one in find_recordings([str(names)])] == ["a.mp4", "b.mp4"]
    names.write_text("in\nmissing.mp4\n", "utf-8")
    with pytest.raises(SourceError, match=r"all\.txt:2: .*found no such file"):
        find_recordings([str(names)])
    names.write_text(f"file://{tmp_path / 'b.mp4'}\r\n", "utf-8-sig")
    assert [one.name for one in find_recordings([str(names)])] == ["b.mp4"]
    names.write_text("rtsp://gate/1\n", "utf-8")
    with pytest.raises(SourceError, match=r"all\.txt:1: expected a recording, found a camera"):
        find_recordings([str(names)])
    names.write_text("# nothing\n", "utf-8")
    with pytest.raises(SourceError, match="expected a source per line, found none"):
        find_recordings([str(names)])


def test_what_is_named_twice_comes_once_and_equal_names_get_their_folders(tmp_path: Path) -> None:
    touch(tmp_path, "mon/gate/06.mp4", "tue/gate/06.mp4")
    folders = [str(tmp_path / "mon" / "gate"), str(tmp_path / "tue" / "gate")]
    found = find_recordings([*folders, folders[0]])
    assert [one.name for one in found] == ["mon/gate/06.mp4", "tue/gate/06.mp4"]
    assert len({key_of(one, {}) for one in found}) == 2


def test_one_file_under_two_paths_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "in/a.mp4")
    monkeypatch.chdir(tmp_path)
    for sources in (["in", "in/a.mp4", str(tmp_path / "in")], ["in/../in/a.mp4", str(tmp_path / "in" / "a.mp4")]):
        assert [one.name for one in find_recordings(sources)] == ["a.mp4"]


def test_names_apart_do_not_depend_on_how_a_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "mon/a.mp4", "tue/a.mp4")
    monkeypatch.chdir(tmp_path / "mon")
    found = find_recordings(["a.mp4", "../tue/a.mp4"])
    assert [one.name for one in found] == ["mon/a.mp4", "tue/a.mp4"]


def test_what_is_hidden_below_a_folder_is_left_out_as_by_track(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "._a.mp4", ".trash/b.mp4", "day/.part/c.mp4")
    assert [one.name for one in find_recordings([str(tmp_path)])] == ["a.mp4"]
    assert [one.name for one in find_recordings([str(tmp_path / "._a.mp4")])] == ["._a.mp4"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_names_that_are_no_text_are_written_out(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    path.write_bytes(b"x")
    for source in (tmp_path, path):
        [one] = find_recordings([str(source)])
        assert one.name == "caf\\xe9.mp4"
        assert Path(one.address).read_bytes() == b"x"


def test_ten_thousand_files_with_one_name_are_told_apart_in_time(tmp_path: Path) -> None:
    for number in range(2000):
        touch(tmp_path, f"{number}/a.mp4")
    found = find_recordings([str(tmp_path / str(number)) for number in range(2000)])
    assert len({one.name for one in found}) == 2000


@pytest.mark.parametrize("source", ["rtsp://gate/1", "0"])
def test_cameras_are_refused(source: str) -> None:
    with pytest.raises(SourceError, match="expected a recording, found a camera"):
        find_recordings([source])


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected videos below the folder"):
        find_recordings([str(tmp_path)])


def test_keys_follow_content_and_settings_and_not_the_place(tmp_path: Path) -> None:
    [one] = find_recordings([str(touch(tmp_path, "a.mp4") / "a.mp4")])
    key = key_of(one, {"stride": 1})
    assert key == key_of(replace(one, address="/elsewhere/a.mp4"), {"stride": 1})
    assert key != key_of(one, {"stride": 2})
    os.utime(tmp_path / "a.mp4", (1, 1))
    [later] = find_recordings([str(tmp_path / "a.mp4")])
    assert key_of(later, {"stride": 1}) != key


def test_keys_are_names_of_files_whatever_the_recording_is_called(tmp_path: Path) -> None:
    touch(tmp_path, "a b=ü #1?.mp4")
    [one] = find_recordings([str(tmp_path)])
    assert key_of(one, {}).replace("-", "").replace("_", "").isalnum()
    assert key_of(one, {}).isascii()
