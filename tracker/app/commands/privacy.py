"""``masktrail privacy``: how well persons are covered in pictures, measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracker.app.checked import CheckedCommand
from tracker.app.console import Json, console_for, foreign
from tracker.app.flags import option
from tracker.settings.stream import RunSettings

if TYPE_CHECKING:
    from rich.table import Table

    from tracker.measure.privacy_check import Coverage, PrivacyReport

__all__ = ["privacy_app"]

privacy_app = typer.Typer(help="Persons in pictures: how well they are covered.", no_args_is_help=True)


@privacy_app.callback()
def _privacy() -> None:
    """A group, whatever the number of its commands."""


@privacy_app.command(name="verify", cls=CheckedCommand)
def verify(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Recordings, which are tracked anew; or the records *.jsonl of a run."),
    ],
    *,
    annotated: Annotated[
        Path | None,
        typer.Option(metavar="VIDEO", help="With records: their video of --privacy fill --draw none."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="True silhouettes of the one recording, as MOTS text.")
    ] = None,
    truth_class: Annotated[int, typer.Option(metavar="N", min=0, help="Number of persons in the truth.")] = 2,
    model: Annotated[str, option(RunSettings, "model")] = "yolact-nano",
    device: Annotated[str, option(RunSettings, "device")] = "auto",
    privacy_classes: Annotated[list[str] | None, option(RunSettings, "privacy_classes")] = None,
    refine: Annotated[bool, option(RunSettings, "refine")] = False,
    limit: Annotated[int | None, option(RunSettings, "limit")] = None,
    json_path: Json = None,
) -> None:
    """Say how much of the true silhouettes is covered, and in which frames masks are uncertain.

    Without a truth there is no share: a person that the model never sees is in no figure.
    """
    from tracker.errors import ConfigError
    from tracker.measure.privacy_check import check_recordings, check_records
    from tracker.sinks.part_file import write_whole

    classes = [word.strip() for group in privacy_classes or ["person"] for word in group.split(",") if word.strip()]
    records = [file for file in files if file.lower().endswith((".jsonl", ".ndjson"))]
    if len(files) > 1 and (truth is not None or annotated is not None):
        problem = f"expected one recording with --truth or --annotated, found {len(files)}"
        raise ConfigError("FILE", problem, "verify them one by one")
    if records and len(records) < len(files):
        raise ConfigError("FILE", "expected recordings or records, found both", "verify them one after the other")
    if annotated is not None and not records:
        problem = "expected the records of the video, found a recording"
        raise ConfigError("--annotated", problem, "name the .jsonl, or leave --annotated out: it is tracked anew")
    if records:
        reports = [
            check_records(Path(one), annotated=annotated, classes=classes, truth=truth, truth_class=truth_class)
            for one in records
        ]
    else:
        settings = RunSettings(
            sources=tuple(files),
            model=model,
            device=device,
            privacy_classes=tuple(classes),
            refine=refine,
            limit=limit,
        )
        reports = check_recordings(settings, truth, truth_class=truth_class)
    console = console_for()
    for report in reports:
        console.print(f"[bold]{foreign(report.name)}[/bold]", highlight=False, soft_wrap=True)
        console.print(_table(report))
    if json_path is not None:
        write_whole(json_path, json.dumps([one.as_json() for one in reports], indent=1).encode())


def _table(report: PrivacyReport) -> Table:
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    table.add_row("frames", f"{report.frames:,}, {report.occupied:,} with persons")
    words = {
        "uncertain": "an identity's mask is uncertain: its box is covered",
        "predicted": "an identity is not seen: where it is expected is covered",
        "unconfirmed": "a detection is no identity yet: its box is covered",
    }
    for reason, count in report.counts.items():
        table.add_row(reason, f"{count:,} frames in which {words[reason]}")
    for title, coverage in (("covered", report.live), ("second pass", report.refined)):
        if coverage is not None:
            table.add_row(title, _share(coverage))
    return table


def _share(coverage: Coverage) -> str:
    """In words, rounded down: what is bare is never rounded away."""
    if coverage.share is None:
        return "no silhouettes to compare with"
    text = f"{int(coverage.share * 10_000 + 1e-9) / 100:.2f} % of the silhouettes"
    if coverage.worst_s is None:
        return text
    worst = f"at worst {100 * coverage.worst:.2f} % bare, at {coverage.worst_s:.2f} s"
    return f"{text}; {coverage.leaking:,} of {coverage.frames:,} frames with more than 1 % bare, {worst}"
