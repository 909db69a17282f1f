"""Sites that are drawn in the dashboard, and the ledger of their events: files of its folder, beside the settings' own.

A camera whose settings name a site keeps it. For every other one the file ``sites/<camera>.yaml`` in the dashboard's
folder counts as soon as it is there, and its events go to ``events.sqlite`` there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SinkError
from tracker.settings.stream import event_kind

if TYPE_CHECKING:
    from tracker.settings.service import ServiceSettings
    from tracker.settings.stream import CameraSettings

__all__ = ["dashboard_folder", "site_path", "sites_folder", "with_drawn_sites"]

LEDGER = "events.sqlite"


def dashboard_folder(config: ServiceSettings) -> Path:
    """The dashboard's folder: its own setting, else ``dashboard`` in that of states, else beside the settings."""
    chosen = None if config.dashboard is None else config.dashboard.folder
    if chosen is not None:
        return Path(chosen)
    return Path(config.state or Path(config.path or "").parent) / "dashboard"


def sites_folder(config: ServiceSettings) -> Path:
    """Where the sites lie that are drawn in the dashboard."""
    return dashboard_folder(config) / "sites"


def site_path(config: ServiceSettings, camera: CameraSettings) -> Path:
    """Where a camera's site is, or will be once it is drawn."""
    if camera.site is not None:
        return Path(camera.site)
    return sites_folder(config) / f"{camera.name}.yaml"


def with_drawn_sites(config: ServiceSettings) -> ServiceSettings:
    """The settings with the sites that were drawn, and with a ledger for each site that has none.

    Raises:
        SinkError: The dashboard's folder cannot be made.
    """
    if config.dashboard is None:
        return config
    folder = sites_folder(config)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # accounts and counts are there too
        folder.mkdir(exist_ok=True)
    except OSError as error:
        problem = f"expected a folder for the dashboard, found: {error.strerror}"
        raise SinkError(folder, problem, "choose another one with `dashboard: {folder: ...}`") from error
    return config.replace(cameras=tuple(_with_site(config, camera) for camera in config.cameras))


def _with_site(config: ServiceSettings, camera: CameraSettings) -> CameraSettings:
    path = site_path(config, camera)
    if not path.is_file():
        return camera
    events = camera.events
    if not any(event_kind(output) == ".sqlite" for output in events):
        events = (*events, str(dashboard_folder(config) / LEDGER))
    return camera.replace(site=str(path), events=events)
