"""Options of other tools: the error names what to write here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command import Run, runner
from tests.conftest import ROOT
from tracker.app.habits import HABITS


@pytest.fixture
def masktrail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["--source", "a.mp4"], "give the source without an option"),
        (["a.mp4", "--show"], "--save out.mp4, and open the file"),
        (["a.mp4", "--imgsz", "640"], "the input size is the model's own"),
        (["a.mp4", "--imgsz=640"], "the input size is the model's own"),
        (["a.mp4", "--vid-stride", "2"], "--stride"),
        (["a.mp4", "--vid_stride", "2"], "--stride"),
        (["a.mp4", "--save-txt"], "--records out.txt"),
        (["a.mp4", "--tracker", "bytetrack.yaml"], "there is one tracker"),
        (["a.mp4", "--max-det", "10"], "the model's file says"),
        (["a.mp4", "--project", "runs"], "--save folder/"),
        (["a.mp4", "--line-thickness", "2"], "--line-width, in pixels"),
        (["a.mp4", "--hide-labels"], "--draw masks,trails"),
        (["a.mp4", "--start", "60"], "ffmpeg -ss 60"),
        (["a.mp4", "--camera_motion", "off"], "remedy: --camera-motion"),
    ],
)
def test_options_of_other_tools(masktrail: Run, words: list[str], advice: str) -> None:
    result = masktrail("track", *words)
    assert result.status == 2
    assert advice in result.text


def test_values_as_yolo_takes_them(masktrail: Run, tmp_path: Path) -> None:
    result = masktrail("track", "source=a.mp4", "conf=0.3")
    assert result.status == 2
    assert "source=a.mp4: expected options as --name value, found name=value remedy: give the source" in result.text
    assert "remedy: --conf 0.3" in masktrail("track", "a.mp4", "conf=0.3").text
    assert "remedy: --device cuda" in masktrail("track", "a.mp4", "device=0").text
    assert "remedy: --classes person,car" in masktrail("track", "a.mp4", "classes=0,2").text
    # A file of such a name is a file; what is no option of anybody's is a source that is not there.
    assert "no such file" in masktrail("track", "colour=red.mp4").text.lower()


def test_an_option_that_nobody_has_is_refused_as_ever(masktrail: Run) -> None:
    result = masktrail("track", "a.mp4", "--moon")
    assert result.status == 2
    assert "No such option" in result.text


def test_the_table_in_the_guide_has_every_habit_of_yolo() -> None:
    page = (ROOT / "docs" / "guide" / "from-other-tools.md").read_text(encoding="utf-8")
    told = set(re.findall(r"--[a-z-]+", page))
    missing = {"--source", "--imgsz", "--vid-stride", "--save-txt", "--tracker", "--max-det", "--show"} - told
    assert not missing
    assert not {option for option in HABITS if not re.fullmatch(r"--[a-z-]+", option)}
