"""Provider options: known to the installed ONNX Runtime, with a cache folder per model, card and precision."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from tests.segment.models import end2end_model
from tracker.inference import network
from tracker.inference.network import NetworkRequest
from tracker.inference.providers import Profile, cuda_options, engine_folder, tensorrt_options
from tracker.segment.inputs import plan_inputs
from tracker.segment.zoo import find_model

PROFILE = Profile(shapes={"frames": (384, 640, 3), "im_shape": (2,)}, smallest_batch=1, largest_batch=8)


def test_the_installed_tensorrt_provider_knows_every_option(tmp_path: Path) -> None:
    """An option that a version does not know makes the provider refuse to start; its library holds their names."""
    library = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
    if not library.is_file():
        pytest.skip(f"no TensorRT provider in this build of onnxruntime ({sys.platform})")
    names = tensorrt_options(0, fp16=True, profile=PROFILE, folder=tmp_path).keys()
    data = library.read_bytes()
    assert {name for name in names if name.encode() not in data} == set()


def test_profiles_span_all_batches() -> None:
    options = tensorrt_options(1, fp16=False, profile=PROFILE, folder=None)
    assert options == {
        "device_id": "1",
        "trt_fp16_enable": "False",
        "trt_profile_min_shapes": "frames:1x384x640x3,im_shape:1x2",
        "trt_profile_opt_shapes": "frames:8x384x640x3,im_shape:8x2",
        "trt_profile_max_shapes": "frames:8x384x640x3,im_shape:8x2",
    }


def test_a_profile_is_made_for_open_files_only(tmp_path: Path) -> None:
    def profile(name: str, *, open_batch: bool, **changed: Any) -> Profile | None:
        path = end2end_model(tmp_path / name, open_batch=open_batch)
        request = NetworkRequest(path=path, label=name, device="tensorrt", **changed)
        return network._profile(request, lambda found: plan_inputs(find_model(path), found).sample())

    assert profile("fixed.onnx", open_batch=False) is None
    found = profile("open.onnx", open_batch=True)
    assert found == Profile(shapes={"frames": (96, 160, 3)}, smallest_batch=1, largest_batch=8)
    large = profile("open.onnx", open_batch=True, max_batch=32)
    assert large is not None
    assert (large.smallest_batch, large.largest_batch) == (1, 32)


def test_graphs_are_an_option_of_cuda() -> None:
    assert cuda_options(2, graphs=False) == {"device_id": "2"}
    assert cuda_options(0, graphs=True) == {"device_id": "0", "enable_cuda_graph": "1"}


def test_engines_of_other_models_versions_cards_and_precisions_lie_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model, other = tmp_path / "a.onnx", tmp_path / "b.onnx"
    model.write_bytes(b"one")
    other.write_bytes(b"two")
    usual: dict[str, Any] = {"runtime": "1.31.1", "tensorrt": "10.13.3", "card": "NVIDIA L4", "fp16": True}
    folders = [
        engine_folder(model, **usual),
        engine_folder(other, **usual),
        *(
            engine_folder(model, **usual | change)
            for change in (
                {"runtime": "1.32.0"},
                {"tensorrt": "10.14.0"},
                {"card": "NVIDIA A10"},
                {"fp16": False},
                {"profile": PROFILE},
                {"profile": dataclasses.replace(PROFILE, largest_batch=32)},
            )
        ),
    ]
    assert len(set(folders)) == len(folders)
    assert all(folder is not None and folder.is_dir() and " " not in folder.name for folder in folders)
    assert folders[0] is not None
    assert folders[0].parent == tmp_path / "cache" / "masktrail" / "tensorrt"
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(b"one")
    assert engine_folder(copy, **usual) == folders[0]  # the content counts, not the name


def test_a_home_that_cannot_be_written_costs_the_cache_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    model = tmp_path / "a.onnx"
    model.write_bytes(b"one")
    folder = engine_folder(model, runtime="1", tensorrt="10", card="x", fp16=False)
    assert folder is None
    assert "trt_engine_cache_enable" not in tensorrt_options(0, fp16=False, profile=None, folder=folder)
