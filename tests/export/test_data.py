"""Packing: classes, weights, duplicates, splits, what is refused; and the pictures that training makes of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="the PyTorch side needs torch: pip install torch")
cv2 = pytest.importorskip("cv2")
pytest.importorskip("pycocotools")

from export.__main__ import main  # noqa: E402 - after the skips
from export.data import archive as data  # noqa: E402
from export.data import batches, coco, pack, paste  # noqa: E402
from export.data.archive import IGNORE, VAL, Archive, Item, Picture  # noqa: E402
from tests.export.pictures import write_coco  # noqa: E402
from tracker.errors import ConfigError, SourceError  # noqa: E402

pytestmark = pytest.mark.export

BOTH = ["person", "car"]


def packed(out, *folders, classes=BOTH, val=(), **options):
    mapping = options.pop("mapping", None)
    read = [coco.read_coco(folder, mapping=mapping) for folder in folders]
    judges = [coco.read_coco(folder) for folder in val]
    return pack.pack(read, out, classes=classes, validation=judges, **options)


def edit(folder, change):
    document = json.loads((folder / "annotations.json").read_text())
    change(document)
    (folder / "annotations.json").write_text(json.dumps(document))


def scene(seed):
    """A picture with structure at several scales, as photographs have."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.uniform(-1, 1, (size, size, 3)), (128, 96), interpolation=cv2.INTER_CUBIC) for size in (3, 6, 12)
    ]
    return (128 + 50 * layers[0] + 25 * layers[1] + 12 * layers[2]).clip(0, 255).astype(np.uint8)


def repaint(folder, seeds):
    for number, seed in enumerate(seeds):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), scene(seed))


def test_compressed_archive_holds_the_same_labels_in_less(tmp_path):
    folder = write_coco(tmp_path, labelled=BOTH)
    raw = packed(tmp_path / "raw", folder)
    small = packed(tmp_path / "jpeg", folder, jpeg=90)
    assert small["bytes"]["images.bin"] < raw["bytes"]["images.bin"] / 5
    one, other = Archive(tmp_path / "raw"), Archive(tmp_path / "jpeg")
    assert one.objects == other.objects
    assert np.abs(one.image(0).astype(int) - other.image(0)).mean() < 2


def test_weights_scores_and_ignored_objects(tmp_path):
    folder = write_coco(tmp_path, labelled=BOTH, images=3)

    def change(document):
        first, second, third, fourth, fifth, sixth = document["annotations"]
        first["weight"] = 0.25
        second |= {"score": 0.9, "mask_score": 0.8}
        third |= {"score": 0.9, "mask_score": 0.3}  # too bad to learn from
        fourth["iscrowd"] = 1
        fifth["segmentation"] = []  # a box alone
        sixth["weight"] = 0.0

    edit(folder, change)
    packed(tmp_path / "pack", folder)
    items = [item for row in Archive(tmp_path / "pack").objects for item in row]
    assert [item["class_id"] == IGNORE for item in items] == [False, False, True, True, True, True]
    assert items[0]["weight"] == 0.25
    assert items[1]["weight"] == pytest.approx(0.6 * 0.64)


def test_one_class_for_another_and_classes_in_the_wanted_order(tmp_path):
    folder = write_coco(tmp_path, labelled=BOTH)
    report = packed(tmp_path / "pack", folder, classes=["car"], mapping={"person": "car"})
    assert report["objects"] == {"train": {"car": 4}}
    packed(tmp_path / "both", folder)
    turned = Archive(tmp_path / "both", classes=["car", "person"])
    assert turned.class_counts().tolist() == [2, 2]
    assert [item["box"] for item in turned.objects[0] if item["class_id"] == 0] == [[10, 30, 58, 62]]
    with pytest.raises(ConfigError, match="has no class 'van'"):
        Archive(tmp_path / "both", classes=["van"])


def test_a_picture_that_is_there_twice_is_packed_once(tmp_path):
    """Byte by byte anywhere, nearly only between sets; validation keeps its pictures."""
    first = write_coco(tmp_path, labelled=BOTH, images=4, name="first")
    second = write_coco(tmp_path, labelled=BOTH, images=3, name="second")
    repaint(first, [1, 2, 3, 3])  # the last two are equal
    repaint(second, [1, 4, 5])
    shifted = scene(4)
    cv2.circle(shifted, (64, 48), 9, (255, 255, 255), -1)
    cv2.imwrite(str(second / "images" / "2.png"), shifted)  # like its neighbour, but for one object
    again = cv2.imread(str(second / "images" / "0.png"))
    cv2.imwrite(str(second / "images" / "0.png"), cv2.GaussianBlur(again, (0, 0), 0.8))  # as if compressed
    report = packed(tmp_path / "pack", first, second)
    assert report["duplicates"] == {
        "identical": 1,
        "nearly": 1,
        "of": {"first (kept in first)": 1, "second (kept in first)": 1},
    }
    assert report["pictures"] == {"train": 5}
    judged = packed(tmp_path / "judged", first, val=[second])
    assert judged["pictures"] == {"train": 2, "val": 3}


def test_a_split_stays_when_pictures_come_to_it(tmp_path):
    folder = write_coco(tmp_path, labelled=BOTH, images=24, name="all")
    repaint(folder, range(24))
    packed(tmp_path / "all-pack", folder, val_share=0.3)
    chosen = {item["digest"] for item in Archive(tmp_path / "all-pack", split=VAL).images}
    assert 2 < len(chosen) < 14
    edit(folder, lambda document: document["images"].pop(0))
    edit(folder, lambda document: document.update(annotations=[a for a in document["annotations"] if a["image_id"]]))
    packed(tmp_path / "fewer-pack", folder, val_share=0.3)
    fewer = {item["digest"] for item in Archive(tmp_path / "fewer-pack", split=VAL).images}
    assert fewer <= chosen
    assert len(chosen - fewer) <= 1


def test_labels_follow_the_camera_orientation_mark(tmp_path):
    """A picture stored lying with a mark to turn it: labelled as shown, or as stored."""
    folder = write_coco(tmp_path, labelled=BOTH, images=1)
    plain = cv2.imencode(".jpg", np.full((96, 128, 3), 99, np.uint8))[1].tobytes()
    mark = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    marked = plain[:2] + b"\xff\xe1" + (len(mark) + 2).to_bytes(2, "big") + mark + plain[2:]
    (folder / "images" / "0.png").write_bytes(marked)
    for width, height in ((128, 96), (96, 128)):
        shape = pack.read_picture(folder / "images" / "0.png", {"width": width, "height": height}).shape
        assert shape == (height, width, 3)
    with pytest.raises(SourceError, match="expected the labels' proportions, 50 x 96"):
        pack.read_picture(folder / "images" / "0.png", {"width": 50, "height": 96})


def item(class_id, box):
    x0, y0, x1, y1 = box
    return Item(class_id, np.array(box, float), np.full((y1 - y0, x1 - x0), 255, np.uint8), 1.0)


def test_what_a_pasted_object_covers_is_taken_from_those_below():
    half = paste.cover(item(0, (10, 10, 30, 30)), np.ones((40, 10), bool), 20, 0)
    assert half.box.tolist() == [10, 10, 20, 30]
    assert half.mask.shape == (20, 10)
    most = paste.cover(item(0, (10, 10, 30, 30)), np.ones((40, 30), bool), 14, 0)
    assert most.class_id == IGNORE
    assert most.box.tolist() == [10, 10, 14, 30]
    assert paste.cover(item(0, (10, 10, 30, 30)), np.ones((40, 40), bool), 5, 5) is None
    beside = item(0, (10, 10, 30, 30))
    assert paste.cover(beside, np.ones((5, 5), bool), 40, 40) is beside


def test_pasted_objects_are_where_their_masks_say(tmp_path):
    folder = write_coco(tmp_path, labelled=BOTH)
    packed(tmp_path / "pack", folder)
    archive = Archive(tmp_path / "pack")
    donors, rng = paste.Donors(archive), np.random.default_rng(0)
    empty = Picture(np.full((200, 300, 3), 120, np.uint8), [], np.array([False, True]), complete=True, masks_only=False)
    for _ in range(10):
        pasted = donors.paste(empty, rng)
        assert pasted.items
        assert {found.class_id for found in pasted.items} <= {1, IGNORE}  # persons are not labelled here
        inside = np.zeros((200, 300), bool)
        for found in pasted.items:
            x0, y0, x1, y1 = (int(value) for value in found.box)
            inside[y0:y1, x0:x1] |= found.mask > 0
        bright = pasted.image.mean(axis=2)
        edge = cv2.dilate(inside.astype(np.uint8), np.ones((7, 7))) > 0
        assert (bright[~edge] == 120).all()
        assert np.median(bright[inside]) > 140
    assert (empty.image == 120).all()
    machine = empty._replace(masks_only=True)
    assert donors.paste(machine, rng) is machine


def test_only_what_is_sure_is_cut_out(tmp_path):
    """A machine-made label lends its object to other pictures where its weight says that the mask is right."""
    folder = write_coco(tmp_path, labelled=BOTH)
    packed(tmp_path / "pack", folder)
    archive = Archive(tmp_path / "pack")
    count = sum(map(len, paste.Donors(archive).by_class.values()))
    first = next(items for items in archive.objects if items)[0]
    for weight, lent in ((paste.MIN_DONOR_WEIGHT, count), (paste.MIN_DONOR_WEIGHT - 0.01, count - 1)):
        first["weight"] = weight
        assert sum(map(len, paste.Donors(archive).by_class.values())) == lent


def test_a_mosaic_keeps_four_pictures_and_their_labels(tmp_path):
    folder = write_coco(tmp_path, labelled=BOTH, images=4)
    packed(tmp_path / "pack", folder, deduplicate=False)
    recipe = batches.Recipe(size=(96, 160), batch=2, mosaic=1.0, copy_paste=0.0, multi_scale=False)
    sampler = batches.Sampler(Archive(tmp_path / "pack"), recipe, seed=1, steps=100)
    objects = 0
    for step in (1, 7, 13, 19):
        for sample in sampler.batch(step):
            assert sample.image.shape == (96, 160, 3)
            assert sample.masks.shape == (len(sample.boxes), 24, 40)
            for box, class_id, mask in zip(sample.boxes, sample.class_ids, sample.masks, strict=True):
                cells = np.argwhere(mask > 250)
                if class_id == 1 and len(cells) > 4:
                    small = cv2.resize(sample.image.mean(axis=2), (40, 24), interpolation=cv2.INTER_AREA)
                    assert small[mask > 250].mean() > small[mask == 0].mean() + 20
                    assert (box[:2] < cells.min(axis=0)[::-1] * 4 + 5).all()
                    assert (box[2:] > (cells.max(axis=0)[::-1] + 1) * 4 - 5).all()
                    objects += 1
    assert objects > 8


def test_batches_depend_on_seed_and_step_alone(tmp_path):
    packed(tmp_path / "pack", write_coco(tmp_path, labelled=BOTH))
    archive = Archive(tmp_path / "pack")
    recipe = batches.Recipe(size=(96, 160), batch=2)
    for step in (0, 1, 8):
        one, other = (batches.Sampler(archive, recipe, seed=3, steps=20).batch(step) for _ in range(2))
        assert len(one) == recipe.count(step)
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first.image, second.image)
            np.testing.assert_array_equal(first.masks, second.masks)
    closing = batches.Sampler(archive, batches.Recipe(size=(96, 160), copy_paste=1.0), seed=3, steps=20)
    assert len(closing.picture(0, np.random.default_rng(1), open_=False).items) == 2


def test_steps_come_in_several_sizes_and_equal_pixels():
    recipe = batches.Recipe()
    sizes = [recipe.step_size(step) for step in range(18)]
    assert sizes[:6] == [
        ((256, 384), True),
        ((384, 640), False),
        ((320, 320), True),
        ((256, 384), True),
        ((416, 416), False),
        ((320, 320), True),
    ]
    assert sizes[7] == ((320, 544), False)
    assert sizes[13] == ((448, 736), False)
    assert all(side % 32 == 0 for size, _ in sizes for side in size)
    pixels = [recipe.count(step) * size[0] * size[1] for step, (size, _) in enumerate(sizes)]
    assert max(pixels) < 1.15 * min(pixels)
    assert recipe.steps(97, 10) == pytest.approx(60, abs=2)


def test_an_archive_of_another_version_is_refused(tmp_path):
    with pytest.raises(SourceError, match="expected an archive with index"):
        data.Archive(tmp_path)
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(SourceError, match="of version 2, found 1"):
        data.Archive(tmp_path)


def test_rendered_scenes_are_packed_with_their_masks(tmp_path):
    scenes, out = tmp_path / "scenes", tmp_path / "packed"
    assert main(["render", "--seeds", "1", "--seconds", "4", "--out", str(scenes)]) == 0
    folders = sorted(scenes.iterdir())
    assert [folder.name for folder in folders] == ["rendered-road-1", "rendered-shop-1"]
    assert main(["prepare", *map(str, folders), "--out", str(out)]) == 0
    archive = Archive(out)
    assert {item["set"] for item in archive.images} == {folder.name for folder in folders}
    assert all(item["complete"] and item["sampling"] < 1 for item in archive.images)
    classes = {
        archive.classes[item["class_id"]] for items in archive.objects for item in items if item["class_id"] >= 0
    }
    assert {"person", "car"} <= classes
