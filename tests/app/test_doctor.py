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
