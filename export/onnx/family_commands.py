"""Commands `maskrcnn`, `solov2` and `mask2former`: checkpoints of other people's code as ONNX files with manifests."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def add_families(commands: Commands) -> None:
    """All of them."""
    add_maskrcnn(commands)
    add_solov2(commands)
    add_mask2former(commands)


def add_maskrcnn(commands: Commands) -> None:
    """`maskrcnn`: a checkpoint of torchvision or detectron2 -> an ONNX file with its manifest."""
    parser = commands.add_parser("maskrcnn", help="export Mask R-CNN R50-FPN of torchvision (v1, v2) or detectron2")
    add_common(parser, "resnet50_fpn", "resnet50_fpn, resnet50_fpn_v2; detectron2's is recognised", "800x1344")
    parser.add_argument("--proposals", type=int, default=1000, help="boxes that the heads look at; default: 1000")
    parser.add_argument("--instances", type=int, default=100, help="slots; each costs its mask; default: 100")
    parser.add_argument("--score-threshold", type=float, default=0.05, help="instances below are none; default: 0.05")
    parser.add_argument("--batch-norm-eps", type=float, help="default: 0 for the published v1 file, else 1e-5")
    parser.set_defaults(run=lambda options: run("maskrcnn_export", options))


def add_solov2(commands: Commands) -> None:
    """`solov2`: a checkpoint of mmdetection or AdelaiDet -> an ONNX file with raw heads and its manifest."""
    parser = commands.add_parser("solov2", help="export SOLOv2 of mmdetection, without deformable convolutions")
    published = "solov2-light_r18, -light_r34, -light_r50, solov2_r50, solov2_r101, or the published longer names"
    add_common(parser, "solov2-light_r18_fpn_ms-3x_coco", published, "448x768")
    parser.set_defaults(run=lambda options: run("solov2_export", options))


def add_mask2former(commands: Commands) -> None:
    """`mask2former`: a checkpoint of Hugging Face -> an ONNX file with raw queries and its manifest."""
    parser = commands.add_parser("mask2former", help="export Mask2Former with a Swin backbone; needs transformers")
    add_common(parser, "swin-tiny", "swin-tiny, swin-small, swin-base, swin-large", "384x640")
    parser.set_defaults(run=lambda options: run("mask2former_export", options))


def add_common(parser: argparse.ArgumentParser, configuration: str, configurations: str, size: str) -> None:
    """Options that every family has."""
    parser.add_argument("--config", default=configuration, help=f"{configurations}; default: {configuration}")
    parser.add_argument("--weights", required=True, help="file of the publisher, or random:SEED for a trial")
    parser.add_argument("--size", default=size, metavar="HxW", help=f"input, multiples of 32 pixels; default: {size}")
    parser.add_argument("--out", type=Path, required=True, help=".onnx file; its manifest is written beside it")
    parser.add_argument("--classes", type=lambda text: text.split(","), help="names, comma-separated; default: COCO's")
    parser.add_argument("--name", help="in the metadata; default: the configuration's name")
    parser.add_argument("--licence", default="", help="of the weights, in the metadata")


def run(module: str, options: argparse.Namespace) -> None:
    """Import the exporter, and PyTorch with it, and run it on the validation pictures there are."""
    from export.__main__ import val_sets

    importlib.import_module(f"export.onnx.{module}").run(options, val_sets())
