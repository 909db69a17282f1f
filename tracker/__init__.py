"""masktrail: video in, persistent identities out.

The pipeline in six lines::

    from tracker import OnnxSegmenter, Tracker, open_source

    segmenter = OnnxSegmenter("yolact-nano")
    tracker = Tracker(class_count=len(segmenter.class_names))
    for frame in open_source("street.mp4", network_size=segmenter.network_size):
        tracks = tracker.update(segmenter.segment([frame])[0], frame.time_s)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, DetectionsError, ModelError, SinkError, SourceError, TrackerError
from tracker.version import __version__

if TYPE_CHECKING:
    from tracker.associate.tracker import Tracker
    from tracker.engine.pipeline import Pipeline
    from tracker.plugins import open_sink
    from tracker.segment.session import OnnxSegmenter
    from tracker.sources.open import open_source
    from tracker.types import Frame, InstanceMasks, Instances, Letterbox, TrackedFrame, Tracks

__all__ = [
    "ConfigError",
    "DetectionsError",
    "Frame",
    "InstanceMasks",
    "Instances",
    "Letterbox",
    "ModelError",
    "OnnxSegmenter",
    "Pipeline",
    "SinkError",
    "SourceError",
    "TrackedFrame",
    "Tracker",
    "TrackerError",
    "Tracks",
    "__version__",
    "open_sink",
    "open_source",
]

# Loaded on first use, so that `import tracker` and `masktrail --help` stay fast (no OpenCV, FFmpeg or ONNX Runtime).
_HOMES = {
    "Frame": "tracker.types",
    "InstanceMasks": "tracker.types",
    "Instances": "tracker.types",
    "Letterbox": "tracker.types",
    "OnnxSegmenter": "tracker.segment.session",
    "Pipeline": "tracker.engine.pipeline",
    "TrackedFrame": "tracker.types",
    "Tracker": "tracker.associate.tracker",
    "Tracks": "tracker.types",
    "open_sink": "tracker.plugins",
    "open_source": "tracker.sources.open",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module 'tracker' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(_HOMES[name]), name)
