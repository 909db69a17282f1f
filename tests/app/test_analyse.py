"""``masktrail analyse`` as a user meets it: what it prints, what it refuses, and in which words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from demos.scenes import script
from tests.command import Run
from tests.engine.recorded import Chain
from tests.sinks.full_disk import small_files
from tracker.formats.ledger import read_editions, read_events
from tracker.settings.site_file import read_site

SITE = """\
version: 1
revision: {revision}
reference_size: [640, 360]
lines:
  - {{name: gate, points: [[0.1, {y}], [0.9, {y}]]}}
zones:
  - {{name: hall, polygon: [[0.1, 0.6], [0.6, 0.6], [0.6, 0.95], [0.1, 0.95]]}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    (folder / "site.yaml").write_text(SITE.format(revision=1, y=0.5))
    (folder / "new.yaml").write_text(SITE.format(revision=2, y=0.6))
    scene = script.dense(8, rng=np.random.default_rng(3), size=(640, 360), duration_s=8)
    outputs = ("gate.jsonl", "gate.parquet", "gate.txt", "gate.instances", "live.events.jsonl", "live.sqlite")
    Chain(scene).record(read_site(folder / "site.yaml"), *(folder / name for name in outputs))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in made.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_name_the_site_beside_the_records_is_counted(run: Run, folder: Path) -> None:
    named = run("analyse", "gate.parquet", "--site", "site.yaml")
    assert run("analyse", "gate.parquet").out == named.out, "site.yaml is that of the folder"
    (folder / "new.yaml").rename("gate.site.yaml")
    own = run("analyse", "gate.parquet")
    assert own.status == 0, own.err
    assert own.out != named.out
    for path in ("gate.site.yaml", "site.yaml"):
        (folder / path).unlink()
    refused = run("analyse", "gate.parquet")
    assert refused.status != 0
    assert "found neither gate.site.yaml nor site.yaml beside it" in " ".join(refused.err.split())


def test_counts_are_shown_and_written(run: Run, folder: Path) -> None:
    result = run("analyse", "gate.parquet", "--site", "site.yaml", "--out", "a.events.jsonl")
    assert result.status == 0, result.err
    live = list(read_events("live.events.jsonl"))
    assert f"gate.mp4: {len(live)} events in 0:08 of tracks -> a.events.jsonl" in result.out
    crossed = sum(event.kind == "crossing" and event.direction == "in" for event in live)
    assert re.search(rf"line +gate in +{crossed} ", result.out)
    assert {event.key for event in read_events("a.events.jsonl")} == {event.key for event in live}
    shown = run("analyse", "gate.instances", "--site", "site.yaml")
    assert shown.out.partition("of tracks")[2] == result.out.partition(" -> a.events.jsonl")[2]


def test_a_dry_run_is_a_table_and_writes_nothing(run: Run, folder: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    result = run("analyse", "gate.jsonl", "--site", "new.yaml", "--dry-run", "--against", "live.events.jsonl")
    assert result.status == 0, result.err
    _, head, *rows = [line.split() for line in result.out.splitlines() if line.strip()]
    assert head == ["was", "now", "new", "gone"]
    assert [row[:3] for row in rows] == [["line", "gate", "in"], ["line", "gate", "out"], ["zone", "hall", "entered"]]
    assert rows[2][3] == rows[2][4]
    assert rows[2][5:] == ["0", "0"]
    alone = run("analyse", "gate.jsonl", "--site", "new.yaml", "--dry-run")
    assert [line.split() for line in alone.out.splitlines() if line.strip()][1] == ["now"]
    assert {path.name for path in folder.iterdir()} == before


def test_a_store_wants_to_be_told(run: Run, folder: Path) -> None:
    refused = run("analyse", "gate.jsonl", "--site", "new.yaml", "--out", "live.sqlite")
    assert refused.status == 2
    assert "found others of the same time" in refused.text
    assert "masktrail analyse --revise" in refused.text
    assert run("analyse", "gate.jsonl", "--site", "new.yaml", "--out", "live.sqlite", "--revise").status == 0
    assert [one.edition for one in read_editions("live.sqlite")] == [1, 2]


def test_boxes_are_noted_and_an_audit_is_made(run: Run, folder: Path) -> None:
    result = run("analyse", "gate.txt", "--site", "site.yaml", "--fps", "25", "--audit", "audit.html")
    assert result.status == 0, result.err
    assert "note: counted by the boxes' lower edges" in result.err
    assert re.search(r"gate\.txt: \d+ counted, \d+ near misses.* -> audit\.html", result.out)
    page = (folder / "audit.html").read_text()
    assert "detections that never became one are not among the near misses" in page
    assert "counted by the boxes" in page


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("gate.txt", "--site", "site.yaml"), "expected times, found frame numbers only"),
        (("gate.jsonl", "--site", "gone.yaml"), "gone.yaml"),
        (("gate.jsonl", "--site", "site.yaml", "--size", "640"), "expected width and height such as 1920x1080"),
        (("gate.jsonl", "--site", "site.yaml", "--against", "live.sqlite"), "add --dry-run"),
        (("gate.jsonl", "--site", "site.yaml", "--dry-run", "--out", "a.jsonl"), "leave one of both out"),
        (("gate.jsonl", "--site", "site.yaml", "--revise"), "--out store.sqlite"),
        (("gate.jsonl", "--site", "site.yaml", "--video", "a.mp4"), "add --audit PAGE.html"),
        (("gate.jsonl", "--site", "site.yaml", "--out", "gate.jsonl"), "it is read here"),
        (("gate.jsonl", "--site", "site.yaml", "--out", "a.events.jsonl", "--revise"), "leave --revise out"),
        (("live.events.jsonl", "--site", "site.yaml"), "expected rows of tracks, found a ledger of events"),
        (("gate.mp4", "--site", "site.yaml"), "found the suffix .mp4"),
    ],
)
def test_refusals_are_one_error_with_a_remedy(run: Run, folder: Path, options: tuple[str, ...], expected: str) -> None:
    result = run("analyse", *options)
    assert result.status == 2
    assert expected in " ".join(result.text.split())
    assert result.text.count("masktrail:") == 1
    assert "Traceback" not in result.text


@pytest.mark.parametrize("name", ["full.events.jsonl", "full.events.parquet", "full.sqlite"])
@pytest.mark.parametrize("size", [0, 20_000])
def test_a_full_disk_is_told_by_the_name_of_the_users_file(run: Run, folder: Path, name: str, size: int) -> None:
    before = {path.name for path in folder.iterdir()}
    with small_files(size):
        result = run("analyse", "gate.jsonl", "--site", "site.yaml", "--out", name)
    if result.status == 0:  # the few rows fitted
        assert read_events(name)
        return
    assert "Traceback" not in result.text
    assert result.err.startswith(f"masktrail: {name}: expected"), result.err
    left = {path.name for path in folder.iterdir()} - before
    assert left <= {name}
    assert not left or list(read_events(name)) is not None  # nothing, or what is whole
