"""Command line of `python -m export nanodet`: ncnn's files of NanoDet-Plus to an ONNX file that `label` takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_nanodet(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`nanodet`: an ncnn model -> an ONNX file."""
    parser = commands.add_parser("nanodet", help="convert NanoDet-Plus from ncnn's files, a detector for `label`")
    parser.add_argument("--param", type=Path, required=True, help=".param file")
    parser.add_argument("--bin", type=Path, required=True, help=".bin file")
    parser.add_argument("--out", type=Path, required=True, help=".onnx file")
    parser.set_defaults(run=nanodet)


def nanodet(options: argparse.Namespace) -> None:
    """Run `nanodet`."""
    from export.data.nanodet import convert

    convert(options.param, options.bin, options.out)
    print(f"{options.out}: written; for example python -m export label pictures/ --detector {options.out} ...")
