"""``masktrail audit``: what lines and zones counted and what they did not, as a page to look through."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.console import Quiet, console_for, foreign, steps
from tracker.app.flags import option, settings_from
from tracker.settings.stream import RunSettings, StreamSettings

if TYPE_CHECKING:
    from tracker.engine.audit import AuditOutcome

__all__ = ["audit", "audit_line"]


def audit(
    recording: Annotated[Path, typer.Argument(metavar="FILE.instances", help="From segment --records x.instances.")],
    *,
    site: Annotated[Path, typer.Option(metavar="SITE.yaml", help="Lines and zones to audit.")],
    out: Annotated[Path, typer.Option(metavar="PAGE.html", help="The page: one file that needs nothing else.")],
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="The recording, for a still of the scene.")] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Cut-outs before and after, from --video. People can be recognised.")
    ] = False,
    json_out: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="The same as values; x.audit.json beside x.mp4 is in the dashboard."
        ),
    ] = None,
    near: Annotated[float, typer.Option(metavar="SHARE", help="What is close, in shares of picture height.")] = 0.05,
    start_at: Annotated[str | None, option(RunSettings, "start_at")] = None,
    quiet: Quiet = False,
) -> None:
    """Show for each line and zone what was counted, and what came close and was not, with the reason."""
    from tracker.engine.audit import audit_saved

    console = console_for(quiet=quiet)
    began: datetime | None = settings_from(StreamSettings, {"start_at": start_at}).start_at
    with steps(console, "auditing") as show:
        found = audit_saved(
            recording,
            site,
            out,
            video=video,
            pictures=pictures,
            near=near,
            start_at=began,
            values=json_out,
            progress=lambda done: show(recording.name, done, done),
        )
    console.print(audit_line(recording, found, out), highlight=False, soft_wrap=True)


def audit_line(recording: Path, found: AuditOutcome, page: Path) -> str:
    """What came of an audit, in a line."""
    from tracker.analytics.reasons import TITLES

    reasons = ", ".join(
        f"{found.missed[reason]} {title.lower()}" for reason, title in TITLES.items() if reason in found.missed
    )
    near_misses = f"{found.missed.total()} near misses" + (f" ({reasons})" if reasons else "")
    return f"{foreign(recording.name)}: {found.counted} counted, {near_misses} -> {foreign(page)}"
