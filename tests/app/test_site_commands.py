"""``masktrail site``: import, export and check, with what is told, what is refused, and what is kept."""

from __future__ import annotations

import bz2
import json
import re
from pathlib import Path

import av
import cv2
import pytest

from tests.formats.sites.test_samples import FRIGATE, NVDSANALYTICS, OTFLOW, SUPERVISION
from tests.sources.videos import write_video
from tracker.app.commands.site import FORMATS_READ, FORMATS_WRITTEN
from tracker.formats.sites.known import FORMATS
from tracker.render.privacy_paint import FILL
from tracker.settings.site_file import history_of, parse_site, read_site, write_site
from tracker.settings.site_words import described, doubts
from tracker.site import Doors, Line, PrivacyZone, Site, Zone

ROOT = Path(__file__).resolve().parents[2]


def square(left: float, top: float, side: float) -> tuple[tuple[float, float], ...]:
    return (left, top), (left + side, top), (left + side, top + side), (left, top + side)


def test_help_names_the_formats() -> None:
    assert FORMATS_READ.split(", ") == [name for name, known in FORMATS.items() if known.read]
    assert FORMATS_WRITTEN.split(", ") == [name for name, known in FORMATS.items() if known.write]


def test_import_recognises_the_format_and_tells_what_is_left_out(run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(FRIGATE)
    result = run("site", "import", tmp_path / "config.yaml", "--out", tmp_path / "gate.yaml")
    assert result.status == 0, result.text
    assert "(frigate): 0 lines, 1 zones, 0 flows" in result.out
    assert "warning: zone 'street': distances, speed_threshold, filters are not carried over" in result.err
    assert read_site(tmp_path / "gate.yaml").zones[0].name == "Street"


def test_import_prints_without_out_and_warnings_stay_out_of_it(run, tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text(NVDSANALYTICS)
    result = run("site", "import", tmp_path / "x.ini", "--stream", 0)
    assert result.status == 0, result.text
    assert parse_site(result.out).lines[0].name == "Exit"
    assert "mode=balanced" in result.err


def test_a_file_that_is_there_is_replaced_on_demand_only_and_kept(run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(FRIGATE)
    out = tmp_path / "gate.yaml"
    before = write_site(out, Site(lines=(Line(name="a", points=((0.1, 0.5), (0.9, 0.5))),), timezone="Europe/Berlin"))
    result = run("site", "import", tmp_path / "config.yaml", "--out", out)
    assert result.status == 2
    assert "found one remedy: name another one, or add --replace" in result.text
    assert read_site(out) == before
    result = run("site", "import", tmp_path / "config.yaml", "--out", out, "--replace")
    assert result.status == 0, result.text
    assert "revision 2; revision 1 is kept in .history" in result.text
    assert (read_site(out).timezone, [read_site(entry) for entry in history_of(out)]) == ("Europe/Berlin", [before])


def test_import_of_packed_files_and_of_a_size(run, tmp_path: Path) -> None:
    (tmp_path / "x.otflow").write_bytes(bz2.compress(OTFLOW.encode()))
    assert "--size 1280x720" in run("site", "import", tmp_path / "x.otflow").text
    result = run("site", "import", tmp_path / "x.otflow", "--size", "1280x720")
    assert parse_site(result.out).flows[0].name == "Nord --> Süd"
    for wrong in ("1280", "0x720", "ax9", "1280x"):
        assert (
            "expected width and height in pixels" in run("site", "import", tmp_path / "x.otflow", "--size", wrong).text
        )


def test_errors_name_the_file_and_its_line(run, tmp_path: Path) -> None:
    path = tmp_path / "z.json"
    path.write_text('{\n "polygons": [\n  [[1, 2\n')
    result = run("site", "import", path, "--from", "supervision", "--size", "9x9")
    assert result.status == 2
    assert f"{path}:4: expected JSON" in result.text
    path.write_text(SUPERVISION)
    result = run("site", "import", path, "--size", "1280x720")
    assert f"{path}: zone 'zone 1': expected points inside the picture of 1280 x 720 pixels" in result.text
    assert "choose one of supervision, ultralytics" in run("site", "import", path, "--from", "cvat").text
    assert "No such file" in run("site", "import", tmp_path / "none.json").text


def test_export_prints_or_writes(run, tmp_path: Path) -> None:
    site = tmp_path / "gate.yaml"
    write_site(site, Site(lines=(Line(name="a", points=((0.1, 0.5), (0.9, 0.5))),), reference_size=(1000, 500)))
    result = run("site", "export", site, "--to", "dlstreamer")
    assert json.loads(result.out)["tripwires"][0]["points"] == [{"x": 100, "y": 250}, {"x": 900, "y": 250}]
    assert "warning: line 'a': in is -1 there, out is 1" in result.err
    out = tmp_path / "wires.json"
    assert run("site", "export", site, "--to", "dlstreamer", "--out", out, "--size", "100x50").status == 0
    assert json.loads(out.read_text())["tripwires"][0]["points"][0] == {"x": 10, "y": 25}
    assert "add --replace" in run("site", "export", site, "--to", "frigate", "--out", out).text
    assert run("site", "export", site, "--to", "frigate", "--out", out, "--replace").status == 0
    assert out.read_text().startswith("cameras:")
    assert run("site", "export", site, "--to", "frigate", "--out", site, "--replace").status == 2
    assert read_site(site).lines[0].name == "a"


def test_check_says_what_a_site_holds(run, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "guide" / "site-files.md").read_text("utf-8")
    [text] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "gate.yaml").write_text(text)
    result = run("site", "check", tmp_path / "gate.yaml")
    assert result.status == 0, result.text
    for said in (
        "revision 1, drawn on 1920 x 1080, time zone Europe/Berlin",
        'line door: "in" is up across the line, "out" is down; only person',
        "zone hall: 34.0% of the picture, loitering from 120 s",
        "occluder pillar: 2.8% of the picture",
        'doors shop: "in" enters and "out" leaves over door, set to 0 at 04:00',
        'flow door to hall: from door ("in") to hall',
    ):
        assert said in result.out
    assert result.err == ""


def test_check_tells_mistakes_with_their_line(run, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text("lines:\n  - {name: a, points: [[0, 0], [2, 0]]}\n")
    result = run("site", "check", tmp_path / "gate.yaml")
    assert result.status == 2
    assert "gate.yaml:2: line 'a': points: expected x and y from 0 to 1, found (2, 0) as point 2" in result.text


def test_check_against_a_recording_and_a_drawing(run, tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.mp4", count=3)
    with av.open(str(video)) as container:
        size = container.streams.video[0].width, container.streams.video[0].height
    site = tmp_path / "gate.yaml"
    write_site(site, Site(lines=(Line(name="a", points=((0.1, 0.5), (0.9, 0.5))),), reference_size=size))
    out = tmp_path / "check.png"
    result = run("site", "check", site, "--video", video, "--out", out)
    assert result.status == 0, result.text
    with av.open(str(out)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == size
    assert "add --replace" in run("site", "check", site, "--out", out).text
    assert run("site", "check", site, "--out", out, "--replace").status == 0
    assert "ends in .png" in run("site", "check", site, "--out", tmp_path / "check.gif").text
    write_site(site, Site(reference_size=(100, 900), revision=1))
    result = run("site", "check", site, "--picture", video)
    assert result.status == 2
    assert "gate.yaml: expected a picture of the shape 100 x 900" in result.text


def test_a_huge_reference_size_is_drawn_small(run, tmp_path: Path) -> None:
    site = tmp_path / "gate.yaml"
    write_site(site, Site(reference_size=(65_000, 3), lines=(Line(name="a", points=((0.1, 0.5), (0.9, 0.5))),)))
    assert run("site", "check", site, "--out", tmp_path / "check.png").status == 0


# ---- doubts ---------------------------------------------------------------------------------------------------------


def test_lines_without_room_beyond_them_are_doubted() -> None:
    site = Site(
        lines=(
            Line(name="low", points=((0.1, 0.97), (0.9, 0.97))),
            Line(name="left", points=((0.01, 0.2), (0.01, 0.8)), to_left="east", to_right="west"),
            Line(name="good", points=((0.1, 0.5), (0.9, 0.5))),
            Line(name="edge", points=((0.1, 0), (0.9, 0))),
            Line(name="dot", points=((0.5, 0.5), (0.505, 0.5))),
        ),
        reference_size=(1920, 1080),
    )
    told = list(doubts(site))
    assert [text.split(":")[0] for text in told] == [
        "line 'low'",
        "line 'left'",
        "line 'edge'",
        "line 'dot' is 0.009 picture heights long",
    ]
    assert "0.030 of its height beyond the side 'out'" in told[0]
    assert "0.018 of its height beyond the side 'west'" in told[1]
    assert "0.000 of its height beyond the side 'in'" in told[2]


def test_overlapping_zones_are_doubted_and_neighbours_are_not() -> None:
    site = Site(
        zones=(
            Zone(name="a", polygons=(square(0.1, 0.1, 0.3),)),
            Zone(name="neighbour", polygons=(square(0.4, 0.1, 0.3),)),
            Zone(name="inside", polygons=(square(0.2, 0.2, 0.1),)),
            Zone(name="ring", polygons=(square(0.1, 0.5, 0.4), square(0.2, 0.6, 0.2))),
            Zone(name="in the hole", polygons=(square(0.25, 0.65, 0.1),)),
        ),
        reference_size=(1920, 1080),
    )
    assert list(doubts(site)) == ["zones 'a' and 'inside' overlap: an identity there is present in both"]


def test_doors_with_unlike_lines_are_doubted() -> None:
    lines = (
        Line(name="a", points=((0.1, 0.5), (0.4, 0.5)), classes=("person",)),
        Line(name="b", points=((0.5, 0.5), (0.9, 0.5)), settle_s=0.5),
    )
    site = Site(lines=lines, doors=(Doors(name="shop", lines=("a", "b")),), reference_size=(9, 9))
    assert [text.split("differ in ")[1] for text in doubts(site)] == [
        "classes (a: person, b: all): its balance drifts",
        "settle_s (a: 0.2, b: 0.5): its balance drifts",
    ]


@pytest.mark.parametrize("site", [Site()])
def test_an_empty_site_says_so(site: Site) -> None:
    assert list(described(site))[-1] == "nothing is counted: there are no lines, zones or bays"
    assert "no reference_size" in next(doubts(site))


def test_a_privacy_zone_is_told_and_filled_in_the_drawn_picture(run, tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.mp4", count=2, size=(160, 96))
    zone = PrivacyZone(name="window", polygon=((0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0)))
    write_site(tmp_path / "gate.yaml", Site(privacy=(zone,)))
    result = run("site", "check", tmp_path / "gate.yaml", "--picture", video, "--out", tmp_path / "out.png")
    assert result.status == 0, result.text
    assert "privacy zone window: 25.0% of the picture, never shown" in result.out
    drawn = cv2.imread(str(tmp_path / "out.png"))
    assert (drawn[49:, 81:] == FILL).all()
    assert not (drawn[:46, :78] == FILL).all(axis=2).any()
    exported = run("site", "export", tmp_path / "gate.yaml", "--to", "frigate", "--size", "1280x720")
    assert "privacy zone 'window' is left out: " in exported.err
