"""Label Studio's JSON of videos: what is written passes its own SDK's checks, and what it exports is read here."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.formats.annotated import SIZE
from tracker.errors import DetectionsError
from tracker.formats.annotation import Expected, Recording, Shape, ShownRow
from tracker.formats.label_studio import label_studio_config, read_label_studio, write_label_studio

RECORDING = Recording(name="gate.mp4", size=SIZE, last_frame=9, last_s=0.9, step=1, labels=("car", "person"))
EXPECTED = Expected(size=SIZE, last_frame=9, labels=frozenset({"car", "person"}))
TRACKS = {
    4: ("car", [ShownRow(frame, frame / 10, (1.25, 2, 7.5, 9), False, "") for frame in (0, 1, 5)]),
    7: ("person", [ShownRow(frame, frame / 10, (30, 20, 41, 40.01), True, "") for frame in (8, 9)]),
}


def written() -> list[Any]:
    target = io.BytesIO()
    tracks = [(identity, label) for identity, (label, _) in TRACKS.items()]
    write_label_studio(target, RECORDING, tracks, lambda identity: TRACKS[identity][1])
    return json.loads(target.getvalue())


def read(tmp_path: Path, value: Any) -> list[Shape]:
    path = tmp_path / "x.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return list(read_label_studio(path, EXPECTED).shapes)


def task(*results: dict[str, Any], **data: Any) -> list[Any]:
    return [
        {"id": 1, "data": {"video": "/data/upload/1/ab-gate.mp4"} | data, "annotations": [{"result": list(results)}]}
    ]


def region(*keys: dict[str, Any], name: str = "identity-4", labels: tuple[str, ...] = ("car",)) -> dict[str, Any]:
    value = {"framesCount": 10, "duration": 1.0, "sequence": list(keys), "labels": list(labels)}
    return {"id": name, "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}


def key(frame: int, *, x: float = 10.0, enabled: bool = True, **more: Any) -> dict[str, Any]:
    return {"frame": frame, "x": x, "y": 10.0, "width": 50.0, "height": 50.0, "enabled": enabled, "time": 0.0} | more


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    shapes = read(tmp_path, written())
    assert [(shape.hint, shape.frame) for shape in shapes] == [
        (one, row.frame) for one, (_, rows) in TRACKS.items() for row in rows
    ]
    for shape, row in zip(shapes, [row for _, rows in TRACKS.values() for row in rows], strict=True):
        assert shape.box == pytest.approx(row.box, abs=1e-9)


def test_a_box_is_shown_until_a_keyframe_that_is_not_enabled(tmp_path: Path) -> None:
    shapes = read(tmp_path, task(region(key(1), key(3, x=14.0, enabled=False), key(9))))
    assert [(shape.frame, round(shape.box[0], 6) if shape.box else 0.0, shape.keyframe) for shape in shapes] == [
        (0, 6.4, True), (1, 7.68, False), (2, 8.96, True), (8, 6.4, True), (9, 6.4, False),
    ]  # fmt: skip


def test_the_annotation_that_was_changed_last_counts_and_relations_join(tmp_path: Path) -> None:
    made = task(region(key(1, enabled=False)), region(key(5, enabled=False), name="xYz"))
    relation = {"type": "relation", "from_id": "identity-4", "to_id": "xYz", "direction": "right"}
    made[0]["annotations"][0] |= {"updated_at": "2026-11-02"}
    made[0]["annotations"][0]["result"] += [relation, {"type": "choices"}]
    made[0]["annotations"] += [{"result": [], "updated_at": "2026-11-01"}, {"result": [], "was_cancelled": True}]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(made))
    found = read_label_studio(path, EXPECTED)
    assert [(shape.track, shape.hint) for shape in found.shapes] == [(1, 4), (2, 0)]
    assert found.joined == [(1, 2)]
    assert found.left_out["choices"] == 1
    assert found.source == "ab-gate.mp4"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{", "JSON that Label Studio exported"),
        ([], "expected one task, found 0"),
        ([{"video": "x.mp4", "box": []}], "a task with annotations"),
        ([{"data": {}, "annotations": []}], "expected an annotation"),
        (task(region(key(1), labels=("lorry",))), "one of the classes car, person, found 'lorry'"),
        (task(region(key(1), labels=())), "one of the classes"),
        (task(region(key(1)), width=640, height=480), "found 640 x 480"),
        (task(region(key(1), key(1))), "frame 1 twice"),
        (task(region(key(0))), "no box in frame 0"),
        (task(region({"frame": 1})), "a sequence of boxes in region identity-4"),
        (task({"type": "relation", "from_id": "a", "to_id": "b"}), "relations between regions"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path: Path, value: Any, said: str) -> None:
    with pytest.raises(DetectionsError) as caught:
        read(tmp_path, value)
    assert said in str(caught.value)


@pytest.mark.slow
def test_the_sdk_of_label_studio_accepts_interface_and_annotation() -> None:
    pytest.importorskip("label_studio_sdk")
    from label_studio_sdk._extensions.label_studio_tools.postprocessing.video import extract_key_frames
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(label_studio_config(RECORDING.labels, fps=25.0))
    interface.validate()
    (made,) = written()
    annotation = made["annotations"][0]
    assert interface.validate_prediction(annotation, return_errors=True) == []
    relation = {"type": "relation", "from_id": "identity-4", "to_id": "identity-7", "direction": "right"}
    assert interface.validate_annotation({"result": [*annotation["result"], relation]})
    shown = {
        (result["id"], one["frame"] - 1)
        for result in extract_key_frames(annotation["result"])
        for one in result["value"]["sequence"]
    }
    assert shown == {(f"identity-{one}", row.frame) for one, (_, rows) in TRACKS.items() for row in rows}
