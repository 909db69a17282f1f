"""``masktrail dashboard``: the web page over a folder of results, until stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tracker.app.console import console_for, foreign
from tracker.app.flags import option, settings_from
from tracker.settings.dashboard import DashboardSettings

__all__ = ["dashboard"]

SECRET = "MASKTRAIL_PROXY_SECRET"  # noqa: S105 - name of a variable


def dashboard(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="A folder with videos, ledgers and records of runs.")],
    *,
    address: Annotated[str | None, option(DashboardSettings, "address")] = None,
    folder: Annotated[str | None, option(DashboardSettings, "folder")] = None,
    tls_certificate: Annotated[str | None, option(DashboardSettings, "tls_certificate")] = None,
    tls_key: Annotated[str | None, option(DashboardSettings, "tls_key")] = None,
    groups: Annotated[str | None, option(DashboardSettings, "groups")] = None,
    behind_proxy: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help=f"Serve only what this proxy sends with the secret in ${SECRET}."),
    ] = None,
    no_login: Annotated[
        bool, typer.Option("--no-login", help="Everybody on this machine sees everything; on its own addresses only.")
    ] = False,
    allow_runs: Annotated[
        bool,
        typer.Option("--allow-runs", help="Operators may run recordings of the folder from the page, one at a time."),
    ] = False,
) -> None:
    """Show results in the browser: counts, events, stays, and videos beside them."""
    from tracker.dashboard.server import check_packages, run
    from tracker.errors import ConfigError
    from tracker.service.logs import faults_logged, logging_to_stderr
    from tracker.service.memory import give_back, limit_pools

    check_packages()
    limit_pools()  # before the threads that answer
    if not runs.is_dir():
        found = "something else" if runs.exists() else "nothing"
        raise ConfigError(runs, f"expected a folder of results, found {found}", "name the folder that --save wrote to")
    proxy = {}
    if behind_proxy is not None:
        _check_networks(behind_proxy)
        proxy = {"behind_proxy": True, "trusted_proxies": behind_proxy, "proxy_secret": os.environ.get(SECRET)}
    given = {"address": address, "tls_certificate": tls_certificate, "tls_key": tls_key, "groups": groups}
    settings = settings_from(
        DashboardSettings,
        given | {"folder": folder or _own_folder()},
        login=not no_login,
        title=(runs.resolve().name or "masktrail")[:80],
        **proxy,
    )
    console = console_for()

    def announce(page: str) -> None:
        if "/setup#" in page:
            console.print("Open this link once to choose a name and a password; it is good for a day:", highlight=False)
        # Written plainly: a terminal that breaks the line would break the link.
        console.print(foreign(page), highlight=False, soft_wrap=True)
        console.print("Ctrl-C stops it.", highlight=False)

    with logging_to_stderr("text"), faults_logged():
        run(settings, recordings=runs, allow_runs=allow_runs, announce=announce, tidy=give_back)


def _check_networks(text: str) -> None:
    import ipaddress

    from tracker.errors import ConfigError

    try:
        ipaddress.ip_network(text)
    except ValueError:
        problem = f"expected an address or a network such as 10.0.0.0/24, found {text!r}"
        raise ConfigError("--behind-proxy", problem, "name the proxy's address") from None


def _own_folder() -> str:
    """Accounts of this user, for whatever folder is shown."""
    import platformdirs

    return str(Path(platformdirs.user_data_dir("masktrail")) / "dashboard")
