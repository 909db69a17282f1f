"""What the routes share: settings, accounts, sessions, tokens, limits, the engine's view, streams and their data."""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.dashboard.accounts import AccountStore
from tracker.dashboard.bins import zone_of
from tracker.dashboard.counting import count_plan
from tracker.dashboard.engine_view import EngineView
from tracker.dashboard.groups import Groups
from tracker.dashboard.hub import Hub
from tracker.dashboard.ledgers import Ledgers
from tracker.dashboard.limits import LOGIN, RateLimit
from tracker.dashboard.problems import no_such
from tracker.dashboard.proxies import Proxies
from tracker.dashboard.queries import today
from tracker.dashboard.recorded_rows import RowsOfRecordings
from tracker.dashboard.recordings import Recordings
from tracker.dashboard.run_book import RunBook
from tracker.dashboard.runs import Runs
from tracker.dashboard.sessions import Sessions
from tracker.dashboard.sites import Place, Sites
from tracker.dashboard.tokens import Tokens
from tracker.settings.recording_site import recording_site

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracker.dashboard.counting import CountPlan
    from tracker.dashboard.recordings import Recording
    from tracker.settings.dashboard import DashboardSettings

__all__ = ["Context", "SetUp"]


class SetUp:
    """The one-time link that makes the first account; it is over when it was used, after a day, or with the process."""

    VALID_S = 86_400.0

    def __init__(self) -> None:
        self.secret = secrets.token_urlsafe(32)
        self._until_s = time.monotonic() + self.VALID_S
        self._used = False

    def fits(self, secret: str) -> bool:
        """Whether it is this link's secret, and the link is still good."""
        return (
            not self._used
            and time.monotonic() < self._until_s
            and secrets.compare_digest(secret.encode(), self.secret.encode())
        )

    def use(self) -> None:
        """The link is over."""
        self._used = True


class Context:
    """Everything that routes need.

    Args:
        settings: Of the dashboard; ``folder`` must be set.
        engine: The link to a running engine, where there is one.
        recordings: Folder of results that is shown.
        ledgers: Further stores and event files.
        allow_runs: Recordings of the folder may be run from the page.
    """

    def __init__(
        self,
        settings: DashboardSettings,
        *,
        engine: EngineView | None = None,
        recordings: Path | None = None,
        ledgers: Iterable[Path] = (),
        allow_runs: bool = False,
    ) -> None:
        self.settings = settings
        self.folder = Path(settings.folder or "dashboard")
        self.engine = engine or EngineView()
        self.hub = Hub(
            watch=self.engine.watch,
            width=self.engine.width,
            fps=self.engine.fps,
            streams=self.engine.cameras,
            counts=lambda name: self.today([name])[name],
        )
        self.engine.follow(self.hub)
        self.accounts = AccountStore(self.folder)
        self.sessions = Sessions(self.accounts)
        self.tokens = Tokens(self.accounts)
        self.proxies = Proxies(settings)
        self.logins = RateLimit(LOGIN)
        self.set_up = SetUp()
        self.local_secret = secrets.token_urlsafe(32)
        self.recordings = Recordings(recordings, sources=allow_runs)
        shown = self.recordings.folder
        book = None if shown is None else RunBook(self.accounts, shown)
        self.runs = Runs(self.recordings, allowed=allow_runs, changed=self._results_came, book=book)
        self.ledgers = Ledgers()
        self.sites = Sites(self.accounts, self._recorded_places)
        self.rows = RowsOfRecordings()
        self.groups = Groups(settings.groups)
        self._more_ledgers = list(ledgers)
        self.engine.on_change = self.look
        self.look()

    def look(self) -> None:
        """Take note of cameras, ledgers and site files that came or went."""
        cameras = self.engine.cameras()
        stores = [path for facts in cameras.values() for path in facts.ledgers]
        self.ledgers.want([*self._more_ledgers, *stores, *self.recordings.ledgers()])
        self.sites.know({name: facts.site for name, facts in cameras.items() if facts.site is not None})

    def recording(self, name: str) -> Recording | None:
        """The files of a recording; ``None`` of cameras and of streams without files."""
        return None if name in self.engine.cameras() else self.recordings.of(name)

    def _recorded_places(self, name: str) -> list[Place]:
        found, folder = self.recording(name), self.recordings.folder
        if found is None or folder is None:
            return []
        files = recording_site(folder, found.home, found.base)
        own, shared = (f"./{path.relative_to(folder)}" for path in (files.own, files.shared))
        return [Place("recording", files.own, own), Place("folder", files.shared, shared)]

    def count_plan(self, name: str) -> CountPlan:
        """How a recording is counted.

        Raises:
            ApiError: It is none, or cannot be counted.
        """
        found, folder = self.recording(name), self.recordings.folder
        if found is None or folder is None:
            raise no_such("recording", name)
        site, drawn = self.sites.place(name).path, self.sites.of(name)
        return count_plan(folder, found, self.ledgers, stream=name, site=site, drawn=drawn)

    def today(self, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Counts by place and direction: of cameras since midnight in their sites' time zone, of recordings all."""
        cameras = self.engine.cameras()
        since = {name: self._midnight_ms(name) if name in cameras else None for name in names}
        return today(self.ledgers.history, since)

    def looking(self) -> dict[str, int]:
        """Cameras that see now, and the time now: UTC in milliseconds. What they have not told did not happen."""
        cameras, health = self.engine.cameras(), self.engine.health().get("cameras", {})
        live = [name for name, one in health.items() if one.get("state") == "live" and name in cameras]
        history, now_ms = self.ledgers.history, time.time_ns() // 1_000_000
        seeing = [name for name in live if cameras[name].live and history.state_now(history.names.number(name)) is None]
        return dict.fromkeys(seeing, now_ms)

    def _midnight_ms(self, name: str) -> int:
        site = self.sites.of(name)
        zone = zone_of("UTC" if site is None else site.timezone)
        now = datetime.now(zone)
        return round(datetime(now.year, now.month, now.day, tzinfo=zone).timestamp() * 1000)

    def stream_ids(self) -> list[str]:
        """Every stream that is known: cameras, then recordings by name; rights are not looked at."""
        cameras = list(self.engine.cameras())
        recorded = sorted(set(self.ledgers.streams()) - set(cameras))
        return [*cameras, *recorded, *self.recordings.without_events([*cameras, *recorded])]

    def tick(self) -> None:
        """What is done every few seconds: recordings that came or went, and what is over."""
        self.look()
        self.sessions.sweep()
        self.tokens.sweep()

    def _results_came(self) -> None:
        self.recordings.look()
        self.look()
        self.ledgers.read()

    def close(self) -> None:
        """End runs and close all files."""
        self.runs.close()
        self.engine.close()
        self.ledgers.close()
        self.accounts.close()
