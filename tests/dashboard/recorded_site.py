"""A recording that was tracked and counted, with two sites of it, for tests of drawing on recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from demos.scenes import script
from tests.engine.recorded import Chain
from tracker.dashboard.sites import site_json
from tracker.settings.site_file import write_site
from tracker.site import Line, Site, Zone

COUNTED = Site(
    lines=(Line(name="door", points=((0.05, 0.5), (0.95, 0.5))), Line(name="sky", points=((0.1, 0.02), (0.9, 0.02)))),
    reference_size=(640, 360),
)
MOVED = Site(
    lines=(Line(name="door", points=((0.5, 0.05), (0.5, 0.95))), Line(name="new", points=((0.05, 0.6), (0.95, 0.6)))),
    zones=(Zone(name="middle", polygons=(((0.3, 0.3), (0.7, 0.3), (0.7, 0.9), (0.3, 0.9)),)),),
    reference_size=(640, 360),
)


def write_recording(folder: Path) -> Path:
    """``gate`` in a folder: its tracks, its site, and the events of that."""
    scene = script.dense(6, rng=np.random.default_rng(5), size=(640, 360), duration_s=6)
    written = write_site(folder / "gate.site.yaml", COUNTED)
    Chain(scene, fps=12.5).record(written, folder / "gate.tracks.jsonl", folder / "gate.events.jsonl")
    return folder


def sent(site: Site) -> dict:
    """A site as the page sends it."""
    return json.loads(json.dumps(site_json(site)))
