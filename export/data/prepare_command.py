"""`python -m export prepare`: an archive and a report of what is in it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from export.training.provenance import digest
from tracker.errors import ConfigError

DATA = Path(os.environ.get("MASKTRAIL_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
JPEG_QUALITY = 90


def add_packing(parser: argparse.ArgumentParser) -> None:
    """The options that `prepare` and `train` share."""
    parser.add_argument(
        "--classes", type=names, help="comma-separated, in the order of class ids; default: all labelled"
    )
    parser.add_argument("--map", action="append", default=[], metavar="OLD=NEW", help="take one class for another")
    parser.add_argument(
        "--split", type=share, default=0.0, metavar="SHARE", help="set aside for validation, by file hash"
    )
    parser.add_argument(
        "--jpeg",
        type=int,
        nargs="?",
        const=JPEG_QUALITY,
        metavar="QUALITY",
        help="pack compressed, a tenth of the size",
    )
    parser.add_argument("--longest-side", type=int, default=640, metavar="PX", help="shrink larger pictures to that")
    parser.add_argument("--keep-duplicates", action="store_true", help="do not look for pictures that are there twice")


def names(text: str) -> list[str]:
    """``person, car`` -> names."""
    return [name.strip() for name in text.split(",") if name.strip()]


def share(text: str) -> float:
    """A number of at least 0 and below 1."""
    value = float(text)
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to below 1, found {text}")
    return value


def add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`prepare`: COCO folders -> one packed archive."""
    parser = commands.add_parser("prepare", help="pack COCO folders into one training archive, without duplicates")
    parser.add_argument(
        "folders", nargs="*", type=Path, help="COCO files, or folders with annotations.json and images/"
    )
    parser.add_argument("--val", nargs="+", type=Path, default=[], help="COCO files or folders to validate on")
    parser.add_argument("--out", type=Path, required=True)
    add_packing(parser)
    parser.set_defaults(run=prepare)


def prepare(options: argparse.Namespace) -> None:
    """Run `prepare`."""
    from export.networks.yolact_nano import CLASSES

    folders = options.folders
    if not folders:
        folders = [path for kind in ("human", "pseudo") for path in sorted((DATA / "train" / kind).glob("*/"))]
        options.classes = options.classes or list(CLASSES)
    if not folders:
        raise ConfigError("prepare", f"no folders given, and none in {DATA / 'train'}", "name COCO folders")
    pack_sources(
        [(folder, None) for folder in folders], [(folder, None) for folder in options.val], options.out, options
    )


def pack_sources(
    training: list[tuple[Path, Path | None]],
    validation: list[tuple[Path, Path | None]],
    out: Path,
    options: argparse.Namespace,
) -> None:
    """Read COCO files, pack them and print the report; an archive made of the same by the same options stays."""
    from rich.console import Console
    from rich.progress import Progress

    from export.data.coco import choose_classes, parse_mapping, read_coco
    from export.data.pack import pack

    if options.jpeg is not None and not 1 <= options.jpeg <= 100:
        raise ConfigError(f"--jpeg {options.jpeg}", "expected a quality from 1 to 100", f"for example {JPEG_QUALITY}")
    mapping = parse_mapping(options.map)
    collections = [read_coco(source, pictures, mapping=mapping) for source, pictures in training]
    judges = [read_coco(source, pictures, mapping=mapping) for source, pictures in validation]
    classes = choose_classes(collections, options.classes, mapping)
    if judges:
        choose_classes([*judges, *collections], list(classes), mapping)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def show(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bar.add_task(title, total=total)
            bar.update(tasks[title], completed=done)

        report = pack(
            collections,
            out,
            classes=classes,
            validation=judges,
            val_share=options.split,
            longest_side=options.longest_side,
            jpeg=options.jpeg,
            deduplicate=not options.keep_duplicates,
            progress=show,
        )
    print_report(report, out)


def print_report(report: dict[str, Any], out: Path) -> None:
    """What was packed, on the terminal."""
    duplicates = report["duplicates"]
    sizes = ", ".join(f"{name} {count / 1e6:.1f} MB" for name, count in report["bytes"].items())
    print(f"{out}: {sizes}")
    for split, count in report["pictures"].items():
        found = ", ".join(f"{name} {number}" for name, number in report["objects"].get(split, {}).items())
        print(f"  {split}: {count} pictures; {found or 'no objects'}")
    print(f"  left out: {duplicates['identical']} identical pictures, {duplicates['nearly']} nearly identical ones")
    for text, count in duplicates["of"].items():
        print(f"    {count} of {text}")


def find_archive(options: argparse.Namespace) -> Path:
    """The archive to train on, packed into the run folder where COCO files are given."""
    if (options.archive is None) == (not options.data):
        raise ConfigError("train", "expected either --data or --archive", "--data labels.json --images pictures/")
    if options.archive is not None:
        if options.val_data or options.map or options.split:
            raise ConfigError(
                "--archive", "its classes and split are fixed", "give --val, --map and --split to `prepare`"
            )
        return Path(options.archive)
    pairs = {}
    for key, files, folders in (
        ("--images", options.data, options.images),
        ("--val-images", options.val_data, options.val_images),
    ):
        if folders and len(folders) != len(files):
            raise ConfigError(
                key, f"expected one folder for each of {len(files)} files, found {len(folders)}", "pair them"
            )
        pairs[key] = list(zip(files, folders or [None] * len(files), strict=True))
    out = Path(options.out) / "archive"
    wanted = {
        "files": [[digest(file), str(folder)] for group in pairs.values() for file, folder in group if file.is_file()],
        **{
            key: getattr(options, key) for key in ("classes", "map", "split", "jpeg", "longest_side", "keep_duplicates")
        },
    }
    request = out / "request.json"
    if (out / "index.json").exists() and request.exists() and json.loads(request.read_text()) == wanted:
        return out
    if (Path(options.out) / "last.pt").exists():
        raise ConfigError(options.out, "holds a run on other data", "choose another --out")
    pack_sources(pairs["--images"], pairs["--val-images"], out, options)
    request.write_text(json.dumps(wanted))
    return out
