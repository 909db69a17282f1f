"""``masktrail report``: pages of stores, event files, folders and outputs of batches; what cannot be is told."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.command import Run
from tests.report.test_heat import write_records
from tests.report.weeks import write_weeks
from tests.sinks.ledgers import crossing, write_ledger
from tracker.app.report_sources import find
from tracker.batch.results import Manifest, Results
from tracker.batch.storage import Place

CHECKED = "line,direction,class,intervals,hours,ledger,person,ratio,low,high,method,geh,verdict\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weeks(tmp_path_factory.mktemp("weeks") / "weeks.sqlite", days=8)


def test_a_period_as_page_picture_and_csv(run: Run, store: Path, tmp_path: Path) -> None:
    out, png, folder = tmp_path / "r.html", tmp_path / "r.png", tmp_path / "figures"
    limits = ("--from", "2026-03-23", "--to", "2026-03-24", "--timezone", "Europe/Berlin")
    result = run("report", store, "--out", out, "--png", png, "--csv", folder, *limits, "--stream", "road")
    assert result.status == 0, result.err
    assert "Monday 23 March 2026 (Europe/Berlin)" in result.text
    page = out.read_text("utf-8")
    assert "<h1>road</h1>" in page
    assert "on the week before" in page
    assert "Dwell" not in page.split("<footer>")[0]
    assert cv2.imread(str(png)).shape[1] == 1600
    assert {path.name for path in folder.iterdir()} >= {"counts.csv", "values.csv", "quality.csv"}


def test_the_time_zone_is_that_of_sites_beside_the_ledger_and_is_told(run: Run, tmp_path: Path) -> None:
    ledger, out = write_ledger(tmp_path / "counts.sqlite", [crossing(n) for n in range(3)]), tmp_path / "r.html"
    result = run("report", ledger, "--out", out)
    assert result.status == 0, result.err
    assert "(UTC)" in result.text
    assert "times are UTC: no site lies beside the ledger; --timezone or --site gives a time zone" in result.text
    (tmp_path / "site.yaml").write_text("version: 1\ntimezone: Europe/Berlin\n", "utf-8")
    result = run("report", ledger, "--out", out)
    assert "(Europe/Berlin)" in result.text
    assert f"times are those of Europe/Berlin, from {tmp_path / 'site.yaml'}" in result.text
    (tmp_path / "gate.site.yaml").write_text("version: 1\ntimezone: Asia/Tokyo\n", "utf-8")
    (tmp_path / "odd.site.yaml").write_text("no: site\n", "utf-8")
    result = run("report", tmp_path, "--out", out)
    assert result.status == 0, result.err
    assert "times are UTC: sites beside lie in Asia/Tokyo, Europe/Berlin" in result.text
    result = run("report", ledger, "--out", out, "--timezone", "Asia/Tokyo")
    assert "(Asia/Tokyo)" in result.text
    assert "times are" not in result.text


def test_no_time_zone_is_told_of_media_time(run: Run, tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path / "counts.sqlite", [crossing(n, utc=False) for n in range(3)])
    result = run("report", ledger, "--out", tmp_path / "r.html")
    assert result.status == 0, result.err
    assert "times are" not in result.text


def test_a_folder_with_everything_beside_each_other(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_ledger(folder / "gate.events.jsonl", [crossing(n) for n in range(40)])
    write_records(folder / "gate.tracks.jsonl")
    audit = {
        "form": "masktrail audit 1",
        "stream": "gate",
        "titles": {"hidden": "Contact hidden"},
        "near_misses": [],
        "places": [{"place": "door", "reasons": [{"reason": "hidden", "count": 7}]}],
    }
    (folder / "gate.audit.json").write_text(json.dumps(audit), "utf-8")
    checked = tmp_path / "checked.csv"
    checked.write_text(CHECKED + "door,in,person,9,0.5,40,30,1.3333,1.1,1.5,bootstrap,6.2,weak\n", "utf-8")
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), np.full((360, 640, 3), 90, np.uint8))
    out = tmp_path / "r.html"
    result = run("report", folder, "--out", out, "--validation", checked, "--still", still)
    assert result.status == 0, result.err
    page = out.read_text("utf-8")
    assert "Contact hidden" in page
    assert "The validation found 1 weak counts" in page
    assert "data:image/jpeg" in page
    assert "the ground is plain" not in page


def test_the_output_of_a_batch_by_its_manifests(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    batch = tmp_path / "batch"
    for number, folder in enumerate(("north", "south", "gone")):
        events = batch / "events" / f"recording={folder}"
        events.mkdir(parents=True)
        rows = [crossing(n, stream="clip.mp4", utc=False) for n in range(10 + number)]
        write_ledger(events / "a.events.parquet", rows)
        (events / "a.events.parquet").rename(events / "a.parquet")
    results = Results.at(str(batch))
    for folder in ("north", "south"):
        results.commit(manifest(folder, {"events": f"events/recording={folder}/a.parquet"}))
    out = tmp_path / "r.html"
    result = run("report", batch, "--out", out)
    assert result.status == 0, result.err
    page = out.read_text("utf-8")
    assert "2 of 2 with events, 1.0 h of video" in page
    assert "21 events" in result.text
    assert "door · north/clip.mp4" in page
    assert "0123456789ab" in page
    assert "0123456789abc" not in page


def test_a_batch_in_object_storage_is_copied_and_the_copies_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = pytest.importorskip("pyarrow.fs")
    batch = tmp_path / "bucket"
    events = batch / "events" / "recording=north"
    events.mkdir(parents=True)
    write_ledger(events / "a.events.parquet", [crossing(n, stream="clip.mp4") for n in range(10)])
    results = Results.at(str(batch))
    results.commit(manifest("north", {"events": "events/recording=north/a.events.parquet"}))
    place = Place(fs.LocalFileSystem(), str(batch), scheme="s3", shown="s3://bucket")
    monkeypatch.setattr(Place, "of", lambda _uri: place)
    with find(["s3://bucket"]) as found:
        [ledger] = found.ledgers
        assert ledger.stream == "north/clip.mp4"
        assert ledger.path.is_file()
        assert batch not in ledger.path.parents
    assert not ledger.path.exists()


def manifest(folder: str, files: dict[str, str]) -> Manifest:
    return Manifest(
        key=folder,
        recording=f"{folder}/clip.mp4",
        address=f"/videos/{folder}/clip.mp4",
        size=1,
        attempt="a",
        files=files,
        sha256={},
        frames=100,
        media_s=1800.0,
        wall_s=1.0,
        identities={},
        counts=None,
        notes=[],
        settings={"model": "0123456789abcdef"},
        masktrail="0.3.0",
        finished_at="2026-03-29T00:00:00+00:00",
    )


def test_a_group_of_cameras(run: Run, store: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.yaml"
    groups.write_text(
        """
groups:
  - name: mall
    timezone: Europe/Berlin
    cameras: [shop]
    doors: [{camera: shop, line: door, entry: out, exit: in}]
""",
        "utf-8",
    )
    out = tmp_path / "r.html"
    limits = ("--from", "2026-03-23", "--to", "2026-03-24")
    result = run("report", store, "--out", out, "--site-group", "mall", "--groups", groups, *limits)
    assert result.status == 0, result.err
    page = out.read_text("utf-8")
    assert "<h1>mall</h1>" in page
    assert "Monday 23 March 2026 (Europe/Berlin)" in page
    assert "section" not in page.split("<main>")[1].split("</caption>")[0].split("<tbody>")[1].split("</tbody>")[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.sqlite"], "expected a ledger of masktrail, found nothing"),
        (["."], "expected *.events.jsonl"),
        (["{store}", "--from", "2026-03-24", "--to", "2026-03-23"], "expected a time after --from"),
        (["{store}", "--stream", "nowhere"], "found no events"),
        (["{store}", "--site-group", "mall"], "expected a file of groups"),
        (["{store}", "--bins", "1x"], "expected a length such as"),
        (["{store}", "--bins", "1s"], "expected at most 2,000 bins"),
        (["{store}", "--timezone", "Mars/Base"], "expected the name of a time zone"),
        (["{store}", "--validation", "{store}"], "expected the table of a validation"),
        (["{store}", "--audit", "{store}"], "expected an audit that masktrail wrote"),
        (["{store}", "--csv", "{store}"], "expected a folder, found a file"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(  # noqa: PLR0917 - fixtures
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("report", *(word.format(store=store) for word in words), "--out", "r.html")
    assert result.status == 2
    assert told in result.text
    assert "Traceback" not in result.text
    assert list(tmp_path.iterdir()) == []
