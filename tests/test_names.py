"""The public names are pinned: adding one is a decision, removing one breaks users."""

from __future__ import annotations

import pytest

import tracker

PUBLIC = [
    "BoxMasks",
    "ConfigError",
    "DetectionsError",
    "Engine",
    "Frame",
    "GridMasks",
    "InstanceMasks",
    "Instances",
    "Letterbox",
    "ModelError",
    "OnnxSegmenter",
    "Outcome",
    "RunSettings",
    "SinkError",
    "SourceError",
    "Stage",
    "Stream",
    "TrackedFrame",
    "Tracker",
    "TrackerError",
    "Tracks",
    "__version__",
    "draw",
    "open_sink",
    "open_source",
    "run",
    "save_picture",
    "track",
]


def test_public_names_are_pinned() -> None:
    assert tracker.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(tracker, name) is not None


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Trackr'"):
        tracker.Trackr  # noqa: B018
