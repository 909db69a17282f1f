"""``masktrail models``: available models, their cards, and whether a file can be used."""

from __future__ import annotations

from typing import Annotated

import typer

from tracker.app.checked import CheckedCommand
from tracker.app.console import console_for, foreign
from tracker.app.flags import option
from tracker.errors import printable
from tracker.settings.stream import RunSettings

__all__ = ["models_app"]

models_app = typer.Typer(help="Available segmentation models.", no_args_is_help=True)


@models_app.command(name="list", cls=CheckedCommand)
def models_list() -> None:
    """List the available models."""
    from rich.table import Table

    from tracker.segment.zoo import list_models

    table = Table("model", "inputs (height x width)", "classes", "size", box=None, padding=(0, 2), header_style="cyan")
    for entry in list_models():
        size = sum(file.stat().st_size for file in entry.files) / len(entry.files)
        classes = ", ".join(entry.manifest.classes or ()) if entry.manifest else ""
        variants = ", ".join(filter(None, entry.variants))
        table.add_row(foreign(entry.name), foreign(variants), foreign(classes), f"{size / 1e6:.1f} MB")
    console_for().print(table)


@models_app.command(name="show", cls=CheckedCommand)
def models_show(
    name: Annotated[str, typer.Argument(help="A name from `masktrail models list`, or a folder for --outline.")],
) -> None:
    """Print a model's card: data, figures, limits, licences; where it would run here, and what a frame costs there."""
    from rich.markdown import Markdown
    from rich.text import Text

    from tracker.segment.promptable.folder import is_promptable

    if is_promptable(name):
        _print_folder(name, "auto")
        return
    from tracker.segment.check import check_model
    from tracker.segment.session import OnnxSegmenter
    from tracker.segment.zoo import find_model

    card = find_model(name).path.with_name("README.md")
    if not card.is_file():
        from tracker.errors import ModelError

        raise ModelError(name, f"expected a card {card}, found none", "only models of the zoo have one")
    console = console_for()
    text = printable(card.read_text(encoding="utf-8"))
    # Rich draws bullets and rules that a terminal without UTF-8 has not: there the card is shown as it is written.
    console.print(Markdown(text) if console.encoding.startswith("utf") else Text(text.replace("\u2014", "-")))
    segmenter = OnnxSegmenter(name)
    console.print(f"Here: {foreign(segmenter.describe())}; {foreign(segmenter.placement)}", highlight=False)
    report = check_model(name, device=segmenter.device)
    decoded = "" if report.segment_ms is None else f", {report.segment_ms:.1f} ms with packing and decoding"
    console.print(
        f"Costs here: {report.run_ms:.1f} ms a frame in the network{decoded}; {report.size_bytes / 1e6:.1f} MB",
        highlight=False,
    )


@models_app.command(name="check", cls=CheckedCommand)
def models_check(
    model: Annotated[str, typer.Argument(help="An .onnx file, a model's name, or a folder for --outline.")],
    *,
    device: Annotated[str, option(RunSettings, "device")] = "cpu",
) -> None:
    """Say whether a file, or a folder for --outline, can be used and how it was understood, with a trial run."""
    from tracker.segment.check import check_model
    from tracker.segment.promptable.folder import is_promptable

    if is_promptable(model):
        _print_folder(model, device)
        return
    report = check_model(model, device=device)
    console = console_for()
    for name, value in report.rows():
        console.print(f"[cyan]{name:>10}[/cyan]  {foreign(value)}", highlight=False)
    if not report.passed:
        raise typer.Exit(1)


def _print_folder(path: str, device: str) -> None:
    """The report on a promptable segmenter."""
    from tracker.segment.promptable.report import check_folder

    console = console_for()
    for name, value in check_folder(path, device=device):
        console.print(f"[cyan]{name:>10}[/cyan]  {foreign(value)}", highlight=False)
