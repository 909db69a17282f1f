"""masktrail: video in, persistent identities out.

Frame by frame::

    from tracker import track

    for tracked in track("street.mp4"):
        print(tracked.frame.time_s, tracked.tracks.ids, tracked.tracks.boxes)

Whole recordings with their files, in a process pool too::

    from tracker import run

    for outcome in run("street.mp4", save="street.tracked.mp4", records="street.jsonl"):
        print(outcome.name, outcome.identities)
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, DetectionsError, ModelError, SinkError, SourceError, TrackerError
from tracker.version import __version__

if TYPE_CHECKING:
    from tracker.associate.tracker import Tracker
    from tracker.engine.frames import track
    from tracker.engine.outcome import Outcome
    from tracker.engine.run import run
    from tracker.engine.scheduler import Engine
    from tracker.engine.stage import Stage
    from tracker.engine.stream import Stream
    from tracker.masks.box_masks import BoxMasks
    from tracker.masks.grid_masks import GridMasks
    from tracker.masks.instance_masks import InstanceMasks
    from tracker.plugins import open_sink
    from tracker.render.still import draw
    from tracker.segment.session import OnnxSegmenter
    from tracker.settings.stream import RunSettings
    from tracker.sinks.pictures import save_picture
    from tracker.sources.open import open_source
    from tracker.types import Frame, Instances, Letterbox, TrackedFrame, Tracks

__all__ = [
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

# Loaded on first use, so that `import tracker` and `masktrail --help` stay fast (no OpenCV, FFmpeg or ONNX Runtime).
_HOMES = {
    "Engine": "tracker.engine.scheduler",
    "BoxMasks": "tracker.masks.box_masks",
    "Frame": "tracker.types",
    "GridMasks": "tracker.masks.grid_masks",
    "InstanceMasks": "tracker.masks.instance_masks",
    "Instances": "tracker.types",
    "Letterbox": "tracker.types",
    "OnnxSegmenter": "tracker.segment.session",
    "Outcome": "tracker.engine.outcome",
    "RunSettings": "tracker.settings.stream",
    "Stage": "tracker.engine.stage",
    "Stream": "tracker.engine.stream",
    "TrackedFrame": "tracker.types",
    "Tracker": "tracker.associate.tracker",
    "Tracks": "tracker.types",
    "draw": "tracker.render.still",
    "open_sink": "tracker.plugins",
    "open_source": "tracker.sources.open",
    "run": "tracker.engine.run",
    "save_picture": "tracker.sinks.pictures",
    "track": "tracker.engine.frames",
}

logging.getLogger("tracker").addHandler(logging.NullHandler())  # libraries stay silent by default


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module 'tracker' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(_HOMES[name]), name)
