"""PostgreSQL from the system, started for the tests on a free port of loopback; it can be killed and started again."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.sinks.outside import certificate
from tracker.formats.postgres import PostgresAddress, connect

PASSWORD = "canary-Pa55word-of-tests"
"""Of the login ``guarded``; all others need none."""

HBA = """
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
local all all trust
"""


def programs() -> Path | None:
    """Where the server's programs are: Debian keeps them apart by version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    other = shutil.which("initdb")
    return found[-1].parent if found else Path(other).resolve().parent if other else None


def served() -> Iterator[PostgresServer]:
    """A server while the tests that want one run."""
    if programs() is None:
        pytest.skip("no PostgreSQL server here (apt-get install postgresql)")
    server = PostgresServer()
    try:
        yield server
    finally:
        server.close()


class PostgresServer:
    """A cluster in a folder of its own, run by a user that is not root."""

    def __init__(self) -> None:
        self._bin = programs()
        assert self._bin is not None
        self.folder = Path(tempfile.mkdtemp(prefix="masktrail-postgres-"))
        self.port = free_port()
        self._numbers = itertools.count(1)
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", "masktrail", "--no-sync")
        (self.folder / "data" / "pg_hba.conf").write_text(HBA)
        self.certificate, key = certificate(self.folder, "127.0.0.1")
        key.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(key, "postgres", "postgres")
        self.start()
        self.ask("postgres", f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")

    def _run(self, program: str, *arguments: str) -> None:
        words = [str(self._bin / program), *arguments]
        if os.getuid() == 0:
            words = ["runuser", "-u", "postgres", "--", *words]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, timeout=60)

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        options += f" -c ssl=on -c ssl_cert_file={self.folder}/cert.pem -c ssl_key_file={self.folder}/key.pem"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-s", "-l", log, "-o", options, "start")

    def kill(self) -> None:
        """End it at once, as a crash would; connections break."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)  # "immediate": no checkpoint, recovery at the next start
        with contextlib.suppress(ChildProcessError):
            while Path(f"/proc/{pid}").exists():
                signal.sigtimedwait([], 0.01)

    def close(self) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-s", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, database: str, user: str = "masktrail", password: str = "") -> str:
        login = f"{user}:{password}" if password else user
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """The address of a database that nothing has used."""
        name = f"shop{next(self._numbers)}"
        self.ask("postgres", f"CREATE DATABASE {name}")
        return self.address(name)

    def emptied(self) -> str:
        """The address of one database whose ledger, if it has one, has no rows: for tests with many examples."""
        if not hasattr(self, "_emptied"):
            self._emptied = self.fresh()
        elif self.ask(self._emptied, "SELECT to_regclass('masktrail.ledger') IS NOT NULL") == [[True]]:
            self.ask(self._emptied, "TRUNCATE masktrail.ledger, masktrail.editions RESTART IDENTITY")
        return self._emptied

    def ask(self, database: str, query: str) -> list:
        """Rows of a query, by a connection of its own."""
        text = database if "://" in database else self.address(database)
        with contextlib.closing(connect(PostgresAddress.parse(text))) as connection:
            return connection.run(query)
