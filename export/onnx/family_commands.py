"""Commands `maskrcnn`, `solov2`, `mask2former`, `solov2-nano` and `sam`: checkpoints as ONNX files with manifests."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from export.networks.blend import add_average
from export.training.train_command import network_size

if TYPE_CHECKING:
    import argparse

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def add_families(commands: Commands) -> None:
    """All of them."""
    add_maskrcnn(commands)
    add_solov2(commands)
    add_mask2former(commands)
    add_solov2_nano(commands)
    add_sam(commands)


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


def add_solov2_nano(commands: Commands) -> None:
    """`solov2-nano`: a checkpoint of `train --model solov2-nano` -> a zoo model."""
    parser = commands.add_parser("solov2-nano", help="export a trained solov2-nano, with parity and accuracy")
    parser.add_argument(
        "--weights", type=Path, required=True, help="checkpoint of `train --model solov2-nano`, or an exported file"
    )
    add_average(parser)
    parser.add_argument("--out", type=Path, default=Path("models/solov2-nano"), help="folder; default: %(default)s")
    parser.add_argument("--size", type=network_size, default=(384, 640), metavar="HxW", help="default: 384x640")
    parser.add_argument("--name", help="default: solov2-nano")
    parser.add_argument("--licence", default="Apache-2.0", help="of the weights, in the metadata")
    parser.add_argument("--version", default="0.2.0")
    parser.add_argument("--score-threshold", type=float, default=0.1, help="default of the manifest; 0.1")
    parser.add_argument("--confirmation-score", type=float, default=0.5, help="by which a track is confirmed; 0.5")
    parser.add_argument("--no-accuracy", action="store_true", help="leave validation out")
    parser.set_defaults(run=lambda options: run("solov2_nano_export", options))


def add_sam(commands: Commands) -> None:
    """`sam`: a checkpoint of Segment Anything -> a folder with encoder, decoder and manifest."""
    parser = commands.add_parser("sam", help="export Segment Anything as a folder for `masktrail track --outline`")
    names = (
        "vit_b, vit_l, vit_h, vit_t (MobileSAM), sam2.1_hiera_tiny, _small, _base_plus, _large, sam2_hiera_tiny, ..."
    )
    parser.add_argument("--config", default="vit_b", help=f"{names}; default: vit_b")
    parser.add_argument("--weights", required=True, help="file of the publisher, or random:SEED for a trial")
    parser.add_argument("--out", type=Path, required=True, help="folder; encoder.onnx, decoder.onnx, manifest.toml")
    parser.add_argument("--boxes", type=int, default=1, help="boxes of one run of the decoder, for GPUs; default: 1")
    parser.add_argument("--name", help="in the manifest; default: sam and the configuration")
    parser.add_argument("--licence", default="", help="of the weights, in the manifest")
    parser.set_defaults(run=lambda options: run("sam_export", options))


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
