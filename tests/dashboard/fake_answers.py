"""What all parts of the fake dashboard share: its state, and refusals as the server words them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from tests.dashboard.fake_world import Camera

COOKIE = "masktrail"


def refusal(status: int, what: str, expected: str = "", found: str = "", remedy: str = "", **more: Any) -> JSONResponse:
    """An error of the contract."""
    return JSONResponse(
        {"error": {"what": what, "expected": expected, "found": found, "remedy": remedy}, **more}, status
    )


class FakeState:
    """Accounts, sessions and cameras."""

    users: dict[str, dict[str, Any]]
    passwords: dict[str, str]
    sessions: dict[str, str]
    tokens: list[dict[str, Any]]
    cameras: dict[str, Camera]
    hand_counts: list[dict[str, Any]]
    alerts_seen: dict[str, dict[str, Any]]
    drop_sockets = False

    def user(self, request: Any) -> dict[str, Any] | None:
        """Whose session a request or socket has."""
        name = self.sessions.get(request.cookies.get(COOKIE, ""))
        return self.users.get(name) if name else None

    def allowed(self, user: dict[str, Any]) -> list[Camera]:
        """Streams that a user may see."""
        return [one for one in self.cameras.values() if user["streams"] == "*" or one.id in user["streams"]]

    def summary(self, one: Camera) -> dict[str, Any]:
        """A stream as ``/api/streams`` gives it."""
        raise NotImplementedError
