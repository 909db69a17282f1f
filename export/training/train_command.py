"""`python -m export train`: a resumable run folder."""

from __future__ import annotations

import argparse
import copy
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from export.data.prepare_command import add_packing, find_archive
from export.training.provenance import ROOT, record
from tracker.errors import ConfigError

if TYPE_CHECKING:
    from export.data.archive import Archive
    from export.data.batches import Recipe
    from export.networks.solov2_nano import SoloNano
    from export.networks.yolact_nano import YolactNano
    from export.networks.yolact_nanodet import YolactNanoDet
    from export.training.losses import MaskTerms
    from export.training.train import Trainer

MODELS = YOLACT, SOLO, NANODET = "yolact-nano", "solov2-nano", "yolact-nanodet"
REFUSED = {SOLO: ("match_maps", "mask_growth", "crossover"), NANODET: ("match_maps", "activation")}
ACTIVATIONS = ("silu", "hardswish")
MOST_GROWTH = 0.5
CALIBRATED_ON = 48  # pictures
INITIAL = ROOT / "models" / "yolact-nano" / "yolact-nano-384x640.onnx"


def add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`train`: labelled pictures -> a run folder."""
    parser = commands.add_parser("train", help="train or fine-tune; a run that was stopped goes on where it stood")
    parser.add_argument("--model", choices=MODELS, default=MODELS[0])
    data = parser.add_argument_group("data", "COCO files, or an archive made by `prepare`")
    data.add_argument("--data", nargs="+", type=Path, default=[], metavar="FILE", help="COCO instances files")
    data.add_argument(
        "--images", nargs="+", type=Path, default=[], metavar="DIR", help="pictures of each; default: beside it"
    )
    data.add_argument("--val-data", nargs="+", type=Path, default=[], metavar="FILE", help="the same, to validate on")
    data.add_argument("--val-images", nargs="+", type=Path, default=[], metavar="DIR")
    data.add_argument("--archive", type=Path, help="made by `prepare`, in place of --data")
    add_packing(parser)
    parser.add_argument(
        "--init", type=Path, default=INITIAL, help="weights to start from: .onnx or .pt; default: %(default)s"
    )
    parser.add_argument(
        "--heads",
        type=Path,
        metavar="FILE",
        help="solov2-nano: a trained one to go on from, with every layer; --init stays its teacher",
    )
    parser.add_argument(
        "--activation", choices=ACTIVATIONS, help="of all layers; default: that of --init. hardswish is faster to run"
    )
    parser.add_argument(
        "--match-maps",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="follow the teacher's feature maps as well, by that weight in the loss: for another --activation",
    )
    parser.add_argument(
        "--mask-teacher",
        default=str(INITIAL),
        metavar="FILE",
        help="a yolact-nano whose masks new ones of yolact-nanodet follow at first, or none; default: the shipped one",
    )
    parser.add_argument("--teacher", default="init", help="answers where labels are silent: init, none, or a file")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    add_mask_terms(parser)
    add_schedule(parser)
    add_machine(parser)
    parser.set_defaults(run=train)


def add_mask_terms(parser: argparse.ArgumentParser) -> None:
    """Options of the masks' loss."""
    parser.add_argument(
        "--mask-growth",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="masks may reach past their box by this share of its sides, as 0.05: whole feet and heads",
    )
    parser.add_argument(
        "--mask-outside", type=float, default=1.0, metavar="WEIGHT", help="of a cell of that margin; default: 1"
    )
    parser.add_argument(
        "--crossover",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="of cells that a mask takes from another object, as 2: neighbours are kept apart",
    )


def add_schedule(parser: argparse.ArgumentParser) -> None:
    """Options of the schedule and the data."""
    parser.add_argument(
        "--epochs", type=float, default=40.0, help="how often every picture is seen; default: %(default)s"
    )
    parser.add_argument(
        "--mask-steps",
        type=int,
        help="steps with the detector frozen; default: 0, or a quarter for new masks; half for solov2-nano",
    )
    parser.add_argument("--all-steps", type=int, help="steps with every layer, in place of --epochs")
    parser.add_argument(
        "--hours",
        type=float,
        metavar="H",
        help="train that long, over all starts, in place of --epochs and --all-steps: rates follow the time and "
        "are down at its end, however busy the machine is; a run of hours is never repeated exactly",
    )
    parser.add_argument("--mask-rate", type=float, default=2e-3)
    parser.add_argument("--detector-rate", type=float, default=6e-4, help="relative to the size of each tensor")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=network_size, default=(384, 640), metavar="HxW", help="of the network input")
    parser.add_argument("--batch", type=int, default=8, help="whole pictures a step; default: %(default)s")
    parser.add_argument("--jitter", type=float, nargs=2, default=(0.6, 1.9), metavar=("LOW", "HIGH"), help="scales")
    parser.add_argument("--mosaic", type=float, default=0.15, help="share of whole canvases; default: %(default)s")
    parser.add_argument("--copy-paste", type=float, default=0.3, help="share of pictures; default: %(default)s")
    parser.add_argument("--one-scale", action="store_true", help="no canvases of other sizes")


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Options of the device and the intervals of reports; they change the result by rounding only."""
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16", "float16"], default="auto")
    parser.add_argument("--threads", type=int, default=max(1, min(8, os.cpu_count() or 1)), help="on the processor")
    parser.add_argument("--workers", type=int, help="threads that prepare batches; default: 1, on a GPU up to 8")
    parser.add_argument("--val-every", type=float, help="epochs between validations; default: a tenth of all")
    parser.add_argument("--save-every", type=float, default=240.0, metavar="S", help="seconds between checkpoints")


def train(options: argparse.Namespace) -> None:
    """Run `train`."""
    import cv2
    import torch
    from rich.console import Console

    from export.data.archive import VAL, Archive
    from export.data.batches import Sampler
    from export.networks.weights import load_network
    from export.training.progress import TrainProgress
    from export.training.run import Run
    from export.training.train import choose_device

    device = choose_device(options.device)
    initial = load_network(options.init)
    path = find_archive(options)
    archive = Archive(path, classes=options.classes)
    if not len(archive):
        raise ConfigError(path, "no pictures to train on", "prepare it again with a smaller --split")
    validation = Archive(path, split=VAL, classes=archive.classes)
    torch.manual_seed(options.seed)
    cv2.setNumThreads(1)
    recipe = make_recipe(options)
    check_model(options, initial)
    teacher = choose_teacher(options.teacher, initial, archive.classes)
    if options.match_maps and teacher is None:
        raise ConfigError(f"--match-maps {options.match_maps}", "expected a teacher, found none", "--teacher init")
    plan = schedule(options, recipe, len(archive))
    record(options, archive=archive, recipe=recipe, plan=plan, teacher=teacher, device=device)
    trainer = make_trainer(initial, teacher, archive, options, plan)
    if forgotten := [name for name in initial.classes if name not in archive.classes]:
        kept = ", ".join(archive.classes)
        print(f"the tuned model will no longer know {', '.join(forgotten)}: the data has {kept}")
    with TrainProgress(console=Console(), steps=trainer.steps, epoch_steps=plan["epoch_steps"]) as progress:
        run = Run(
            trainer=trainer,
            sampler=Sampler(archive, recipe, seed=options.seed, steps=trainer.steps),
            out=options.out,
            validation=validation if len(validation) else None,
            epoch_steps=plan["epoch_steps"],
            val_every=plan["val_every"],
            threads=options.threads,
            workers=options.workers or (1 if device.type == "cpu" else min(8, os.cpu_count() or 1)),
            save_every_s=options.save_every,
            hours=options.hours,
            progress=progress,
        )
        if run.resume():
            print(f"{options.out}: going on from step {trainer.step} of {trainer.steps}")
        complete = run.train()
    if not complete:
        print(f"{options.out}: stopped at step {trainer.step} of {trainer.steps}; the same command goes on")
        raise SystemExit(130)
    best = f"best val AP {run.best['AP']:.3f} at step {run.best['step']}, " if run.best else ""
    if run.best and run.before:
        best += f"before training {run.before['AP']:.3f} ({run.best['AP'] - run.before['AP']:+.3f}), "
    print(f"{options.out}: {best}export it with")
    command = SOLO if options.model == SOLO else "nano"
    print(f"  python -m export {command} --weights {options.out / 'best.pt'} --out my-model/")


def check_model(options: argparse.Namespace, initial: YolactNano | YolactNanoDet) -> None:
    """Refuse what the other models than yolact-nano cannot be trained with.

    Raises:
        ConfigError: initial weights of another network, an option of yolact-nano alone, another teacher.
    """
    given, own = f"--model {options.model}", NANODET if options.model == NANODET else YOLACT
    if initial.name != own:
        problem = f"expected initial weights of {own}, found those of {initial.name}"
        remedy = f"--init nanodet-plus-m_416.param, or a file of {NANODET}" if own == NANODET else "another --init"
        raise ConfigError(f"{given} --init {options.init}", problem, remedy)
    if options.heads is not None and options.model != SOLO:
        raise ConfigError(f"{given} --heads", f"--heads is of {SOLO} alone", "leave it out; --init names weights")
    if options.model == YOLACT:
        return
    for key in REFUSED[options.model]:
        if getattr(options, key):
            flag = f"--{key.replace('_', '-')}"
            raise ConfigError(f"{given} {flag}", f"{flag} is of {YOLACT} alone", "leave it out")
    if options.teacher not in {"init", "none"}:
        raise ConfigError(f"{given} --teacher {options.teacher}", "expected init or none", "leave --teacher out")
    if options.model == SOLO:
        check_solo(options, initial)


def check_solo(options: argparse.Namespace, initial: YolactNano | YolactNanoDet) -> None:
    """Refuse what solov2-nano alone cannot be trained with.

    Raises:
        ConfigError: initial weights without trained masks, another activation, grids that are not square.
    """
    from export.networks.solov2_nano import solo_metadata
    from export.networks.weights import masks_are_trained

    given = f"--model {options.model}"
    if options.heads is not None and options.mask_steps:
        remedy = "leave --mask-steps out, or --heads"
        raise ConfigError(f"{given} --heads --mask-steps", "the trunk of trained heads is not --init's", remedy)
    if not masks_are_trained(options.init):
        raise ConfigError(f"{given} --init {options.init}", f"expected a trained {YOLACT}", f"train a {YOLACT} first")
    if options.activation not in {None, initial.activation}:
        remedy = f"train a {YOLACT} with --activation {options.activation} first, and --init it"
        raise ConfigError(f"{given} --activation", "expected that of --init", remedy)
    solo_metadata(*options.size)


def make_trainer(
    initial: YolactNano | YolactNanoDet,
    teacher: YolactNano | YolactNanoDet | None,
    archive: Archive,
    options: argparse.Namespace,
    plan: dict[str, int],
) -> Trainer:
    """The trainer of the chosen model, at its first step."""
    from export.networks.solov2_nano import from_yolact
    from export.networks.weights import with_classes
    from export.training.nanodet import NanoDetTrainer
    from export.training.solo import SoloTrainer
    from export.training.train import Trainer, choose_device, choose_precision

    device = choose_device(options.device)
    schedule = {
        "seed": options.seed,
        "mask_steps": plan["mask_steps"],
        "all_steps": plan["all_steps"],
        "mask_rate": options.mask_rate,
        "detector_rate": options.detector_rate,
        "device": device,
        "precision": choose_precision(options.precision, device),
    }
    network = with_classes(start_of(initial, archive, options), archive.classes)
    if options.model == SOLO:
        solo = from_yolact(network) if options.heads is None else trained_heads(options.heads, archive.classes)
        return SoloTrainer(network=solo, trunk=initial, taught=teacher is not None, **schedule)
    if options.model == NANODET:
        shown = options.mask_teacher if plan["mask_steps"] else "none"
        terms = make_terms(options)
        return NanoDetTrainer(
            network=network,
            trunk=copy.deepcopy(initial),
            taught=teacher is not None,
            shown=mask_teacher(shown),
            terms=terms,
            **schedule,
        )
    return Trainer(network=network, teacher=teacher, match=options.match_maps, terms=make_terms(options), **schedule)


def trained_heads(path: Path, classes: tuple[str, ...]) -> SoloNano:
    """A solov2-nano to go on from.

    Raises:
        ConfigError: It has other classes than the data.
    """
    from export.networks.weights import load_solov2_nano

    network = load_solov2_nano(path)
    if network.classes != classes:
        problem = f"expected the classes of the data, {', '.join(classes)}, found {', '.join(network.classes)}"
        raise ConfigError(f"--heads {path}", problem, "name the data's in that order with --classes and --map")
    return network


def mask_teacher(name: str) -> YolactNano | None:
    """The yolact-nano whose masks are followed at first.

    Raises:
        ConfigError: a file of another network, or of other prototypes.
    """
    from export.networks.weights import load_network
    from export.networks.yolact_nano import PROTOTYPES

    if name == "none":
        return None
    network = load_network(Path(name))
    if network.name != YOLACT or network.mask_head.prototypes != PROTOTYPES:
        problem = f"expected a {YOLACT} of {PROTOTYPES} prototypes, found {network.name}"
        raise ConfigError(f"--mask-teacher {name}", problem, "name another file, or none")
    return network


def start_of(initial: YolactNano, archive: Archive, options: argparse.Namespace) -> YolactNano:
    """The network to train: the initial one, or one of another activation that is calibrated to it on some pictures."""
    import numpy as np
    import torch

    from export.networks.activation import with_activation
    from export.networks.calibrate import calibrate
    from export.training.evaluate import letterbox

    network = with_activation(initial, options.activation or initial.activation)
    if network is not initial and not (options.out / "last.pt").exists():
        rng = np.random.default_rng(options.seed)
        count = min(CALIBRATED_ON, len(archive))
        rows = rng.choice(len(archive), count, replace=False, p=archive.sampling_weights())
        pictures = np.stack([letterbox(archive.image(int(row)), options.size)[0] for row in rows])
        calibrate(network, initial, torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
        print(f"{options.activation} in place of {initial.activation}: calibrated on {count} pictures", flush=True)
    return network


def network_size(text: str) -> tuple[int, int]:
    """``384x640`` -> (height, width), multiples of 32."""
    try:
        height, width = (int(side) for side in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, found {text!r}") from None
    if height < 64 or width < 64 or height % 32 or width % 32:
        raise argparse.ArgumentTypeError(f"expected multiples of 32 from 64 on, found {text}")
    return height, width


def make_recipe(options: argparse.Namespace) -> Recipe:
    """How pictures become batches."""
    from export.data.batches import Recipe

    if not 0 < options.jitter[0] <= options.jitter[1]:
        raise ConfigError(f"--jitter {options.jitter}", "expected 0 < LOW <= HIGH", "for example 0.6 1.9")
    for key in ("batch", "epochs", "threads"):
        if getattr(options, key) <= 0:
            raise ConfigError(f"--{key} {getattr(options, key)}", "expected more than zero", "correct it")
    return Recipe(
        size=options.size,
        batch=options.batch,
        multi_scale=not options.one_scale,
        jitter=tuple(options.jitter),
        mosaic=options.mosaic,
        copy_paste=options.copy_paste,
    )


def make_terms(options: argparse.Namespace) -> MaskTerms:
    """Terms of the masks' loss."""
    from export.training.losses import MaskTerms

    for key, most in (("mask_growth", MOST_GROWTH), ("mask_outside", math.inf), ("crossover", math.inf)):
        value = getattr(options, key)
        if not 0.0 <= value <= most:
            expected = "expected a number from 0" + ("" if math.isinf(most) else f" to {most:g}")
            raise ConfigError(f"--{key.replace('_', '-')} {value:g}", expected, "correct it")
    return MaskTerms(options.mask_growth, options.mask_outside, options.crossover)


def schedule(options: argparse.Namespace, recipe: Recipe, pictures: int) -> dict[str, int]:
    """Steps of the stages, of an epoch and between validations."""
    from export.networks.weights import masks_are_trained

    total = recipe.steps(pictures, options.epochs)
    masks = options.mask_steps
    if masks is None:
        masks = 0 if masks_are_trained(options.init) else total // 4
        if options.model == SOLO:
            masks = total // 2 if options.heads is None else 0
    if options.hours is not None and (options.hours <= 0 or options.all_steps is not None):
        raise ConfigError(
            f"--hours {options.hours}", "expected more than zero, and no --all-steps beside it", "--hours 2"
        )
    everything = max(0, total - masks) if options.all_steps is None else options.all_steps
    epoch = recipe.steps(pictures, 1.0)
    if masks + everything < 1:
        raise ConfigError("--mask-steps, --all-steps", "no steps to take", "give some")
    every = max(epoch, (masks + everything) // 10) if options.val_every is None else round(epoch * options.val_every)
    return {"mask_steps": masks, "all_steps": everything, "epoch_steps": epoch, "val_every": max(1, every)}


def choose_teacher(
    name: str, initial: YolactNano | YolactNanoDet, classes: tuple[str, ...]
) -> YolactNano | YolactNanoDet | None:
    """A frozen network for the classes it knows; None where it would know none."""
    from export.networks.weights import load_network

    if name == "none":
        return None
    teacher = copy.deepcopy(initial) if name == "init" else load_network(Path(name))
    if teacher.strides != initial.strides:
        problem = f"expected locations of strides {initial.strides}, found {teacher.strides} of {teacher.name}"
        raise ConfigError(f"--teacher {name}", problem, "name a file of the network that is trained")
    if not set(teacher.classes) & set(classes):
        print(f"no teacher: it knows {', '.join(teacher.classes)}, and none of {', '.join(classes)}")
        return None
    return teacher
