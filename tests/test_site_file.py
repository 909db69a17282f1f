"""Site files: what they hold comes back, mistakes have their line, writing keeps what others did and what was there."""

from __future__ import annotations

import dataclasses
import errno
import json
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings

from tests.sites import sites
from tests.thorough import examples
from tracker.errors import ConfigError, SinkError
from tracker.settings.site import SiteSettings
from tracker.settings.site_file import (
    HISTORY,
    SiteConflictError,
    history_of,
    parse_site,
    read_site,
    retire_site,
    site_text,
    write_site,
)
from tracker.settings.site_reference import site_page, site_schema
from tracker.site import MOST_POINTS, Line, PrivacyZone, Site, Zone

ROOT = Path(__file__).resolve().parent.parent

GOOD = """\
version: 1
revision: 3
reference_size: 1920x1080
reference_picture: gate.png
timezone: Europe/Berlin
lines:
  - name: door
    points: [[0.1, 0.5], [0.9, 5e-1]]
    classes: person
  - {name: back, points: [[0.2, 0.1], [0.2, 0.3]], to_left: in, to_right: out, dead_band: 0.01, settle_s: 0}
zones:
  - name: hall
    polygon: [[0.1, 0.6], [0.9, 0.6], [0.9, 1], [0.1, 1]]
    loiter_s: 30
    loiter_s_by_class: {person: 60, car: 0.5}
  - name: ring
    polygons:
      - [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4], [0.1, 0.4]]
      - [[0.2, 0.2], [0.3, 0.2], [0.3, 0.3]]
occluders: [{name: pillar, polygon: [[0.5, 0], [0.6, 0], [0.6, 1]]}]
doors:
  - {name: shop, lines: [door, back], reset_at: 04:00}
flows:
  - {name: through, start: door, start_direction: in, end: hall}
queues:
  - {name: till, zone: hall, served_at: back, served_direction: in, still_s: 3}
footfall:
  - {name: visitors, doors: shop, passing: back, staff_zones: [ring], group_m: 1.2}
bays:
  - {name: A1, polygon: [[0.1, 0.6], [0.3, 0.6], [0.28, 0.5], [0.1, 0.5]], classes: [car, bus], taken_s: 20}
alerts:
  - {name: long queue, watch: queue, place: till, over: 7, until: 5, for_s: 20, quiet: "mon-fri 22:00-06:00"}
ground:
  rectangle: {corners: [[0.1, 0.9], [0.9, 0.9], [0.6, 0.5], [0.4, 0.5]], width_m: 4, length_m: 12.5}
traffic: {time_to_collision_s: 4, post_encroachment_s: 6.5, sizes: {car: [4.2, 1.8, 2.8]}}
"""
SITE = Site(
    lines=(Line(name="door", points=((0.1, 0.5), (0.9, 0.5))),),
    zones=(Zone(name="hall", polygons=(((0.1, 0.6), (0.9, 0.6), (0.9, 1.0)),)),),
    reference_size=(1920, 1080),
)


WINDOW = PrivacyZone(name="window", polygon=((0.7, 0.0), (1.0, 0.0), (1.0, 0.35)))


def listed(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_whole_file() -> None:
    site = parse_site(GOOD)
    door, back = site.lines
    assert (site.revision, site.reference_size, site.timezone) == (3, (1920, 1080), "Europe/Berlin")
    assert (door.points, door.classes, door.directions) == (((0.1, 0.5), (0.9, 0.5)), ("person",), ("in", "out"))
    assert (back.dead_band, back.settle_s, back.min_rearm_s) == (0.01, 0, 1)
    hall, ring = site.zones
    assert (hall.loiter_s, hall.loiter_s_by_class) == (30, {"person": 60, "car": 0.5})
    assert [len(polygon) for polygon in ring.polygons] == [4, 3]
    assert (site.occluders[0].name, site.doors[0].lines, site.doors[0].reset_at) == (
        "pillar",
        ("door", "back"),
        "04:00",
    )
    assert (site.flows[0].start_direction, site.flows[0].end_direction) == ("in", "")
    [queue], [footfall], [bay], [rule] = site.queues, site.footfall, site.bays, site.alerts
    assert (rule.place, rule.over, rule.clear_at, rule.quiet) == ("till", 7, 5, ("mon-fri 22:00-06:00",))
    assert (queue.zone, queue.served_at, queue.served_direction, queue.still_s) == ("hall", "back", "in", 3)
    assert (footfall.doors, footfall.passing, footfall.staff_zones, footfall.group_m) == (
        "shop",
        ("back",),
        ("ring",),
        1.2,
    )
    assert (len(bay.polygon), bay.classes, bay.taken_s, bay.free_s) == (4, ("car", "bus"), 20, 10)


def test_the_reference_picture_lies_beside_the_file() -> None:
    site = parse_site("reference_picture: gate.png\n")
    assert site == Site(reference_picture="gate.png")
    assert parse_site(site_text(site)) == site
    for name in ("../gate.png", "/etc/gate.png", "a/b.png", "a\\b.png", "..", "."):
        with pytest.raises(ConfigError, match="expected reference_picture as a file beside the site's"):
            Site(reference_picture=name)


def test_a_file_of_one_key_is_a_site() -> None:
    assert parse_site("revision: 0\n") == Site()


@settings(deadline=None, max_examples=examples(60))
@given(site=sites())
def test_what_is_written_is_read(site: Site) -> None:
    text = site_text(site)
    assert parse_site(text) == site
    assert "\t" not in text
    # Another reader of YAML, which knows no types but its own, finds the same names and numbers.
    plain = yaml.safe_load(text)
    assert [line["name"] for line in plain.get("lines", ())] == [line.name for line in site.lines]
    assert [line["points"] for line in plain.get("lines", ())] == [
        [list(p) for p in line.points] for line in site.lines
    ]


def test_numbers_have_four_decimals_and_no_exponents() -> None:
    site = dataclasses.replace(
        SITE,
        lines=(Line(name="a", points=((0.00001, 1 / 3), (1.0, -0.0)), settle_s=1e-7, dead_band=1e-6),),
        zones=(),
    )
    text = site_text(site)
    assert "points: [[0.0000, 0.3333], [1.0000, 0.0000]]" in text
    assert "settle_s: 0.0000001" in text
    assert "dead_band: 0.000001" in text


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (((0.1, 0.5), (0.9, 0.5)), '"in" is up across the line, "out" is down.'),
        (((0.9, 0.5), (0.1, 0.5)), '"in" is down across the line, "out" is up.'),
        (((0.5, 0.1), (0.5, 0.9)), '"in" is to the right across the line, "out" is to the left.'),
        (((0.1, 0.9), (0.5, 0.5)), '"in" is up and to the left across the line, "out" is down and to the right.'),
        (((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.11, 0.11)), '"in" is to its left, walked from its first point'),
    ],
)
def test_directions_stand_there_in_words(points, says: str) -> None:
    site = Site(lines=(Line(name="door", points=points),), reference_size=(1000, 1000))
    assert says in " ".join(site_text(site).split())


BAD = """\
lines:
  - name: door
    points: [[0.1, 0.5], [0.9, 0.5]]
    to_left: in
zones:
  - name: hall
    polygon: [[0.1, 0.6], [0.9, 0.6], [0.9, 1], [0.1, 1]]
doors:
  - {name: shop, lines: [door]}
flows:
  - {name: f, start: door, end: hall}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("to_left", "to_lefft", 4, "unknown key 'to_lefft' in a line"),
        ("zones:", "privacy: 1\nzones:", 5, "expected `version: 2` in a file with `privacy`, found version 1"),
        ("zones:", "version: 2\nprivacy: 1\nzones:", 6, "expected a list of privacy, found '1'"),
        ("zones:", "version: 3\nprivate: 1\nzones:", 5, "expected version 2 of site files or an older one, found 3"),
        ("[0.9, 0.5]]", "[0.9, 1.5]]", 3, "line 'door': expected x and y from 0 to 1, found (0.9, 1.5) as point 2"),
        ("[0.9, 0.5]]", "[0.9, nan]]", 3, "as two numbers [x, y], found ['0.9', 'nan']"),
        ("[0.9, 0.5]]", "[0.9, 1e999]]", 3, "point as two numbers [x, y], found"),
        ("[0.9, 0.5]]", "0.9, 0.5]", 3, "as two numbers [x, y], found '0.9'"),
        ("[0.9, 0.5]]", "[0.9, 0.5, 1]]", 3, "as two numbers"),
        ("[0.9, 0.5]]", "[0.9, [0.5]]]", 3, "found ['0.9', a list]"),
        ("[0.9, 0.5]]", "[0.9, 0_5]]", 3, "as two numbers"),
        ("[[0.1, 0.5], [0.9, 0.5]]", "here", 3, "expected a list of points [x, y], found 'here'"),
        (
            "[0.9, 1], [0.1, 1]",
            "[0.1, 1], [0.9, 1]",
            7,
            "expected edges that do not cross, found that edges 2 and 4 do",
        ),
        (", [0.1, 1]]", ", [0.1, 0.6]]", 7, "remove the last point; polygons close by themselves"),
        ("polygon: [[", "polygon: [[[", 8, "expected YAML"),
        ("    points: [[0.1, 0.5], [0.9, 0.5]]\n", "", 2, "expected `points`, found none"),
        ("to_left: in", "to_left: out", 2, "line 'door': expected two different names of directions"),
        ("to_left: in", 'to_left: "a\\nb"', 2, "names of directions"),
        ("to_left: in", "dead_band: 0", 4, "expected a number from 1e-06 to 0.5, found '0'"),
        ("to_left: in", "settle_s: soon", 4, "expected a number from 0 to 86400, found 'soon'"),
        ("to_left: in", "classes: [[car]]", 4, "found a list"),
        ("name: hall", "name: door", 6, "line or zone 'door': expected each name once"),
        ("lines: [door]", "lines: [door, door]", 9, "doors 'shop': expected lines, each once"),
        ("lines: [door]", "lines: [dor]", 9, "doors 'shop': expected one of the site's lines (door), found 'dor'"),
        ("lines: [door]", "lines: [door], reset_at: 24:00", 9, "reset_at as HH:MM"),
        ("end: hall", "end: hal", 11, "flow 'f': expected one of the site's lines and zones (door, hall), found 'hal'"),
        ("end: hall", "end: hall, end_direction: in", 11, "flow 'f': expected one of the site's lines (door)"),
        ("zones:", "timezone: Mars\nzones:", 5, "expected an IANA time zone, found 'Mars'"),
        ("zones:", "reference_size: [0, 5]\nzones:", 5, "expected width and height in pixels, found a list"),
        ("zones:", "reference_picture: ../gate.png\nzones:", 5, "a file beside the site's, found '../gate.png'"),
        ("zones:", "revision: -1\nzones:", 5, "expected a whole number from 0"),
        ("lines:\n  - name", "lines:\n    name", 2, "expected a list of lines, found a mapping"),
        ("to_left: in", "to_left: in\n  - &b {name: b, points: [[0, 0], [1, 1]]}\n  - *b", 5, "an alias repeats"),
        ("[[0.1, 0.5], [0.9, 0.5]]", "&a [*a]", 3, "an alias repeats"),
        ("zones:", "<<: {version: 1}\nzones:", 5, "unknown key '<<'"),
        ("name: hall", 'name: ""', 6, "expected a name of 1 to 200 letters, found an empty text"),
        ("name: hall", "name:", 6, "expected a name of 1 to 200 letters, found an empty text"),
        ("name: hall", 'name: "\\ud800"', 6, "a name of printable characters"),
        ("name: f,", f"name: {'f' * 201},", 11, "expected a name of 1 to 200 letters"),
    ],
)
def test_mistakes_are_told_with_their_line(old: str, new: str, line: int, said: str) -> None:
    assert BAD.count(old) >= 1
    with pytest.raises(ConfigError) as caught:
        parse_site(BAD.replace(old, new, 1), name="gate.yaml")
    assert said in caught.value.problem + caught.value.remedy
    assert caught.value.offender == f"gate.yaml:{line}"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty file"),
        ("# nothing\n", "an empty file"),
        ("- a\n", "`key: value` lines for the site, found a list"),
        ("x: " + "[" * 900, "nested too deeply"),
        ("#" + "x" * 1_000_000, "at most 1,000,000 bytes"),
        ("\ud800: 1", "expected YAML"),
        ("&a [&b [*a, *b], *b]", "an alias repeats"),
        ("[a]: 1", "unknown key '?'"),
    ],
)
def test_files_that_are_no_sites(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_site(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_polygon_with_too_many_corners_is_refused_before_its_edges_are_compared() -> None:
    points = ", ".join(f"[{0.5 + (n % 2) / 10}, {n / 3000}]" for n in range(MOST_POINTS + 1))
    with pytest.raises(ConfigError, match="at most 2,000 points"):
        parse_site(f"zones:\n  - name: a\n    polygon: [{points}]\n")


def test_without_the_extra_the_pip_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"PyYAML to read it, found it is not installed\n  remedy: pip install"):
        parse_site(GOOD)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_site(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        read_site(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_site(tmp_path / "binary.yaml")


# ---- writing --------------------------------------------------------------------------------------------------------


def test_the_revision_goes_up_and_earlier_ones_are_kept(tmp_path: Path) -> None:
    path, site = tmp_path / "gate.yaml", SITE
    for number in range(1, HISTORY + 5):
        site = write_site(path, dataclasses.replace(site, timezone="UTC" if number % 2 else "Europe/Paris"))
        assert site.revision == number
        assert read_site(path) == site
    kept = history_of(path)
    assert [entry.name for entry in kept] == [f"{number}.yaml" for number in range(4, HISTORY + 4)]
    assert [read_site(entry).timezone for entry in kept[:2]] == ["Europe/Paris", "UTC"]
    assert listed(tmp_path) == [".history", "gate.yaml"]


def test_points_come_back_as_they_stand_in_the_file(tmp_path: Path) -> None:
    site = dataclasses.replace(SITE, lines=(Line(name="a", points=((1 / 3, 0.5), (2 / 3, 0.50004))),))
    written = write_site(tmp_path / "a.yaml", site)
    assert written.lines[0].points == ((0.3333, 0.5), (0.6667, 0.5))
    assert write_site(tmp_path / "a.yaml", written, before=written).lines == written.lines


def test_another_revision_on_the_disk_is_a_conflict(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    first = write_site(path, SITE)
    second = write_site(path, dataclasses.replace(first, timezone="Europe/Paris"))
    with pytest.raises(SiteConflictError, match="expected revision 1, which was read, found revision 2"):
        write_site(path, dataclasses.replace(first, timezone="Europe/Rome"))
    assert read_site(path) == second


def test_a_change_by_hand_that_raised_no_revision_is_a_conflict_for_who_has_the_site(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    first = write_site(path, SITE)
    by_hand = path.read_text().replace("timezone: UTC", "timezone: Asia/Tokyo")
    path.write_text(by_hand)
    with pytest.raises(SiteConflictError, match="changed by hand"):
        write_site(path, first, before=first)
    assert path.read_text() == by_hand
    write_site(path, first)  # without it the revision decides; what stood there is in the history
    assert [entry.read_text() for entry in history_of(path)] == [by_hand]


def test_two_files_with_one_revision_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    first = write_site(path, SITE)
    write_site(path, first)
    path.write_text("revision: 1\n")
    write_site(path, first)
    assert [entry.name for entry in history_of(path)] == ["1.yaml", "1-2.yaml"]


def test_a_file_that_was_removed_goes_on_counting(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    for _ in range(3):
        write_site(path, read_site(path) if path.exists() else SITE)
    path.unlink()
    assert write_site(path, SITE).revision > 2


@pytest.mark.parametrize("text", ["lines: 3\n", "version: 9\n"])
def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        write_site(path, SITE)
    assert path.read_text() == text


def test_corners_that_fall_together_when_rounded_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    first = write_site(path, SITE)
    line = Line(name="a", points=((0.5, 0.5), (0.50001, 0.5)))
    with pytest.raises(ConfigError, match="the same with 4 decimals, found: line 'a'"):
        write_site(path, dataclasses.replace(first, lines=(line,)))
    assert read_site(path) == first
    assert listed(tmp_path) == ["gate.yaml"]


def test_no_link_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    first = write_site(real, SITE)
    (tmp_path / "gate.yaml").symlink_to(real)
    with pytest.raises(ConfigError, match="found a link"):
        write_site(tmp_path / "gate.yaml", first)
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="found a link"):
        write_site(tmp_path / "dangling.yaml", first)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".history").mkdir()
    (tmp_path / ".history" / "real").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="folder of its own for the history"):
        write_site(real, first)
    assert read_site(real) == first
    assert listed(elsewhere) == []


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    first = write_site(path, SITE)
    (tmp_path / ".history").write_text("in the way")
    with pytest.raises(SinkError, match="keep the last revision there"):
        write_site(path, first)
    assert read_site(path) == first
    with pytest.raises(SinkError, match="mkdir -p"):
        write_site(tmp_path / "none" / "gate.yaml", SITE)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gate.yaml"
    first = write_site(path, SITE)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tracker.sinks.part_file.os.fsync", full)
    with pytest.raises(SinkError, match="No space left on device"):
        write_site(path, first)
    monkeypatch.undo()
    assert read_site(path) == first
    assert write_site(path, first).revision == 2


def test_a_crash_in_the_middle_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    first = write_site(path, SITE)
    before = path.read_bytes()
    script = textwrap.dedent("""
        import os, sys
        from tracker.settings.site_file import read_site, write_site
        from tracker.sinks.part_file import PartFile

        PartFile.publish = lambda part, **_: os.kill(os.getpid(), 9)
        write_site(sys.argv[1], read_site(sys.argv[1]))
    """)
    assert subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, check=False).returncode == -9
    assert path.read_bytes() == before
    assert any(name.endswith(".part") for name in listed(tmp_path))
    assert write_site(path, first).revision == 2
    assert listed(tmp_path) == [".history", "gate.yaml"]


@pytest.mark.slow
def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    write_site(path, SITE)
    script = textwrap.dedent("""
        import sys
        from tracker.errors import SinkError
        from tracker.settings.site_file import SiteConflictError, read_site, write_site

        done = 0
        while done < 10:
            try:
                write_site(sys.argv[1], read_site(sys.argv[1]))
                done += 1
            except (SiteConflictError, SinkError):
                pass
    """)
    writers = [subprocess.Popen([sys.executable, "-c", script, path], cwd=ROOT) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert read_site(path).revision == 21


# ---- one declaration: schema and reference --------------------------------------------------------------------------


def test_the_reference_is_current(run) -> None:
    page = (ROOT / "docs" / "reference" / "site.md").read_text("utf-8")
    assert page == site_page(), "run: masktrail settings site --out docs/reference/site.md"
    assert run("settings", "site").out == page


def test_the_schema_knows_every_key_that_is_written(run, tmp_path: Path) -> None:
    assert run("settings", "site-schema", "--out", tmp_path / "s.json").status == 0
    schema = json.loads((tmp_path / "s.json").read_text())
    assert schema == site_schema()
    plain = yaml.safe_load(site_text(dataclasses.replace(parse_site(GOOD), privacy=(WINDOW,))))
    assert set(plain) == set(schema["properties"]) == set(SiteSettings.model_fields)
    for key in ("lines", "zones", "occluders", "doors", "flows"):
        entry = schema["properties"][key]["items"]
        assert entry["additionalProperties"] is False
        for part in plain[key]:
            assert set(part) <= set(entry["properties"])
            assert {"polygons" if name == "polygon" and key == "zones" else name for name in part} >= set(
                entry["required"]
            )


def test_what_forms_need_to_know_is_said_of_every_field() -> None:
    schema = site_schema()
    line = schema["properties"]["lines"]["items"]["properties"]
    assert (line["settle_s"]["minimum"], line["settle_s"]["maximum"], line["settle_s"]["default"]) == (0, 86400, 0.2)
    for key in ("lines", "zones", "occluders", "doors", "flows"):
        assert all(field["description"] for field in schema["properties"][key]["items"]["properties"].values())


def test_only_a_file_with_privacy_zones_is_of_the_version_that_older_programs_refuse() -> None:
    """A masktrail of the version before says: expected version 1 of site files or an older one, found 2."""
    plain, private = site_text(SITE), site_text(dataclasses.replace(SITE, privacy=(WINDOW,)))
    assert "version: 1\n" in plain
    assert "version: 2\n" in private
    assert parse_site(private).privacy == (WINDOW,)
    assert parse_site(private).never_shown == (WINDOW.polygon,)
    with pytest.raises(ConfigError, match="expected `version: 2` in a file with `privacy`, found version 1"):
        parse_site(private.replace("version: 2", "version: 1"))
    with pytest.raises(ConfigError, match="expected `version: 2` in a file with `privacy`"):
        parse_site(private.replace("version: 2\n", ""))


@pytest.mark.parametrize(
    ("zones", "said"),
    [
        ("[{name: a, polygon: [[0, 0], [1, 0]]}]", "privacy zone 'a': polygon: expected 3 points or more, found 2"),
        (
            "[{name: a, polygon: [[0, 0], [1, 1], [1, 0], [0, 1]]}]",
            "privacy zone 'a': polygon: expected edges that do not cross",
        ),
        ("[{polygon: [[0, 0], [1, 1], [1, 0]]}]", "expected `name`, found none"),
    ],
)
def test_a_wrong_privacy_zone_is_one_clear_line(zones: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"site\.yaml:2") as caught:
        parse_site(f"version: 2\nprivacy: {zones}\n")
    assert said in str(caught.value)


def test_a_file_that_is_taken_away_is_in_the_history_and_its_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    write_site(path, Site())
    retire_site(path)
    assert not path.exists()
    assert [entry.name for entry in history_of(path)] == ["1.yaml"]
    assert write_site(path, Site()).revision == 2
    assert write_site(path, Site(revision=2), above=7).revision == 8


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{lines: [{name: a, points: [[0,0]]}]}", "s.yaml:1: line 'a': points: expected 2 points or more, found 1"),
        ("{lines: [{name: a, points: [[0,0],[0,x]]}]}", "s.yaml:1: points: expected a point as two numbers"),
        ("{zones: [{name: a, polygon: 3}]}", "s.yaml:1: polygon: expected a list of points"),
        ("{zones: [{name: a, polygons: [[[0,0],[1,1]]]}]}", "s.yaml:1: zone 'a': polygons: expected 3 points or more"),
        ("{ground: {points: [{at: [0,x], metres: [0,0]}]}}", "s.yaml:1: at: expected a point as two numbers"),
        ("lines:\n  - name: a\n    points: [[0,0]]", "s.yaml:3: line 'a': expected 2 points or more"),
    ],
)
def test_an_error_of_points_names_the_key_where_its_line_has_several(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_site(text, name="s.yaml")
    assert str(error.value).startswith(told)
