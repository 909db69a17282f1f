"""Command line of `python -m export compact`: a checkpoint in a third of its size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ModelError

if TYPE_CHECKING:
    import argparse


def add_compact(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`compact`: a checkpoint -> a file of a third of its size that `train` resumes from."""
    parser = commands.add_parser("compact", help="store a checkpoint in a third of its size, to keep or to send")
    parser.add_argument("--weights", type=Path, required=True, help="last.pt of a run folder")
    parser.add_argument(
        "--out", type=Path, required=True, help=".pt file; as last.pt of a run folder the run resumes from it"
    )
    parser.set_defaults(run=run_compact)


def run_compact(options: argparse.Namespace) -> None:
    """Run `compact`."""
    import torch

    from export.networks.compact import compact
    from export.networks.weights import load_checkpoint

    state = load_checkpoint(options.weights)
    if "optimiser" not in state:
        remedy = "take last.pt, not best.pt"
        raise ModelError(
            options.weights, "expected a checkpoint with an optimiser's state, found weights alone", remedy
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(compact(state), options.out)
    print(f"{options.out}: step {state['step']}, {options.out.stat().st_size / 1e6:.2f} MB")
