"""Address of a receiver: a URL taken apart, checked, and shown without anything that could be a secret."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from tracker.errors import ConfigError, remember_secret

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

__all__ = ["Destination", "flag", "seconds", "shown_address"]


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a receiver is and what the user chose for it.

    Attributes:
        scheme: Lower case, without ``://``.
        host: Name or number, without brackets.
        port: As written, or that of the scheme.
        user: Decoded; empty without one.
        password: Decoded; empty without one.
        path: As written, with its slash; empty without one.
        query: As written, where the receiver has it and not we.
        options: What was chosen, by name.
    """

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    path: str = field(default="", repr=False)
    query: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @classmethod
    def parse(
        cls, address: str, ports: Mapping[str, int], options: Mapping[str, str], *, in_fragment: bool = False
    ) -> Destination:
        """Take a URL apart.

        Args:
            address: As the user wrote it, with variables of the environment filled in.
            ports: By scheme.
            options: Names of options with an example each.
            in_fragment: Options stand behind ``#``, since the query is the receiver's; else behind ``?``.

        Raises:
            ConfigError: It is no such URL; the message quotes nothing that could be a secret.
        """
        shown = shown_address(address)
        example = f"{next(iter(ports))}://user:${{PASSWORD}}@host:port/path"
        try:
            parts = urlsplit(address)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ConfigError(shown, "expected a URL with a host and a port from 1 to 65535", example) from None
        if not host or port == 0 or any(ord(character) < 33 for character in address):
            raise ConfigError(shown, "expected a URL with a host and no blanks", f"write it as {example}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        remember_secret(password)
        written = parts.fragment if in_fragment else parts.query
        if not in_fragment and parts.fragment:
            raise ConfigError(shown, "expected no # in this URL, found one", "write %23, and options behind ?")
        return cls(
            scheme=parts.scheme.lower(),
            host=host,
            port=port or ports[parts.scheme.lower()],
            user=user,
            password=password,
            path=parts.path,
            query=parts.query if in_fragment else "",
            options=MappingProxyType(_options(shown, written, options)),
        )

    def tls_context(self) -> ssl.SSLContext:
        """TLS 1.2 or later, by the system's authorities or those of ``ca``, with ``cert`` and ``key`` if there are any.

        Raises:
            ConfigError: A file cannot be read.
        """
        import ssl

        files = [self.options[name] for name in ("ca", "cert", "key") if name in self.options]
        try:
            context = ssl.create_default_context(cafile=self.options.get("ca"))
            if "cert" in self.options:
                context.load_cert_chain(self.options["cert"], self.options.get("key"))
        except (OSError, ssl.SSLError) as failure:
            reason = failure.strerror or str(failure)
            problem = f"expected certificates and keys in PEM in {', '.join(files)}, found: {reason}"
            raise ConfigError(self.shown, problem, "check these files") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @property
    def place(self) -> str:
        """``host:port``, with brackets about a number of IPv6."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """Scheme and place, for messages."""
        return f"{self.scheme}://{self.place}"

    @property
    def digest(self) -> str:
        """Distinguishes receivers on one host; the same with another password or other options."""
        told = "\0".join((self.scheme, self.host, str(self.port), self.user, self.path, self.query))
        return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:12]

    def chosen(self, name: str, default: Value, read: Callable[[str], Value], expected: str) -> Value:
        """The value of an option.

        Args:
            name: Of the option.
            default: Where it was not chosen.
            read: Makes a value of the text; raises ``ValueError`` for others.
            expected: What it may be, in words.

        Raises:
            ConfigError: It is something else.
        """
        if name not in self.options:
            return default
        try:
            return read(self.options[name])
        except ValueError:
            problem = f"expected {name} as {expected}, found {self.options[name]!r}"
            raise ConfigError(self.shown, problem, "change the option in the URL") from None


def shown_address(address: str) -> str:
    """Scheme, host and port of a URL, and nothing else of it: paths and queries of web addresses are often secrets.

    >>> shown_address("mqtts://gate:hunter2@broker.example:8883/masktrail?ca=x")
    'mqtts://broker.example:8883'
    >>> shown_address("webhook+https://u:a/b@c@host/services/T0/B0/x")
    'webhook+https://host'
    """
    scheme, mark, rest = address.partition("://")
    place = re.split(r"[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    return f"{scheme}{mark}{place}"


def flag(text: str) -> bool:
    """``on`` or ``off``.

    >>> flag("on"), flag("off")
    (True, False)
    """
    if text not in {"on", "off"}:
        raise ValueError(text)
    return text == "on"


def seconds(least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers of seconds in a range."""

    def read(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return read


def _options(shown: str, written: str, known: Mapping[str, str]) -> dict[str, str]:
    options: dict[str, str] = {}
    examples = "&".join(f"{name}={example}" for name, example in known.items())
    for name, value in parse_qsl(written, keep_blank_values=True):
        if name not in known or name in options:
            found = f"{name} twice" if name in options else repr(name)
            problem = f"expected options {', '.join(known)}, each once, found {found}"
            raise ConfigError(shown, problem, f"write them like this: {examples}")
        options[name] = value
    return options
