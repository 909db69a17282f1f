"""Doctor: what is too old is a problem with its remedy."""

from __future__ import annotations

import onnxruntime
import pytest

from tracker.app import doctor


@pytest.mark.parametrize(("version", "state"), [("1.24.9", "problem"), ("1.25.0rc1", "ok"), ("2.0", "ok")])
def test_an_onnxruntime_that_loads_any_file_as_weights_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, version: str, state: str
) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", version)
    (found,) = doctor._onnxruntime()
    assert found.state == state
    if state == "problem":
        assert "onnxruntime 1.24.9, which loads any file" in found.found
        assert found.remedy == "pip install 'onnxruntime-gpu>=1.25'"


def test_two_wheels_side_by_side_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", {"masktrail": "1.0", "masktrail-cpu": "1.1"}.get)
    found = doctor._installation()
    assert found.state == "problem"
    assert found.found == "masktrail and masktrail-cpu are installed side by side; they overwrite each other's files"
    assert found.remedy.startswith("pip uninstall masktrail masktrail-cpu onnxruntime onnxruntime-gpu")


def test_the_size_is_that_of_all_files_of_what_is_needed() -> None:
    needed = doctor._with_requirements("pooch")
    assert {"pooch", "platformdirs", "packaging", "requests", "urllib3"} <= set(needed)
    assert "tqdm" not in needed, "extras do not count"
    assert doctor._size_bytes("platformdirs") > 10_000
