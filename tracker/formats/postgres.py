"""PostgreSQL addresses and connections: parsed, opened in bounded time, and refusals in words without a password."""

from __future__ import annotations

import os
import re
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tracker.errors import ConfigError, install_command, one_line, remember_secret, shown

if TYPE_CHECKING:
    from pg8000.native import Connection

__all__ = ["PostgresAddress", "Refused", "connect", "explained", "is_postgres", "sql_state"]

SCHEMES = ("postgresql", "postgres")
PORT = 5432
SCHEMA = "masktrail"
SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
CONNECT_S = 10.0
"""Longest wait for the connection; for an answer it is longer, since a query may work for that long."""
ANSWER_S = 60.0

_OPTIONS = ("schema", "sslmode", "sslrootcert", "host")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def is_postgres(address: object) -> bool:
    """Whether an address names a database of PostgreSQL.

    >>> is_postgres("postgresql://me@host/db"), is_postgres("runs/gate.sqlite")
    (True, False)
    """
    return str(address).partition("://")[0].lower() in SCHEMES and "://" in str(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAddress:
    """One schema in one database, and how to log in.

    Attributes:
        user: Name of the login.
        password: Of the login; empty where the server asks for none.
        host: Name or address of the server, or a folder with its Unix socket.
        port: Of the server.
        database: Its name.
        schema: Where the ledger is, made where it is missing.
        ssl_mode: As libpq has it; ``prefer`` encrypts where the server can, and does not ask for its certificate.
        ssl_root: File of certificates to trust instead of the system's.
    """

    user: str
    password: str = field(repr=False, default="")
    host: str = "localhost"
    port: int = PORT
    database: str = ""
    schema: str = SCHEMA
    ssl_mode: str = "prefer"
    ssl_root: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that a URL says: ``postgresql://user:password@host:5432/database?schema=masktrail``.

        Raises:
            ConfigError: It is no such URL; nothing of it is quoted that may be a password.
        """
        try:
            parts = urlsplit(text)
            port = parts.port or PORT
        except ValueError as failure:
            raise _wrong("postgresql://...", f"an address that cannot be read ({failure})") from None
        if parts.password:
            remember_secret(unquote(parts.password))
        place = f"postgresql://{parts.hostname or ''}{parts.path}"
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        host = options.get("host") or unquote(parts.hostname or "") or "localhost"
        user = unquote(parts.username or "") or os.environ.get("PGUSER", "")
        database = unquote(parts.path.lstrip("/")) or user
        for name in options:
            if name not in _OPTIONS:
                raise _wrong(place, f"the option {shown(name)}", f"use some of {', '.join(_OPTIONS)}")
        if not user:
            raise _wrong(place, "no user")
        if "/" in database:
            raise _wrong(place, f"the database {shown(database)}")
        schema, ssl_mode = options.get("schema", SCHEMA), options.get("sslmode", "prefer")
        if not _SCHEMA.fullmatch(schema):
            raise _wrong(place, f"schema={shown(schema)}", "use small letters, digits and _")
        if ssl_mode not in SSL_MODES:
            raise _wrong(place, f"sslmode={shown(ssl_mode)}", f"use one of {', '.join(SSL_MODES)}")
        password = unquote(parts.password or "") or os.environ.get("PGPASSWORD", "")
        if password:
            remember_secret(password)
        return cls(
            user=user,
            password=password,
            host=host,
            port=port,
            database=database,
            schema=schema,
            ssl_mode=ssl_mode,
            ssl_root=options.get("sslrootcert", ""),
        )

    @property
    def shown(self) -> str:
        """The address for messages, logs and metrics: without the password.

        >>> PostgresAddress.parse("postgresql://me:secret-of-mine@db:5433/shop").shown
        'postgresql://me@db:5433/shop'
        """
        host = "" if self.host.startswith("/") else f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORT else f":{self.port}"
        schema = "" if self.schema == SCHEMA else f"?schema={self.schema}"
        return one_line(f"postgresql://{self.user}@{host}{port}/{self.database}{schema}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a server does not do what it was asked.

    Attributes:
        problem: What was expected and what was found.
        remedy: What can be done about it.
        state: SQLSTATE of the server's answer; empty where there was none.
    """

    problem: str
    remedy: str
    state: str = ""


def connect(address: PostgresAddress, *, connected: Any = None) -> Connection:
    """A connection whose unqualified names are those of the address's schema.

    Args:
        address: Where to.
        connected: Called with the socket as soon as there is one, and again when it is encrypted, so that another
            thread can cut it off.

    Raises:
        ConfigError: The package pg8000 is not installed.
        Exception: The system, the driver or the server refuses; see :func:`explained`.
    """
    try:
        from pg8000.native import Connection
    except ImportError as missing:
        problem = "expected the package pg8000 for PostgreSQL, found none"
        raise ConfigError(address.shown, problem, install_command("postgres")) from missing
    link = _link(address)
    try:
        if connected is not None:
            connected(link)
        connection = Connection(
            address.user,
            host=address.host,
            database=address.database,
            password=address.password or None,
            sock=link,
            ssl_context=_encryption(address),
            application_name="masktrail",
            startup_params={"search_path": address.schema},
        )
    except BaseException:
        link.close()
        raise
    link = connection._usock  # noqa: SLF001 - another object once it is encrypted
    link.settimeout(ANSWER_S)
    if connected is not None:
        connected(link)
    return connection


def explained(address: PostgresAddress, failure: Exception, doing: str) -> Refused:
    """A refusal in words.

    Args:
        address: Of the server.
        failure: What the driver or the system raised.
        doing: What was to be done: ``add 12 events``.
    """
    failure = _told_first(failure)
    state, message = sql_state(failure), _message(failure)
    where = f"{address.host}:{address.port}"
    for refusals, found, remedy in (
        (("28P01", "28000"), f"the login of {address.user} refused", "check user and password, and pg_hba.conf"),
        (("3D000",), f"no database {address.database}", f"createdb {address.database}, or change the address"),
        (("42501",), "no permission", f"GRANT CREATE ON DATABASE, or the schema {address.schema} to {address.user}"),
        (("53300",), "too many connections", "raise max_connections of the server"),
        (("53100",), "the server's disk full", "make room there"),
        (("25006",), "a server that only reads", "name the primary server"),
        (("57P03", "57P01", "57P02"), "a server that starts or stops", "wait for it"),
    ):
        if state in refusals:
            return Refused(problem=f"expected to {doing}, found {found}: {message}", remedy=remedy, state=state)
    cause = failure if isinstance(failure, OSError) else failure.__cause__
    if isinstance(cause, ssl.SSLError):
        return Refused(problem=f"expected to {doing}, found: {cause}", remedy="check sslmode and sslrootcert")
    if isinstance(cause, socket.gaierror):
        return Refused(problem=f"expected to {doing}, found no host {address.host}", remedy="check its name")
    if isinstance(cause, OSError):
        found = cause.strerror or str(cause) or type(cause).__name__
        return Refused(
            problem=f"expected to {doing}, found: {found} ({where})", remedy="see that the server runs there"
        )
    return Refused(problem=f"expected to {doing}, found: {message}", remedy="check the server's log", state=state)


def _told_first(failure: Exception) -> Exception:
    """What the server said before the connection broke: the driver's farewell to a server that hung up hides it."""
    earlier: BaseException | None = failure
    while earlier is not None and not sql_state(earlier):
        earlier = earlier.__context__
    return earlier if isinstance(earlier, Exception) else failure


def sql_state(failure: BaseException) -> str:
    """The server's code for what went wrong; empty where it was not the server."""
    told = failure.args[0] if failure.args else None
    return str(told.get("C", "")) if isinstance(told, dict) else ""


def _message(failure: BaseException) -> str:
    told = failure.args[0] if failure.args else None
    text = str(told.get("M", "")) if isinstance(told, dict) else str(failure)
    return one_line(text or type(failure).__name__)


def _link(address: PostgresAddress) -> socket.socket:
    if not address.host.startswith("/"):
        link = socket.create_connection((address.host, address.port), CONNECT_S)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return link
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(CONNECT_S)
        link.connect(f"{address.host}/.s.PGSQL.{address.port}")
    except BaseException:
        link.close()
        raise
    return link


def _encryption(address: PostgresAddress) -> Any:
    """What pg8000 knows as ``ssl_context``: ``False`` for none, ``None`` for where the server can."""
    if address.ssl_mode == "disable" or address.host.startswith("/"):
        return False
    if address.ssl_mode == "prefer":
        return None
    context = ssl.create_default_context(cafile=address.ssl_root or None)
    context.check_hostname = address.ssl_mode == "verify-full"
    if address.ssl_mode == "require" and not address.ssl_root:
        context.verify_mode = ssl.CERT_NONE
    return context


def _wrong(place: str, found: str, remedy: str = "") -> ConfigError:
    expected = "expected an address such as postgresql://user:password@host:5432/database"
    return ConfigError(place, f"{expected}, found {found}", remedy or "change the address")
