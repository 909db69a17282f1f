"""A dashboard in the test's own process: accounts with their clients, an engine that is played, ledgers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tracker.dashboard.app import make_app
from tracker.dashboard.context import Context
from tracker.dashboard.engine_view import CameraFacts, EngineView, Wanted
from tracker.dashboard.guard import ANONYMOUS_CSRF, CSRF_HEADER, cookie_name
from tracker.dashboard.rights import Role
from tracker.dashboard.sessions import csrf_of
from tracker.settings.dashboard import DashboardSettings

ORIGIN = "http://localhost:8600"
SOCKETS = "ws://localhost:8600"
"""The test client has another host for sockets unless it is told."""
PASSWORD = "canary-Pa55word-of-tests"
JPEG = b"\xff\xd8\xff\xe0 a picture"


class PlayedEngine(EngineView):
    """An engine as the dashboard sees it.

    Args:
        cameras: Their names, and the folder in which each has a site file.
    """

    def __init__(self, folder: Path, *names: str) -> None:
        super().__init__()
        self.facts = {
            name: CameraFacts(name=name, size=(1280, 720), classes=("person", "car"), site=folder / f"{name}.yaml")
            for name in names
        }
        self.saved: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.wanted: list[Wanted] = []

    @property
    def attached(self) -> bool:
        return True

    def cameras(self) -> dict[str, CameraFacts]:
        return dict(self.facts)

    def health(self) -> dict[str, Any]:
        cameras = {name: {"state": "running", "fps": 12.5, "living": 3, "identities": 9} for name in self.facts}
        return {"status": "ok", "cameras": cameras, "not_well": list(self.facts), "losing_frames": list(self.facts)} | {
            "models": {}
        }

    async def picture(self, stream: str, *, variant: str, width: int) -> bytes | None:
        self.asked.append((stream, variant))
        return JPEG

    def path(self, stream: str, identity: int) -> list[tuple[int, float, float]]:
        return [(1000, 0.5, 0.5)] if identity == 1 else []

    def dry_run(self, stream: str, site: Any, *, seconds: float) -> dict[str, Any] | None:
        return {"from_ms": 0, "to_ms": 600_000, "seconds": seconds, "places": []}

    def watch(self, wanted: Wanted) -> None:
        self.wanted.append(wanted)

    def site_saved(self, stream: str) -> None:
        self.saved.append(stream)


class Desk:
    """A dashboard with its context.

    Args:
        folder: Of its accounts.
        engine: A played one.
        recordings: Folder of results.
        ledgers: Stores and event files.
        allow_runs: Recordings may be run.
        settings: Further ones.
    """

    def __init__(
        self,
        folder: Path,
        *,
        engine: EngineView | None = None,
        recordings: Path | None = None,
        ledgers: Iterable[Path] = (),
        allow_runs: bool = False,
        **settings: Any,
    ) -> None:
        chosen = DashboardSettings(folder=str(folder), **settings)
        more = {"ledgers": ledgers, "allow_runs": allow_runs}
        self.context = Context(chosen, engine=engine, recordings=recordings, **more)
        self.app = make_app(self.context)
        self.context.ledgers.read()

    def close(self) -> None:
        self.context.close()

    def client(self, **headers: str) -> TestClient:
        """Of nobody; a page's own headers."""
        own = {"origin": ORIGIN, CSRF_HEADER: ANONYMOUS_CSRF}
        return TestClient(self.app, base_url=ORIGIN, headers=own | headers, raise_server_exceptions=False)

    def user(self, name: str, role: Role = "viewer", streams: Iterable[str] | None = None, **rights: bool) -> None:
        """An account without a hash that anything matches: making one takes a while."""
        wanted = None if streams is None else frozenset(streams)
        see_people = rights.get("see_people", False)
        self.context.accounts.add_user(name, role=role, password="none", streams=wanted, see_people=see_people)

    def logged_in(
        self, name: str = "ann", role: Role = "admin", streams: Iterable[str] | None = None, **rights: bool
    ) -> TestClient:
        """The client of an account, which is made where there is none."""
        if self.context.accounts.user(name) is None:
            self.user(name, role, streams, **rights)
        secret = self.context.sessions.begin(name, "test")
        client = self.client(**{CSRF_HEADER: csrf_of(secret)})
        client.cookies.set(
            cookie_name("http", ORIGIN.removeprefix("http://")), secret, domain="localhost.local", path="/"
        )
        return client
