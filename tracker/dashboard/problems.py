"""Refusals of the API as HTTP answers: what, what was expected, what was found, and the remedy."""

from __future__ import annotations

import errno
import re
import sqlite3
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from tracker.errors import mask, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.errors import TrackerError

__all__ = ["ApiError", "error_body", "is_full", "no_records", "no_such", "of_tracker_error", "refused"]

_LINE = re.compile(r"[^:]*[/\\][^:]*?([^/\\:]+(?::[0-9]+)?)")


class ApiError(HTTPException):
    """An answer that is an error.

    Args:
        status: HTTP status.
        what: Thing at fault: a field, a stream, the session.
        expected: A clause.
        found: A clause.
        remedy: What to do.
        headers: Further headers of the answer.
        more: Further keys of the answer's body, beside ``error``.
    """

    def __init__(
        self,
        status: int,
        what: str,
        expected: str,
        found: str,
        remedy: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, f"{what}: expected {expected}, found {found}", dict(headers or {}))
        self.status = status
        self.error = {"what": what, "expected": expected, "found": found, "remedy": remedy}
        self.more = dict(more or {})

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse(error_body(self.error) | self.more, self.status, headers=dict(self.headers or {}))


def error_body(error: Mapping[str, str]) -> dict[str, Any]:
    """The body of an error; values from the environment are masked and control characters written out."""
    return {"error": {key: one_line(mask(text)) for key, text in error.items()}}


def is_full(failure: BaseException) -> bool:
    """Whether a disk had no room: that of the dashboard's own database, a site or a temporary file."""
    if isinstance(failure, sqlite3.OperationalError):
        return failure.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(failure, OSError) and failure.errno in {errno.ENOSPC, errno.EDQUOT}


def no_such(what: str, name: object) -> ApiError:
    """Not there, or not to be seen by whoever asks: the answer is the same."""
    return ApiError(404, what, "one that is there and may be seen", str(name)[:80], "choose one of the list")


def no_records(recording: str) -> ApiError:
    """There are no tracks of a recording that could be counted."""
    remedy = "run the recording, or keep the tracks: masktrail track --records NAME.tracks.jsonl"
    return ApiError(409, recording, "records of its tracks beside the recording", "none", remedy)


def refused(expected: str, found: str, remedy: str = "ask an administrator") -> ApiError:
    """Logged in, but without the right."""
    return ApiError(403, "this account", expected, found, remedy)


def of_tracker_error(failure: TrackerError, status: int = 400) -> ApiError:
    """An error of the library, without folders of this machine."""
    # A file's error names the part in it before what was expected: "door: expected two points, found one".
    part, named, clause = failure.problem.partition(": expected ")
    expected, _, found = (clause if named else failure.problem.removeprefix("expected ")).partition(", found ")
    offender = _LINE.sub(r"\1", failure.offender) + (f": {part}" if named else "")
    return ApiError(status, offender, expected, (found or failure.problem).lstrip(": "), failure.remedy)
