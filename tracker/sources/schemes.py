"""Schemes of network addresses that are opened, and FFmpeg's protocols that each of them may use."""

from __future__ import annotations

from tracker.errors import SourceError

__all__ = ["PROTOCOLS", "check_scheme"]

_HTTP = "http,https,httpproxy,tcp,tls,crypto"

PROTOCOLS = {
    "rtsp": f"rtp,srtp,udp,{_HTTP}",
    "rtsps": f"rtp,srtp,udp,{_HTTP}",
    "http": _HTTP,
    "https": _HTTP,
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "rtmpe": "rtmpe,ffrtmpcrypt,tcp",
    "rtmpt": "rtmpt,ffrtmphttp,http,httpproxy,tcp",
    "rtmpts": "rtmpts,ffrtmphttp,https,httpproxy,tls,tcp",
    "rtmpte": "rtmpte,ffrtmpcrypt,ffrtmphttp,http,httpproxy,tcp",
    "rtp": "rtp,udp",
    "srtp": "srtp,rtp,udp",
    "udp": "udp",
    "tcp": "tcp",
    "srt": "srt",
    "rist": "rist",
    "mmsh": "mmsh,http,httpproxy,tcp",
    "mmst": "mmst,tcp",
    "ftp": "ftp,tcp",
}
"""By scheme, what FFmpeg's ``protocol_whitelist`` is set to. Not files: an answer from the network must not name one;
and not FFmpeg's inner schemes (``concat``, ``tee``, ``subfile``, ``ffrtmphttp`` and the like)."""


def check_scheme(target: str, name: str) -> str:
    """The scheme of a network address, in small letters.

    Args:
        target: The address; may hold credentials.
        name: The same without them.

    Raises:
        SourceError: It is none of :data:`PROTOCOLS`.

    >>> check_scheme("RTSP://10.0.0.7/stream1", "camera")
    'rtsp'
    """
    scheme = target.partition("://")[0].lower()
    if scheme not in PROTOCOLS:
        problem = f"expected an address that can be opened, found no support for {scheme}://"
        raise SourceError(name, problem, f"use one of {', '.join(PROTOCOLS)}")
    return scheme
