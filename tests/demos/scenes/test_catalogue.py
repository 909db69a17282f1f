"""Every scene opens by name, and the command writes a video with its truth."""

from __future__ import annotations

import json
from itertools import pairwise

import av
import pytest

from demos.scenes.__main__ import main
from demos.scenes.catalogue import SCRIPTS, WORLDS, counting_truth, frame_truth, names, open_recording
from demos.scenes.edges import EDGES

SIZE = (160, 90)


def test_names_are_unique():
    assert len(names()) == len(set(names())) == len(WORLDS) + len(SCRIPTS) + len(EDGES)


@pytest.mark.parametrize("name", sorted({*SCRIPTS, *EDGES}))
def test_truth_of_every_flat_scene_is_a_json_document(name):
    recording = open_recording(name, size=SIZE)
    document = json.loads(json.dumps(counting_truth(recording)))
    assert document["scene"] == name
    for line in document["lines"].values():
        assert len(line["points_px"]) == len(line["points_m"]) >= 2
        assert {one["contact"] for one in line["crossings"]} <= {"seen", "hidden", "outside"}
    for zone in document["zones"].values():
        assert all(stay["dwell_s"] > 0 for stay in zone["stays"])


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("crossing", (1, 1)),
        ("u_turn", (1, 1)),
        ("stop_and_go", (1, 1)),
        ("group_walk", (0, 4)),
        ("overtaking", (0, 2)),
        ("full_occlusion", (0, 1)),
    ],
)
def test_counts_of_the_old_scripts(name, counts):
    line = counting_truth(open_recording(name, size=SIZE), contacts=False)["lines"]["line"]
    assert tuple(line["counts"]) == counts


def test_an_unknown_name_is_answered_with_the_list():
    with pytest.raises(ValueError, match=r"'pub': expected one of along_line, .*, zone_hole"):
        open_recording("pub")


def test_frame_truth_has_one_object_per_row():
    truth = open_recording("occluded_feet", size=SIZE).scene.truth(2.5)
    (one,) = frame_truth(truth)["objects"]
    assert (one["identity"], one["class_id"], one["contact"], one["position_m"]) == (1, 0, "hidden", [7.0, 0.0])


@pytest.mark.slow
def test_the_command_writes_a_video_and_its_truth(tmp_path, capsys):
    out = tmp_path / "bays.mp4"
    assert main(["bays", "--out", str(out), "--fps", "2", "--size", "160x90", "--seconds", "20", "--seed", "1"]) == 0
    document = json.loads((tmp_path / "bays.mp4.truth.json").read_text())
    assert (document["seed"], document["fps"], document["duration_s"]) == (1, 2.0, 20.0)
    assert len(document["frames"]) == 40
    assert document["zones"].keys() == document["occupied"].keys()
    with av.open(str(out)) as container:
        assert [frame.time for frame in container.decode(video=0)] == [n / 2 for n in range(40)]
    assert "40 frames in" in capsys.readouterr().out


def test_the_video_of_an_outage_has_its_gap(tmp_path, capsys):
    out = tmp_path / "outage.mkv"
    assert main(["outage", "--out", str(out), "--fps", "5", "--size", "160x90"]) == 0
    with av.open(str(out)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx(open_recording("outage").times(5.0), abs=1e-3)
    assert max(later - earlier for earlier, later in pairwise(times)) == pytest.approx(3.2, abs=1e-3)
    assert capsys.readouterr().out.startswith("line line: 3 onto its left, 0 onto its right")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "16x9"], "expected WIDTHxHEIGHT of 32 to 8192 pixels each, found '16x9'"),
        (["--size", "big"], "found 'big'"),
        (["--fps", "0"], "expected 0.1 to 240 frames per second, found 0"),
        (["--seconds", "-1"], "expected more than 0 and at most a day, found -1"),
    ],
)
def test_bad_options_are_named(tmp_path, capsys, words, message):
    with pytest.raises(SystemExit):
        main(["door", "--out", str(tmp_path / "a.mp4"), *words])
    assert message in capsys.readouterr().err


def test_an_unwritable_place_is_named_with_a_remedy(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["gap", "--out", str(tmp_path / "file" / "a.mp4"), "--fps", "1", "--size", "64x36"]) == 1
    problem, remedy = capsys.readouterr().err.strip().splitlines()
    assert problem.startswith(f"{tmp_path / 'file' / 'a.mp4'}: expected to write it, found")
    assert remedy.strip() == "remedy: choose a writable folder with free space"
