"""Till data from a file or from the till's own API."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tracker.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tracker.groups import Transaction

__all__ = ["TOKEN", "transactions"]

TOKEN = "MASKTRAIL_TILL_TOKEN"  # noqa: S105 - the name of the variable
"""Environment variable with the token of a till's API, which goes in the header ``Authorization: Bearer``."""
TIMEOUT_S = 30.0
LOCAL = {"localhost", "127.0.0.1", "::1"}


def transactions(address: str, zone: ZoneInfo) -> list[Transaction]:
    """Receipts of a till.

    Args:
        address: A file, or an ``https://`` address that gives CSV or JSON; ``http://`` on this machine only where a
            token is sent.
        zone: Of times without an offset.

    Raises:
        SourceError: It cannot be read, or holds no receipts.
        ConfigError: A token would be sent over a connection that others can read.
    """
    from tracker.formats.till import MOST_BYTES, read_till

    if urlsplit(address).scheme not in {"http", "https"}:
        try:
            with Path(address).open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as failure:
            raise SourceError(address, f"expected a file, found: {failure.strerror}", "check the path") from failure
        name = address
    else:
        name, data = _asked(address, MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise SourceError(name, f"expected at most {MOST_BYTES:,} bytes, found more", "ask for a shorter time")
    return read_till(data, name, zone)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token is for the address that was named and for no other."""

    def redirect_request(self, *_: object) -> None:
        """Refuse."""


def _asked(address: str, most: int) -> tuple[str, bytes]:
    """A name for errors, without the query, which may hold a key, and the answer."""
    parts = urlsplit(address)
    name = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    token = os.environ.get(TOKEN, "")
    if token and parts.scheme == "http" and parts.hostname not in LOCAL:
        problem = f"expected https:// for the token in {TOKEN}, found http://"
        raise ConfigError(f"--till {name}", problem, "use https, or unset the variable")
    headers = {"Accept": "application/json, text/csv"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - http and https only, checked above
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=TIMEOUT_S) as answer:
            return name, answer.read(most)
    except urllib.error.HTTPError as failure:
        found, remedy = f"{failure.code} {failure.reason}", f"check the address and {TOKEN}"
    except (urllib.error.URLError, OSError, ValueError) as failure:
        found, remedy = str(getattr(failure, "reason", failure)), "check the address and the network"
    raise SourceError(name, f"expected receipts, found: {found}", remedy)
