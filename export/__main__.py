"""Command line of the PyTorch side: `python -m export COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.yolact_nano import YolactNano

DATA = Path(os.environ.get("MASKTRAIL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def main(arguments: list[str] | None = None) -> int:
    """Parse and run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_prepare(commands)
    add_train(commands)
    add_nano(commands)
    add_yolact(commands)
    add_check(commands)
    add_evaluate(commands)
    options = parser.parse_args(arguments)
    options.run(options)
    return 0


def add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`prepare`: COCO folders -> one packed archive."""
    parser = commands.add_parser("prepare", help="pack COCO folders into one training archive")
    parser.add_argument("folders", nargs="*", type=Path, help="folders with annotations.json and images/")
    parser.add_argument("--out", type=Path, required=True)
    parser.set_defaults(run=prepare)


def prepare(options: argparse.Namespace) -> None:
    """Run `prepare`."""
    from export.data import pack

    folders = options.folders or [
        path for kind in ("human", "pseudo") for path in sorted((DATA / "train" / kind).iterdir())
    ]
    for key, count in pack(folders, options.out).items():
        print(f"{count:6d}  {key}")


def add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`train`: a packed archive -> a run folder."""
    parser = commands.add_parser("train", help="train yolact-nano; a run that was stopped goes on where it stood")
    parser.add_argument("--archive", type=Path, required=True, help="made by `prepare`")
    parser.add_argument(
        "--init", type=Path, default=DATA / "weights" / "yolox_nano.onnx", help="YOLOX-nano .onnx, or a checkpoint"
    )
    parser.add_argument(
        "--teacher", type=Path, default=DATA / "weights" / "yolox_nano.onnx", help="answers where labels are silent"
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--mask-steps", type=int, default=2000, help="steps with the detector frozen")
    parser.add_argument("--all-steps", type=int, default=6000, help="steps with every layer")
    parser.add_argument("--mask-rate", type=float, default=2e-3)
    parser.add_argument("--detector-rate", type=float, default=6e-4, help="relative to the size of each tensor")
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision, where the processor has it")
    parser.add_argument("--threads", type=int, default=2)
    parser.set_defaults(run=train)


def train(options: argparse.Namespace) -> None:
    """Run `train`."""
    import torch

    from export.data import Archive
    from export.train import Trainer

    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {key: str(value) for key, value in vars(options).items() if key != "run"}
    with (options.out / "settings.jsonl").open("a") as log:  # a line for every start: a resumed run may have new ones
        log.write(json.dumps({**settings, "argv": sys.argv, "torch": torch.__version__}) + "\n")
    trainer = Trainer(
        network=load_initial(options.init),
        teacher=load_initial(options.teacher),
        archive=Archive(options.archive),
        out=options.out,
        seed=options.seed,
        batch=options.batch,
        mask_steps=options.mask_steps,
        all_steps=options.all_steps,
        mask_rate=options.mask_rate,
        detector_rate=options.detector_rate,
        bfloat16=options.bfloat16,
    )
    last = options.out / "last.pt"
    if last.exists():
        trainer.load(last)
    trainer.run(threads=options.threads)


def load_initial(path: Path) -> YolactNano:
    """Weights to start from: a checkpoint, an exported file of this project, or YOLOX-nano's published file."""
    import onnx

    from export.weights import load_yolox

    if path.suffix == ".onnx":
        metadata = {item.key for item in onnx.load(str(path), load_external_data=False).metadata_props}
        if "masktrail.contract" not in metadata:
            return load_yolox(path)
    return load_checkpoint(path)


def add_nano(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`nano`: a checkpoint -> end-to-end ONNX files with their manifest."""
    parser = commands.add_parser("nano", help="export a trained yolact-nano, with parity and accuracy in its manifest")
    parser.add_argument(
        "--weights", type=Path, required=True, help="checkpoint of `train` (its averaged weights are taken)"
    )
    parser.add_argument("--out", type=Path, default=Path("models/yolact-nano"))
    parser.add_argument(
        "--sizes", nargs="+", default=["384x640", "416x416"], help="HEIGHTxWIDTH; the first is the default"
    )
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument(
        "--score-threshold", type=float, default=0.1, help="manifest default; trackers live on weak instances too"
    )
    parser.add_argument(
        "--trained-share", type=float, default=1.0, help="below 1: blend the detector with --init by that share"
    )
    parser.add_argument("--init", type=Path, default=DATA / "weights" / "yolox_nano.onnx", help="for --trained-share")
    parser.add_argument("--no-accuracy", action="store_true", help="leave validation out")
    parser.set_defaults(run=nano)


def nano(options: argparse.Namespace) -> None:
    """Run `nano`."""
    from export.evaluate import evaluate, table
    from export.manifest import write_manifest
    from export.to_onnx import EndToEnd, export_onnx
    from export.weights import blend, load_yolox

    network = load_checkpoint(options.weights)
    if options.trained_share < 1.0:
        network = blend(network, load_yolox(options.init), options.trained_share)
    options.out.mkdir(parents=True, exist_ok=True)
    files = []
    for size in options.sizes:
        height, width = (int(side) for side in size.split("x"))
        module = EndToEnd(network, height=height, width=width)
        path = options.out / f"yolact-nano-{size}.onnx"
        metadata = export_onnx(module, path, name="yolact-nano", version=options.version)
        figures = {kind: compare(module, path, kind) for kind in ("random", "real") if kind == "random" or val_sets()}
        accuracy = {} if options.no_accuracy else {folder.name: evaluate(path, folder) for folder in val_sets()}
        print(f"{path}\nparity: {json.dumps(figures)}\n{table(accuracy)}", flush=True)
        files.append({"path": path, "height": height, "width": width, "parity": figures, "accuracy": accuracy})
    write_manifest(
        options.out / "manifest.toml", metadata=metadata, files=files, score_threshold=options.score_threshold
    )


def compare(module: Any, path: Path, kind: str) -> dict[str, float]:
    """Parity on four random frames, or on twelve validation pictures."""
    import cv2
    import numpy as np

    from export.evaluate import letterbox
    from export.parity import parity

    if kind == "random":
        frames = np.random.default_rng(0).integers(0, 256, (4, module.height, module.width, 3), np.uint8)
    else:
        pictures = [picture for folder in val_sets() for picture in sorted((folder / "images").iterdir())[:4]]
        size = (module.height, module.width)
        frames = np.stack([letterbox(cv2.imread(str(picture), cv2.IMREAD_COLOR), size)[0] for picture in pictures])
    return parity(module, path, frames, score_threshold=0.0 if kind == "random" else 0.05)


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
    from export.yolact_export import run
    from tracker.errors import TrackerError

    try:
        run(options, val_sets())
    except TrackerError as error:
        raise SystemExit(f"error: {error}") from error


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`check`: parity of an exported file with the checkpoint it came from."""
    parser = commands.add_parser("check", help="compare ONNX Runtime with PyTorch")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.set_defaults(run=check)


def check(options: argparse.Namespace) -> None:
    """Run `check`."""
    from export.evaluate import Segmenter
    from export.to_onnx import EndToEnd

    height, width = Segmenter(options.model).size
    module = EndToEnd(load_checkpoint(options.weights), height=height, width=width)
    for kind in ("random", "real") if val_sets() else ("random",):
        print(kind, json.dumps(compare(module, options.model, kind)))


def add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`evaluate`: mask AP of an exported file."""
    parser = commands.add_parser("evaluate", help="mask AP by class, set and size")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("folders", nargs="*", type=Path, help="COCO folders; default: the validation sets")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> None:
    """Run `evaluate`."""
    from export.evaluate import evaluate, table

    figures = {
        folder.name: evaluate(options.model, folder, threads=options.threads)
        for folder in options.folders or val_sets()
    }
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def val_sets() -> list[Path]:
    """The validation folders, where they are."""
    return sorted(path.parent for path in (DATA / "val").glob("*/annotations.json"))


def load_checkpoint(path: Path) -> YolactNano:
    """The averaged network of a training checkpoint, or that of an exported file."""
    import torch

    from export.weights import load_exported
    from export.yolact_nano import YolactNano

    if path.suffix == ".onnx":
        return load_exported(path)
    state = torch.load(path, weights_only=True)
    network = YolactNano()
    network.load_state_dict(state["average"])
    return network


if __name__ == "__main__":
    raise SystemExit(main())
