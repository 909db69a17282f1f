"""``masktrail export``: counts as OTC, OpenDataCam and TRAFFIX have them, computed by hand for a small junction."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.command import Run
from tests.sinks.ledgers import START_MS, crossing, write_ledger
from tracker.events import Event, Sighting, Stay
from tracker.formats.opendatacam_counts import COLUMNS
from tracker.formats.otc_counts import COUNT_COLUMNS, EVENT_COLUMNS
from tracker.formats.sites.opendatacam import read
from tracker.formats.traffix import MOVEMENTS, movement_between

SITE = """
reference_size: [1000, 500]
lines:
- name: south
  points: [[0.2, 0.8], [0.8, 0.8]]
  to_left: in
  to_right: out
- name: west
  points: [[0.2, 0.8], [0.2, 0.2]]
- name: east
  points: [[0.8, 0.2], [0.8, 0.5], [0.8, 0.8]]
zones:
- name: island
  polygon: [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6]]
flows:
- {name: turn, start: south, end: west}
- {name: SB right, start: west, end: east}
- {name: odd one, start: south, end: island}
"""


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "junction.yaml"
    path.write_text(SITE)
    return path


def flow(minute: float, name: str = "turn", *, identity: int = 1, class_name: str = "car") -> Event:
    at_s = 60.0 * minute
    return Event(
        kind="flow",
        stream="gate",
        time_s=at_s + 5,
        utc_ms=START_MS + round(1000 * at_s) + 5000,
        place=name,
        identity=identity,
        class_name=class_name,
        since_s=at_s,
    )


def enter(number: int, kind: str = "enter") -> Event:
    stay = Stay(entered_s=float(number), left_s=number + 1.0 if kind == "leave" else None, end="left")
    return crossing(number, kind=kind, place="island", direction="", stay=stay)


EVENTS = [
    flow(0),
    flow(14, class_name="bus", identity=2),
    flow(16),
    flow(17, "odd one"),
    *(flow(30 + number, identity=3) for number in range(5)),
    *(flow(70 + number, "SB right", identity=4) for number in range(3)),
    crossing(4200, place="south", direction="in", identity=9, class_name="van"),
    crossing(4201, place="south", direction="out", identity=10),
    crossing(4202, place="west", direction="in", identity=10),
    crossing(4203, place="east", direction="out", identity=10),
    enter(4204),
    enter(4210, "leave"),
    Event(
        kind="reclassified", stream="gate", time_s=4300.0, utc_ms=START_MS + 4_300_000, identity=9, class_name="truck"
    ),
]


@pytest.fixture
def export(tmp_path, run: Run, site):
    ledger = write_ledger(tmp_path / "gate.sqlite", EVENTS)

    def call(target: str, *words: object, ok: bool = True) -> tuple[str, str]:
        out = tmp_path / f"{target}.out"
        result = run("export", ledger, "--format", target, "--site", site, "--out", out, "--replace", *words)
        assert (result.status == 0) == ok, result.text
        return (out.read_text("utf-8") if ok else ""), result.text

    return call


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_otc_counts_are_flows_by_interval_and_class(export):
    text, _ = export("otc", "--timezone", "Europe/Berlin")
    found = rows(text)
    assert tuple(found[0]) == COUNT_COLUMNS
    assert found[0] == {
        "start time": "2026-03-29 03:00:00",  # the hour that the change of clocks leaves out is not there
        "start occurrence date": "2026-03-29",
        "start occurrence time": "03:00:00",
        "end time": "2026-03-29 03:15:00",
        "end occurrence date": "2026-03-29",
        "end occurrence time": "03:15:00",
        "classification": "bus",
        "flow": "turn",
        "from section": "south",
        "to section": "west",
        "count": "1",
    }
    told = {(row["start occurrence time"], row["classification"], row["flow"]): int(row["count"]) for row in found}
    assert told["03:15:00", "car", "turn"] == 1
    assert told["03:30:00", "car", "turn"] == 5
    assert told["03:45:00", "car", "turn"] == 0
    assert told["04:00:00", "car", "SB right"] == 3
    assert sum(told.values()) == 12


def test_otc_events_have_places_in_pixels_and_the_time_between_the_frames(export):
    text, _ = export("otc-events", "--fps", "10")
    found = rows(text)
    assert tuple(found[0]) == EVENT_COLUMNS
    assert len(found) == 6
    first = found[0]
    assert (first["road_user_id"], first["road_user_type"], first["event_type"]) == ("9", "truck", "section-enter")
    assert (first["coordinate_px_x"], first["vector_px_x"], first["coordinate_px_y"]) == ("750.0", "500.0", "250.0")
    assert first["interpolated_coordinate_px_x"] == "500.0"
    assert (first["frame_number"], first["section_name"]) == ("42001", "south")
    assert first["occurrence"] == "2026-03-29 02:10:00.100000"
    assert first["interpolated_occurrence"] == "2026-03-29 02:10:00.000000"
    assert [row["event_type"] for row in found[-2:]] == ["section-enter", "section-leave"]


def test_opendatacam_names_directions_as_its_lines_do(export):
    text, _ = export("opendatacam")
    assert text.splitlines()[0] == ",".join(f'"{name}"' for name in COLUMNS)
    assert text.splitlines()[1] == '"2026-03-29T02:10:00.000Z","south","truck",9,"rightleft_bottomtop"'
    directions = [row["CountingDirection"] for row in rows(text)]
    down, up = "leftright_topbottom", "rightleft_bottomtop"
    assert directions == [up, down, down, directions[3], "entering_zone", "leaving_zone"]
    assert directions[3] in {up, down}


def test_opendatacam_recording_has_areas_sums_and_history(export):
    text, _ = export("opendatacam-json")
    recording = json.loads(text)
    assert {area["name"] for area in recording["areas"].values()} == {"south", "west", "east 1", "east 2", "island"}
    drawn = read(json.dumps({"countingAreas": recording["areas"]}))
    assert {line.name for line in drawn.site.lines} >= {"south", "west"}
    by_name = {area["name"]: recording["counterSummary"][key] for key, area in recording["areas"].items()}
    assert by_name["south"] == {"truck": 1, "person": 1, "_total": 2}
    assert by_name["east 1"]["_total"] == 1
    assert by_name["island"] == {"person": 1, "_total": 1}  # exits are in the history only
    assert len(recording["counterHistory"]) == 6
    assert {one["area"] for one in recording["counterHistory"]} <= set(recording["areas"])
    assert recording["dateStart"] < recording["counterHistory"][0]["timestamp"] < recording["dateEnd"]


def test_traffix_gets_the_peak_hour(export):
    text, said = export("traffix", "--node", "42")
    assert text == "42 6 - - - - 3 - - - - - -\n"
    assert "no flow counts nbT, nbR, sbL" in said
    there = ("--movement", "none=nbT", "--movement", "none=EB left")
    assert export("traffix", "--node", "42", *there)[0] == "42 6 0 - - - 3 0 - - - - -\n"
    assert "peak hour from 2026-03-29T01:15:00+00:00: 9 vehicles, peak hour factor 0.45" in said
    assert "left out, since they are no movement by their name: odd one" in said


def test_traffix_movements_may_be_named_and_times_chosen(export):
    text, said = export("traffix", "--movement", "turn=WB right", "--from", "2026-03-29T02:00")
    assert dict(zip(MOVEMENTS, text.split()[1:], strict=True)) == dict.fromkeys(MOVEMENTS, "-") | {
        "sbR": "3",
        "wbR": "0",
    }
    assert "from 2026-03-29T02:00" in said
    assert "less than four quarters of an hour are known, so it is no peak hour" in said
    text, _ = export("traffix", "--movement", "turn=WB right")
    assert int(text.split()[1 + MOVEMENTS.index("wbR")]) == 6
    _, said = export("traffix", "--movement", "turn", ok=False)
    assert "expected a flow and one of nbL" in said


@pytest.mark.parametrize(
    ("start", "ends"),
    [
        ("south", "west north east"),
        ("north", "east south west"),
        ("west", "north east south"),
        ("east", "south west north"),
    ],
)
def test_movements_are_left_through_and_right_of_the_way_that_one_comes(start, ends):
    heading = {"south": "nb", "north": "sb", "west": "eb", "east": "wb"}[start]
    assert [movement_between(start, end) for end in ends.split()] == [heading + turn for turn in "LTR"]


def test_what_does_not_fit_is_said(export, tmp_path, run, site):
    _, said = export("otc", "--stream", "yard", ok=False)
    assert "expected one stream of the ledger, found gate" in said
    site.write_text(SITE.replace("reference_size: [1000, 500]\n", ""))
    _, said = export("otc-events", ok=False)
    assert "--size 1280x720" in said
    site.write_text("lines:\n- {name: a, points: [[0, 0.5], [1, 0.5]]}\n")
    _, said = export("otc", ok=False)
    assert "expected flows in the site" in said
    media = write_ledger(tmp_path / "media.sqlite", [crossing(1, utc=False)])
    result = run(
        "export", media, "--format", "opendatacam", "--site", site, "--out", tmp_path / "x.csv", "--size", "9x9"
    )
    assert "found media time" in result.text
    (tmp_path / "x.csv").write_text("mine")
    result = run("export", media, "--format", "opendatacam", "--site", site, "--out", tmp_path / "x.csv")
    assert "expected nothing there" in result.text
    assert (tmp_path / "x.csv").read_text() == "mine"


def test_times_in_which_the_camera_was_out_are_told(tmp_path, run, site):
    gap = Event(kind="gap", stream="gate", time_s=3000.0, utc_ms=START_MS + 3_000_000, since_s=2000.0)
    ledger = write_ledger(tmp_path / "gate.sqlite", [*EVENTS[:3], gap, *EVENTS[9:12]])
    result = run("export", ledger, "--format", "otc", "--site", site, "--out", tmp_path / "x.csv")
    assert result.status == 0
    assert "intervals are left out, since the camera was out" in result.text
    assert "02:30:00" not in (tmp_path / "x.csv").read_text()


def test_sightings_that_a_ledger_does_not_have_leave_the_row_out(tmp_path, run, site):
    bare = crossing(4200, place="south", before=None)
    whole = crossing(4300, place="south", before=Sighting(time_s=4300.0, x=0.5, y=0.5))
    ledger = write_ledger(tmp_path / "gate.sqlite", [bare, whole])
    result = run("export", ledger, "--format", "otc-events", "--site", site, "--out", tmp_path / "x.csv")
    assert result.status == 0
    assert len(rows((tmp_path / "x.csv").read_text())) == 1
