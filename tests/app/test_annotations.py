"""``masktrail identities --export`` and ``--corrected``: what is corrected in CVAT or Label Studio comes back."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.command import Result, Run
from tests.formats.annotated import mask_of, read, rows, write
from tracker.formats.run_length import decode_rle

Element = ET.Element


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write(tmp_path / "gate.jsonl", rows())


class Cvat:
    """A task of CVAT that takes the export, is corrected, and is exported again."""

    def __init__(self, run: Run, records: Path, *words: str) -> None:
        self.run, self.records, self.path = run, records, records.with_name("tracks.xml")
        result = run("identities", records, "--export", "cvat", "--out", self.path, *words)
        assert result.status == 0, result.err
        self.tree = ET.parse(self.path)
        for number, track in enumerate(self.tree.getroot().findall("track")):
            track.set("id", str(number + 100))  # CVAT gives numbers and groups of its own
            del track.attrib["group_id"]

    def track(self, identity: int) -> Element:
        """The track of boxes of an identity."""
        return next(track for track in self.boxes() if track.findtext("box/attribute") == str(identity))

    def boxes(self) -> list[Element]:
        return [track for track in self.tree.getroot().findall("track") if track.find("box") is not None]

    def masks(self, identity: int, frame: int) -> list[Element]:
        found = [track for track in self.tree.getroot().findall("track") if track.find("mask") is not None]
        named = [track for track in found if track.findtext("mask/attribute") == str(identity)]
        return [track for track in named if track.find("mask").get("frame") == str(frame)]  # type: ignore[union-attr]

    def merge(self, first: int, second: int) -> None:
        one, other = self.track(first), self.track(second)
        begin = int(other[0].get("frame", ""))
        for shape in list(one):
            if int(shape.get("frame", "")) >= begin:
                one.remove(shape)
        one.extend(list(other))
        self.tree.getroot().remove(other)

    def split(self, identity: int, frame: int) -> None:
        one = self.track(identity)
        new = ET.SubElement(self.tree.getroot(), "track", one.attrib | {"id": "999"})
        for shape in list(one):
            if int(shape.get("frame", "")) >= frame:
                one.remove(shape)
                new.append(shape)

    def back(self, *words: object) -> Result:
        self.tree.write(self.path, encoding="utf-8", xml_declaration=True)
        return self.run("identities", self.records, "--corrected", self.path, *words)


def same_but(made: list[dict[str, Any]], **changed: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
    return [row | {name: value(row) for name, value in changed.items()} for row in made]


def by_name(run: Run, tmp_path: Path, *words: str) -> bytes:
    """The records as ``--join`` and ``--split`` write them."""
    (tmp_path / "by_name").mkdir()
    other = write(tmp_path / "by_name" / "gate.jsonl", rows())
    assert run("identities", other, *words).status == 0
    return other.with_name("gate.r2.jsonl").read_bytes()


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("target", ["tracks.xml", "tracks.zip", "tracks.json"])
def test_without_corrections_nothing_is_written(run: Run, tmp_path: Path, suffix: str, target: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = write(tmp_path / f"gate{suffix}", rows())
    tool = "label-studio" if target.endswith("json") else "cvat"
    result = run("identities", path, "--export", tool, "--out", tmp_path / target)
    assert result.status == 0, result.err
    assert "3 identities ->" in result.text
    assert ("Label Studio's regions of videos are boxes" in result.err) == (tool == "label-studio")
    back = run("identities", path, "--corrected", tmp_path / target)
    assert back.status == 0, back.err
    assert "nothing was written" in back.text
    assert not list(tmp_path.glob("*.r2.*"))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_merged_tracks_are_joined_as_by_name(run: Run, tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    records = write(tmp_path / f"gate{suffix}", rows())
    cvat = Cvat(run, records)
    cvat.merge(2, 3)
    result = cvat.back()
    assert result.status == 0, result.err
    assert "3 identities, now 2" in result.text
    (tmp_path / "named").mkdir()
    other = write(tmp_path / "named" / f"gate{suffix}", rows())
    assert run("identities", other, "--join", "2=3").status == 0
    assert records.with_name(f"gate.r2{suffix}").read_bytes() == other.with_name(f"gate.r2{suffix}").read_bytes()


def test_a_split_track_is_split_as_by_name(run: Run, records: Path, tmp_path: Path) -> None:
    cvat = Cvat(run, records)
    cvat.split(1, 10)
    assert "3 identities, now 4" in cvat.back().text
    assert records.with_name("gate.r2.jsonl").read_bytes() == by_name(run, tmp_path, "--split", "1@1.0")


def test_swapped_identities_are_swapped_back(run: Run, tmp_path: Path) -> None:
    """A switch is two splits and two joins at once."""
    records = write(tmp_path / "gate.jsonl", rows(seen={1: range(20), 2: range(20)}))
    cvat = Cvat(run, records)
    one, other = cvat.track(1), cvat.track(2)
    tails = [[shape for shape in track if int(shape.get("frame", "")) >= 10] for track in (one, other)]
    for track, own, new in ((one, tails[0], tails[1]), (other, tails[1], tails[0])):
        for shape in own:
            track.remove(shape)
        track.extend(new)
    assert "2 identities, now 2" in cvat.back().text
    now = read(tmp_path / "gate.r2.jsonl")
    swapped = [(row["frame"], 3 - row["id"] if row["frame"] >= 10 else row["id"]) for row in read(records)]
    assert [(row["frame"], row["id"]) for row in now] == swapped
    assert [row["mask"] for row in now] == [row["mask"] for row in read(records)]


def test_another_class_is_that_of_all_rows(run: Run, records: Path) -> None:
    cvat = Cvat(run, records, "--label", "bus")
    cvat.track(1).set("label", "bus")
    refused = cvat.back()
    assert refused.status != 0
    assert "expected one of the classes car, person, found 'bus'" in refused.text
    assert cvat.back("--label", "bus").status == 0
    now = read(records.with_name("gate.r2.jsonl"))
    assert now == same_but(read(records), **{"class": lambda row: "bus" if row["id"] == 1 else row["class"]})


def test_the_vote_so_far_gives_way_to_a_person(run: Run, tmp_path: Path) -> None:
    made = rows()
    for place, row in enumerate(made):
        if row["id"] == 1 and row["frame"] < 5:
            items = list(row.items())
            made[place] = dict([*items[:4], ("class_then", "bus"), *items[4:]])
    records = write(tmp_path / "gate.jsonl", made)
    cvat = Cvat(run, records)
    cvat.track(1).set("label", "person")
    assert cvat.back().status == 0
    assert not any("class_then" in row for row in read(tmp_path / "gate.r2.jsonl"))


def test_a_deleted_track_is_gone_and_its_frames_are_told(run: Run, records: Path) -> None:
    cvat = Cvat(run, records)
    for track in [cvat.track(1), *(mask for frame in range(20) for mask in cvat.masks(1, frame))]:
        cvat.tree.getroot().remove(track)
    result = cvat.back()
    assert "3 identities, now 2" in result.text
    assert "20 rows deleted" in result.text
    now = read(records.with_name("gate.r2.jsonl"))
    assert [(row["frame"], row["id"]) for row in now] == [
        (row["frame"], row["id"]) for row in read(records) if row["id"] != 1
    ]
    assert next(row for row in now if row["frame"] == 12)["notes"]["quiet"] == [[0.8, 1.1, 4]]


def test_moved_boxes_take_their_contact_along(run: Run, records: Path) -> None:
    cvat = Cvat(run, records)
    box = next(shape for shape in cvat.track(1) if shape.get("frame") == "4")
    for name, value in (("xtl", "20"), ("ytl", "10"), ("xbr", "32"), ("ybr", "26")):
        box.set(name, value)
    result = cvat.back()
    assert "1 boxes moved" in result.text
    now, was = read(records.with_name("gate.r2.jsonl")), read(records)
    moved = [(one, other) for one, other in zip(now, was, strict=True) if one != other]
    ((row, old),) = moved
    assert (row["frame"], row["id"], row["box"]) == (4, 1, [20.0, 10.0, 32.0, 26.0])
    assert row["contact"] == pytest.approx([20 + 2.75 / 6 * 12, 26.0], abs=1e-3)
    assert row["mask"] == old["mask"]


def test_silhouettes_that_were_drawn_anew_or_deleted_come_back(run: Run, records: Path) -> None:
    cvat = Cvat(run, records)
    (drawn,), (gone,) = cvat.masks(1, 4), cvat.masks(2, 4)
    cvat.tree.getroot().remove(gone)
    shape = drawn.find("mask")
    assert shape is not None
    for name, value in (("rle", "0, 6"), ("left", "16"), ("top", "5"), ("width", "2"), ("height", "3")):
        shape.set(name, value)
    result = cvat.back()
    assert "2 silhouettes changed" in result.text
    now = {(row["frame"], row["id"]): row for row in read(records.with_name("gate.r2.jsonl"))}
    mask = decode_rle(now[4, 1]["mask"])
    assert np.argwhere(mask).tolist() == [[y, x] for y in (5, 6, 7) for x in (16, 17)]
    assert now[4, 1]["area_px"] == 6
    assert (now[4, 2]["mask"], now[4, 2]["area_px"]) == (None, None)
    assert all(now[frame, 1]["mask"] == mask_of(frame + 10, 4) for frame in range(20) if frame != 4)


def test_without_silhouettes_in_the_file_those_of_the_records_stay(run: Run, records: Path) -> None:
    cvat = Cvat(run, records, "--no-masks")
    cvat.split(1, 10)
    box = next(shape for shape in cvat.track(1) if shape.get("frame") == "4")
    for name, value in (("xtl", "40"), ("ytl", "30"), ("xbr", "50"), ("ybr", "40")):
        box.set(name, value)
    assert cvat.back().status == 0
    now = read(records.with_name("gate.r2.jsonl"))
    without = [(row["frame"], row["id"]) for row in now if row["mask"] is None]
    assert without == [(4, 1)]  # the box went away from it


def test_boxes_that_were_added_are_rows(run: Run, records: Path) -> None:
    cvat = Cvat(run, records)
    new = ET.SubElement(cvat.tree.getroot(), "track", {"id": "9", "label": "car"})
    for frame, keyframe, outside, left in ((3, 1, 0, 40.0), (5, 1, 0, 44.0), (6, 1, 1, 44.0), (25, 1, 0, 1.0)):
        values = {"frame": str(frame), "keyframe": str(keyframe), "outside": str(outside), "occluded": "0"}
        places = {"xtl": str(left), "ytl": "30", "xbr": str(left + 8), "ybr": "40"}
        ET.SubElement(new, "box", values | places)
    result = cvat.back()
    assert result.status == 0, result.err
    assert "3 boxes added" in result.text
    assert "left out: 1 boxes in frames without rows" in result.err
    now = read(records.with_name("gate.r2.jsonl"))
    added = [row for row in now if row["id"] == 4]
    assert [(row["frame"], row["coasting"], row["box"][0]) for row in added] == [
        (3, False, 40.0), (4, True, 42.0), (5, False, 44.0),
    ]  # fmt: skip
    assert added[0] | {"mask": 0} == {
        "frame": 3, "time_s": 0.3, "id": 4, "class": "car", "score": 1.0, "box": [40.0, 30.0, 48.0, 40.0],
        "velocity_px_s": None, "age_s": 0.0, "area_px": None, "detection": None, "coasting": False,
        "contact": [44.0, 40.0], "contact_state": "seen", "mask": 0,
    }  # fmt: skip
    others = [row for row in now if row["id"] != 4]
    assert next(row for row in others if row["frame"] == 6)["notes"].pop("ended") == [4]
    assert others == read(records)


def test_identities_are_found_without_their_attribute(run: Run, records: Path, tmp_path: Path) -> None:
    """A task whose labels were made by hand drops what it does not know."""
    cvat = Cvat(run, records)
    cvat.merge(2, 3)
    for shape in cvat.tree.iter("box"):
        for attribute in list(shape):
            shape.remove(attribute)
    assert cvat.back().status == 0
    assert records.with_name("gate.r2.jsonl").read_bytes() == by_name(run, tmp_path, "--join", "2=3")


def test_label_studio_brings_joins_splits_and_classes(run: Run, records: Path, tmp_path: Path) -> None:
    path = tmp_path / "tracks.json"
    assert run("identities", records, "--export", "label-studio", "--out", path, "--label", "bus").status == 0
    (task,) = json.loads(path.read_text())
    result = task["annotations"][0]["result"]
    relation = {"type": "relation", "direction": "right", "from_id": "identity-2", "to_id": "identity-3"}
    first = next(one for one in result if one["id"] == "identity-1")
    rest = json.loads(json.dumps(first)) | {"id": "hAnD1"}
    keys = first["value"]["sequence"]
    first["value"]["sequence"] = [*keys[:9], keys[9] | {"enabled": False}]
    rest["value"] |= {"sequence": keys[10:], "labels": ["bus"]}
    result += [rest, relation]
    path.write_text(json.dumps([task]))
    back = run("identities", records, "--corrected", path, "--label", "bus")
    assert back.status == 0, back.err
    now = read(records.with_name("gate.r2.jsonl"))
    expected = {1: lambda frame: 1 if frame < 10 else 4, 2: lambda _: 2, 3: lambda _: 2}
    assert [(row["id"], row["class"]) for row in now] == [
        (number := expected[row["id"]](row["frame"]), "bus" if number == 4 else row["class"]) for row in read(records)
    ]
    assert [row["mask"] for row in now] == [row["mask"] for row in read(records)]


def test_joined_regions_in_view_together_are_refused(run: Run, records: Path, tmp_path: Path) -> None:
    path = tmp_path / "tracks.json"
    run("identities", records, "--export", "label-studio", "--out", path)
    (task,) = json.loads(path.read_text())
    relation = {"type": "relation", "direction": "right", "from_id": "identity-1", "to_id": "identity-2"}
    task["annotations"][0]["result"].append(relation)
    path.write_text(json.dumps([task]))
    result = run("identities", records, "--corrected", path)
    assert result.status != 0
    assert "expected joined tracks apart in time" in result.text


def test_a_store_is_told_of_numbers_and_classes(run: Run, records: Path) -> None:
    from tests.sinks.ledgers import crossing, write_ledger
    from tracker.analytics.corrections import Corrections
    from tracker.formats.ledger import read_events

    stream = "gate.mp4"
    events = [crossing(1.5, identity=3, stream=stream), crossing(0.5, identity=2, stream=stream)]
    events += [crossing(1.0, identity=1, stream=stream), crossing(1.2, identity=3, stream="yard")]
    store = write_ledger(records.with_name("x.sqlite"), events)
    cvat = Cvat(run, records, "--label", "bus")
    cvat.merge(2, 3)
    cvat.track(1).set("label", "bus")
    for _ in range(2):  # told twice is told once
        result = cvat.back("--label", "bus", "--events", store)
        assert result.status == 0, result.err
        assert "2 corrections in" in result.text
    told = list(read_events(store))
    assert [(one.kind, one.identity, one.was_identity, one.class_name) for one in told if one.kind != "crossing"] == [
        ("rekeyed", 2, 3, "person"), ("reclassified", 1, 0, "bus"),
    ]  # fmt: skip
    applied = Corrections.of(told)
    found = [applied.apply(one) for one in told if one.kind == "crossing"]
    assert {(one.stream, one.identity) for one in found} == {(stream, 1), (stream, 2), ("yard", 3)}
    assert {one.class_name for one in found if one.stream == stream and one.identity == 1} == {"bus"}


def test_a_store_is_not_told_of_what_must_be_counted_again(run: Run, records: Path) -> None:
    from tests.sinks.ledgers import crossing, write_ledger

    store = write_ledger(records.with_name("x.sqlite"), [crossing(1.5, identity=1)])
    before = store.read_bytes()
    cvat = Cvat(run, records)
    cvat.split(1, 10)
    result = cvat.back("--events", store)
    assert result.status != 0
    assert "1 identities split" in result.text
    assert store.read_bytes() == before
    assert not list(records.parent.glob("*.r2.*"))


def moved(cvat: Cvat) -> None:
    for shape in cvat.tree.iter("box"):
        for name, value in (("xtl", "50"), ("ytl", "36"), ("xbr", "60"), ("ybr", "47")):
            shape.set(name, value)


def resized(cvat: Cvat) -> None:
    width = cvat.tree.find("meta/task/original_size/width")
    assert width is not None
    width.text = "1920"


def emptied(cvat: Cvat) -> None:
    for track in cvat.tree.getroot().findall("track"):
        cvat.tree.getroot().remove(track)


def renamed(cvat: Cvat) -> None:
    source = cvat.tree.find("meta/task/source")
    assert source is not None
    source.text = "yard.mp4"
    for shape in cvat.tree.iter("box"):
        for name in ("xtl", "xbr"):
            shape.set(name, str(float(shape.get(name, "")) + 1))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (moved, "expected the tracks of gate.jsonl"),
        (renamed, "boxes of yard.mp4"),
        (resized, "found 1920 x 48"),
        (emptied, "expected tracks of boxes, found none"),
    ],
)
def test_files_of_other_recordings_are_refused(
    run: Run, records: Path, spoil: Callable[[Cvat], None], said: str
) -> None:
    cvat = Cvat(run, records)
    spoil(cvat)
    result = cvat.back()
    assert result.status != 0
    assert said in result.text
    assert "Traceback" not in result.text
    assert not list(records.parent.glob("*.r2.*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--export", "cvat"], "expected a file to write"),
        (["--export", "cvat", "--out", "x.json"], "expected .xml or .zip for cvat"),
        (["--export", "cvat", "--out", "x.xml", "--join", "1=2"], "expected it alone"),
        (["--export", "cvat", "--out", "x.xml", "--events", "x.sqlite"], "found --export"),
        (["--corrected", "nothing.xml"], "expected corrected tracks, found: No such file"),
        (["--corrected", "x.xml", "--out", "y.html"], "expected proposals to show, found --corrected"),
        (["--label", "bus"], "expected it with --export or --corrected"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    run: Run, records: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(records.parent)
    result = run("identities", records, *words)
    assert result.status != 0
    assert said in result.text
    assert [path.name for path in records.parent.iterdir()] == ["gate.jsonl"]


def test_an_export_never_replaces_what_is_read(run: Run, records: Path) -> None:
    before = records.read_bytes()
    link = records.with_name("tracks.xml")
    link.symlink_to(records)
    assert run("identities", records, "--export", "cvat", "--out", link).status != 0
    assert records.read_bytes() == before


def test_other_files_are_no_corrections(run: Run, records: Path) -> None:
    (records.parent / "x.txt").write_text("hello")
    result = run("identities", records, "--corrected", records.parent / "x.txt")
    assert result.status != 0
    assert "found neither" in result.text
    with zipfile.ZipFile(records.parent / "y.zip", "w") as archive:
        archive.writestr("annotations.xml", "<annotations><track")
    result = run("identities", records, "--corrected", records.parent / "y.zip")
    assert "expected XML of CVAT for video 1.1" in result.text
