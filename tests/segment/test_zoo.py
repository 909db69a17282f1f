"""Model zoo: every name and path finds its file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.segment.models import end2end_model
from tracker.errors import ModelError
from tracker.segment.session import OnnxSegmenter
from tracker.segment.zoo import find_model, list_models, model_files, zoo_folders


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Two models: ``pico`` in two sizes with a manifest, ``solo`` in one file without."""
    (tmp_path / "pico").mkdir()
    (tmp_path / "solo").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("pico/pico-384x640.onnx", "pico/pico-416x416.onnx", "solo/solo.onnx"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "pico" / "manifest.toml").write_text('name = "pico"\ndefault_variant = "416x416"\n')
    return tmp_path


def test_models_are_listed_with_their_default_first(zoo: Path) -> None:
    entries = list_models([zoo])
    assert [entry.name for entry in entries] == ["pico", "solo"]
    assert entries[0].variants == ("416x416", "384x640")
    assert entries[0].manifest is not None
    assert entries[1].manifest is None


@pytest.mark.parametrize(
    ("model", "options", "file"),
    [
        ("pico", {}, "pico-416x416.onnx"),
        ("pico", {"variant": "384x640"}, "pico-384x640.onnx"),
        ("pico-384x640", {}, "pico-384x640.onnx"),
        ("solo", {}, "solo.onnx"),
        ("solo", {"source_size": (640, 360)}, "solo.onnx"),
        ("pico", {"source_size": (1920, 1080)}, "pico-384x640.onnx"),
        ("pico", {"source_size": (640, 480)}, "pico-384x640.onnx"),
        ("pico", {"source_size": (500, 500)}, "pico-416x416.onnx"),
        ("pico", {"source_size": (1080, 1920)}, "pico-416x416.onnx"),
    ],
)
def test_names_and_source_sizes_choose_the_file(zoo: Path, model: str, options: dict, file: str) -> None:
    found = find_model(model, folders=[zoo], **options)
    assert found.path.name == file
    assert (found.manifest is not None) == model.startswith("pico")


def test_a_folder_is_a_model_too(zoo: Path) -> None:
    assert find_model(zoo / "pico", folders=[]).path.name == "pico-416x416.onnx"


def test_the_first_folder_wins(zoo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "solo").mkdir(parents=True)
    (other / "solo" / "solo.onnx").write_bytes(b"x")
    assert find_model("solo", folders=[other, zoo]).path.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("pcio", {}, "pcio: no model of this name; installed: pico, solo\n.*did you mean 'pico'"),
        ("pico", {"variant": "1x1"}, "no variant '1x1'; there is 384x640, 416x416"),
        ("runs/best.onnx", {}, "runs/best.onnx: no such model file\n.*pico, solo"),
        ("best.onnx", {}, "best.onnx: no such model file"),
        ("runs/best", {}, "runs/best: no such model file"),
    ],
)
def test_what_is_not_there_is_named(zoo: Path, model: str, options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        find_model(model, folders=[zoo], **options)


def test_a_manifest_beside_a_file_counts_if_it_means_it(zoo: Path) -> None:
    pico = zoo / "pico" / "pico-384x640.onnx"
    manifest = zoo / "pico" / "manifest.toml"
    assert find_model(pico).manifest is not None
    manifest.write_text('files = ["other.onnx"]\n')
    assert find_model(pico).manifest is None
    pico.with_suffix(".toml").write_text('name = "own"\n')
    found = find_model(pico)
    assert found.manifest is not None
    assert found.manifest.name == "own"


def with_weights(folder: Path, location: str) -> Path:
    """A network whose weights lie in another file."""
    path = end2end_model(folder / "m.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def test_the_files_of_a_model_are_those_that_it_names(tmp_path: Path) -> None:
    path = with_weights(tmp_path, "heavy.bin")
    for name in ("m.toml", "m.mp4", "m.jsonl", "m.onnx.jsonl"):
        (tmp_path / name).write_text("")
    assert [file.name for file in model_files(path)] == ["m.onnx", "heavy.bin", "m.toml", "manifest.toml"]
    before = find_model(path).digest()
    (tmp_path / "m.jsonl").write_text("{}")
    assert find_model(path).digest() == before
    (tmp_path / "heavy.bin").write_bytes(b"other")
    assert find_model(path).digest() != before
    (tmp_path / "none.onnx").write_bytes(b"no graph")
    assert [file.name for file in model_files(tmp_path / "none.onnx")] == ["none.onnx", "none.toml", "manifest.toml"]


@pytest.mark.parametrize("location", ["/etc/passwd", "../m.bin", "a\0b", "\n", ""])
def test_weights_elsewhere_are_no_files_of_a_model(tmp_path: Path, location: str) -> None:
    path = end2end_model(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())
    assert {file.parent for file in model_files(path)} <= {tmp_path, tmp_path.parent}
    assert find_model(path).digest()


def test_a_digest_is_the_same_in_every_process_and_takes_no_notice_of_notes(tmp_path: Path) -> None:
    """Sets have another order in every process; recordings are resumed by the digest."""
    script = "from tracker.segment.zoo import find_model; print(find_model('yolact-nano').digest())"
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in range(3)
    }
    assert said == {find_model("yolact-nano").digest()}
    path = end2end_model(tmp_path / "m.onnx")
    path.with_suffix(".toml").write_text('description = "one"\n[card]\nfor = "people"\n')
    before = find_model(path).digest()
    path.with_suffix(".toml").write_text('description = "two"\n')
    assert find_model(path).digest() == before
    path.with_suffix(".toml").write_text("score_threshold = 0.3\n")
    assert find_model(path).digest() != before


def test_the_manifests_thresholds_are_the_default(tmp_path: Path) -> None:
    path = end2end_model(tmp_path / "m.onnx")
    path.with_suffix(".toml").write_text("score_threshold = 0.7\n")
    from tests.segment.test_session import picture

    assert len(OnnxSegmenter(path).segment([picture()])[0]) == 1
    assert len(OnnxSegmenter(path, score_threshold=0.1).segment([picture()])[0]) == 2


def test_zoo_folders_exist() -> None:
    assert all(isinstance(folder, Path) and folder.is_dir() for folder in zoo_folders())
