"""Reloads of a running service: the settings' file again on SIGHUP, a camera's site when it was drawn anew."""

from __future__ import annotations

import logging
from pathlib import PurePath
from typing import TYPE_CHECKING

from tracker.errors import TrackerError
from tracker.service.drawn_sites import site_path, with_drawn_sites
from tracker.service.systemd import at_work
from tracker.settings.site_file import read_site
from tracker.settings.yaml_file import load_service_settings

if TYPE_CHECKING:
    from pathlib import Path

    from tracker.service.cameras import LiveService
    from tracker.service.viewers import Viewers
    from tracker.settings.service import ServiceSettings

__all__ = ["Reloads"]

logger = logging.getLogger("tracker.live")


class Reloads:
    """What changes while a service runs.

    Args:
        path: The settings' file.
        config: As it was read, without the sites that were drawn in the dashboard.
        service: Runs them.
        viewers: Told how a reload went; ``None`` without a dashboard.
    """

    def __init__(
        self, path: Path, config: ServiceSettings, service: LiveService, viewers: Viewers | None = None
    ) -> None:
        self._path, self._config, self._service, self._viewers = path, config, service, viewers

    @property
    def config(self) -> ServiceSettings:
        """The settings that hold now, with the sites that were drawn."""
        return with_drawn_sites(self._config)

    def from_file(self) -> None:
        """Read the settings again and change the cameras to them; what is wrong with them is logged."""
        try:
            with at_work():
                config = load_service_settings(self._path)
                # A dashboard comes and goes with the process; the command line may have asked for it.
                config = config.replace(dashboard=config.dashboard or self._config.dashboard)
                self._service.reload(with_drawn_sites(config))
            self._config = config
        except TrackerError as failure:
            logger.error("not reloaded", extra={"problem": str(failure)})  # noqa: TRY400 - expected, no traceback

    def of_sites(self) -> None:
        """Have the cameras whose sites were saved count by them; the settings' file is not read."""
        viewers = self._viewers
        if viewers is None or viewers.reloads.empty():
            return
        names: set[str] = set()
        while not viewers.reloads.empty():
            names.add(viewers.reloads.get())
        revisions: dict[str, int] = {}
        for camera in self._config.cameras:
            if camera.name not in names:
                continue
            try:
                revisions[camera.name] = self._checked(camera.name, site_path(self._config, camera))
            except TrackerError as failure:
                self._failed(viewers, {camera.name}, failure)
        if not revisions:
            return
        try:
            with at_work():
                self._service.reload(with_drawn_sites(self._config))
        except TrackerError as failure:
            self._failed(viewers, set(revisions), failure)
            return
        for name, revision in revisions.items():
            viewers.site_loaded(name, revision)

    def _checked(self, name: str, path: Path) -> int:
        """The revision of a site that fits the camera's picture; 0 = there is none any more.

        Raises:
            ConfigError: Something in it is wrong.
        """
        if not path.exists():
            return 0
        site = read_site(path)
        stream = next((one for one in self._service.engine.streams if one.name == name), None)
        if stream is not None and stream.opened and min(stream.source.info.size) > 0:
            site.check_size(stream.source.info.size, str(path))
        return site.revision

    @staticmethod
    def _failed(viewers: Viewers, names: set[str], failure: TrackerError) -> None:
        logger.error("site not loaded", extra={"cameras": sorted(names), "problem": str(failure)})
        place = PurePath(failure.offender).name  # the page is told no folders
        for name in names:
            viewers.site_failed(name, f"{place}: {failure.problem}; {failure.remedy}")
