"""What is written is read back by other people's readers."""

from __future__ import annotations

import configparser
import json

import av
import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from demos.scenes import script
from demos.scenes.writers import mot_lines, mots_lines, write_sequence, write_video
from tracker.errors import SinkError


@pytest.fixture(scope="module")
def scene():
    return script.full_occlusion(size=(160, 90))


@pytest.fixture(scope="module")
def sequence(scene, tmp_path_factory):
    return write_sequence(scene, tmp_path_factory.mktemp("out"), fps=5, duration_s=3.0, name="hidden", images=True)


def test_the_video_has_every_frame_and_its_times(sequence, scene):
    with av.open(str(sequence / "hidden.mp4")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.codec_context.name == "h264"
        assert (stream.codec_context.width, stream.codec_context.height) == (160, 90)
    assert len(frames) == 15
    assert [frame.time for frame in frames] == pytest.approx([n / 5 for n in range(15)])
    picture = frames[3].to_ndarray(format="bgr24").astype(int)
    assert np.abs(picture - scene.render(0.6).image).mean() < 4


def test_odd_sizes_are_padded_to_even_ones(tmp_path):
    count = write_video(script.crossing(size=(101, 57)), tmp_path / "odd.mkv", fps=10, duration_s=0.3)
    with av.open(str(tmp_path / "odd.mkv")) as container:
        frames = list(container.decode(video=0))
    assert count == len(frames) == 3
    assert (frames[0].width, frames[0].height) == (102, 58)


def test_an_unwritable_folder_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkError, match="file"):
        write_video(script.empty(size=(64, 36)), tmp_path / "file" / "a.mp4", duration_s=0.1)


def test_a_break_in_the_middle_leaves_no_half_file(tmp_path):
    def stop(image, truth):
        if truth.time_s > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(script.empty(size=(64, 36)), tmp_path / "a.mp4", fps=10, duration_s=1.0, on_frame=stop)
    assert list(tmp_path.iterdir()) == []


def test_seqinfo_is_what_motchallenge_expects(sequence):
    parser = configparser.ConfigParser()
    parser.read(sequence / "seqinfo.ini")
    info = dict(parser["Sequence"])
    assert info["name"] == "hidden"
    assert (info["framerate"], info["seqlength"]) == ("5", "15")
    assert (info["imwidth"], info["imheight"], info["imdir"]) == ("160", "90", "img1")


def test_gt_txt_rows_match_the_truth(sequence, scene):
    table = np.loadtxt(sequence / "gt" / "gt.txt", delimiter=",", ndmin=2)
    assert table.shape[1] == 9
    assert set(table[:, 7]) == {1.0}
    for frame, _, x, y, w, h, conf, _, visibility in table:
        truth = scene.truth((frame - 1) / 5)
        np.testing.assert_allclose([x, y, x + w, y + h], truth.amodal_boxes[0], atol=0.02)
        assert visibility == pytest.approx(truth.visibility[0], abs=1e-3)
        assert conf == (truth.areas_px[0] > 0)
    assert 0.0 in table[:, 6]


def test_mots_rows_decode_to_the_masks(sequence, scene):
    rows = [line.split() for line in (sequence / "gt" / "gt_mots.txt").read_text().splitlines()]
    assert len(rows) < 15
    for frame, identity, class_id, height, width, counts in rows:
        mask = coco_mask.decode({"size": [int(height), int(width)], "counts": counts.encode()})
        truth = scene.truth((int(frame) - 1) / 5)
        assert (identity, class_id) == ("1", "2")
        np.testing.assert_array_equal(mask.astype(bool), truth.mask(0))


def test_class_numbers_of_cars_and_persons():
    truth = script.stop_and_go(size=(160, 90)).truth(3.0)
    assert [line.split(",")[7] for line in mot_lines(1, truth)] == ["1", "3"]
    assert [line.split()[2] for line in mots_lines(1, truth)] == ["2", "1"]


def test_modal_boxes_leave_out_what_is_hidden(scene):
    hidden = next(truth for truth in scene.truths(10) if truth.areas_px[0] == 0)
    assert mot_lines(1, hidden, amodal=False) == []
    assert len(mot_lines(1, hidden)) == 1


def test_coco_reads_images_and_masks(sequence, scene, capsys):
    coco = COCO(str(sequence / "instances.json"))
    capsys.readouterr()
    assert len(coco.getImgIds()) == 15
    assert {category["name"] for category in coco.loadCats(coco.getCatIds())} >= {"person", "truck"}
    for annotation in coco.loadAnns(coco.getAnnIds(catIds=[1])):
        truth = scene.truth((annotation["image_id"] - 1) / 5)
        np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), truth.mask(0))
        assert annotation["area"] == truth.areas_px[0]
    first = coco.loadImgs([1])[0]
    image = cv2.imread(str(sequence / first["file_name"]))
    np.testing.assert_array_equal(image, scene.render(0.0).image)


def test_small_or_hidden_objects_are_marked_to_be_ignored(tmp_path, scene):
    folder = write_sequence(scene, tmp_path, fps=10, images=True, video=False, min_visibility=0.5)
    annotations = json.loads((folder / "instances.json").read_text())["annotations"]
    assert {one["iscrowd"] for one in annotations} == {0, 1}
    assert all(one["iscrowd"] == (one["visibility"] < 0.5) for one in annotations)
    assert not (folder / "full_occlusion.mp4").exists()


def test_trackeval_gives_the_truth_itself_full_marks(tmp_path, scene):
    from trackeval.metrics import HOTA

    truths = list(scene.truths(5, 3.0))
    visible = [np.flatnonzero(truth.areas_px > 0) for truth in truths]
    ids = [truth.ids[rows] - 1 for truth, rows in zip(truths, visible, strict=True)]
    total = int(sum(map(len, ids)))
    data = {
        "num_tracker_dets": total,
        "num_gt_dets": total,
        "num_tracker_ids": 1,
        "num_gt_ids": 1,
        "gt_ids": ids,
        "tracker_ids": ids,
        "similarity_scores": [np.eye(len(rows)) for rows in visible],
        "num_timesteps": len(truths),
    }
    assert HOTA().eval_sequence(data)["HOTA"].mean() == pytest.approx(1.0)
