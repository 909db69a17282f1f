"""Persons in every picture that leaves a stream are covered: late, in all outputs, by class, and refused where not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

import tracker
from demos.scenes.catalogue import open_recording
from tests.bench.privacy_cover import measure
from tests.engine.fakes import ListSink
from tests.segment.models import constant_model, end2end_model, end2end_outputs
from tests.service.test_preview import RED, shot
from tests.sources.videos import write_video
from tracker import run
from tracker.engine.covered import CoveredSink, Covering
from tracker.engine.frames import track
from tracker.errors import ConfigError
from tracker.render.privacy_paint import FILL
from tracker.service.preview import state_of
from tracker.settings.site_file import write_site
from tracker.settings.yaml_file import parse_service_settings
from tracker.site import Line, PrivacyZone, Site

COVERED = Covering(mode="fill", class_ids=frozenset({0}))


def bare(picture: np.ndarray) -> int:
    """Pixels of the red person that show."""
    return int((picture == RED).all(axis=2).sum())


def given(*shots, covering: Covering = COVERED) -> list:
    """What an output has at the end, and what it had before."""
    sink = ListSink()
    covered = CoveredSink(sink, covering)
    late = []
    for one in shots:
        covered.write(one)
        late.append(one.frame.time_s - sink.frames[-1].frame.time_s if sink.frames else None)
    covered.close()
    assert sink.closed == 1
    assert [one.frame.index for one in sink.frames] == [one.frame.index for one in shots]
    assert all(value is None or value >= 0.5 - 1e-6 for value in late)
    return sink.frames


def test_every_frame_comes_once_in_order_half_a_second_late_and_covered() -> None:
    shots = [shot(number, fps=10) for number in range(30)]
    shots = [replace(one, frame=replace(one.frame, small_image=one.frame.image)) for one in shots]
    frames = given(*shots)
    assert all(bare(one.frame.image) == 0 for one in frames)
    assert all(bare(one.frame.image) == 60 * 160 for one in shots)  # other outputs hold the same pictures
    assert all(one.frame.network_image is one.frame.small_image is None for one in frames)


@pytest.mark.parametrize("missed", [{5}, {5, 6, 7}, {0, 1}, {12, 13, 14}, {3, 6, 9}])
def test_a_confirmed_person_whose_mask_is_missing_for_a_moment_shows_in_no_picture(missed: set[int]) -> None:
    shots = [shot(number, person=60 + 8 * number, seen=number not in missed, fps=10) for number in range(15)]
    assert [bare(one.frame.image) for one in given(*shots)] == [0] * 15


def test_a_clock_that_jumps_loses_no_frame_and_covers_all() -> None:
    shots = [shot(number, fps=10) for number in range(8)]
    jumped = [replace(one, frame=replace(one.frame, time_s=one.frame.time_s - 500)) for one in shots]
    sink = ListSink()
    covered = CoveredSink(sink, COVERED)
    for one in [*shots, *jumped]:
        covered.write(one)
    covered.close()
    assert len(sink.frames) == 16
    assert sum(bare(one.frame.image) for one in sink.frames) == 0


def test_other_classes_show_unless_they_are_named() -> None:
    shots = [shot(number, fps=10) for number in range(8)]
    cars = Covering(mode="fill", class_ids=frozenset({2}))
    assert all(bare(one.frame.image) == 60 * 160 for one in given(*shots, covering=cars))


def test_the_class_of_the_vote_counts_as_well_as_that_of_the_detection() -> None:
    shots = [shot(number, fps=10) for number in range(8)]
    as_car = [replace(one, tracks=replace(one.tracks, class_ids=np.array([2]))) for one in shots]
    assert sum(bare(one.frame.image) for one in given(*as_car)) == 0
    seen_as_car = [replace(one, instances=replace(one.instances, class_ids=np.array([2]))) for one in shots]
    assert sum(bare(one.frame.image) for one in given(*seen_as_car)) == 0


def test_zones_alone_are_filled_at_once() -> None:
    zone = ((0.1, 0.1), (0.5, 0.1), (0.5, 0.9), (0.1, 0.9))
    sink = ListSink()
    covered = CoveredSink(sink, Covering(zones=(zone,)))
    covered.write(shot(0))
    [found] = sink.frames
    assert bare(found.frame.image) == 0
    assert (found.frame.image[180, 200] == FILL).all()
    assert (found.frame.image[180, 400] == 90).all()


def test_blocks_are_coarse_and_change_nothing_else() -> None:
    first = shot(0)
    first.frame.image[100:260, 100:160] = np.random.default_rng(0).integers(0, 255, (160, 60, 3))
    one = given(first, covering=Covering(mode="pixelate", class_ids=frozenset({0})))[0].frame.image
    assert (one[:60] == 90).all()
    assert len(np.unique(one[110:250, 105:155].reshape(-1, 3), axis=0)) <= 8 * 4  # blocks of 20 pixels
    assert len(np.unique(first.frame.image[110:250, 105:155].reshape(-1, 3), axis=0)) > 5000


# ---- the whole way --------------------------------------------------------------------------------------------------


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, Path]:
    """A model that sees a person on the left and a car on the right of every picture."""
    model = end2end_model(tmp_path / "model.onnx")
    return model, write_video(tmp_path / "in.mp4", count=20, size=(160, 96))


def pictures(folder: Path) -> list[np.ndarray]:
    return [cv2.imread(str(path)) for path in sorted(folder.glob("*.png"))]


def person(image: np.ndarray) -> np.ndarray:
    """Where the model sees one: (0.1 .. 0.3, 0.2 .. 0.8)."""
    height, width = image.shape[:2]
    return image[round(0.25 * height) : round(0.75 * height), round(0.12 * width) : round(0.28 * width)]


def is_filled(part: np.ndarray) -> bool:
    return bool((part == FILL).all())


def test_pictures_and_video_are_covered_and_records_are_as_ever(clip, tmp_path: Path) -> None:
    model, video = clip
    (tmp_path / "p").mkdir()
    save = tmp_path / "p" / "{frame}.png"
    clear, covered = tmp_path / "clear.jsonl", tmp_path / "covered.jsonl"
    run(video, model=model, records=clear)
    [outcome] = run(video, model=model, save=save, records=covered, privacy="fill", draw="none")
    found = pictures(tmp_path / "p")
    assert len(found) == 20
    assert all(is_filled(person(image)) for image in found)
    assert not any((image[:, image.shape[1] // 2 :] == FILL).all(axis=2).any() for image in found)  # the car
    assert covered.read_text() == clear.read_text()
    assert outcome.notes == []


def test_only_fill_is_called_private(clip, tmp_path: Path, run) -> None:
    model, video = clip
    [outcome] = tracker.run(video, model=model, save=tmp_path / "o.mp4", privacy="pixelate")
    assert [note for note in outcome.notes if "pixelate is not private" in note]
    page = (Path(__file__).parents[2] / "docs/reference/settings.md").read_text("utf-8")
    assert "pixelate is not private" in page
    assert "--privacy" in run("track", "--help").text


def test_programs_get_covered_pictures_too(clip) -> None:
    model, video = clip
    found = list(track(video, model=model, images=True, privacy="fill"))
    assert len(found) == 20
    assert all(is_filled(person(one.frame.image)) and one.frame.network_image is None for one in found)
    assert not is_filled(person(next(iter(track(video, model=model, images=True))).frame.image))


def test_the_second_pass_is_covered_too(clip, tmp_path: Path) -> None:
    import av

    model, video = clip
    run(video, model=model, save=tmp_path / "o.mkv", privacy="fill", draw="none", refine=True)
    with av.open(str(tmp_path / "o.mkv")) as container:
        found = [one.to_ndarray(format="bgr24") for one in container.decode(video=0)]
    assert len(found) == 20
    far = np.abs(np.array([person(image) for image in found]).astype(int) - FILL)
    assert far.max() < 16  # of an encoder


def test_a_privacy_zone_needs_no_option(clip, tmp_path: Path) -> None:
    model, video = clip
    (tmp_path / "p").mkdir()
    zone = PrivacyZone(name="window", polygon=((0.6, 0.5), (1.0, 0.5), (1.0, 1.0), (0.6, 1.0)))
    write_site(tmp_path / "site.yaml", Site(privacy=(zone,)))
    run(video, model=model, save=tmp_path / "p" / "{frame}.png", site=tmp_path / "site.yaml", draw="none")
    for image in pictures(tmp_path / "p"):
        assert is_filled(image[48:, 96:])
        assert not is_filled(person(image))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"privacy_classes": ["persom"]}, "expected classes of the model, found 'persom'; .* did you mean 'person'"),
        ({"classes": ["car"]}, "expected 'person' among the classes that are tracked, found only car"),
        ({"privacy": "blur"}, "expected one of none, fill, pixelate, found 'blur'"),
    ],
)
def test_what_could_not_be_covered_is_refused(clip, tmp_path: Path, options: dict, said: str) -> None:
    model, video = clip
    given = {"privacy": "fill"} | options
    with pytest.raises(ConfigError) as caught:
        run(video, model=model, save=tmp_path / "o.mp4", **given)
    assert re.search(said, str(caught.value).replace("\n", " ")), caught.value
    assert not (tmp_path / "o.mp4").exists()


def test_it_is_a_key_of_cameras(tmp_path: Path) -> None:
    page = "defaults: {privacy: fill}\ncameras: [{name: a, url: 'rtsp://h/1', privacy_classes: [person, bicycle]}]"
    [camera] = parse_service_settings(page).cameras
    assert (camera.privacy, camera.privacy_classes) == ("fill", ("person", "bicycle"))


@pytest.mark.quick("crossing")
@pytest.mark.parametrize("name", ["door", "shop", "crossing"])
def test_true_masks_of_rendered_scenes_are_covered_to_the_last_pixel(name: str) -> None:
    scene = open_recording(name, size=(640, 360), seed=2).scene
    result = measure(scene, 2.0, "true", 5.0, second=True)
    assert (result["bare_px"], result["second_bare_percent"], result["now_bare_percent"]) == (0, 0.0, 0.0)


def test_verify_says_what_is_covered_and_where_masks_are_uncertain(clip, tmp_path: Path, run) -> None:
    from tracker.formats.run_length import encode_rle

    model, video = clip
    truth = np.zeros((96, 160), np.bool_)
    truth[24:72, 20:44] = True
    elsewhere = truth.copy()
    elsewhere[80:90, 100:112] = True  # 120 of 1272 pixels that no mask has
    lines = [
        f"{number} 1 2 96 160 {encode_rle(truth if number != 5 else elsewhere)['counts']}" for number in range(1, 21)
    ]
    (tmp_path / "truth.txt").write_text("\n".join(lines) + "\n")
    result = run(
        "privacy",
        "verify",
        video,
        "--model",
        model,
        "--truth",
        tmp_path / "truth.txt",
        "--refine",
        "--json",
        tmp_path / "report.json",
    )
    assert result.status == 0, result.text
    [report] = json.loads((tmp_path / "report.json").read_text())
    assert (report["frames"], report["live"]["frames"], report["live"]["leaking"]) == (20, 20, 1)
    assert report["live"]["bare"] == 120
    assert report["live"]["worst_s"] == pytest.approx(4 / 25)
    assert report["live"]["covered"] == pytest.approx(1 - 120 / (20 * 48 * 24 + 120))
    assert report["second_pass"]["covered"] == pytest.approx(report["live"]["covered"], abs=0.002)
    assert "1 of 20 frames with more than 1 % bare" in result.text
    assert set(report["frames_by_doubt"]) == {"uncertain", "predicted", "unconfirmed"}


def test_verify_reads_records_and_their_video(clip, tmp_path: Path, run) -> None:
    model, video = clip
    records, saved = tmp_path / "o.jsonl", tmp_path / "o.mkv"
    tracker.run(video, model=model, records=records, save=saved, privacy="fill", draw="none")
    result = run("privacy", "verify", records, "--annotated", saved, "--json", tmp_path / "r.json")
    assert result.status == 0, result.text
    [report] = json.loads((tmp_path / "r.json").read_text())
    assert report["live"]["covered"] == 1.0
    result = run("privacy", "verify", video, "--annotated", saved)
    assert "expected the records of the video, found a recording" in result.text
    (tmp_path / "broken.jsonl").write_text("no json\n")
    result = run("privacy", "verify", tmp_path / "broken.jsonl")
    assert "expected records, found" in result.text
    assert "Traceback" not in result.text


def test_appearance_leaves_the_process_in_no_output(tmp_path: Path) -> None:
    """Embeddings are in memory, in the state for restarts, and in saved instances, whose purpose they are."""
    outputs = end2end_outputs(embeddings=8)
    outputs["embeddings"][:] = np.linspace(0.1234567, 0.7654321, 8)
    model = end2end_model(tmp_path / "plain.onnx", embeddings=8)
    props = {one.key: one.value for one in onnx.load(model).metadata_props}
    shape = {"input_shape": (1, 96, 160, 3), "input_dtype": "uint8"}
    model = constant_model(tmp_path / "model.onnx", outputs, metadata=props, **shape)
    video = write_video(tmp_path / "in.mp4", count=20, size=(160, 96))
    write_site(tmp_path / "site.yaml", Site(lines=(Line(name="line", points=((0.1, 0.5), (0.9, 0.5))),)))
    seen = next(iter(track(video, model=model)))
    vectors = seen.instances.embeddings
    assert vectors is not None
    digits = {f"{value:.5f}" for value in vectors.ravel().tolist()}
    names = ("o.jsonl", "o.csv", "o.txt", "o.mots.txt", "o.coco.json")
    outputs_of_events = (tmp_path / "o.events.jsonl", tmp_path / "o.sqlite")
    run(
        video,
        model=model,
        records=[tmp_path / name for name in names],
        events=outputs_of_events,
        site=tmp_path / "site.yaml",
    )
    written = [path for path in tmp_path.glob("o.*") if "journal" not in path.name]
    assert len(written) >= len(names) + 2
    for data in [*(path.read_bytes() for path in written), json.dumps(state_of(seen, [[], []])).encode()]:
        assert b"embedding" not in data.lower()
        assert not [text for text in digits if text.encode() in data]
        assert vectors.tobytes() not in data
