"""What the routes share: settings, accounts, sessions, tokens, limits, the engine's view, streams and their data."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.dashboard.accounts import AccountStore
from tracker.dashboard.engine_view import EngineView
from tracker.dashboard.hub import Hub
from tracker.dashboard.limits import LOGIN, RateLimit
from tracker.dashboard.proxies import Proxies
from tracker.dashboard.sessions import Sessions
from tracker.dashboard.tokens import Tokens

if TYPE_CHECKING:
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
    """

    def __init__(
        self, settings: DashboardSettings, *, engine: EngineView | None = None, recordings: Path | None = None
    ) -> None:
        self.settings = settings
        self.folder = Path(settings.folder or "dashboard")
        self.engine = engine or EngineView()
        self.hub = Hub(
            watch=self.engine.watch, width=self.engine.width, fps=self.engine.fps, streams=self.engine.cameras
        )
        self.engine.follow(self.hub)
        self.accounts = AccountStore(self.folder)
        self.sessions = Sessions(self.accounts)
        self.tokens = Tokens(self.accounts)
        self.proxies = Proxies(settings)
        self.logins = RateLimit(LOGIN)
        self.set_up = SetUp()
        self.recordings_folder = recordings

    def stream_ids(self) -> list[str]:
        """Every stream that is known, in order; rights are not looked at."""
        return list(self.engine.cameras())

    def close(self) -> None:
        """Close all files."""
        self.engine.close()
        self.accounts.close()
