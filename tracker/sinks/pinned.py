"""Connection to the very address that was looked up and allowed: a name cannot lead elsewhere afterwards."""

from __future__ import annotations

import http.client
import ipaddress
import socket
from typing import TYPE_CHECKING

from tracker.sinks.courier import DeliveryError

if TYPE_CHECKING:
    import ssl

    from tracker.sinks.destination import Destination

__all__ = ["PinnedConnection", "is_public", "look_up"]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet and not of this machine, its network or a special purpose.

    >>> [is_public(text) for text in ("93.184.216.34", "127.0.0.1", "10.1.2.3", "::1", "::ffff:192.168.0.1")]
    [True, False, False, False, False]
    >>> [is_public(text) for text in ("169.254.169.254", "64:ff9b::a00:1", "2002:7f00:1::", "2606:2800:220:1::1")]
    [False, False, False, True]
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def look_up(destination: Destination, *, private: bool) -> list[str]:
    """The addresses of a host, once.

    Args:
        destination: Whose host.
        private: Addresses that are not public are allowed too.

    Raises:
        DeliveryError: The name is not known now, or one of its addresses is not allowed: then none is used.
    """
    try:
        found = socket.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as failure:
        reason = getattr(failure, "strerror", None) or "no name that can be looked up"
        problem = f"expected an address of {destination.host}, found: {reason}"
        raise DeliveryError(destination.shown, problem, "check the name and the name server") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not private and not is_public(address):
            problem = f"expected a public address of {destination.host}, found {address}"
            raise DeliveryError(destination.shown, problem, "allow private addresses in the file: #private=on")
    return addresses


class PinnedConnection(http.client.HTTPConnection):
    """HTTP to an address that was looked up before; certificates are checked against the name.

    Args:
        destination: Whose name stands in ``Host``.
        addresses: Of it; the first that answers is used.
        tls: For https, else ``None``.
        timeout_s: Of each step.
    """

    def __init__(
        self, destination: Destination, addresses: list[str], *, tls: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        super().__init__(destination.host, destination.port, timeout=timeout_s)
        self.default_port = 443 if tls is not None else 80  # what Host leaves out
        self._addresses, self._tls, self._timeout_s = addresses, tls, timeout_s

    def connect(self) -> None:
        """Connect to one of the addresses."""
        failure: OSError | None = None
        for address in self._addresses:
            try:
                plain = socket.create_connection((address, self.port), self._timeout_s)
            except OSError as refusal:
                failure = refusal
                continue
            self.sock = plain if self._tls is None else self._wrapped(self._tls, plain)
            return
        raise failure or OSError("no address")

    def _wrapped(self, tls: ssl.SSLContext, plain: socket.socket) -> socket.socket:
        try:
            return tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
