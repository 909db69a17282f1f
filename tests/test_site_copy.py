"""Copy of the site beside the results: where it goes, what it leaves alone, and that the dashboard draws it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from demos.scenes.road import road
from demos.scenes.writers import write_video
from tests.command import Run
from tests.dashboard.clients import Desk
from tracker.settings.site_copy import keep_copy
from tracker.settings.site_file import read_site

SITE = """\
version: 1
revision: 4
reference_picture: gate.png
lines:
  - {name: road, points: [[0.2, 0.6], [0.9, 0.6]], to_left: away, to_right: towards}
"""


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "sites"
    folder.mkdir()
    (folder / "gate.yaml").write_text(SITE)
    return folder / "gate.yaml"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def test_a_copy_follows_its_site_until_somebody_changes_it(given: Path, results: Path) -> None:
    site = read_site(given)
    outputs = [results / "gate.tracks.jsonl"]
    copy = keep_copy(site, given, outputs, "gate.mp4")
    assert copy == (results / "gate.site.yaml", True)
    found = read_site(copy.path)
    assert (found.revision, found.lines) == (4, site.lines)
    assert not found.reference_picture, "that picture lies beside the other file"
    assert keep_copy(site, given, outputs, "gate.mp4") is None, "it is there"
    later = replace(site, revision=5)
    assert keep_copy(later, given, outputs, "gate.mp4") == (copy.path, True)
    assert read_site(copy.path).revision == 5
    changed = copy.path.read_text().replace("to_left: away", "to_left: north")
    copy.path.write_text(changed)
    assert keep_copy(site, given, outputs, "gate.mp4") == (copy.path, False)
    assert copy.path.read_text() == changed


def test_no_copy_where_the_site_is_known_or_nothing_is_found_by_the_name(given: Path, results: Path) -> None:
    site = read_site(given)
    assert keep_copy(site, given, [results / "events.sqlite"], "gate.mp4") is None
    assert keep_copy(site, given, [], "gate.mp4") is None
    for known in ("site.yaml", "gate.site.yaml"):
        own = results / known
        own.write_text(SITE)
        assert keep_copy(site, own, [results / "gate.jsonl"], "gate.mp4") is None, "it is the site itself"
        assert keep_copy(site, given, [results / "gate.jsonl"], "gate.mp4") is None, "the same stands there"
        own.unlink()
    (results / "runs.yaml").write_text("site: gate.yaml\n")
    assert keep_copy(site, given, [results / "gate.jsonl"], "gate.mp4") is None, "the folder names its sites"
    assert sorted(path.name for path in results.iterdir()) == ["runs.yaml"]


def test_a_link_is_left_alone(given: Path, results: Path) -> None:
    elsewhere = results.parent / "mine.yaml"
    (results / "gate.site.yaml").symlink_to(elsewhere)
    copy = keep_copy(read_site(given), given, [results / "gate.jsonl"], "gate.mp4")
    assert copy == (results / "gate.site.yaml", False)
    assert not elsewhere.exists()


def test_the_dashboard_draws_what_the_recording_was_counted_with(run: Run, tmp_path: Path, results: Path) -> None:
    video, site = tmp_path / "gate.mp4", tmp_path / "lines.yaml"
    write_video(road(seed=3), video, fps=10, duration_s=3.0)
    site.write_text(SITE.replace("reference_picture: gate.png\n", ""))
    ledger = results / "gate.events.jsonl"
    result = run("track", video, "--site", site, "--save", results / "gate.tracked.mp4", "--events", ledger)
    assert result.status == 0, result.err
    assert "gate.site.yaml, a copy of" in " ".join(result.text.split())
    desk = Desk(tmp_path / "dash", recordings=results)
    try:
        with desk.logged_in() as client:
            [stream] = client.get("/api/streams").json()["streams"]
            found = client.get(f"/api/streams/{stream['id']}/site").json()
            assert [line["name"] for line in found["site"]["lines"]] == ["road"]
            assert (found["revision"], stream["site_revision"]) == (4, 4)
    finally:
        desk.close()
    (results / "gate.site.yaml").write_text(site.read_text().replace("road", "mine"))
    result = run("track", video, "--site", site, "--save", results / "gate.tracked.mp4", "--events", ledger)
    assert result.status == 0, result.err
    assert "is kept" in " ".join(result.text.split())
    assert "mine" in (results / "gate.site.yaml").read_text()


def test_results_of_another_name_have_no_copy_and_it_is_said(run: Run, tmp_path: Path, results: Path) -> None:
    video, site = tmp_path / "gate.mp4", tmp_path / "lines.yaml"
    write_video(road(seed=3), video, fps=10, duration_s=1.0)
    site.write_text(SITE.replace("reference_picture: gate.png\n", ""))
    files = ("--records", results / "tracks.jsonl", "--events", results / "counts.sqlite")
    result = run("track", video, "--site", site, *files)
    assert result.status == 0, result.err
    assert f"no copy of {site} is written: the dashboard knows this recording by files named gate.*" in result.text
    assert not list(results.glob("*.yaml"))
    result = run("track", video, "--site", site, *files, "--quiet")
    assert (result.status, result.text) == (0, "")
