"""Lines and zones of other tools: a file as each of them writes it, and what becomes of it here."""

from __future__ import annotations

import bz2
import json
import math

import pytest

from tracker.errors import ConfigError
from tracker.formats.sites.drawing import Imported
from tracker.formats.sites.known import FORMATS, import_site, recognised
from tracker.formats.sites.plain import text_of_bytes
from tracker.polygons import polygon_area

HD, FULL_HD = (1280, 720), (1920, 1080)

SUPERVISION = '{"polygons": [[[540, 985], [1620, 985], [2160, 1920]], [[0, 0], [100, 0], [100, 100], [0, 0]]]}'
BAYS = '[{"points": [[388, 83], [428, 139], [577, 159], [694, 125]]}, {"points": [[1, 1], [50, 1], [50, 40]]}]'
REGION = 'region: {"region-01": [[50, 50], [250, 50], [250, 250], [50, 250]], "line": [[20, 400], [1080, 400]]}'
FRIGATE = """
cameras: {gate: {detect: {width: 1280, height: 720, fps: 10}, zones: {street: {friendly_name: Street, coordinates:
  "0.033,0.306,0.324,0.138,0.439,0.185,0.042,0.428",
  distances: "10,12,11,13.5", inertia: 3, loitering_time: 4, speed_threshold: 20, objects: [car],
  filters: {car: {min_area: 2000}}}}}, back: {}}
"""
OPENDATACAM = json.dumps(
    {
        "countingAreas": {
            "cc8354b6-d8ec-41d3-ab12-38ced6811f7c": {
                "color": "yellow",
                "type": "bidirectional",
                "name": "north",
                "computed": {"a": 1},
                "location": {
                    "points": [{"x": 178.9, "y": 448.4}, {"x": 424.2, "y": 409.5}],
                    "refResolution": {"w": 862, "h": 746},
                },
            },
            "5": {
                "type": "polygon",
                "name": "yard",
                "location": {
                    "points": [{"x": 10, "y": 10}, {"x": 99, "y": 10}, {"x": 99, "y": 99}, {"x": 10, "y": 10}],
                    "refResolution": {"w": 862, "h": 746},
                },
            },
            "old": {
                "type": "leftright_topbottom",
                "location": {
                    "point1": {"x": 263, "y": 625},
                    "point2": {"x": 486, "y": 584},
                    "refResolution": {"w": 862, "h": 746},
                },
            },
        }
    }
)
NVDSANALYTICS = """
[property]
enable=1
config-width=1920
config-height=1080
# a remark
[line-crossing-stream-0]
enable=1
line-crossing-Exit=789;672;1084;900;851;773;1203;732;
class-id=0
extended=0
mode=balanced
[roi-filtering-stream-0]
enable=1
roi-RF=295;643;579;634;642;913;56;828
inverse-roi=0
class-id=-1
[overcrowding-stream-1]
enable=1
roi-OC=295;643;579;634;642;913;56;828
object-threshold=2
[direction-detection-stream-0]
enable=1
direction-South=284;840;360;662
"""
DLSTREAMER = json.dumps(
    {
        "zones": [
            {
                "id": "door",
                "type": "polygon",
                "points": [{"x": 400, "y": 200}, {"x": 800, "y": 200}, {"x": 800, "y": 600}],
                "track-dwell-time": True,
                "object-retention": 0.5,
            },
            {"id": "till", "type": "circle", "center": {"x": 960, "y": 540}, "radius": 150, "color": {"r": 1}},
        ],
        "tripwires": [{"id": "entrance", "points": [{"x": 960, "y": 0}, {"x": 960, "y": 1080}]}],
    }
)
PIPELINE_SERVER = json.dumps(
    {
        "zones": [{"name": "z", "polygon": [[0, 0], [0.5, 0], [0.5, 1]]}],
        "lines": [{"name": "l", "line": [[0, 0.5], [1, 0.5]]}],
    }
)
VISERON = """
codeprojectai:
  object_detector:
    cameras:
      camera_one:
        zones:
          - name: sidewalk
            coordinates: [{x: 522, y: 11}, {x: 729, y: 275}, {x: 333, y: 603}]
            labels: [{label: person, confidence: 0.8}]
"""
OTFLOW = json.dumps(
    {
        "sections": [
            {
                "id": "3",
                "name": "Nord",
                "type": "line",
                "relative_offset_coordinates": {"section-enter": {"x": 0.5, "y": 0.5}},
                "coordinates": [{"x": 788, "y": 175}, {"x": 500, "y": 400}, {"x": 230, "y": 578}],
                "plugin_data": {},
            },
            {
                "id": "1",
                "name": "Süd",
                "type": "area",
                "relative_offset_coordinates": {"section-enter": {"x": 0.5, "y": 1}},
                "coordinates": [{"x": 0, "y": 0}, {"x": 100, "y": 0}, {"x": 100, "y": 100}, {"x": 0, "y": 0}],
                "plugin_data": {"a": 1},
            },
        ],
        "flows": [{"id": "N-S", "name": "Nord --> Süd", "start": "3", "end": "1", "distance": 25.0}],
    }
)
SAMPLES = {
    "supervision": SUPERVISION,
    "ultralytics": REGION,
    "frigate": FRIGATE,
    "opendatacam": OPENDATACAM,
    "nvdsanalytics": NVDSANALYTICS,
    "dlstreamer": DLSTREAMER,
    "viseron": VISERON,
    "otflow": OTFLOW,
}


def read(name: str, text: str, size: tuple[int, int] | None = None, stream: str = "") -> Imported:
    return import_site(text, name, size=size, stream=stream)


def warned(imported: Imported, *texts: str) -> bool:
    return all(any(text in warning for warning in imported.warnings) for text in texts)


def px(points, size) -> list[tuple[float, float]]:
    return [(round(x * size[0], 3), round(y * size[1], 3)) for x, y in points]


def test_supervision() -> None:
    imported = read("supervision", SUPERVISION, (2160, 1920))
    first, second = imported.site.zones
    assert (first.name, second.name, imported.warnings) == ("zone 1", "zone 2", ())
    assert px(first.polygons[0], (2160, 1920)) == [(540, 985), (1620, 985), (2160, 1920)]
    assert len(second.polygons[0]) == 3  # the first corner was repeated
    bare = read("supervision", "[[540, 985], [1620, 985], [2160, 1920]]", (2160, 1920))
    assert bare.site.zones == (first,)


def test_ultralytics_parking_bays() -> None:
    imported = read("ultralytics", BAYS, HD)
    assert [zone.name for zone in imported.site.zones] == ["bay 1", "bay 2"]
    assert px(imported.site.zones[0].polygons[0], HD)[0] == (388, 83)


@pytest.mark.parametrize(
    "text",
    [
        "[(20, 400), (1080, 404), (1080, 360), (20, 360)]",
        'region="[(20, 400), (1080, 404), (1080, 360), (20, 360)]"',
        "region: [[20, 400], [1080, 404], [1080, 360], [20, 360]]",
        '{"region": [[20, 400], [1080, 404], [1080, 360], [20, 360]]}',
    ],
)
def test_ultralytics_regions_in_all_spellings(text: str) -> None:
    imported = read("ultralytics", text, HD)
    assert px(imported.site.zones[0].polygons[0], HD) == [(20, 400), (1080, 404), (1080, 360), (20, 360)]
    assert warned(imported, "not in and out by the movement's direction")


def test_ultralytics_named_regions() -> None:
    imported = read("ultralytics", REGION, HD)
    [line], [zone] = imported.site.lines, imported.site.zones
    assert (line.name, zone.name) == ("line", "region-01")
    assert warned(imported, "counts an identity once for ever")


def test_frigate() -> None:
    imported = read("frigate", FRIGATE)
    [street] = imported.site.zones
    assert (street.name, street.classes, street.enter_s, street.loiter_s) == ("Street", ("car",), 0.3, 4)
    assert street.polygons == (((0.033, 0.306), (0.324, 0.138), (0.439, 0.185), (0.042, 0.428)),)
    assert imported.site.reference_size == HD
    assert warned(imported, "distances, speed_threshold, filters are not carried over", "loitering_time")


@pytest.mark.parametrize(
    "coordinates", ['"128,72,640,72,640,360"', '["128,72", "640,72", "640,360"]', "[128, 72, 640, 72, 640, 360]"]
)
def test_frigate_pixels_of_old_files(coordinates: str) -> None:
    text = f"zones: {{a: {{coordinates: {coordinates}}}}}\ndetect: {{width: 1280, height: 720}}\n"
    assert read("frigate", text).site.zones[0].polygons == (((0.1, 0.1), (0.5, 0.1), (0.5, 0.5)),)
    with pytest.raises(ConfigError, match="--size"):
        read("frigate", text.replace("detect", "other"))
    assert read("frigate", text.replace("detect", "other"), HD).site.zones[0].polygons[0][0] == (0.1, 0.1)


def test_frigate_exponents_and_merged_settings() -> None:
    text = "base: &b {inertia: 10}\nzones: {a: {<<: *b, coordinates: '1e-05,0,0.5,0,0.5,0.5'}}\n"
    [zone] = read("frigate", text).site.zones
    assert (zone.polygons[0][0], zone.enter_s) == ((1e-05, 0), 2.0)


def test_frigate_with_several_cameras() -> None:
    text = FRIGATE.replace("back: {}", "back: {zones: {yard: {coordinates: '0,0,1,0,1,1'}}}")
    with pytest.raises(ConfigError, match="expected one camera with zones, found gate, back"):
        read("frigate", text)
    assert read("frigate", text, stream="back").site.zones[0].name == "yard"
    with pytest.raises(ConfigError, match="expected one of the cameras"):
        read("frigate", text, stream="none")


def test_opendatacam() -> None:
    imported = read("opendatacam", OPENDATACAM)
    north, old = imported.site.lines
    [yard] = imported.site.zones
    assert imported.site.reference_size == (862, 746)
    assert px(north.points, (862, 746)) == [(178.9, 448.4), (424.2, 409.5)]
    assert (north.to_left, north.to_right) == ("rightleft_bottomtop", "leftright_topbottom")
    assert (old.name, px(old.points, (862, 746))) == ("old", [(263, 625), (486, 584)])
    assert len(yard.polygons[0]) == 3
    assert warned(imported, "line 'old': OpenDataCam counts leftright_topbottom only")


def test_nvdsanalytics() -> None:
    imported = read("nvdsanalytics", NVDSANALYTICS, stream="0")
    [line], [zone] = imported.site.lines, imported.site.zones
    assert (line.name, zone.name, imported.site.reference_size) == ("Exit", "RF", FULL_HD)
    assert px(line.points, FULL_HD) == [(851, 773), (1203, 732)]
    assert (line.to_left, line.to_right) == ("back", "Exit")  # the vector goes down, the line to the right
    assert warned(imported, "mode=balanced", "class-id=0", "[direction-detection-stream-0]", "'back'")
    with pytest.raises(ConfigError, match="expected one stream, found 0, 1"):
        read("nvdsanalytics", NVDSANALYTICS)
    crowd = read("nvdsanalytics", NVDSANALYTICS, stream="1")
    assert crowd.site.zones[0].name == "OC"
    assert warned(crowd, "object-threshold is not carried over")


def test_nvdsanalytics_two_directions_over_one_line_are_one_line() -> None:
    text = (
        "[property]\nconfig-width=1280\nconfig-height=720\n[line-crossing-stream-0]\n"
        "line-crossing-Entry=580;400;620;700;450;500;790;500\nline-crossing-Exit=620;700;580;400;450;500;790;500\n"
    )
    [line] = read("nvdsanalytics", text).site.lines
    assert (line.name, line.to_left, line.to_right) == ("Entry and Exit", "Exit", "Entry")


def test_nvdsanalytics_extended_lines_reach_the_edges() -> None:
    text = NVDSANALYTICS.replace("extended=0", "extended=1")
    [line] = read("nvdsanalytics", text, stream="0").site.lines
    assert line.points[0][0] == 0
    assert line.points[1][0] == pytest.approx(1)
    slope = (732 - 773) / (1203 - 851)
    assert line.points[0][1] * 1080 == pytest.approx(773 - 851 * slope)


def test_nvdsanalytics_inverse_regions_and_disabled_groups_are_left_out() -> None:
    imported = read("nvdsanalytics", NVDSANALYTICS.replace("inverse-roi=0", "inverse-roi=1"), stream="0")
    assert imported.site.zones == ()
    assert warned(imported, "roi-RF is left out")
    off = NVDSANALYTICS.replace("[roi-filtering-stream-0]\nenable=1", "[roi-filtering-stream-0]\nenable=0")
    assert warned(read("nvdsanalytics", off, stream="0"), "not enabled")


def test_dlstreamer() -> None:
    imported = read("dlstreamer", DLSTREAMER, FULL_HD)
    door, till = imported.site.zones
    [wire] = imported.site.lines
    assert (door.name, door.leave_s, till.name, wire.name) == ("door", 0.5, "till", "entrance")
    assert len(till.polygons[0]) == 32
    assert (wire.to_left, wire.to_right) == ("-1", "1")
    assert warned(imported, "zone 'till': color is not carried over")


def test_pipeline_server() -> None:
    for name in ("dlstreamer", "pipeline-server"):
        imported = read(name, PIPELINE_SERVER)
        [line], [zone] = imported.site.lines, imported.site.zones
        assert (line.points, line.to_left, line.to_right) == (
            ((0, 0.5), (1, 0.5)),
            "counterclockwise",
            "clockwise",
        )
        assert zone.polygons == (((0, 0), (0.5, 0), (0.5, 1)),)


def test_viseron() -> None:
    imported = read("viseron", VISERON, HD)
    [zone] = imported.site.zones
    assert (zone.name, zone.classes, px(zone.polygons[0], HD)[0]) == ("sidewalk", ("person",), (522, 11))
    assert warned(imported, "confidence is not carried over")
    assert read("viseron", VISERON, HD, "camera_one").site == imported.site
    assert read("viseron", "zones: [{name: a, coordinates: [{x: 1, y: 1}, {x: 9, y: 1}, {x: 9, y: 9}]}]", HD)


def test_viseron_camera_of_two_components() -> None:
    text = VISERON + VISERON.replace("codeprojectai", "darknet").replace("sidewalk", "yard")
    with pytest.raises(ConfigError, match="expected one camera with zones, found camera_one, ") as caught:
        read("viseron", text, HD)
    other = caught.value.problem.rsplit(", ", 1)[1]
    names = {read("viseron", text, HD, stream).site.zones[0].name for stream in ("camera_one", other)}
    assert names == {"sidewalk", "yard"}


def test_circles_keep_their_area_and_end_at_the_edge() -> None:
    zones = [{"id": "a", "type": "circle", "center": {"x": 960, "y": 540}, "radius": 150}]
    [zone] = read("dlstreamer", json.dumps({"zones": zones}), FULL_HD).site.zones
    area = polygon_area([(x * 1920, y * 1080) for x, y in zone.polygons[0]])
    assert area == pytest.approx(math.pi * 150**2)
    zones[0]["center"] = {"x": 50, "y": 540}
    cut = read("dlstreamer", json.dumps({"zones": zones}), FULL_HD)
    assert warned(cut, "cut off at the edge")
    for radius in (0, -1, "x", None):
        zones[0]["radius"] = radius
        with pytest.raises(ConfigError, match="radius"):
            read("dlstreamer", json.dumps({"zones": zones}), FULL_HD)


def test_otflow() -> None:
    imported = read("otflow", OTFLOW, HD)
    [line], [zone], [flow] = imported.site.lines, imported.site.zones, imported.site.flows
    assert (line.name, len(line.points), zone.name, len(zone.polygons[0])) == ("Nord", 3, "Süd", 3)
    assert (flow.name, flow.start, flow.end, flow.start_direction) == ("Nord --> Süd", "Nord", "Süd", "")
    assert warned(imported, "distance is not carried over", "plugin_data", "its place in the box (0.5, 0.5)")
    assert read("otflow", text_of_bytes(bz2.compress(OTFLOW.encode())), HD) == imported


@pytest.mark.parametrize("name", SAMPLES)
def test_the_format_is_recognised(name: str) -> None:
    assert recognised(SAMPLES[name]) == name


def test_what_may_be_two_formats_is_asked_for() -> None:
    assert recognised(BAYS) == "ultralytics"
    assert recognised(PIPELINE_SERVER) == "dlstreamer"
    for text in ("[[1, 2], [3, 4], [5, 6]]", "{}", "words", "[]"):
        with pytest.raises(ConfigError, match="--from: expected a file of one format"):
            recognised(text)


@pytest.mark.parametrize("name", ["supervision", "ultralytics", "viseron", "otflow", "dlstreamer"])
def test_the_size_is_asked_for_where_the_format_has_none(name: str) -> None:
    with pytest.raises(ConfigError, match="say on which it was drawn: --size 1280x720"):
        read(name, SAMPLES[name])


def test_a_wrong_size_is_told() -> None:
    with pytest.raises(ConfigError, match=r"inside the picture of 1280 x 720 pixels, found \(540, 985\) as point 1"):
        read("supervision", SUPERVISION, HD)


def test_points_a_little_over_the_edge_are_moved_and_told() -> None:
    imported = read("supervision", "[[[-3, 0], [1281, 0], [1281, 700], [1281, 700]]]", HD)
    assert imported.site.zones[0].polygons[0] == ((0, 0), (1, 0), (1, 700 / 720))
    assert warned(imported, "point 1 lay outside", "points 3 and 4 are one")


def test_a_polygon_that_crosses_itself_names_two_edges() -> None:
    with pytest.raises(
        ConfigError, match="zone 'zone 1': expected edges that do not cross, found that edges 1 and 3 do"
    ):
        read("supervision", "[[[0, 0], [100, 100], [100, 0], [0, 100]]]", HD)


def test_names_become_usable_and_different() -> None:
    areas = [{"id": name, "points": [[1, 1], [9, 1], [9, 9]]} for name in ("a", "a", "\u200bb\n", 7)]
    imported = read("dlstreamer", json.dumps({"zones": [*areas, {"points": [[1, 1], [9, 1], [9, 9]]}]}), HD)
    assert [zone.name for zone in imported.site.zones] == ["a", "a 2", "b", "7", "zone 5"]
    assert warned(imported, "zone 'a 2': it was called 'a' there", "zone 'b'")


def test_every_format_is_read_or_written() -> None:
    assert all(known.read or known.write for known in FORMATS.values())
    with pytest.raises(ConfigError, match="expected a known format, found 'x'"):
        import_site("", "x")
