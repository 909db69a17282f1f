"""``masktrail settings``: JSON schemas of cameras.yaml and site files, their reference pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tracker.app.checked import CheckedCommand

__all__ = ["settings_app"]

settings_app = typer.Typer(help="What can be set, for editors and readers.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there instead of printing it.")]


@settings_app.command(name="schema", cls=CheckedCommand)
def settings_schema(*, out: Out = None) -> None:
    """The JSON schema of cameras.yaml: editors complete its keys and mark mistakes."""
    from tracker.settings.reference import file_schema

    _give(json.dumps(file_schema(), indent=2) + "\n", out)


@settings_app.command(name="docs", cls=CheckedCommand)
def settings_docs(*, out: Out = None) -> None:
    """The reference of all settings in Markdown: keys, options, defaults, values."""
    from tracker.settings.reference import reference_page

    _give(reference_page(), out)


@settings_app.command(name="site", cls=CheckedCommand)
def settings_site(*, out: Out = None) -> None:
    """The reference of site files in Markdown: keys, defaults, values."""
    from tracker.settings.site_reference import site_page

    _give(site_page(), out)


@settings_app.command(name="site-schema", cls=CheckedCommand)
def settings_site_schema(*, out: Out = None) -> None:
    """The JSON schema of site files: editors complete their keys and mark mistakes."""
    from tracker.settings.site_reference import site_schema

    _give(json.dumps(site_schema(), indent=2) + "\n", out)


@settings_app.command(name="groups", cls=CheckedCommand)
def settings_groups(*, out: Out = None) -> None:
    """The reference of files of groups in Markdown: keys, defaults, values."""
    from tracker.settings.groups_reference import groups_page

    _give(groups_page(), out)


@settings_app.command(name="commands")
def settings_commands(*, out: Out = None) -> None:
    """The reference of all commands in Markdown: arguments, options, defaults, help."""
    from tracker.app.cli import app
    from tracker.app.reference import command_page

    _give(command_page(app), out)


@settings_app.command(name="fields")
def settings_fields(*, out: Out = None) -> None:
    """The reference of the fields of all records in Markdown: names, units, meaning."""
    from tracker.sinks.reference import record_fields_page

    _give(record_fields_page(), out)


@settings_app.command(name="api")
def settings_api(*, out: Out = None) -> None:
    """The reference of the dashboard's API in Markdown: requests, rights, parameters."""
    from tracker.dashboard.reference import api_page
    from tracker.dashboard.server import check_packages

    check_packages()
    _give(api_page(), out)


def _give(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        from tracker.errors import SinkError

        raise SinkError(out, f"expected a file that can be written, found: {error.strerror}", "check --out") from None
