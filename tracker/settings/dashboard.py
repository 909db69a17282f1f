"""Settings of the dashboard, ``dashboard:`` of cameras.yaml: address, TLS, proxies, folder and previews."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from tracker.settings.model import Flag, Note, Refusal, SettingError, Settings, Wanted
from tracker.settings.values import Text, Texts

__all__ = ["DASHBOARD_ADDRESS", "DashboardSettings", "is_loopback", "split_address"]

DASHBOARD_ADDRESS = "127.0.0.1:8600"

SHORTEST_SECRET = 16


def _address(value: Any) -> Any:
    """``host:port``; an IPv6 host in brackets."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):([0-9]{1,5})", value)
    if found is None or int(found[2]) > 65535:
        message = "not an address"
        raise ValueError(message)
    return value


def _networks(value: Any) -> Any:
    """Addresses and networks such as ``10.0.0.0/24``."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple):
        return value
    for word in words:
        ipaddress.ip_network(word)
    return value


class DashboardSettings(Settings):
    """The web page and its server."""

    address: Annotated[
        Text,
        BeforeValidator(_address),
        Field(description="Where the page is served, host:port; port 0 takes a free one."),
        Note("Every host but this machine's own needs TLS here or `behind_proxy`."),
        Wanted("host:port", f"for example {DASHBOARD_ADDRESS}"),
        Flag("HOST:PORT", command="dashboard"),
    ] = DASHBOARD_ADDRESS
    folder: Annotated[
        Text | None,
        Field(description="Folder of accounts, sessions, site files and history."),
        Note("`dashboard` in the folder `state` if left out."),
        Flag("FOLDER", command="dashboard"),
    ] = None
    title: Annotated[Text, Field(description="Name at the top of the page.", max_length=80)] = "masktrail"
    groups: Annotated[
        Text | None,
        Field(description="File of groups of cameras that see one place, for the page of site groups."),
        Flag("FILE", command="dashboard"),
    ] = None
    login: Annotated[
        bool,
        Field(description="Whether people log in; false on this machine's own addresses only."),
        Note("Without it everybody who can use this machine sees and changes everything."),
    ] = True
    behind_proxy: Annotated[
        bool,
        Field(description="A proxy in front has TLS; what does not come from it is refused."),
        Note("Needs `trusted_proxies` and `proxy_secret`."),
        Flag("ADDRESS", command="dashboard"),
    ] = False
    trusted_proxies: Annotated[
        Texts,
        BeforeValidator(_networks),
        Field(description="Addresses or networks of the proxy."),
        Wanted("addresses or networks", "such as 127.0.0.1 or 10.0.0.0/24"),
    ] = ()
    proxy_secret: Annotated[
        Text | None,
        Field(repr=False, description="What the proxy sends as X-Masktrail-Proxy-Secret; 16 characters or more."),
        Note("From the environment: `${PROXY_SECRET}`."),
    ] = None
    tls_certificate: Annotated[
        Text | None,
        Field(description="PEM file of the certificate and its chain."),
        Flag("FILE", command="dashboard"),
    ] = None
    tls_key: Annotated[
        Text | None, Field(description="PEM file of its private key."), Flag("FILE", command="dashboard")
    ] = None
    preview_fps: Annotated[float, Field(ge=0.2, le=30, description="Pictures per second and camera at most.")] = 5.0
    preview_width: Annotated[int, Field(ge=160, le=3840, description="Largest width of live pictures, in pixels.")] = (
        960
    )
    delay_s: Annotated[
        float,
        Field(ge=0, le=10, description="Seconds by which masked live pictures are late."),
        Note("Silhouettes that the model misses for a moment are filled in from both sides meanwhile."),
    ] = 0.5

    @model_validator(mode="after")
    def _open_to_the_network_only_behind_tls(self) -> Self:
        owner = type(self).__name__
        if (self.tls_certificate is None) != (self.tls_key is None):
            absent = "tls_key" if self.tls_key is None else "tls_certificate"
            raise SettingError(owner, (Refusal(absent, "both TLS files", "one of them", f"add `{absent}`"),), "one")
        if self.behind_proxy and (not self.trusted_proxies or len(self.proxy_secret or "") < SHORTEST_SECRET):
            expected = f"`trusted_proxies` and a `proxy_secret` of {SHORTEST_SECRET} characters or more"
            remedy = "add both; the proxy sends the secret as X-Masktrail-Proxy-Secret"
            raise SettingError(owner, (Refusal("behind_proxy", expected, "none", remedy),), "none")
        host, _ = split_address(self.address)
        if is_loopback(host):
            return self
        if self.tls_certificate is None and not self.behind_proxy:
            expected = "TLS or a proxy for an address that other machines reach"
            remedy = "add `tls_certificate` and `tls_key`, or `behind_proxy: true`, or use 127.0.0.1"
            raise SettingError(owner, (Refusal("address", expected, self.address, remedy),), self.address)
        if not self.login:
            expected, found = "a login where other machines reach the page", f"`login: false` on {self.address}"
            raise SettingError(owner, (Refusal("login", expected, found, "use 127.0.0.1, or log in"),), found)
        return self


def split_address(address: str) -> tuple[str, int]:
    """Host without brackets, and port.

    >>> split_address("[::1]:8600")
    ('::1', 8600)
    """
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host; other names than ``localhost`` may be anything.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("pc")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
