"""The command ``masktrail``: which commands there are, in the order of its help."""

from __future__ import annotations

from typing import Annotated

import typer

from tracker.app.checked import CheckedCommand
from tracker.app.commands.analyse import analyse
from tracker.app.commands.audit import audit
from tracker.app.commands.batch import batch
from tracker.app.commands.bench import bench_app
from tracker.app.commands.compact import compact
from tracker.app.commands.conversion import conversion
from tracker.app.commands.counts import counts
from tracker.app.commands.dashboard import dashboard
from tracker.app.commands.dwell import dwell
from tracker.app.commands.export import export
from tracker.app.commands.heatmap import heatmap
from tracker.app.commands.identities import identities
from tracker.app.commands.live import live
from tracker.app.commands.measure import associate, evaluate
from tracker.app.commands.models import models_app
from tracker.app.commands.occupancy import occupancy
from tracker.app.commands.premises import bays, footfall, queues
from tracker.app.commands.privacy import privacy_app
from tracker.app.commands.report import report
from tracker.app.commands.settings import settings_app
from tracker.app.commands.site import site_app
from tracker.app.commands.speeds import speeds
from tracker.app.commands.start import demo, doctor
from tracker.app.commands.store import store_app
from tracker.app.commands.track import segment, track
from tracker.app.commands.turns import turns
from tracker.app.commands.validate import validate_app
from tracker.app.habits import HabitCommand

__all__ = ["app"]

app = typer.Typer(
    name="masktrail",
    help="Turn video into persistent identities: every vehicle and person keeps its number and its silhouette.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from tracker.version import __version__

        typer.echo(f"masktrail {__version__}")
        raise typer.Exit


for command in (track, segment, batch, live, associate):
    app.command(cls=HabitCommand)(command)
app.command(name="eval", cls=HabitCommand)(evaluate)
MEASURES = (counts, turns, dwell, speeds, queues, footfall, bays, occupancy, conversion, heatmap)
for command in (analyse, compact, *MEASURES, report, export, audit, identities, dashboard, demo, doctor):
    app.command(cls=CheckedCommand)(command)
app.add_typer(models_app, name="models")
app.add_typer(site_app, name="site")
app.add_typer(validate_app, name="validate")
app.add_typer(store_app, name="store")
app.add_typer(privacy_app, name="privacy")
app.add_typer(bench_app, name="bench")
app.add_typer(settings_app, name="settings")
