"""Guides to counting: their commands, run as they are printed on a rendered scene."""

from __future__ import annotations

import csv
import json
import re
import shlex
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from demos.scenes.catalogue import counting_truth, open_recording
from demos.scenes.recording import Recording
from demos.scenes.waiting import true_waits
from demos.scenes.writers import write_video
from tests.command import Run
from tracker.formats.ledger import read_editions, read_events
from tracker.measure.privacy_check import TOLERANCE
from tracker.render.privacy_paint import FILL
from tracker.settings.site_file import read_site
from tracker.sources.open import open_source

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(sh|yaml|csv)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FPS = 12.5
"""Half of the scenes' own: the same answers in half the time."""

SCENES = {
    "count-lanes.md": {"road.mp4": ("road", 11.5)},
    "count-shop.md": {"door.mp4": ("door", 10.0), "till.mp4": ("checkout", 10.0), "bays.mp4": ("bays", 7.0)},
    "queue.md": {"till.mp4": ("checkout", 12.0)},
    "alerts.md": {"till.mp4": ("checkout", 12.0)},
    "count-junction.md": {"junction.mp4": ("junction", 12.0)},
    "reports.md": {"door.mp4": ("door", 10.0)},
    "draw-afterwards.md": {"road.mp4": ("road", 11.5)},
    "privacy.md": {"shop.mp4": ("shop", 1.6)},
    "speeds.md": {"road.mp4": ("road", 11.5)},
    "heatmap.md": {"till.mp4": ("checkout", 8.0)},
    "site-groups.md": {"front.mp4": ("door", 10.0), "back.mp4": ("door", 10.0)},
}
"""Recordings of a guide: which scene, and how many seconds of it."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sites").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recording_of(guide: str, name: str) -> Recording:
    scene, seconds = SCENES[guide][name]
    return open_recording(scene, seed=0, size=(640, 360), duration_s=seconds)


@cache
def video_of(scene: str, seconds: float) -> bytes:
    """A file of a rendered scene, made once for all guides."""
    recording = open_recording(scene, seed=0, size=(640, 360), duration_s=seconds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.mp4"
        write_video(recording.scene, path, FPS, times_s=recording.times(FPS).tolist())
        return path.read_bytes()


def follow(guide: str, folder: Path, run: Run) -> list[str]:
    """Write the guide's sites and run its commands; what each printed."""
    for name, scene in SCENES[guide].items():
        (folder / name).write_bytes(video_of(*scene))
    printed = []
    for language, text in BLOCK.findall((ROOT / "docs" / "guide" / guide).read_text("utf-8")):
        if language == "yaml":
            (folder / text.split("\n", 1)[0].removeprefix("# ")).write_text(text, "utf-8")
            continue
        if language == "csv":
            (folder / "till.csv").write_text(text, "utf-8")
            continue
        for line in text.splitlines():
            words = shlex.split(line)
            assert words[0] == "masktrail"
            result = run(*words[1:])
            assert result.status == 0, f"{line}\n{result.err}"
            printed.append(result.out)
    return printed


def counted(path: Path, *columns: str) -> dict[tuple[str, ...], int]:
    """Sums of a CSV file of counts."""
    sums: dict[tuple[str, ...], int] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = tuple(row[name] for name in columns)
            sums[key] = sums.get(key, 0) + int(row["count"] or 0)
    return {key: count for key, count in sums.items() if count}


@pytest.mark.slow
def test_vehicles_per_lane(folder: Path, run: Run) -> None:
    printed = follow("count-lanes.md", folder, run)
    crossings = counting_truth(recording_of("count-lanes.md", "road.mp4"))["lines"]["line"]["crossings"]
    ends = {"towards 1": 0.36, "towards 2": 0.50, "away 1": 0.73, "away 2": 0.90}
    truth: Counter[tuple[str, ...]] = Counter()
    for one in crossings:
        lane = next(name for name, end in ends.items() if one["position_px"][0] < 640 * end)
        truth[lane, "towards" if one["direction"] == 1 else "away"] += 1
    assert truth.total() >= 6
    assert counted(folder / "lanes.csv", "line", "direction") == truth
    assert any("2026-03-29T07:00:00+02:00" in text for text in printed)
    assert (folder / "road.counted.mp4").stat().st_size > 10_000


@pytest.mark.slow
def test_speeds_on_a_road(folder: Path, run: Run) -> None:
    printed = follow("speeds.md", folder, run)
    assert re.search(r"ground: 5 points, residual 0\.0\d m .* 1 px down the picture is", printed[0])
    assert (folder / "road-grid.png").stat().st_size > 10_000
    rows = json.loads(printed[3])
    assert {(row["line"], row["direction"]) for row in rows} == {("away", "away"), ("towards", "towards")}
    actors = recording_of("speeds.md", "road.mp4").scene.actors
    true = [float(np.linalg.norm(actor.trajectories[0].velocities_m_s, axis=1).mean()) for actor in actors]
    for row in rows:
        assert row["v85"] is None  # of fewer than 30 passages
        assert min(true) * 0.95 < row["time_mean"] < max(true) * 1.05
    events = list(read_events("road.events.jsonl"))
    speeds = [event for event in events if event.kind == "speed"]
    assert len(speeds) >= 0.7 * sum(event.kind == "crossing" for event in events) > 4
    assert all(event.error <= 0.1 * event.value for event in speeds)
    with (folder / "speeds.csv").open(newline="", encoding="utf-8") as file:
        assert sum(bool(row["speed (km/h)"]) for row in csv.DictReader(file)) == len(speeds)
    again = [event for event in read_events("again.events.jsonl") if event.kind in {"speed", "headway", "size"}]
    assert again == [event for event in events if event.kind in {"speed", "headway", "size"}]


@pytest.mark.slow
def test_footfall_and_dwell(folder: Path, run: Run) -> None:
    printed = follow("count-shop.md", folder, run)
    [footfall] = [text for text in printed if "direction" in text]
    assert re.search(r"door +in +[45]\b", footfall)  # five; two of them side by side
    with (folder / "stays.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    served = [row for row in rows if row["zone"] == "service" and row["began"] == "already_inside"]
    assert [float(row["left"]) for row in served] == [pytest.approx(6.5, abs=0.5)]
    assert sum(row["zone"] == "queue" for row in rows) >= 4
    assert (folder / "till.refined.events.jsonl").is_file()
    [visitors] = rows_of(folder / "footfall.csv")
    assert 3 <= int(visitors["visitors"]) <= 5
    assert visitors["groups"] == "1"
    assert 1 <= int(visitors["passers_by"]) <= 2  # one, and one of a group that was taken for two
    assert visitors["from"] == "2026-03-29T09:00:00+02:00"
    inside, outside = int(visitors["visitors"]), int(visitors["passers_by"])
    assert float(visitors["capture_of_passing"]) == pytest.approx(inside / outside, abs=1e-4)
    assert float(visitors["capture_of_all"]) == pytest.approx(inside / (inside + outside), abs=1e-4)
    parked = {row["bay"]: row for row in rows_of(folder / "parked.csv")}
    assert (list(parked), parked["A5"]["began"], parked["A5"]["free"]) == (["A5"], "already_there", "")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_queue_at_the_till(folder: Path, run: Run) -> None:
    printed = follow("queue.md", folder, run)
    found = rows_of(folder / "waits.csv")
    truth = true_waits(recording_of("queue.md", "till.mp4").scene, "queue", "service", reach_s=5)
    ends = Counter(row["end"] for row in found)
    assert ends == Counter(one.end for one in truth) == {"served": 1, "open": 2}
    waited = sorted(float(row["wait_s"]) for row in found)
    assert waited == pytest.approx(sorted(one.left_s - one.joined_s for one in truth), abs=0.8)
    assert all(row["joined"].startswith("2026-03-28T10:00:") for row in found)
    lengths = rows_of(folder / "lengths.csv")
    assert [row["longest"] for row in lengths] == ["3"]
    assert printed[1] == printed[-1]  # counted while tracking, and from the records
    keys = [sorted(event.key for event in read_events(folder / f"{name}.events.jsonl")) for name in ("till", "again")]
    assert keys[0] == keys[1]


@pytest.mark.slow
def test_alerts(folder: Path, run: Run) -> None:
    printed = follow("alerts.md", folder, run)
    assert "alert long queue: queue till over 1 for 1 s, until 1 or less for 5 s" in printed[0]
    alerts, again = (
        [event for event in read_events(f"{name}.events.jsonl") if event.kind == "alert"] for name in ("till", "again")
    )
    assert [(event.place, event.since_s, event.value) for event in alerts] == [("long queue", None, 2.0)]
    assert again == alerts


@pytest.mark.slow
def test_turning_counts(folder: Path, run: Run) -> None:
    follow("count-junction.md", folder, run)
    found = counted(folder / "turning.csv", "place")
    assert found.get(("south back",)) == 1
    assert 3 <= sum(found.values()) <= 6
    with (folder / "movements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["vehicles"] or 0) for row in rows) == sum(found.values())
    assert [int(row["u_turn"] or 0) for row in rows if row["heading"] == "NB"] == [1]


@pytest.mark.slow
def test_where_people_spend_their_time(folder: Path, run: Run) -> None:
    printed = follow("heatmap.md", folder, run)
    seconds = [float(found[1]) for text in printed if (found := re.search(r"([\d.]+) s of presence", text))]
    assert len(seconds) == 3
    assert seconds[0] == seconds[1] > 20  # in the picture and on the ground
    assert seconds[2] == pytest.approx(seconds[0] / 2, rel=0.3)  # four of the eight seconds
    for name in ("heat.png", "visits.png", "ground.png", "part.png"):
        assert (folder / name).stat().st_size > 10_000
    with (folder / "part.csv").open(newline="", encoding="utf-8") as file:
        assert sum(float(row["seconds"]) for row in csv.DictReader(file)) == pytest.approx(seconds[2], abs=0.1)


@pytest.mark.slow
def test_several_cameras_of_one_place(folder: Path, run: Run) -> None:
    printed = follow("site-groups.md", folder, run)
    [entries] = [text for text in printed if "direction" in text]
    assert re.search(r"2026-03-30T09:00:00\+02:00 +entry +[45]\b", entries)
    assert re.search(r"2026-03-31T10:00:00\+02:00 +entry +[45]\b", entries)
    assert any(re.search(r"2026-03-30T04:00:00\+02:00 +[45] +\d +\+\d", text) for text in printed)
    with (folder / "conversion.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["transactions"]) for row in rows if row["entries"] != "0"] == [3, 1]


@pytest.mark.slow
def test_reports(folder: Path, run: Run) -> None:
    follow("reports.md", folder, run)
    page = (folder / "door.html").read_text("utf-8")
    assert "Sun 29 March 2026, 09:00:00 to 09:00:10 (Europe/Berlin)" in page
    assert 'id="heatmap"' in page
    assert "<h1>door.mp4</h1>" in page
    assert (folder / "folder.png").stat().st_size > 10_000
    with (folder / "figures" / "counts.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["place"] == "door" and row["class"] == "person"]
    truth = Counter(event.direction for event in read_events("door.events.jsonl") if event.kind == "crossing")
    assert sum(int(row["count"]) for row in rows if row["direction"] == "in") == truth["in"] > 3


@pytest.mark.slow
def test_a_line_drawn_afterwards(folder: Path, run: Run) -> None:
    printed = follow("draw-afterwards.md", folder, run)
    dry = [text for text in printed if "gone" in text]
    assert len(dry) == 2
    assert dry[0].splitlines()[1:] == dry[1].splitlines()[1:]  # against the ledger and against the site
    assert re.search(r"zone +near entered +- +\d+", dry[0])
    [first, second] = read_editions("counts.sqlite")
    assert (first.edition, second.edition) == (1, 2)
    assert {event.revision for event in read_events("counts.sqlite")} == {2}
    again = list(read_events("road.events.jsonl"))
    assert list(read_events("counts.sqlite")) == again
    crossed = Counter(event.direction for event in again if event.kind == "crossing")
    assert crossed.total() >= 5
    for way, count in crossed.items():
        assert re.search(rf"line +road {way} +\d+ +{count} ", dry[0])
    assert (folder / "road-audit.html").stat().st_size > 10_000
    boxed = printed[-1]
    assert all(re.search(rf"line +road {way} +\d+ ", boxed) for way in crossed)


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "sites").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_sites(path: Path) -> None:
    site = read_site(path)
    assert site.lines or site.bays
    assert site.reference_size == (640, 360)


def test_all_turns_of_four_arms_are_in_the_example() -> None:
    site = read_site(ROOT / "examples" / "sites" / "junction.yaml")
    assert len({(flow.start, flow.end) for flow in site.flows}) == 16


@pytest.mark.slow
def test_privacy(folder: Path, run: Run) -> None:
    printed = follow("privacy.md", folder, run)
    assert any("never shown" in text for text in printed)
    assert any("0 events deleted" in text for text in printed)
    [report] = json.loads((folder / "privacy.json").read_text("utf-8"))
    assert report["occupied_frames"] == report["frames"] == 20
    with open_source(str(folder / "covered.mp4")) as source:
        pictures = [frame.image for frame in source]
    truth = recording_of("privacy.md", "shop.mp4").scene.truth(0.8)
    shown = np.abs(pictures[10].astype(int) - FILL).max(axis=2) > TOLERANCE
    assert shown[truth.labels > 0].mean() < 0.05
    with open_source(str(folder / "zone.mp4")) as source:
        window = next(iter(source)).image[:110, 460:]
    assert (np.abs(window.astype(int) - FILL) <= TOLERANCE).mean() > 0.9
