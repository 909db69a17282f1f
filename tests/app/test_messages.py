"""What a user is told: failures that are never quiet, harmless foreign text, options that say what they take."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from tests.segment.models import END2END_INPUT, constant_model, end2end_outputs
from tests.sources.videos import write_video
from tracker.app.console import foreign
from tracker.app.progress import summary_line, summary_table
from tracker.engine.meter import StreamFigures
from tracker.engine.run import Outcome
from tracker.errors import SinkError
from tracker.sinks.identities import IdentitySink

if TYPE_CHECKING:
    from tests.command import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "road.mp4", count=5, size=(160, 96))


def named_model(path: Path, names: list[str]) -> Path:
    """An end-to-end file of two instances, whose classes are called so."""
    metadata = {
        "masktrail.contract": "end2end-1",
        "masktrail.classes": json.dumps(names),
        "masktrail.input": json.dumps(END2END_INPUT),
    }
    return constant_model(path, end2end_outputs(), input_shape=[1, 96, 160, 3], input_dtype="uint8", metadata=metadata)


# ---- failures ------------------------------------------------------------------------------------------------------


LONG = "x" * 5000


@pytest.mark.parametrize(
    "words",
    [
        ("track", LONG),
        ("track", LONG + "*.png"),
        ("track", "road.mp4", "--save", LONG),
        ("track", "road.mp4", "--records", LONG + ".jsonl"),
        ("track", "road.mp4", "--json", LONG),
        ("track", "road.mp4", "--model", LONG),
        ("track", "road.mp4", "--reid", LONG + ".onnx"),
        ("associate", LONG, "--out", "r.txt"),
        ("eval", LONG, "--gt", "."),
        ("eval", ".", "--gt", LONG),
        ("live", LONG),
        ("models", "check", LONG),
        ("bench", "pipeline", LONG),
        ("demo", LONG),
    ],
)
def test_paths_that_the_system_refuses_are_refused(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """A name too long, like a folder that may not be looked into: whether a file is there cannot be answered."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "road.mp4").symlink_to(clip)
    result = run(*words)
    assert result.status == 2
    assert "File name too long" in result.text
    assert [path.name for path in tmp_path.iterdir()] == ["road.mp4"]


def test_quiet_says_why_an_output_failed(run: Run, tmp_path: Path) -> None:
    import cv2

    wide = tmp_path / "wide.png"
    cv2.imwrite(str(wide), np.zeros((64, 16_400, 3), np.uint8))
    video = tmp_path / "wide.mp4"
    result = run("segment", wide, "--quiet", "--save", video)
    assert (result.status, result.out) == (1, "")
    expected = "expected at most 16384 px a side for H.264, found a picture of 16400 x 64 px\n  remedy: use .webm\n"
    assert result.err == f"output lost: {video}: {expected}"
    assert not video.exists()
    assert run("segment", wide, "--quiet", "--save", tmp_path / "wide.webm").status == 0


# ---- foreign text --------------------------------------------------------------------------------------------------


def test_markup_in_class_names_and_paths_is_text(run: Run, clip: Path, tmp_path: Path) -> None:
    model = named_model(tmp_path / "m.onnx", ["[/b]", "[red]car"])
    folder = tmp_path / "a[" / "red]"
    folder.mkdir(parents=True)
    result = run("segment", clip, "--model", model, "--records", folder / "[dim]o.jsonl")
    assert result.status == 0, result.text
    assert f"wrote {folder}/[dim]o.jsonl" in result.out
    checked = run("models", "check", model)
    assert checked.status == 0, checked.text
    assert "2: [/b], [red]car" in checked.out


def test_control_characters_reach_no_terminal(run: Run, clip: Path, tmp_path: Path) -> None:
    model = named_model(tmp_path / "m.onnx", ["\x1b[31mper\nson", "\x1b]0;owned\x07"])
    records = tmp_path / "o.csv"
    result = run("track", clip, "--model", model, "--records", records)
    assert result.status == 0, result.text
    assert "\x1b" not in result.out + result.err + records.read_text()
    assert "2: [31mperson, ]0;owned" in run("models", "check", model).out
    absent = run("track", tmp_path / "no\x1b[31m\nsuch.mp4")
    assert "no\\x1b[31m\\nsuch.mp4" in absent.err
    assert "\x1b" not in absent.err


def test_a_csv_cell_is_never_a_formula(run: Run, clip: Path, tmp_path: Path) -> None:
    names = ['=HYPERLINK("http://evil","x")', "@SUM(1)"]
    model = named_model(tmp_path / "m.onnx", names)
    run("segment", clip, "--model", model, "--limit", 1, "--records", tmp_path / "o.csv")
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} == {'\'=HYPERLINK("http://evil","x")', "'@SUM(1)"}
    run("track", clip, "--model", model, "--records", tmp_path / "o.identities.csv")
    with (tmp_path / "o.identities.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {row["class"] for row in table} == {row["class"] for row in rows}
    IdentitySink.join(tmp_path / "o.jsonl", [tmp_path / "o.identities.csv"], [0.0])
    joined = [json.loads(line)["class"] for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert set(joined) == set(names), "joined chunks have the names themselves"


def test_foreign_text_is_neither_markup_nor_control() -> None:
    console = Console(file=io.StringIO(), record=True, width=80)
    console.print(f"[bold]{foreign('a[/bold] [red]' + chr(27) + '[2J b')}[/bold]")
    assert console.export_text() == "a[/bold] [red]\\x1b[2J b\n"


def test_errors_are_printable() -> None:
    error = SinkError("a\nb\x1b", "found\x07 this\nand that", "c\x9bd")
    assert str(error) == "a\\nb\\x1b: found\\x07 this\nand that\n  remedy: c\\x9bd"


# ---- the summary ---------------------------------------------------------------------------------------------------


def outcome(**stages: float) -> Outcome:
    return Outcome(
        name="clips/street.mp4",
        figures=StreamFigures(frames=10, media_s=0.4, wall_s=2.0),
        identities=Counter({"car": 2, "person": 1}),
        stage_ms=stages,
        outputs=[],
        failures=[],
    )


def test_the_summary_breaks_between_stages_only() -> None:
    stages = dict(
        zip(("decode", "segment", "camera", "embeddings", "associate", "analytics", "write"), range(7), strict=True)
    )
    console = Console(file=io.StringIO(), record=True, width=80)
    console.print(summary_table(outcome(**stages)))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines == [
        "  identities    3  (2 car, 1 person)",
        "  frames        10  (0.4 s of media in 2.0 s)",
        "  speed         5.0 fps, 0.20 x real time",
        "  ms a frame    decode 0.0, segment 1.0, camera 2.0, embeddings 3.0,",
        "                associate 4.0, analytics 5.0, write 6.0",
        "                several frames at once: the sum may exceed a frame's time",
    ]


def test_the_demo_tells_a_stream_on_one_line() -> None:
    assert summary_line(outcome(decode=1.0)) == "street.mp4: 3 identities (2 car, 1 person), 10 frames at 5.0 fps"
    brief = dataclasses.replace(outcome(), figures=StreamFigures(frames=10, wall_s=2.0, brief=1))
    assert "3 identities (2 car, 1 person; 1 of them in at most 3 frames), 10" in summary_line(brief)


# ---- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stride", "0"], "--stride: expected a whole number from 1 to 10000, found '0'"),
        (["--stride", "few"], "--stride: expected a whole number from 1 to 10000, found 'few'"),
        (["--stride=0"], "--stride: expected a whole number from 1 to 10000, found '0'"),
        (["--conf", "2"], "from 0 to 1, found '2'\n  remedy: write --conf 0.5, or leave it out"),
        (["--fps", "nan"], "from 0.01 to 1000, found 'nan'\n  remedy: write --fps 25, or leave it out"),
        (["--save", ""], "--save: expected text, found an empty text\n  remedy: leave it out, or write a name"),
        (["--score-threshold", "2"], "--score-threshold: expected a number from 0 to 1, found '2'"),
        (["--limit", "0"], "from 1, found '0'\n  remedy: write --limit 100, or leave it out"),
        (["--batch", "0"], "from 1 to 256, found '0'\n  remedy: write --batch 1, or leave it out"),
        (["--batch", "many"], "found 'many'\n  remedy: write --batch 1, or leave it out"),
        (["--workers", "1000"], "found '1000'\n  remedy: write --workers 256, or leave it out"),
        (["--line-width", "0"], "from 1 to 100, found '0'\n  remedy: write --line-width 2, or leave it out"),
        (["--save-height", "1"], "found '1'\n  remedy: write --save-height 720, or leave it out"),
        (["--transport", "http"], "--transport: expected one of tcp, udp, found 'http'"),
        (["--save", "a.mp4", "--save", "b.mp4"], "--save: expected it once, found it 2 times: 'a.mp4', 'b.mp4'"),
        (["--conf", "0.1", "--score-threshold=0.2"], "--conf: expected it once, found it 2 times: '0.1', '0.2'"),
        (["--save", "--limit", "2"], "--save: expected FILE after it, found --limit"),
        (["--save"], "--save: expected FILE after it, found nothing"),
        (["--records", "{camera}.jsonl"], "expected placeholders {name}, {time}, {frame}, {image}, found {camera}"),
        (["--save", "out"], "remedy: add a suffix: out.mp4 for video, out.jsonl for records"),
        (["--save", "newdir/"], "expected the folder newdir to exist, found nothing\n  remedy: mkdir -p newdir\n"),
        (["--save", "b.mp4", "x.mp4"], "--save b.mp4: expected a file per source, found one name for several sources"),
    ],
)
def test_options_say_what_they_take(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.mp4").write_bytes(clip.read_bytes())
    result = run("track", clip, *words)
    assert result.status == 2
    assert message in result.err
    assert "\n  remedy: " in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.mp4"]


def test_a_source_without_a_name(run: Run) -> None:
    result = run("track", "")
    assert result.status == 2
    assert result.err == (
        "masktrail: SOURCE: expected a video, a folder, a pattern, a webcam (0) or an address, found an empty text\n"
        "  remedy: name one: masktrail track street.mp4\n"
    )


def test_records_may_still_be_given_twice(run: Run, clip: Path, tmp_path: Path) -> None:
    names = [tmp_path / "a.jsonl", tmp_path / "b.csv"]
    assert run("track", clip, "--records", names[0], "--records", names[1]).status == 0
    assert all(name.is_file() for name in names)


def test_forgotten_suffixes_are_found(run: Run, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"x")
    assert f"did you mean '{tmp_path}/own.onnx'?" in run("models", "check", tmp_path / "own").err
    assert f"did you mean {clip}?" in run("track", clip.with_suffix("")).err


@pytest.mark.quick("command2")
@pytest.mark.parametrize("command", [["models", "show", "yolact-nano"], ["doctor"], ["track", "--help"]])
def test_a_terminal_without_utf_8_is_no_reason_to_fail(command: list[str]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "tracker", *command]
    ended = subprocess.run(words, env=environment, capture_output=True, check=False, cwd=ROOT)
    assert b"Traceback" not in ended.stderr
    assert b"PYTHONIOENCODING" not in ended.stdout + ended.stderr
    assert ended.returncode in {0, 1}
    shown = ended.stdout.decode("ascii")
    assert "?" not in shown or command[0] != "models"


@pytest.mark.parametrize("demo", ["one_file.py", "one_camera.py"])
def test_demos_without_a_source_say_how_they_are_called(demo: str) -> None:
    words = [sys.executable, ROOT / "demos" / demo]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(words, env=environment, capture_output=True, check=False, text=True)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1].startswith(f"Usage: python demos/{demo} ")
    assert "Traceback" not in ended.stderr
