"""Lines and zones of other tools: what a format holds comes back within a pixel, and what it does not hold is told."""

from __future__ import annotations

import dataclasses
import json

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.sites import names, polygons, polylines, sites, sound
from tests.thorough import examples
from tracker.errors import ConfigError
from tracker.formats.sites.dlstreamer import TO_LEFT, TO_RIGHT
from tracker.formats.sites.known import FORMATS, export_site, import_site, recognised
from tracker.formats.sites.opendatacam import DOWN, UP
from tracker.polygons import Point, first_crossing
from tracker.site import Doors, Flow, Line, Occluder, Site, Zone

SIZE = (1920, 1080)
WRITTEN = [name for name, known in FORMATS.items() if known.write]
ANY_NUMBER = settings(deadline=None, max_examples=examples(30))


def near(first, second) -> bool:
    """Whether the same corners lie within a pixel of each other."""
    return len(first) == len(second) and all(
        abs(a[axis] - b[axis]) * SIZE[axis] <= 1 for a, b in zip(first, second, strict=True) for axis in (0, 1)
    )


def held(points: tuple[Point, ...], *, closed: bool) -> bool:
    """Whether points are still a line or polygon when they are whole pixels."""
    whole = [(round(x * SIZE[0]), round(y * SIZE[1])) for x, y in points]
    distinct = all(a != b for a, b in zip(whole, [*whole[1:], *whole[:1]], strict=True))
    return distinct and first_crossing(whole, closed=closed) is None


def directions(name: str, ends: tuple[Point, ...], drawn: st.DataObject) -> tuple[str, str]:
    """Two names of directions that a format holds."""
    if name == "opendatacam":
        (x1, y1), (x2, y2) = ends[0], ends[-1]
        return (UP, DOWN) if x2 > x1 or (x1 == x2 and y2 > y1) else (DOWN, UP)
    if name == "dlstreamer":
        return TO_LEFT, TO_RIGHT
    if name == "pipeline-server":
        return "counterclockwise", "clockwise"
    if name == "nvdsanalytics":
        words = st.from_regex(r"[A-Za-zäöü0-9-]{1,8}", fullmatch=True)
        return drawn.draw(words), drawn.draw(words)
    return "in", "out"


@pytest.mark.parametrize("name", WRITTEN)
@ANY_NUMBER
@given(data=st.data())
def test_what_a_format_holds_comes_back(name: str, data: st.DataObject) -> None:
    words = names() if name != "nvdsanalytics" else st.from_regex(r"[A-Za-zäöü0-9-]{1,8}", fullmatch=True)
    known = data.draw(st.lists(words, min_size=1, max_size=4, unique=True))
    count = 0 if name == "frigate" else data.draw(st.integers(0, len(known)))
    lines, zones = [], []
    for line_name in known[:count]:
        points = data.draw(polylines(most=5 if name == "otflow" else 2))
        to_left, to_right = directions(name, points, data)
        assume(held(points, closed=False) and to_left != to_right)
        lines.append(Line(name=line_name, points=points, to_left=to_left, to_right=to_right))
    for zone_name in known[count:]:
        polygon = data.draw(polygons().filter(sound))
        assume(held(polygon, closed=True))
        zones.append(Zone(name=zone_name, polygons=(polygon,)))
    if name == "frigate":
        zones = [
            dataclasses.replace(
                zone,
                classes=data.draw(st.lists(names(), max_size=2, unique=True).map(tuple)),
                enter_s=data.draw(st.integers(1, 50)) / 5,
                loiter_s=data.draw(st.none() | st.integers(1, 99)),
            )
            for zone in zones
        ]
    if name == "dlstreamer":
        zones = [dataclasses.replace(zone, leave_s=data.draw(st.integers(0, 50)) / 4) for zone in zones]
    flows = [Flow(name="f", start=known[0], end=known[-1])] if name == "otflow" else []
    site = Site(lines=tuple(lines), zones=tuple(zones), flows=tuple(flows), reference_size=SIZE)

    exported = export_site(site, name)
    assert exported.warnings == ()
    back = import_site(exported.text, name, size=SIZE).site
    assert len(back.lines) == len(lines)
    assert len(back.zones) == len(zones)
    assert (back.flows, back.reference_size) == (site.flows, SIZE)
    for line, found in zip(lines, back.lines, strict=True):
        assert near(line.points, found.points)
        assert found == dataclasses.replace(line, points=found.points)
    for zone, found in zip(zones, back.zones, strict=True):
        assert near(zone.polygons[0], found.polygons[0])
        assert found == dataclasses.replace(zone, polygons=found.polygons)
    assert recognised(exported.text) in {name, "dlstreamer"}


@pytest.mark.parametrize("name", WRITTEN)
@ANY_NUMBER
@given(site=sites())
def test_every_site_is_written_and_nothing_is_left_out_in_silence(name: str, site: Site) -> None:
    site = dataclasses.replace(site, reference_size=SIZE)
    exported = export_site(site, name)
    told = "\n".join(exported.warnings)
    for part in (*site.occluders, *site.doors):
        assert f"{part.name!r} is left out" in told
    for zone in site.zones:
        if zone.loiter_s_by_class:
            assert "loiter_s_by_class" in told
    if name == "frigate":
        assert all(f"line {line.name!r} is left out" in told for line in site.lines)
        assert all("e" not in str(zone["coordinates"]) for zone in _zones(exported.text))


def _zones(text: str) -> list[dict[str, object]]:
    return list(yaml.safe_load(text)["cameras"]["camera"]["zones"].values())


EVERYTHING = Site(
    lines=(
        Line(name="gate = a;b", points=((0.1, 0.5), (0.5, 0.6), (0.9, 0.5)), classes=("car",), settle_s=1),
        Line(name="dot", points=((0.5, 0.5), (0.5001, 0.5))),
    ),
    zones=(
        Zone(
            name="hall",
            polygons=(
                ((0.1, 0.1), (0.4, 0.1), (0.4, 0.4), (0.1, 0.4)),
                ((0.2, 0.2), (0.3, 0.2), (0.3, 0.3)),
                ((0.6, 0.6), (0.8, 0.6), (0.8, 0.8)),
            ),
            loiter_s=3.5,
        ),
    ),
    occluders=(Occluder(name="pillar", polygon=((0.1, 0.1), (0.2, 0.1), (0.2, 0.9))),),
    doors=(Doors(name="shop", lines=("gate = a;b",)),),
    flows=(Flow(name="f", start="gate = a;b", end="hall", start_direction="in"),),
    reference_size=SIZE,
    timezone="Europe/Berlin",
)


@pytest.mark.parametrize("name", WRITTEN)
def test_everything_that_has_no_place_is_named(name: str) -> None:
    told = export_site(EVERYTHING, name).warnings
    expected = ["occluder 'pillar' is left out", "doors 'shop' is left out", "timezone Europe/Berlin", "holes, 1"]
    expected.append("2 polygons become zones of their own")
    if name != "frigate":
        expected.append("line 'gate = a;b': classes, settle_s")
    if name == "otflow":
        expected.append("flow 'f' is left out: its zone has several polygons")
    else:
        expected.append("flow 'f' is left out")
    if name in {"opendatacam", "nvdsanalytics", "dlstreamer", "pipeline-server"}:
        expected.append("2 pieces become lines of their own")
    if name in {"nvdsanalytics", "dlstreamer"}:
        expected.append("line 'dot' is left out: it is shorter than a pixel")
    if name == "frigate":
        expected += ["loiter_s 3.5 becomes 4", "enter_s 0.3 becomes 2 frames"]
    for text in expected:
        assert any(text in warning for warning in told), text


def test_pieces_of_a_polyline_keep_their_directions() -> None:
    site = dataclasses.replace(EVERYTHING, doors=(), flows=(), lines=EVERYTHING.lines[:1])
    back = import_site(export_site(site, "nvdsanalytics").text, "nvdsanalytics").site
    assert [(line.name, line.directions) for line in back.lines] == [
        ("gate_a_b_1", ("in", "out")),
        ("gate_a_b_2", ("in", "out")),
    ]


@pytest.mark.parametrize("name", ["opendatacam", "nvdsanalytics", "dlstreamer", "otflow"])
def test_pixels_need_a_size(name: str) -> None:
    site = dataclasses.replace(EVERYTHING, reference_size=None)
    with pytest.raises(ConfigError, match="--size"):
        export_site(site, name)
    assert export_site(site, name, size=SIZE).text == export_site(EVERYTHING, name).text


def test_formats_that_are_only_read_are_told() -> None:
    for name in ("supervision", "ultralytics", "viseron"):
        with pytest.raises(ConfigError, match="which is only read"):
            export_site(EVERYTHING, name)


def test_stream_and_camera_have_their_names() -> None:
    assert "[line-crossing-stream-7]" in export_site(EVERYTHING, "nvdsanalytics", stream="7").text
    assert "gate" in yaml.safe_load(export_site(EVERYTHING, "frigate", stream="gate").text)["cameras"]
    with pytest.raises(ConfigError, match="expected a number, found 'x'"):
        export_site(EVERYTHING, "nvdsanalytics", stream="x")


@pytest.mark.parametrize("name", ["frigate", "nvdsanalytics"])
def test_names_that_become_one_stay_apart(name: str) -> None:
    zones = [Zone(name=word, polygons=(((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)),)) for word in ("a", "a;", "a_2", "camera")]
    text = export_site(Site(zones=tuple(zones), reference_size=SIZE), name).text
    back = import_site(text, name).site
    assert len({zone.name for zone in back.zones}) == 4
    if name == "frigate":
        assert list(yaml.safe_load(text)["cameras"]["camera"]["zones"]) == ["a", "a_2", "a_2_2", "camera_2"]
        assert [zone.name for zone in back.zones] == [zone.name for zone in zones]


def test_opendatacam_polygons_repeat_their_first_point() -> None:
    areas = json.loads(export_site(EVERYTHING, "opendatacam").text)["countingAreas"].values()
    points = next(area["location"]["points"] for area in areas if area["type"] == "polygon")
    assert points[0] == points[-1]
