"""``masktrail identities``: proposals, new revisions of all formats, and what a ledger is told."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.command import Run
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.engine.run import run as run_streams

SUFFIXES = (".jsonl", ".csv", ".parquet")


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of two identities in all formats, beside the video."""
    made = tmp_path_factory.mktemp("tracked")
    video = write_video(made / "x.mp4", count=40)
    records = tuple(str(made / f"x{suffix}") for suffix in SUFFIXES)
    [outcome] = run_streams(video, model=str(end2end_model(made / "model.onnx")), device="cpu", records=records)
    assert not outcome.failures
    return made


@pytest.fixture
def records(tracked: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    shutil.copytree(tracked, tmp_path, dirs_exist_ok=True)
    return tmp_path


def ids(path: Path) -> list[int]:
    if path.suffix == ".jsonl":
        return [json.loads(line)["id"] for line in path.read_text("utf-8").splitlines()]
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [int(row["id"]) for row in csv.DictReader(file)]
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(path)["id"].to_pylist()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_split_is_written_beside_and_the_old_file_stays(run: Run, records: Path, suffix: str) -> None:
    old = records / f"x{suffix}"
    before = old.read_bytes()
    result = run("identities", old, "--split", "1@0.8")
    assert result.status == 0, result.err
    assert "2 identities, now 3" in result.text
    assert old.read_bytes() == before
    new = records / f"x.r2{suffix}"
    was, now = ids(old), ids(new)
    assert len(was) == len(now)
    assert set(now) == {1, 2, 3}
    assert [one for one, other in zip(was, now, strict=True) if other == 3] == [1] * now.count(3)
    assert abs(now.count(3) - now.count(1)) <= 2
    back = run("identities", new, "--join", "1=3")
    assert back.status == 0, back.err
    third = records / f"x.r3{suffix}"
    assert ids(third) == was
    if suffix != ".parquet":
        assert third.read_bytes() == before


def test_what_is_written_can_be_shown_again(run: Run, records: Path) -> None:
    run("identities", records / "x.jsonl", "--split", "1@0.8")
    result = run("identities", records / "x.r2.jsonl")
    assert result.status == 0, result.err
    assert "--join 1=3" in result.text


def test_a_page_shows_proposals_with_pictures(run: Run, records: Path) -> None:
    run("identities", records / "x.jsonl", "--split", "1@0.8")
    page = records / "page.html"
    words = ["identities", records / "x.r2.jsonl", "--video", records / "x.mp4", "--out", page]
    assert run(*words).status == 0
    text = page.read_text("utf-8")
    assert "1 and 3 may be one" in text
    assert text.count("data:image/jpeg") >= 2
    assert "<script" not in text
    refused = run("identities", records / "x.r2.jsonl", "--out", records / "x.r2.jsonl")
    assert refused.status != 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--join", "1=2"], "both in view"),
        (["--join", "1=1"], "expected two numbers such as 2=7"),
        (["--join", "1=9"], "found no 9"),
        (["--split", "1"], "expected a number and a time in seconds"),
        (["--split", "1@99"], "a split within identity 1"),
        (["--events", "x.sqlite"], "expected it with --join"),
        (["--split", "1@0.8", "--events", "x.sqlite"], "cannot be divided"),
        (["--join", "1=2", "--out", "x.html"], "expected proposals to show"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(run: Run, records: Path, words: list[str], said: str) -> None:
    result = run("identities", records / "x.jsonl", *words)
    assert result.status != 0
    assert said in result.text
    assert not list(records.glob("*.r*"))


def test_records_without_times_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1,1,10,10,20,20,1,1,1\n")
    result = run("identities", tmp_path / "x.txt")
    assert result.status != 0
    assert "expected records with times" in result.text


def test_a_store_is_told_which_number_an_identity_has_now(run: Run, tmp_path: Path) -> None:
    from tests.sinks.ledgers import crossing, write_ledger
    from tracker.analytics.corrections import Corrections
    from tracker.formats.ledger import read_events

    rows = [
        {"frame": frame, "time_s": frame / 10, "id": identity, "class": "person", "box": [10, 10, 30, 60]}
        for identity, frames in ((2, range(20)), (7, range(40, 60)))
        for frame in frames
    ]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    store = write_ledger(tmp_path / "x.sqlite", [crossing(4.5, identity=7), crossing(1.0, identity=2)])
    for _ in range(2):  # told twice is told once
        result = run("identities", tmp_path / "x.jsonl", "--join", "2=7", "--events", store)
        assert result.status == 0, result.err
        assert "1 identities rekeyed" in result.text
    events = list(read_events(store))
    told = [event for event in events if event.kind == "rekeyed"]
    assert [(event.identity, event.was_identity) for event in told] == [(2, 7)]
    corrections = Corrections.of(events)
    assert {corrections.apply(event).identity for event in events if event.kind == "crossing"} == {2}


def test_corrections_are_told_of_one_stream_and_none_takes_the_place_of_another() -> None:
    from tests.sinks.ledgers import crossing
    from tracker.engine.identities import correction_events

    events = [crossing(1, identity=identity) for identity in (7, 9)]
    events += [crossing(1, identity=2), crossing(5, identity=7, stream="yard")]
    told = correction_events(events, {7: 2, 9: 2}, stream="gate", named={2: "car"}, reclassified={2: ("car", "bus")})
    assert [(one.kind, one.stream, one.identity, one.was_identity, one.class_name) for one in told] == [
        ("rekeyed", "gate", 2, 7, "car"), ("rekeyed", "gate", 2, 9, "car"), ("reclassified", "gate", 2, 0, "bus"),
    ]  # fmt: skip
    assert len({one.key for one in told}) == 3
    again = correction_events([*events, *told], {}, stream="gate", reclassified={2: ("bus", "van")})
    assert again[0].key not in {one.key for one in told}
