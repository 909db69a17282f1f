"""Command line of the PyTorch side: `python -m export COMMAND`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.data.label_command import add_label
from export.data.nanodet_command import add_nanodet
from export.data.prepare_command import DATA, add_prepare
from export.data.render_command import add_render
from export.networks.blend import add_blend
from export.onnx.family_commands import add_families
from export.training.compact_command import add_compact
from export.training.embed_command import add_embed
from export.training.train_command import add_train, network_size
from tracker.errors import TrackerError

if TYPE_CHECKING:
    import numpy as np


def main(arguments: list[str] | None = None) -> int:
    """Parse and run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_label(commands)
    add_prepare(commands)
    add_render(commands)
    add_train(commands)
    add_embed(commands)
    add_nano(commands)
    add_nanodet(commands)
    add_yolact(commands)
    add_families(commands)
    add_quantise(commands)
    add_check(commands)
    add_compact(commands)
    add_evaluate(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except TrackerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def add_nano(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`nano`: a checkpoint -> end-to-end ONNX files with their manifest."""
    parser = commands.add_parser(
        "nano", help="export a trained yolact-nano or yolact-nanodet, with parity and accuracy in its manifest"
    )
    parser.add_argument(
        "--weights", type=Path, required=True, help="checkpoint of `train` (its averaged weights are taken)"
    )
    parser.add_argument("--out", type=Path, help="folder; default: models/ and the network's name")
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=network_size,
        metavar="HxW",
        help="the first is the default; default: as trained, for 384x640 also 416x416",
    )
    parser.add_argument("--name", help="default: the network's for its six classes, else the name of --out")
    parser.add_argument("--licence", default="Apache-2.0", help="of the weights, in the metadata")
    parser.add_argument(
        "--nms-groups",
        type=lambda text: [group.split("+") for group in text.split(",")],
        metavar="A+B,C+D",
        help="classes taken for one another; default: bicycle+motorcycle,car+bus+truck+van, all others apart",
    )
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument(
        "--score-threshold", type=float, default=0.1, help="manifest default; trackers live on weak instances too"
    )
    add_blend(parser)
    parser.add_argument("--no-accuracy", action="store_true", help="leave validation out")
    parser.add_argument("--half", action="store_true", help="float16 files too, NAME-HxW-fp16.onnx, for GPUs")
    parser.add_argument(
        "--before-nms",
        action="store_true",
        help="give all 200 candidates and which of them suppression keeps, so that readers may decide by themselves",
    )
    parser.set_defaults(run=nano)


def nano(options: argparse.Namespace) -> None:
    """Run `nano`."""
    from export.networks.blend import load_blended
    from export.networks.weights import training_facts
    from export.networks.yolact_nano import CLASSES
    from export.onnx.manifest import write_manifest
    from export.onnx.parity import parity_line
    from export.onnx.to_onnx import NMS_GROUPS, EndToEnd, export_onnx
    from export.training.evaluate import evaluate, table

    network = load_blended(options.weights, options.blend, options.average)
    training = training_facts(options.weights)
    out = options.out or Path("models") / network.name
    out.mkdir(parents=True, exist_ok=True)
    name = options.name or (network.name if network.classes == CLASSES else out.resolve().name)
    trained = tuple(training.get("size", (384, 640)))
    sizes = options.sizes or ([trained, (416, 416)] if trained == (384, 640) else [trained])
    judges = [] if options.no_accuracy or not set(network.classes) & set(CLASSES) else val_sets()
    files = []
    for height, width in sizes:
        module = EndToEnd(
            network,
            height=height,
            width=width,
            nms_groups=options.nms_groups or NMS_GROUPS,
            before_nms=options.before_nms,
        )
        path = out / f"{name}-{height}x{width}.onnx"
        metadata = export_onnx(module, path, name=name, version=options.version, licence=options.licence)
        figures = {kind: compare(module, path, kind) for kind in ("random", "real") if kind == "random" or val_sets()}
        accuracy = {folder.name: evaluate(path, folder) for folder in judges}
        lines = [str(path), *(parity_line(kind, found) for kind, found in figures.items())]
        print("\n".join(lines + [table(accuracy)] * bool(accuracy)), flush=True)
        files.append({"path": path, "height": height, "width": width, "parity": figures, "accuracy": accuracy})
    described = {"metadata": metadata, "score_threshold": options.score_threshold, "training": training}
    write_manifest(out / "manifest.toml", files=files, **described)
    for item in files if options.half else ():
        half = {**item, **add_half(item["path"], (item["height"], item["width"]), judges)}
        write_manifest(half["path"].with_suffix(".toml"), files=[half], **described)


def add_half(path: Path, size: tuple[int, int], judges: list[Path]) -> dict[str, Any]:
    """The float16 file beside a float32 one: its path, its agreement with that one, its accuracy."""
    from export.onnx.half import agreement, write_half
    from export.onnx.parity import run_file
    from export.training.evaluate import evaluate, table

    half, kind = write_half(path), "real" if val_sets() else "random"
    frames = trial_frames(kind, size)
    figures = {kind: {"against": path.name, **agreement(run_file(half, frames), run_file(path, frames))}}
    accuracy = {folder.name: evaluate(half, folder) for folder in judges}
    print(f"{half}\nagreement: {json.dumps(figures)}" + (f"\n{table(accuracy)}" if accuracy else ""), flush=True)
    return {"path": half, "parity": figures, "accuracy": accuracy}


def compare(module: Any, path: Path, kind: str) -> dict[str, float]:
    """Parity on four random frames, or on twelve validation pictures."""
    from export.onnx.parity import parity

    frames = trial_frames(kind, (module.height, module.width))
    return parity(module, path, frames, score_threshold=0.0 if kind == "random" else 0.05)


def trial_frames(kind: str, size: tuple[int, int]) -> np.ndarray:
    """Four random frames, or twelve validation pictures: (N, *size, 3) uint8."""
    import cv2
    import numpy as np

    from export.training.evaluate import letterbox

    if kind == "random":
        return np.random.default_rng(0).integers(0, 256, (4, *size, 3), np.uint8)
    pictures = [picture for folder in val_sets() for picture in sorted((folder / "images").iterdir())[:4]]
    return np.stack([letterbox(cv2.imread(str(picture), cv2.IMREAD_COLOR), size)[0] for picture in pictures])


def add_yolact(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`yolact`: a checkpoint of the published YOLACT -> an ONNX file with its manifest."""
    parser = commands.add_parser("yolact", help="export a checkpoint of dbolya's YOLACT, end to end or with raw heads")
    parser.add_argument("--config", default="yolact_base", help="yolact_resnet50, yolact_base, yolact_darknet53, ...")
    parser.add_argument("--weights", required=True, help=".pth file of dbolya's code, or random:SEED for a trial")
    parser.add_argument("--out", type=Path, required=True, help=".onnx file; its manifest is written beside it")
    parser.add_argument("--raw-heads", action="store_true", help="outputs loc, conf, mask, priors, proto, undecoded")
    parser.add_argument("--size", type=int, help="side of the square input in pixels; default: the configuration's")
    parser.add_argument("--half", action="store_true", help="float16 weights and layers, for GPUs")
    parser.add_argument("--per-class-nms", action="store_true", help="suppress within classes, as published AP has it")
    parser.add_argument("--classes", type=lambda text: text.split(","), help="names, comma-separated; default: COCO's")
    parser.add_argument("--name", help="in the metadata; default: the configuration's name")
    parser.add_argument("--licence", default="", help="of the weights, in the metadata")
    parser.set_defaults(run=yolact)


def yolact(options: argparse.Namespace) -> None:
    """Run `yolact`."""
    from export.onnx.yolact_export import run

    try:
        run(options, val_sets())
    except TrackerError as error:
        raise SystemExit(f"error: {error}") from error


def add_quantise(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`quantise`: a float32 file and pictures -> an int8 file."""
    parser = commands.add_parser("quantise", help="int8 file, calibrated on pictures; measures whether it pays here")
    parser.add_argument("--model", type=Path, required=True, help="float32 .onnx file")
    parser.add_argument("--calibration", type=Path, required=True, help="folder of real pictures")
    parser.add_argument("--pictures", type=int, default=32, help="how many of them; default: 32")
    parser.add_argument("--out", type=Path, required=True, help="int8 .onnx file")
    parser.add_argument("--rounds", type=int, default=30, help="of measuring time; default: 30")
    parser.add_argument(
        "--validate", nargs="*", type=Path, metavar="FOLDER", help="mask AP of both on these; default: validation sets"
    )
    parser.set_defaults(run=quantise)


def quantise(options: argparse.Namespace) -> None:
    """Run `quantise`."""
    from export.onnx.quantise import run

    run(options, val_sets())


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`check`: parity of an exported file with the checkpoint it came from."""
    parser = commands.add_parser("check", help="compare ONNX Runtime with PyTorch")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.set_defaults(run=check)


def check(options: argparse.Namespace) -> None:
    """Run `check`."""
    from export.networks.weights import load_network
    from export.onnx.parity import parity_line
    from export.onnx.to_onnx import EndToEnd
    from tracker.segment.session import OnnxSegmenter

    width, height = OnnxSegmenter(options.model, device="cpu").network_size
    module = EndToEnd(load_network(options.weights), height=height, width=width)
    for kind in ("random", "real") if val_sets() else ("random",):
        print(parity_line(kind, compare(module, options.model, kind)))


def add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`evaluate`: mask AP of an exported file."""
    parser = commands.add_parser("evaluate", help="mask AP by class, set and size")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, tensorrt or openvino")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("folders", nargs="*", type=Path, help="COCO folders; default: the validation sets")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> None:
    """Run `evaluate`."""
    from export.training.evaluate import evaluate, table

    figures = {
        folder.name: evaluate(options.model, folder, device=options.device, threads=options.threads)
        for folder in options.folders or val_sets()
    }
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def val_sets() -> list[Path]:
    """The validation folders, where they are."""
    return sorted(path.parent for path in (DATA / "val").glob("*/annotations.json"))


if __name__ == "__main__":
    raise SystemExit(main())
