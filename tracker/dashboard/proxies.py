"""Address, scheme and host of a client, also behind a trusted proxy that shows its secret."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.settings.dashboard import is_loopback, split_address

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Scope

    from tracker.settings.dashboard import DashboardSettings

__all__ = ["Client", "Proxies"]

SECRET_HEADER = "x-masktrail-proxy-secret"  # noqa: S105 - its name


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from, and by which address it was sent.

    Attributes:
        address: IP address.
        scheme: ``http`` or ``https``, also of sockets.
        host: What the browser has in its address bar: host, and port where it is not the scheme's own.
    """

    address: str
    scheme: str
    host: str

    @property
    def origin(self) -> str:
        """What a browser sends as ``Origin`` from a page of this address."""
        return f"{self.scheme}://{self.host}"


class Proxies:
    """Who asks.

    Args:
        settings: Of the dashboard.
    """

    def __init__(self, settings: DashboardSettings) -> None:
        self._behind = settings.behind_proxy
        self._networks = [ipaddress.ip_network(word) for word in settings.trusted_proxies]
        self._secret = (settings.proxy_secret or "").encode()
        self._tls = settings.tls_certificate is not None
        self._loopback_only = not self._behind and is_loopback(split_address(settings.address)[0])

    def client(self, scope: Scope, headers: Headers) -> Client | None:
        """Who asks; ``None`` where a request did not come the way that the settings say."""
        address = scope["client"][0] if scope.get("client") else ""
        host = headers.get("host", "").lower()
        if len(headers.getlist("host")) != 1:
            return None
        if not self._behind:
            if self._loopback_only and not _is_local(host):
                return None  # a page whose name was made to point here (DNS rebinding) has its own name in Host
            return Client(address, "https" if self._tls else "http", host)
        if not self._trusted(address) or not hmac.compare_digest(headers.get(SECRET_HEADER, "").encode(), self._secret):
            return None
        # The last entry is the one that the trusted proxy itself added.
        forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        scheme = headers.get("x-forwarded-proto", "https").lower()
        named = headers.get("x-forwarded-host", host).lower()
        return Client(forwarded[:60] or address, "http" if scheme == "http" else "https", named)

    def _trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


def _is_local(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    return is_loopback(name.strip("[]"))
