"""`python -m export label`: COCO folders with machine-made objects and their measured quality.

Detection is slow and done once: the results are kept by picture in `found.jsonl`, from which an interrupted run is
resumed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from export.training.provenance import digest
from tracker.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.data.coco import Collection
    from export.data.fused import FusedDetector
    from export.data.label import Check, Rules, Worth
    from export.data.promptable import PromptableSegmenter

CHECKED_PICTURES = 30  # of each set, whose labelled objects are outlined too, to compare
SHOWN_PICTURES = 9


class Tools(NamedTuple):
    """The networks and thresholds that make labels."""

    detector: FusedDetector
    segmenter: PromptableSegmenter
    rules: Rules
    facts: dict[str, Any]  # for the record


def add_label(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`label`: pictures, labelled in part or not at all -> COCO folders with machine-made objects."""
    parser = commands.add_parser("label", help="find and outline unlabelled objects, for `prepare`")
    parser.add_argument(
        "sets", nargs="+", type=Path, help="COCO files or folders, labelled in part; or folders of pictures"
    )
    parser.add_argument(
        "--detector",
        type=Path,
        required=True,
        help="NanoDet-Plus (see `nanodet`), YOLOX-nano, a yolact-nano file or a checkpoint",
    )
    parser.add_argument("--encoder", type=Path, required=True, help="of a Segment Anything export, .onnx")
    parser.add_argument("--decoder", type=Path, required=True, help="of a Segment Anything export, .onnx")
    parser.add_argument("--out", type=Path, required=True, help="gets a COCO folder a set")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[448, 640, 832],
        metavar="PX",
        help="longer sides that the detector looks at, plain and mirrored; default: 448 640 832",
    )
    parser.add_argument(
        "--classes", type=lambda text: text.split(","), help="to look for, comma-separated; default: the detector's"
    )
    parser.add_argument(
        "--accept",
        type=float_of,
        nargs="+",
        default=[],
        metavar="CLASS=SCORE",
        help="from which on a find is an object; default: 0.40, bus 0.45, truck 0.50",
    )
    parser.add_argument(
        "--doubt", type=float, default=0.15, help="score from which on a find teaches nothing; default: 0.15"
    )
    parser.add_argument(
        "--mask-worth",
        type=float_of,
        nargs="+",
        default=[],
        metavar="CLASS=RATIO",
        help="IoU of masks with people's, by what the decoder expects; default: as measured on labelled objects",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.set_defaults(run=label)


def float_of(text: str) -> tuple[str, float]:
    """``car=0.5`` -> the class and its score."""
    name, _, value = text.partition("=")
    try:
        score = float(value)
    except ValueError:
        score = -1.0
    if not name or not 0.0 < score <= 1.0:
        raise argparse.ArgumentTypeError(f"expected CLASS=SCORE with a score above 0, up to 1, found {text!r}")
    return name, score


def label(options: argparse.Namespace) -> None:
    """Run `label`."""
    from rich.console import Console
    from rich.progress import Progress

    from export.data.label import Check, worth_by_class

    collections = [read_set(path) for path in options.sets]
    doubles = [name for name, count in Counter(item.name for item in collections).items() if count > 1]
    if doubles:
        raise ConfigError("label", f"expected sets of different names, found {doubles[0]} twice", "rename a folder")
    tools = open_tools(options)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("labelling", total=sum(len(item.records) for item in collections))
        seen = []
        for item in collections:
            bar.update(task, description=item.name)
            seen.append(look_through(item, tools, options.out / item.name, lambda: bar.advance(task)))
            done = f"{item.name}: {len(item.records)} pictures looked through"
            console.print(done, highlight=False, soft_wrap=True)
    checks = [Check(*check) for rows in seen for row in rows for check in row["checks"]]
    worth = worth_by_class(checks, dict(options.mask_worth))
    for item, rows in zip(collections, seen, strict=True):
        document = merge(item, rows, tools, worth)
        write_set(item, document, options.out / item.name)
        print(f"{options.out / item.name}: {summary(document, item)}")
    print(agreement(checks, worth))


def open_tools(options: argparse.Namespace) -> Tools:
    """Load the networks and check the options against them."""
    from export.data.fused import FusedDetector
    from export.data.label import STRICTER, Rules
    from export.data.nanodet import NanoDet, is_nanodet
    from export.data.promptable import PromptableSegmenter
    from export.networks.weights import load_network

    path = options.detector
    network = NanoDet(path, threads=options.threads) if is_nanodet(path) else load_network(path)
    classes = tuple(options.classes or network.classes)
    accept = dict(options.accept)
    for key, names in (("--classes", classes), ("--accept", accept), ("--mask-worth", dict(options.mask_worth))):
        for name in names:
            if name not in network.classes:
                known = ", ".join(network.classes)
                raise ConfigError(f"{key} {name}", f"expected a class of the detector, it knows {known}", "correct it")
    if not 0.0 < options.doubt <= 1.0 or min(options.sizes) < 64:
        given = f"--doubt {options.doubt} --sizes {' '.join(str(size) for size in options.sizes)}"
        raise ConfigError(given, "expected a score above 0 and sizes of at least 64 px", "--doubt 0.15 --sizes 640")
    rules = Rules(classes, STRICTER | accept, options.doubt)
    segmenter = PromptableSegmenter(options.encoder, options.decoder, threads=options.threads)
    facts = {
        "detector_sha256": digest(options.detector),
        "encoder_sha256": digest(options.encoder),
        "decoder_sha256": digest(options.decoder),
        "sizes": list(options.sizes),
        "classes": list(classes),
        "accept": dict(sorted(rules.accept.items())),
        "doubt": options.doubt,
    }
    return Tools(FusedDetector(network, options.sizes), segmenter, rules, facts)


def read_set(path: Path) -> Collection:
    """A COCO file or folder, or a folder of pictures without labels."""
    from export.data.coco import Collection, pictures_below, read_coco

    if path.is_file() or any(path.glob("*.json")):
        return read_coco(path)
    pictures = pictures_below(path)
    if not pictures:
        raise SourceError(
            path, "expected a COCO file, a folder that holds one, or pictures; found none", "check the path"
        )
    records = [
        {"id": number, "file_name": file.relative_to(path).as_posix(), **size_of(file)}
        for number, file in enumerate(pictures, 1)
    ]
    return Collection(
        name=path.resolve().name,
        source=path,
        pictures=path,
        records=records,
        annotations={item["id"]: [] for item in records},
        names={},
        written=frozenset(),
        labelled=frozenset(),
        complete=False,
        machine_made=True,
    )


def is_drawn_anew(item: Collection) -> bool:
    """Is it a COCO file of machine-made labels, whose masks are replaced and to which nothing is added?"""
    return item.machine_made and bool(item.names)


def size_of(path: Path) -> dict[str, int]:
    """Width and height of a picture."""
    from export.data.pack import decode

    height, width = decode(path).shape[:2]
    return {"width": width, "height": height}


def look_through(item: Collection, tools: Tools, folder: Path, advance: Callable[[], None]) -> list[dict[str, Any]]:
    """What is found in each picture of a set, in order; lines that an earlier run wrote are taken from there."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "found.jsonl"
    labels = digest(item.source) if item.source.is_file() else [record["file_name"] for record in item.records]
    header = json.dumps({**tools.facts, "labels": labels})
    lines = kept.read_text("utf-8").split("\n")[:-1] if kept.is_file() else []  # a line cut off is not one
    rows = [json.loads(line) for line in lines[1:]] if lines[:1] == [header] else []
    with kept.open("w", encoding="utf-8") as file:
        for line in (header, *(json.dumps(row) for row in rows)):
            file.write(line + "\n")
        for number, record in enumerate(item.records):
            if number >= len(rows):
                rows.append(look_at(item, record, tools, check=number < CHECKED_PICTURES))
                file.write(json.dumps(rows[-1]) + "\n")
                file.flush()
            advance()
    return rows


def look_at(item: Collection, record: dict[str, Any], tools: Tools, *, check: bool) -> dict[str, Any]:
    """What is found in one picture."""
    from export.data.label import find, labelled_in, outline_again
    from export.data.pack import read_picture

    picture = read_picture(item.pictures / record["file_name"], record)
    there = labelled_in(item, record["id"])
    if is_drawn_anew(item):
        return {"finds": [], "checks": [], "outlines": outline_again(picture, there, tools.segmenter)}
    known = item.labelled if item.complete else frozenset()
    rules = tools.rules._replace(classes=tuple(name for name in tools.rules.classes if name not in known))
    finds, checks = find(picture, there, tools.detector, tools.segmenter, rules, check=check)
    return {"finds": [list(row) for row in finds], "checks": [list(row) for row in checks], "outlines": []}


def merge(item: Collection, rows: list[dict[str, Any]], tools: Tools, worth: Worth) -> dict[str, Any]:
    """The COCO document of a set: what was there and what was found, weighed by what its masks are worth."""
    from export.data.coco import load_document
    from export.data.label import Find, annotate, labelled_in, redrawn

    document: dict[str, Any] = {"info": {}, "images": item.records, "annotations": [], "categories": []}
    if item.names:
        document = load_document(item.source)
    ids = {entry["name"]: entry["id"] for entry in document["categories"]}
    for name in tools.rules.classes:
        if name not in ids:
            ids[name] = max(ids.values(), default=0) + 1
            document["categories"].append({"id": ids[name], "name": name})
    annotations: list[dict[str, Any]] = []
    for record, row in zip(item.records, rows, strict=True):
        there = labelled_in(item, record["id"])
        outlines = [
            (code, certain * worth.of(name))
            for (code, certain), name in zip(row["outlines"], there.names if row["outlines"] else (), strict=True)
        ]
        annotations += redrawn(there, outlines, 1.0) if outlines else there.annotations
        size = (record["height"], record["width"])
        found = [Find(*entry) for entry in row["finds"]]
        finds = [entry._replace(certain=entry.certain * worth.of(entry.name)) for entry in found]
        for made in annotate(finds, there, size, 1.0, machine_made=item.machine_made):
            made |= {"image_id": record["id"], "category_id": ids[made.pop("name")]}
            annotations.append(made)
    document["annotations"] = [{**entry, "id": number} for number, entry in enumerate(annotations, 1)]
    document["info"] = {
        **(document.get("info") or {}),
        "labelled_categories": sorted(item.labelled | set(tools.rules.classes)),
        "complete": False,
        "machine_labels": {**tools.facts, **worth_facts(worth)},
    }
    return document


def worth_facts(worth: Worth) -> dict[str, Any]:
    """For the record."""
    classes = {name: round(value, 3) for name, value in sorted(worth.classes.items())}
    return {"mask_iou_by_expected": round(worth.overall, 3), "mask_iou_by_expected_classes": classes}


def write_set(item: Collection, document: dict[str, Any], folder: Path) -> None:
    """`annotations.json`, the pictures beside it (linked, copied where links do not work), and a look at them."""
    images = folder / "images"
    if not images.exists():
        images.unlink(missing_ok=True)  # a link to what is gone
        try:
            images.symlink_to(item.pictures.resolve(), target_is_directory=True)
        except OSError:
            shutil.copytree(item.pictures, images)
    partial = folder / "annotations.partial"
    partial.write_text(json.dumps(document), "utf-8")
    partial.replace(folder / "annotations.json")
    draw(item, document, folder / "labels.png")


def draw(item: Collection, document: dict[str, Any], path: Path) -> None:
    """The pictures in which most was found: machine-made objects painted, doubtful ones hatched."""
    import cv2
    import numpy as np

    from export.data.coco import annotation_mask
    from export.data.label import is_machine_made
    from export.data.pack import read_picture
    from export.data.pictures import hatch, paint, sheet
    from tracker.boxes import xyxy_from_xywh

    made: dict[int, list[dict[str, Any]]] = {}
    for entry in document["annotations"]:
        if is_machine_made(entry):
            made.setdefault(entry["image_id"], []).append(entry)
    order = sorted(made, key=lambda key: -sum(not entry["iscrowd"] for entry in made[key]))
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    records = {record["id"]: record for record in document["images"]}
    tiles = []
    for key in order[:SHOWN_PICTURES]:
        picture = read_picture(item.pictures / records[key]["file_name"], records[key])
        for entry in made[key]:
            box = xyxy_from_xywh(np.array([entry["bbox"]], float))[0]
            mask = annotation_mask(entry, *picture.shape[:2]) > 0
            if entry["iscrowd"] or not mask.any():
                hatch(picture, box)
                continue
            score = entry.get("score", entry.get("detector_score"))
            paint(picture, mask, box, entry["category_id"], f"{names[entry['category_id']]} {score:.2f}")
        tiles.append(picture)
    if tiles:
        cv2.imwrite(str(path), sheet(tiles))


def summary(document: dict[str, Any], item: Collection) -> str:
    """What was added to a set, or drawn anew, in a line."""
    from export.data.label import is_machine_made

    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    made = [entry for entry in document["annotations"] if is_machine_made(entry)]
    counts = Counter(names[entry["category_id"]] for entry in made if not entry["iscrowd"])
    doubtful = sum(bool(entry["iscrowd"]) for entry in made)
    objects = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "no object"
    done = "drawn anew" if is_drawn_anew(item) else "added"
    return f"{done}: {objects}; {doubtful} doubtful regions; {len(item.records)} pictures"


def agreement(checks: list[Check], worth: Worth) -> str:
    """How like people's masks the machine-made ones are, in words."""
    given = ", ".join(f"{name} {value:.2f}" for name, value in sorted(worth.classes.items()))
    by_class_text = f"; {given}" if given else ""
    if not checks:
        text = "no labelled object to compare with: masks are taken for as good as the decoder expects"
        return text + (f", but for {given} of it" if given else "")
    by_class: dict[str, list[float]] = {}
    for item in checks:
        by_class.setdefault(item.name, []).append(item.iou)
    parts = [f"{name} {sum(found) / len(found):.3f} ({len(found)})" for name, found in sorted(by_class.items())]
    mean = sum(item.iou for item in checks) / len(checks)
    return (
        f"mean mask IoU with people's masks of the same objects: {mean:.3f} ({len(checks)}); "
        f"{', '.join(parts)}. Mask scores: {worth.overall:.2f} of what the decoder expects{by_class_text}"
    )
