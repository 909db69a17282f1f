"""The file of runs that are started on the page, ``runs.yaml`` of the folder: settings of ``masktrail track`` by key.

::

    model: yolact-nano
    device: auto
    classes: [person, car]
    site: sites/{name}.yaml       # {name}: of the recording, without suffix; the key is left out where there is no file
    refine: on

Without ``site`` a recording's own site is ``NAME.site.yaml`` beside it, and ``site.yaml`` that of all of its folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ConfigError
from tracker.settings.model import names_of
from tracker.settings.recording_site import RUNS_FILE, recording_site
from tracker.settings.stream import RunSettings
from tracker.settings.yaml_nodes import NodeReader, compose, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RUNS_FILE", "run_settings"]

_OF_THE_PAGE = frozenset(
    {"sources", "save", "records", "events", "associates", "coco_annotations", "start_at", "limit", "stages"}
    | {"spool", "spool_mb", "rotate_s", "rotate_mb", "heatmap"}
)
"""Fields that a page's run has of its own: what is read, and what is written where."""


def run_settings(folder: Path, video: str, *, name: str, outputs: Mapping[str, str]) -> RunSettings:
    """Settings of one run, with those of the folder's file where it has one.

    Args:
        folder: Which the page shows; paths in its file are relative to it.
        video: The recording.
        name: Of the recording, for ``{name}``.
        outputs: Paths of the fields ``save``, ``records`` and ``events``; without a site there are no events.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong; the offender is ``runs.yaml:line``.
    """
    path, reader = folder / RUNS_FILE, NodeReader(RUNS_FILE)
    ready = {"sources": (video,), "save": outputs["save"], "records": (outputs["records"],)}
    drawn = recording_site(folder, (folder / video).parent, name).present
    root = compose(read_text(path, "runs"), RUNS_FILE, "runs") if path.exists() else None
    if root is None:
        made = RunSettings.model_validate(ready)
    else:
        known = {key: field for key, field in names_of(RunSettings).items() if field not in _OF_THE_PAGE}
        made = reader.made(RunSettings, root, reader.nodes(root, known, "the file"), **ready)
    site = drawn or _named(folder, made.site, name)
    return made.replace(site=None) if site is None else made.replace(site=str(site), events=(outputs["events"],))


def _named(folder: Path, named: str | None, name: str) -> Path | None:
    """The site that the file names; ``None`` where it names none, or none of this recording."""
    if named is None:
        return None
    site = folder / named.replace("{name}", name)
    if site.exists():
        return site
    if "{name}" in named:
        return None
    raise ConfigError(RUNS_FILE, f"expected a site file, found no {named}", "correct `site`, or leave it out")
