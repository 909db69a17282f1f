"""Nothing a user has is overwritten or lost: outputs against sources, models, each other and other processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

from tests.command import Run
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.errors import SinkError
from tracker.service.cameras import LiveService
from tracker.settings.yaml_file import load_service_settings
from tracker.sinks.exclusive import check_free, reserved

ROOT = Path(__file__).resolve().parents[1]
MODEL = ("--model", "constant.onnx", "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model and a recording."""
    monkeypatch.chdir(tmp_path)
    end2end_model(tmp_path / "constant.onnx")
    write_video(tmp_path / "a.mp4", count=5, size=(160, 96))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def process(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tracker", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process, as a context manager; its standard input keeps it waiting where it reads it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


CHECK = "import pathlib, sys; from tracker.sinks.exclusive import check_free; check_free(pathlib.Path(sys.argv[1]))"
OPEN = "import sys; from tracker.sinks.part_file import PartFile; part = PartFile(sys.argv[1]); "
OPEN += "print('held', flush=True); sys.stdin.read()"


def frames_of(path: Path) -> set[int]:
    return {json.loads(line)["frame"] for line in path.read_text().splitlines()}


@pytest.mark.parametrize(
    ("arguments", "offender"),
    [
        (("--save", "."), "a.mp4 (--save, a.mp4)"),
        (("--save", "a.mp4"), "a.mp4 (--save, a.mp4)"),
        (("--save", "{name}.mp4"), "a.mp4 (--save, a.mp4)"),
        (("--save", "sym.mp4"), "sym.mp4 (--save, a.mp4)"),
        (("--save", "hard.mp4"), "hard.mp4 (--save, a.mp4)"),
        (("--save", "here/a.mp4"), "here/a.mp4 (--save, a.mp4)"),
        (("--records", "to-video.jsonl"), "to-video.jsonl (--records, a.mp4)"),
        (("--json", "a.mp4"), "a.mp4 (--json)"),
        (("--json", "constant.onnx"), "constant.onnx (--json)"),
        (("--records", "x.jsonl", "--records", "x.jsonl"), "x.jsonl (--records, a.mp4)"),
        (("--records", "x.jsonl", "--json", "x.jsonl"), "x.jsonl (--json)"),
        (("--records", "x.jsonl", "--records", "here/x.jsonl"), "here/x.jsonl (--records, a.mp4)"),
    ],
)
@pytest.mark.parametrize("command", ["track", "segment"])
def test_track_and_segment_refuse_before_any_work(
    run: Run, folder: Path, command: str, arguments: tuple[str, ...], offender: str
) -> None:
    (folder / "sym.mp4").symlink_to("a.mp4")
    os.link(folder / "a.mp4", folder / "hard.mp4")
    (folder / "here").symlink_to(".")
    (folder / "to-video.jsonl").symlink_to(folder / "a.mp4")
    before = contents(folder)
    result = run(command, "a.mp4", *MODEL, *arguments)
    assert (result.status, result.out) == (2, "")
    assert f"masktrail: {offender}: expected a file of its own, found" in result.err
    assert contents(folder) == before


def test_a_folder_of_videos_onto_itself(run: Run, folder: Path) -> None:
    (folder / "videos").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy("a.mp4", folder / "videos" / name)
    before = contents(folder)
    result = run("track", "videos", *MODEL, "--save", "videos/", "--records", "{name}.jsonl")
    assert result.status == 2
    assert "2 outputs" in result.err
    assert "videos/a.mp4 (--save, videos/a.mp4)" in result.err
    assert "videos/b.mp4 (--save, videos/b.mp4)" in result.err
    assert contents(folder) == before


def test_streams_whose_names_meet(run: Run, folder: Path) -> None:
    for other in ("one", "two", "out"):
        (folder / other).mkdir()
    shutil.copy("a.mp4", "one/cam.mp4")
    shutil.copy("a.mp4", "two/cam.mp4")
    shutil.copy("a.mp4", "cam.mov")
    result = run("track", "one/cam.mp4", "two/cam.mp4", "cam.mov", *MODEL, "--save", "out/", "--records", "{name}.csv")
    assert result.status == 2
    assert "4 outputs" in result.err
    for offender in ("--save, two/cam.mp4", "--save, cam.mov", "--records, two/cam.mp4", "--records, cam.mov"):
        assert f"({offender}): expected a file of its own, found that another output is the same file" in result.err
    assert list((folder / "out").iterdir()) == []


def test_images_of_a_folder_and_the_coco_file_are_sources(run: Run, folder: Path) -> None:
    (folder / "images").mkdir()
    with av.open("a.mp4") as video:
        for number, picture in enumerate(video.decode(video=0)):
            picture.to_image().save(folder / "images" / f"{number}.png")
    (folder / "images.json").write_text('{"images": [], "categories": []}')
    (folder / "out.coco.json").symlink_to("images.json")
    (folder / "t.csv").symlink_to("images/3.png")
    before = contents(folder)
    outputs = ("--records", "out.coco.json", "--records", "t.csv")
    result = run("segment", "images", *MODEL, "--coco", "images.json", *outputs)
    assert result.status == 2
    assert "out.coco.json (--records, images): expected a file of its own, found that it is read here" in result.err
    assert "read here: images.json (--coco)" in result.err
    assert "read here: images/3.png (source)" in result.err
    assert contents(folder) == before


def test_numbered_pictures_in_the_folder_of_their_source(run: Run, folder: Path) -> None:
    for place in ("images", "other/images", "out"):
        (folder / place).mkdir(parents=True)
    with av.open("a.mp4") as video:
        for number, picture in enumerate(video.decode(video=0)):
            picture.to_image().save(folder / "images" / f"{number:06d}.jpg")
    shutil.copy("images/000001.jpg", "other/images/000001.jpg")
    (folder / "out" / "x-000002.jpg").symlink_to(folder / "images" / "000003.jpg")
    before = contents(folder)
    result = run("track", "images", *MODEL, "--save", "images/{frame}.jpg")
    assert (result.status, result.out) == (2, "")
    assert "5 outputs" in result.err
    assert "images/000004.jpg (--save, images): expected a file of its own, found that it is read here" in result.err
    result = run("track", "images", *MODEL, "--save", "out/x-{frame}.jpg")
    assert "out/x-000002.jpg (--save, images): expected a file of its own" in result.err
    for save, remedy in (
        ("out/{frame}.jpg", "write out/{name}-{frame}.jpg, or a folder"),
        ("out/{frame}", "add a suffix: {frame}.mp4"),
        ("out/{name}-{frame}.jpg", "run the sources one by one"),
    ):
        result = run("track", "images", "other/images", *MODEL, "--save", save)
        assert result.status == 2, save
        assert remedy in result.err
    assert contents(folder) == before
    assert run("track", "images", *MODEL, "--save", "images/y-{frame}.jpg").status == 0


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("dir", "found a folder"),
        ("a.mp4/x.json", "expected the folder a.mp4 to exist, found a file"),
        ("none/x.json", "mkdir -p none"),
    ],
)
def test_a_summary_that_cannot_be_written_is_refused_first(run: Run, folder: Path, path: str, said: str) -> None:
    (folder / "dir").mkdir()
    (folder / "results").mkdir()
    before = contents(folder)
    for arguments in (
        ("track", "a.mp4", *MODEL, "--records", "t.jsonl"),
        ("eval", "results", "--gt", "results"),
        ("bench", "pipeline", "a.mp4"),
        ("bench", "associate", "--objects", "1", "--rounds", "1"),
    ):
        result = run(*arguments, "--json", path)
        assert result.status == 2, arguments
        assert said in result.err
        assert result.out == ""
    assert contents(folder) == before


def test_eval_does_not_write_over_what_it_scores(run: Run, folder: Path) -> None:
    (folder / "results").mkdir()
    (folder / "results" / "s.txt").write_text("1,1,10,10,50,50,0.9\n")
    result = run("eval", "results", "--gt", "results", "--json", "results/s.txt")
    assert result.status == 2
    assert "results/s.txt (--json): expected a file of its own" in result.err


@pytest.mark.parametrize("out", ["det.txt", "link.txt", "hard.txt", "here/det.txt", "."])
def test_associate_refuses_its_source(run: Run, folder: Path, out: str) -> None:
    (folder / "det.txt").write_text("1,-1,10,10,50,50,0.9\n2,-1,11,10,50,50,0.9\n")
    (folder / "link.txt").symlink_to("det.txt")
    os.link("det.txt", "hard.txt")
    (folder / "here").symlink_to(".")
    before = contents(folder)
    result = run("associate", "det.txt", "--out", out, "--quiet")
    assert result.status == 2
    assert "expected a file of its own, found that it is read here" in result.err
    assert contents(folder) == before


@pytest.mark.parametrize("out", ["set", "link", "set/../set"])
def test_associate_refuses_a_folder_onto_itself(run: Run, folder: Path, out: str) -> None:
    for name in ("one", "two"):
        (folder / "set" / name / "det").mkdir(parents=True)
        (folder / "set" / name / "seqinfo.ini").write_text("[Sequence]\nframeRate=10\nseqLength=2\n")
        (folder / "set" / name / "det" / "det.txt").write_text("1,-1,10,10,50,50,0.9\n")
    (folder / "link").symlink_to("set")
    before = contents(folder)
    result = run("associate", "set", "--out", out, "--quiet")
    assert result.status == 2
    assert "found the same" in result.err
    assert contents(folder) == before
    (folder / "new").mkdir()
    (folder / "new" / "one.txt").symlink_to("../set/one/det/det.txt")
    (folder / "new" / "two.txt").symlink_to("../set/two/seqinfo.ini")
    result = run("associate", "set", "--out", "new", "--quiet")
    assert "2 outputs" in result.err
    assert contents(folder / "set") == {path: data for path, data in before.items() if "/set/" in path}


@pytest.mark.parametrize(
    ("cameras", "offenders"),
    [
        ("  - {name: c, url: a.mp4, save: a.mp4}\n", ["a.mp4 (l.yaml:5, c)"]),
        ("  - {name: c, url: a.mp4, save: 'here/{name}.mp4'}\n", ["here/c.mp4 (l.yaml:5, c)"]),
        ("  - {name: c, url: a.mp4, records: to-settings.csv}\n", ["to-settings.csv (l.yaml:5, c)"]),
        (
            "  - {name: a, url: a.mp4, records: out.jsonl}\n  - {name: b, url: a.mp4, records: out.jsonl}\n",
            ["out.jsonl (l.yaml:6, b)", "out.jsonl (l.yaml:5, a)"],
        ),
        (
            "  - {name: a, url: a.mp4, records: 'x-{time}.jsonl'}\n  - {name: b, url: a.mp4, save: 'x-{time}.jsonl'}\n",
            ["x-{time}.jsonl (l.yaml:6, b)", "x-{time}.jsonl (l.yaml:5, a)"],
        ),
    ],
)
def test_live_refuses_with_the_lines(run: Run, folder: Path, cameras: str, offenders: list[str]) -> None:
    (folder / "here").symlink_to(".")
    (folder / "c.mp4").symlink_to("a.mp4")
    (folder / "to-settings.csv").symlink_to("l.yaml")
    (folder / "l.yaml").write_text("model: constant.onnx\ndevice: cpu\nmetrics: off\ncameras:\n" + cameras)
    before = contents(folder)
    result = run("live", "l.yaml")
    assert result.status == 2
    for offender in offenders:
        assert offender in result.err
    assert contents(folder) == before


def test_demo_does_not_write_over_its_video(run: Run, folder: Path) -> None:
    shutil.copy("a.mp4", "contact-sheet.png")
    before = contents(folder)
    result = run("demo", "contact-sheet.png", "--out", ".")
    assert result.status == 2
    assert "contact-sheet.png (--out): expected a file of its own" in result.err
    assert contents(folder) == before


def test_of_two_processes_on_one_name_the_later_is_refused(run: Run, folder: Path) -> None:
    write_video(folder / "long.mp4", count=400, size=(320, 192))
    with process("track", "long.mp4", *MODEL, "--quiet", "--records", "c.jsonl") as first:
        deadline = time.monotonic() + 60
        while not list(folder.glob(".c.jsonl.*.part")):
            assert time.monotonic() < deadline
            assert first.poll() is None, first.communicate()
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGSTOP)
        later = [run("track", "a.mp4", *MODEL, "--records", "c.jsonl"), run("track", "a.mp4", "--json", "c.jsonl")]
        os.kill(first.pid, signal.SIGCONT)
        first.communicate(timeout=60)
    for result in later:
        assert (result.status, result.out) == (2, "")
        assert "c.jsonl: expected to be the only one that writes it, found that another process does" in result.err
    assert first.returncode == 0
    assert max(frames_of(folder / "c.jsonl")) == 399
    assert not list(folder.glob(".*"))


@pytest.mark.slow
def test_of_two_processes_started_together_no_file_is_mixed(folder: Path) -> None:
    write_video(folder / "short.mp4", count=60, size=(160, 96))
    write_video(folder / "long.mp4", count=90, size=(320, 192))
    outputs = ("--quiet", "--records", "c.jsonl", "--save", "c.mp4")
    running = [process("track", name, *MODEL, *outputs) for name in ("short.mp4", "long.mp4")]
    said = [one.communicate(timeout=120)[0] for one in running]
    codes = [one.returncode for one in running]
    assert 0 in codes, said
    assert set(codes) <= {0, 2}, said
    assert all("another process" in text for text, code in zip(said, codes, strict=True) if code == 2)
    with av.open("c.mp4") as video:
        count = sum(1 for _ in video.decode(video=0))
        width = video.streams.video[0].width
    assert (count, width) in {(60, 160), (90, 320)}
    assert max(frames_of(folder / "c.jsonl")) == count - 1
    assert codes != [0, 2] or count == 60
    assert codes != [2, 0] or count == 90
    assert not list(folder.glob(".*"))


@pytest.mark.slow
def test_a_killed_process_does_not_block_the_next(run: Run, folder: Path) -> None:
    write_video(folder / "long.mp4", count=400, size=(320, 192))
    with process("track", "long.mp4", *MODEL, "--quiet", "--records", "c.jsonl", "--save", "c.mp4") as first:
        while not (list(folder.glob(".c.jsonl.*.part")) and list(folder.glob(".c.mp4.*.part"))):
            assert first.poll() is None, first.communicate()
            time.sleep(0.01)
        first.kill()
        first.communicate(timeout=60)
    assert list(folder.glob(".c.*.lock"))
    assert run("track", "a.mp4", *MODEL, "--records", "c.jsonl", "--save", "c.mp4").status == 0
    assert max(frames_of(folder / "c.jsonl")) == 4
    assert not list(folder.glob(".*"))


def test_live_holds_its_outputs_parts_and_states(folder: Path) -> None:
    held = [folder / "x-{time}.jsonl", folder / "c.csv", folder / "st" / "c"]
    text = "model: constant.onnx\ndevice: cpu\nmetrics: off\nstate: st\ncameras:\n"
    text += "  - {name: c, url: a.mp4, records: ['x-{time}.jsonl', c.csv]}\n"
    (folder / "l.yaml").write_text(text)
    service = LiveService(load_service_settings("l.yaml"))
    try:
        for path in held:
            with python(CHECK, path) as other:
                assert "another process does" in other.communicate(timeout=60)[0], path
        with process("live", "l.yaml") as second:
            said = second.communicate(timeout=60)[0]
        assert second.returncode == 2, said
        assert "another process" in said
    finally:
        assert service.close() == 0
    for path in held:
        check_free(path)
    assert not list(folder.rglob(".*"))
    assert frames_of(next(folder.glob("x-*.jsonl"))) <= set(range(5))


def test_live_parts_never_take_a_name_that_is_in_use(folder: Path) -> None:
    from datetime import UTC, datetime

    from tests.engine.fakes import box, frame
    from tracker.plugins import open_sink
    from tracker.sinks.rotate import RotatingSink
    from tracker.types import TrackedFrame

    with python(OPEN, "x-20261122T140000Z.jsonl") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        rotating = RotatingSink(
            "x-{time}.jsonl",
            lambda path: open_sink(path, class_names=("person",)),
            now=lambda: datetime(2026, 11, 22, 14, 0, tzinfo=UTC),
        )
        rotating.write(TrackedFrame(frame=frame(0), instances=box(), tracks=None, class_names=("person",)))
        rotating.close()
        other.communicate("", timeout=60)
    assert [path.name for path in folder.glob("x-*")] == ["x-20261122T140000Z-2.jsonl"]


def test_the_names_are_held_until_the_second_pass_is_done(folder: Path) -> None:
    with reserved(folder / "t.jsonl"), python(OPEN, "t.jsonl") as other:
        said = other.communicate("", timeout=60)[0]
    assert other.returncode == 1
    assert SinkError.__name__ in said
    assert "t.jsonl: expected to be the only one that writes it, found that another process does" in said
