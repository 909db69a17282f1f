"""Files of a playlist elsewhere, opened here in FFmpeg's place: each address is looked at whenever it is opened.

FFmpeg reads a live playlist again and again, and what it names then was not there when the stream was opened. Its hook
for opening files (``AVFormatContext.io_open``) leads here, so that no segment, key or variant is on this machine or its
local link, by no redirect either.
"""

from __future__ import annotations

import http.client
import io
import urllib.error
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tracker.errors import SourceError, install_command
from tracker.sources.redirects import MAX_REDIRECTS, is_inside, is_playlist, open_request

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPTIONS", "GuardedFiles"]

OPTIONS = {"http_persistent": "0", "http_multiple": "0"}
"""Of the demuxer: connections that it keeps are its own, and past this hook."""

GONE = frozenset({403, 404, 410})
"""Answers for a segment that is no longer there: it is passed over, as FFmpeg does."""

ENCRYPTED = "crypto+"


class GuardedFiles:
    """What FFmpeg calls for every file of one stream.

    Args:
        name: Of the source, free of credentials.
        timeout_s: Longest wait for an answer, and for more of it.
    """

    def __init__(self, name: str, timeout_s: float) -> None:
        self._name, self._timeout_s = name, timeout_s

    def __call__(self, url: str, _flags: int, options: Mapping[str, str]) -> Any:
        """Open an address for reading.

        Args:
            url: Absolute; with ``crypto+`` before it where the file is encrypted.
            options: ``offset`` and ``end_offset`` of a part, ``key`` and ``iv`` of an encrypted file.

        Raises:
            SourceError: It is on this machine or its local link, or no HTTP address, or decryption is not installed.
            OSError: It cannot be read.
        """
        target = url.removeprefix(ENCRYPTED)
        try:
            file = self._open(target, options)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in GONE and not is_playlist(target):
                return io.BytesIO()
            raise
        except http.client.HTTPException as error:
            raise OSError(type(error).__name__) from error
        return file if target == url else _decrypted(file, options, self._name)

    def _open(self, target: str, options: Mapping[str, str]) -> Any:
        headers = {}
        begin, end = int(options.get("offset", "0")), int(options.get("end_offset", "0"))
        if begin or end:
            headers["Range"] = f"bytes={begin}-" + (str(end - 1) if end else "")
        for _ in range(MAX_REDIRECTS + 1):
            self._check(target)
            try:
                return _Reader(open_request(target, self._timeout_s, headers))
            except urllib.error.HTTPError as error:
                location = error.headers.get("Location")
                if error.code not in {301, 302, 303, 307, 308} or not location:
                    raise
                error.close()
                target = urljoin(target, location)
        raise OSError("too many redirects")

    def _check(self, target: str) -> None:
        parts = urlsplit(target)
        if parts.scheme not in {"http", "https"}:
            problem = f"expected a playlist of http addresses, found one of {parts.scheme or 'no scheme'}"
            raise SourceError(self._name, problem, "open that address itself, if it is the one that you mean")
        if is_inside(parts.hostname):
            problem = f"expected a stream at that address, found a playlist that leads to {parts.hostname}, which is "
            problem += "this machine or its local link"
            raise SourceError(self._name, problem, "name that address itself, if it is the one that you mean")


class _Reader:
    """An answer of a server as FFmpeg reads it: forwards only."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, as soon as there are some."""
        try:
            return bytes(self._answer.read1(size))
        except http.client.HTTPException as error:
            raise OSError(type(error).__name__) from error

    def close(self) -> None:
        """Close the connection."""
        self._answer.close()

    def __del__(self) -> None:
        """FFmpeg closes no file whose stream could not be opened."""
        self._answer.close()


def _decrypted(file: Any, options: Mapping[str, str], name: str) -> io.BytesIO:
    """A segment of HLS, AES-128 in cipher block chaining with PKCS #7 (RFC 8216, section 4.3.2.4), decrypted.

    Raises:
        SourceError: The package for it is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError:
        problem = "expected the package that decrypts playlists (cryptography), found it is not installed"
        raise SourceError(name, problem, install_command("hls")) from None
    data = b"".join(iter(lambda: file.read(1 << 16), b""))
    file.close()
    key, vector = bytes.fromhex(options["key"]), bytes.fromhex(options["iv"])
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    plain = decryptor.update(data[: len(data) // 16 * 16])
    return io.BytesIO(plain[: -plain[-1]] if plain and 1 <= plain[-1] <= 16 else plain)
