"""Where an HTTP address leads: redirects and playlists, kept away from this machine and its local link.

FFmpeg follows redirects and playlists by itself. A server elsewhere could so make it call on services
that listen on this machine only (server-side request forgery).
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import re
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from tracker.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_REDIRECTS", "Answer", "follow", "is_inside", "is_playlist", "open_request"]

MAX_REDIRECTS = 8
MAX_PLAYLISTS = 20
MAX_PLAYLIST_BYTES = 1 << 20

_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^\s\"'<>\\]+", re.IGNORECASE)
_FAILURES = (OSError, ValueError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands at the end of the redirects.

    Attributes:
        target: The address; may hold credentials.
        is_playlist: Whether it is an HLS or DASH playlist.
    """

    target: str
    is_playlist: bool


def is_inside(host: str | None) -> bool:
    """Whether a host is this machine or on its local link, by any of its addresses.

    >>> is_inside("127.0.0.1"), is_inside("169.254.169.254"), is_inside("::1"), is_inside("192.0.2.7")
    (True, True, True, False)
    """
    if not host:
        return False
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):  # never contacted
        return False
    return any(_is_inside(str(address)) for address in found)


def follow(target: str, name: str, timeout_s: float) -> Answer | None:
    """Follow the redirects of an address elsewhere and read its playlists.

    What is told of a playlist holds for the moment of opening: :mod:`tracker.sources.guarded_files` opens what it names
    from then on.

    Args:
        target: An ``http://`` or ``https://`` address; may hold credentials.
        name: The same without them.
        timeout_s: Longest wait for each answer.

    Returns:
        ``None`` where there is no answer that could be read.

    Raises:
        SourceError: A redirect or a playlist leads to this machine or its local link.
    """
    start = target
    for _ in range(MAX_REDIRECTS + 1):
        try:
            with _opener().open(_request(target), timeout=timeout_s) as answer:
                kind = (answer.headers.get_content_type() or "").lower()
                start_of_body = answer.read(512) if _may_be_playlist(target, kind) else b""
                text = start_of_body + answer.read(MAX_PLAYLIST_BYTES) if _is_playlist(start_of_body) else b""
        except urllib.error.HTTPError as error:
            location = error.headers.get("Location")
            error.close()
            if error.code not in {301, 302, 303, 307, 308} or not location:
                return None
            target = urljoin(target, location)
            if urlsplit(target).scheme not in {"http", "https"}:
                return None
            _refuse_inside(target, name, "a redirect")
            continue
        except _FAILURES:
            return None
        if text:
            _check_playlist(target, text.decode("utf-8", "replace"), name, timeout_s)
        return Answer(target, is_playlist=bool(text)) if text or target != start else None
    return None


def open_request(target: str, timeout_s: float, headers: Mapping[str, str]) -> Any:
    """Open an ``http://`` or ``https://`` address; redirects are not followed.

    Raises:
        urllib.error.HTTPError: Any other answer than success, redirects included.
        OSError: There is none.
    """
    request = _request(target)
    for name, value in headers.items():
        request.add_header(name, value)
    return _opener().open(request, timeout=timeout_s)


def _is_inside(address: str) -> bool:
    try:
        parsed: Any = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return bool(parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)


def _refuse_inside(target: str, name: str, what: str) -> None:
    try:
        host = urlsplit(target).hostname
    except ValueError:
        host = None
    if is_inside(host):
        problem = f"expected a stream at that address, found {what} to {host}, which is this machine or its local link"
        raise SourceError(name, problem, "name that address itself, if it is the one that you mean")


def _check_playlist(target: str, text: str, name: str, timeout_s: float) -> None:
    """Look at every address that a playlist names, and at those of the playlists that it names."""
    waiting, seen = [(target, text)], {target}
    while waiting:
        base, text = waiting.pop()
        for match in _HOST.findall(text):
            _refuse_inside(urljoin(base, match), name, "a playlist that leads")
        for line in text.splitlines():
            inner = urljoin(base, line.strip())
            if line.startswith("#") or not is_playlist(inner) or inner in seen or len(seen) >= MAX_PLAYLISTS:
                continue
            seen.add(inner)
            try:
                with _opener().open(_request(inner), timeout=timeout_s) as answer:
                    waiting.append((inner, answer.read(MAX_PLAYLIST_BYTES).decode("utf-8", "replace")))
            except urllib.error.HTTPError as error:
                location = error.headers.get("Location") or ""
                error.close()
                _refuse_inside(urljoin(inner, location), name, "a playlist that leads")
            except _FAILURES:
                continue


def _is_playlist(start: bytes) -> bool:
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"#EXTM3U") or b"<MPD" in start


def is_playlist(target: str) -> bool:
    """Whether an address is named as an HLS or DASH playlist."""
    return re.split(r"[?#]", target, maxsplit=1)[0].lower().endswith((".m3u8", ".m3u", ".mpd"))


def _may_be_playlist(target: str, kind: str) -> bool:
    return is_playlist(target) or "mpegurl" in kind or "dash" in kind or kind.startswith(("text/", "application/"))


class _Stay(urllib.request.HTTPRedirectHandler):
    """Makes every redirect an error that can be looked at."""

    def redirect_request(self, *_args: Any) -> None:
        """Follow nothing."""


def _opener() -> urllib.request.OpenerDirector:
    # As FFmpeg does, which checks no certificate: most cameras sign their own
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=context))


def _request(target: str) -> urllib.request.Request:
    """A request with the user and password of the address in its header, where they belong."""
    parts = urlsplit(target)
    user, _, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "Lavf"}
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(user).encode()).decode()
    return urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers=headers)  # noqa: S310 - http(s) only
