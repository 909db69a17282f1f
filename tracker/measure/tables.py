"""Tables of evaluations and benchmarks for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tracker.errors import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.measure.bench_associate import AssociationBench
    from tracker.measure.bench_gpu import GpuBench
    from tracker.measure.bench_pipeline import PipelineBench
    from tracker.measure.evaluate import Evaluation

__all__ = ["association_table", "evaluation_table", "gpu_table", "pipeline_table"]

FIGURES = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "sMOTSA")
COUNTS = ("IDSW", "Frag", "FP", "FN")


def evaluation_table(evaluation: Evaluation, *, per_sequence: bool) -> Table:
    """Figures in percent by class; ``all`` is the mean over classes."""
    table = Table(box=None, padding=(0, 1), header_style="cyan")
    table.add_column("")
    for name in (*FIGURES, *COUNTS):
        table.add_column(name, justify="right")
    if per_sequence:
        for sequence, classes in evaluation.sequences.items():
            for name, figures in classes.items():
                table.add_row(Text(one_line(f"{sequence} {name}")), *_cells(figures))
        table.add_section()
    for name, figures in evaluation.combined.items():
        table.add_row(Text(one_line(name)), *_cells(figures), style="bold" if name == "all" else "")
    notes = list(evaluation.notes)
    if evaluation.missing:
        notes.insert(0, f"no result file, counted as empty: {', '.join(evaluation.missing)}")
    if notes:
        table.caption, table.caption_justify = Text(printable("\n".join(notes))), "left"
    return table


def _cells(figures: Mapping[str, float]) -> list[str]:
    return [f"{figures[name]:.1f}" for name in FIGURES] + [f"{figures[name]:.0f}" for name in COUNTS]


def gpu_table(bench: GpuBench) -> Table:
    """What a card gave, one figure a row."""
    table = Table(title=Text(one_line(bench.model)), title_justify="left", box=None, show_header=False)
    for name, value in (
        ("card", bench.card),
        ("provider", f"{bench.provider}, {bench.placement}"),
        (
            "agrees with the CPU",
            f"{'yes' if bench.agrees else 'NO'}: {100 * bench.agreement:.1f} % of {bench.compared} instances",
        ),
        ("bare model", f"{bench.bare_fps:.1f} fps"),
        ("segment", f"{bench.segment_fps:.1f} fps on {bench.frames} frames decoded before"),
    ):
        table.add_row(f"[cyan]{name}[/cyan]", value)
    return table


def pipeline_table(bench: PipelineBench) -> Table:
    """CPU and wall milliseconds by stage, and the throughputs with their ratios to the bare model."""
    table = Table(
        title=Text(one_line(f"{bench.source}, {bench.model}")), title_justify="left", box=None, header_style="cyan"
    )
    for name in ("stage", "CPU ms", "p50 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, cost in bench.stages.items():
        table.add_row(name, f"{cost.cpu_ms:.2f}", f"{cost.p50_ms:.2f}", f"{cost.p99_ms:.2f}")
    table.add_row("sum", f"{sum(cost.cpu_ms for cost in bench.stages.values()):.2f}", style="bold")
    table.add_row("pipeline", f"{bench.pipeline_cpu_ms:.2f}", style="bold")
    table.add_row("unaccounted", f"{bench.unaccounted_cpu_ms:.2f}")
    table.caption_justify = "left"
    table.caption = (
        f"{bench.device}, batches of {bench.batch}, {bench.workers} at once: bare model {bench.bare_fps:.1f} fps; "
        f"frames decoded before, with records {bench.predecoded_fps:.1f} fps ({bench.predecoded_ratio:.2f} of it); "
        f"from the file {bench.records_fps:.1f} fps ({bench.records_ratio:.2f}); "
        f"and with annotated H.264 {bench.video_fps:.1f} fps "
        f"({bench.video_ratio:.2f}, {bench.real_time:.2f} x real time)"
    )
    return table


def association_table(bench: AssociationBench) -> Table:
    """Thread-CPU milliseconds per frame by crowd size; the ratio is to our own boxes-only median of that size."""
    table = Table(title="association, thread-CPU per frame", title_justify="left", box=None, header_style="cyan")
    for name in ("objects", "tracker", "p50 ms", "mean ms", "p99 ms", "ratio"):
        table.add_column(name, justify="left" if name == "tracker" else "right")
    for cost in bench.costs:
        figures = (f"{value:.3f}" for value in (cost.median_ms, cost.mean_ms, cost.p99_ms))
        table.add_row(str(cost.objects), cost.tracker, *figures, f"{cost.ratio:.2f}")
    return table
