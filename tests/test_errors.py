"""Errors survive a process boundary: every class, with its three parts and its sentence."""

from __future__ import annotations

import copy
import errno
import pickle
from pathlib import Path

import pytest

import tracker.app.cli
import tracker.app.clips  # noqa: F401
from tracker.errors import ModelError, TrackerError, system_refusals
from tracker.settings.model import Refusal, SettingError


def classes(base: type[TrackerError]) -> list[type[TrackerError]]:
    """The class and everything derived from it."""
    return [base, *(found for child in base.__subclasses__() for found in classes(child))]


@pytest.mark.parametrize("kind", classes(TrackerError), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("twin", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])
def test_an_error_comes_out_of_another_process_as_it_was(kind: type[TrackerError], twin) -> None:
    if kind is SettingError:
        error = SettingError("a", (Refusal("mp4", "frames", None, "look at the file"),), "none")
    else:
        error = kind("a.mp4", "expected frames, found none", "look at the file")
    other = twin(error)
    assert type(other) is kind
    assert str(other) == str(error) == "a.mp4: expected frames, found none\n  remedy: look at the file"
    assert (other.offender, other.problem, other.remedy) == ("a.mp4", "expected frames, found none", "look at the file")


def test_what_the_system_refuses_to_look_at_is_an_error_of_ours(tmp_path: Path) -> None:
    @system_refusals(ModelError)
    def look(refusal: OSError) -> None:
        raise refusal

    with pytest.raises(ModelError) as caught:
        look(PermissionError(errno.EACCES, "Permission denied", tmp_path / "m.onnx"))
    told = f"{tmp_path / 'm.onnx'}: expected a path that can be looked at, found: Permission denied"
    assert str(caught.value).startswith(told)
    for other in (FileNotFoundError(errno.ENOENT, "none", "x"), OSError(errno.EIO, "no name")):
        with pytest.raises(type(other)) as passed:
            look(other)
        assert passed.value is other
