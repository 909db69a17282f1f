"""What the dashboard knows of a running engine: cameras, health, pictures; of none here, the base class of the link."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tracker.site import Site

__all__ = ["CameraFacts", "EngineView", "Listener", "Wanted"]

Wanted = dict[str, set[tuple[int, str, float]]]
"""By camera: width in pixels (0 = the state alone), variant and frames per second of each picture that is wanted."""


class Listener(Protocol):
    """Who is told of live messages."""

    def heard(self, header: dict[str, Any], body: bytes) -> None:
        """Of kind ``state``, ``picture``, ``event``, ``health``, ``hello``, ``site_loaded`` or ``site_failed``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFacts:
    """A camera as the engine said hello with it.

    Attributes:
        name: Its name, which is that of its stream in the ledger.
        size: ``(width, height)`` in pixels; ``None`` until it has opened.
        classes: Names of the classes that its model knows.
        site: File of its lines and zones; ``None`` = it cannot be edited.
        ledgers: Stores (SQLite) that its events go to.
        live: A camera, not a recording.
        scene: Number that changes when the camera shows another scene, or by another model.
    """

    name: str
    size: tuple[int, int] | None = None
    classes: tuple[str, ...] = ()
    site: Path | None = None
    ledgers: tuple[Path, ...] = ()
    live: bool = True
    scene: int = 0


@dataclass(slots=True)
class EngineView:
    """A dashboard without an engine; the link to a running one overrides what it knows.

    Every method returns at once and may be called from any thread.

    Attributes:
        on_change: Called, from any thread, when :meth:`cameras` changed.
    """

    on_change: Callable[[], None] = field(default=lambda: None)

    @property
    def attached(self) -> bool:
        """Whether there is an engine at the other end."""
        return False

    def cameras(self) -> dict[str, CameraFacts]:
        """Cameras by name."""
        return {}

    def health(self) -> dict[str, Any]:
        """The last health of the engine, as ``/healthz`` has it; empty where there is none."""
        return {}

    async def picture(self, stream: str, *, variant: str, width: int) -> bytes | None:  # noqa: ARG002
        """The newest picture of a camera as JPEG, waited for at most two seconds.

        Args:
            stream: Name of the camera.
            variant: ``masked`` or ``clear``; the caller has checked the right.
            width: In pixels, at most the preview's.
        """
        return None

    def path(self, stream: str, identity: int) -> list[tuple[int, float, float]]:  # noqa: ARG002
        """Contacts of an identity in the last ten minutes: UTC in milliseconds, x and y in shares of the picture."""
        return []

    def dry_run(self, stream: str, site: Site, *, seconds: float) -> dict[str, Any] | None:  # noqa: ARG002
        """What a site would have counted in the last minutes; ``None`` where no contacts are kept.

        Args:
            stream: Name of the camera.
            site: The changed site.
            seconds: How far back, 600 at most.
        """
        return None

    def site_saved(self, stream: str) -> None:
        """Tell the engine that a camera's site file has changed."""

    def present(self, stream: str) -> Sequence[dict[str, Any]]:  # noqa: ARG002
        """Identities in each zone now: ``{"place", "class", "present"}``."""
        return ()

    def width(self, asked_px: int) -> int:
        """The width at which a picture is made that is asked for at another one."""
        return asked_px

    def fps(self, asked: float) -> float:
        """The rate at which pictures are made that are asked for at another one."""
        return asked

    def follow(self, listener: Listener) -> None:
        """Tell a listener every live message from now on, in a thread of the link's own."""

    def watch(self, wanted: Wanted) -> None:
        """Have the engine make these pictures and states, and nothing else."""

    def close(self) -> None:
        """End the link."""
