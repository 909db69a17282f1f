"""Settings of a service: a whole cameras.yaml."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tracker.settings.choices import LogForm
from tracker.settings.dashboard import DashboardSettings
from tracker.settings.model import Flag, Note, Origin, Wanted
from tracker.settings.report import ReportSettings
from tracker.settings.retention import RetentionSettings
from tracker.settings.stream import DAY_S, CameraSettings, DeviceSettings
from tracker.settings.values import Text

__all__ = ["METRICS_ADDRESS", "SHARED", "ServiceSettings"]

METRICS_ADDRESS = "127.0.0.1:9117"

SHARED = ("model", "iou_threshold")
"""A camera's settings that may stand at the top of the file too, for all cameras that name none of their own."""


def _address(value: Any) -> Any:
    """``off`` is no address; every other word must be one."""
    if not isinstance(value, str):
        return value
    if value.lower() in {"off", "no", "false", "none"}:
        return None
    address = re.fullmatch(r"(.+):([0-9]{1,5})", value)
    if address is None or int(address[2]) > 65535:
        message = "not an address"
        raise ValueError(message)
    return value


class ServiceSettings(DeviceSettings):
    """Everything for ``masktrail live``."""

    cameras: Annotated[tuple[CameraSettings, ...], Field(description="The cameras and recordings, at least one.")]
    path: Annotated[str | None, Field(repr=False, description="The file that it was read from."), Origin()] = None
    metrics: Annotated[
        Text | None,
        BeforeValidator(_address),
        Field(description="Where health and metrics are served, host:port; off: nowhere."),
        Wanted("host:port or off", f"for example {METRICS_ADDRESS}"),
    ] = METRICS_ADDRESS
    log: Annotated[
        LogForm,
        Field(description="On stderr: text, or json with an object per line."),
        Flag("FORM", command="live"),
    ] = "text"
    state: Annotated[
        Text | None,
        Field(description="Folder in which identities survive a restart."),
    ] = None
    state_max_age_s: Annotated[
        float,
        Field(ge=0.001, le=DAY_S, description="States older than this are not restored."),
    ] = 86_400.0
    dashboard: Annotated[
        DashboardSettings | None,
        Field(description="The web page; nothing is served without it."),
        Note("Its own keys are below; `dashboard: on` takes all their defaults."),
        Wanted("`on`, `off` or the dashboard's keys", "write `dashboard: on`"),
    ] = None
    retention: Annotated[
        RetentionSettings | None,
        Field(description="Old pictures and events are deleted; nothing is without it."),
        Note("Its own keys are below; `retention: on` takes all their defaults."),
        Wanted("`on`, `off` or the keys of retention", "write `retention: on`"),
    ] = None
    report: Annotated[
        ReportSettings | None,
        Field(description="Reports of every day or week; none are written without it."),
        Note("Its own keys are below. Needs a store (`.sqlite`) among the `events` of the cameras."),
        Wanted("the keys of a report", "write `report: {folder: reports}`"),
    ] = None
    batch_wait_ms: Annotated[
        float,
        Field(ge=0, le=10_000, description="Longest wait for a batch to fill."),
        Note("No other model is held up."),
    ] = 5.0

    @property
    def batch_wait_s(self) -> float:
        """Longest wait for a batch to fill, in seconds."""
        return self.batch_wait_ms / 1000
