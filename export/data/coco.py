"""COCO instance files and their pictures as checked collections."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from tracker.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# What a folder's file may be called: this project's, Roboflow's, CVAT's and COCO's own.
FILE_NAMES = ("annotations.json", "_annotations.coco.json", "instances_default.json", "coco.json")
PICTURE_ENDINGS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
# Sets that label only some of the objects of their own classes (each set's SOURCE.md): background is not known there.
# Other files say so with `info.complete = false`.
INCOMPLETE_SETS = ("davis_single", "pennfudan", "via_martinezger", "via_firetruck_dctisdal", "coco_person_")


class Collection(NamedTuple):
    """One checked COCO file."""

    name: str  # of the set, for reports
    source: Path  # the JSON file
    pictures: Path  # the folder that `file_name` counts from
    records: list[dict[str, Any]]
    annotations: dict[int, list[dict[str, Any]]]  # by image id
    names: dict[int, str]  # of the categories, after `mapping`
    written: frozenset[str]  # names of the categories as the file has them
    labelled: frozenset[str]  # classes of which a picture without an object shows none
    complete: bool  # are all objects of the labelled classes annotated?
    machine_made: bool  # annotations carry a `score`

    @property
    def counts(self) -> Counter[str]:
        """Annotations by class."""
        return Counter(self.names[item["category_id"]] for items in self.annotations.values() for item in items)


def read_coco(path: Path, pictures: Path | None = None, *, mapping: Mapping[str, str] | None = None) -> Collection:
    """Read and check one COCO file.

    Args:
        path: the JSON file, or a folder that holds one.
        pictures: folder of the pictures; default `images/` beside the file, else the file's own folder.
        mapping: names that stand for others, ``{"van": "car"}``.

    Raises:
        SourceError: missing files, no JSON, no pictures, no masks, ids that point nowhere.
    """
    source = find_json(path)
    document = load_document(source)
    folder = pictures or (source.parent / "images" if (source.parent / "images").is_dir() else source.parent)
    if not folder.is_dir():
        raise SourceError(folder, "expected the folder of the pictures, found none", "give it with --images")
    names = {item["id"]: (mapping or {}).get(item["name"], item["name"]) for item in document["categories"]}
    annotations: dict[int, list[dict[str, Any]]] = {item["id"]: [] for item in document["images"]}
    for item in document["annotations"]:
        where = f"{source}: annotation {item.get('id')}"
        if item.get("category_id") not in names:
            raise SourceError(where, f"category_id {item.get('category_id')} is not among the categories", "correct it")
        if item.get("image_id") not in annotations:
            raise SourceError(where, f"image_id {item.get('image_id')} is not among the images", "correct it")
        annotations[item["image_id"]].append(item)
    if not any(item.get("segmentation") for item in document["annotations"]):
        raise SourceError(source, "expected instance masks, found boxes only", "label polygons or run-length codes")
    missing = [item["file_name"] for item in document["images"] if not (folder / item["file_name"]).is_file()]
    if missing:
        raise SourceError(
            folder / missing[0],
            f"no such picture, and {len(missing)} of the {len(document['images'])} in {source.name} are missing",
            "check --images: `file_name` counts from there",
        )
    info = document.get("info") or {}
    machine_made = any("score" in item for item in document["annotations"])
    name = source.stem if source.name not in FILE_NAMES else source.parent.name
    declared = info.get("labelled_categories") or [item["name"] for item in document["categories"]]
    return Collection(
        name=name,
        source=source,
        pictures=folder,
        records=document["images"],
        annotations=annotations,
        names=names,
        written=frozenset(item["name"] for item in document["categories"]),
        labelled=frozenset((mapping or {}).get(item, item) for item in declared),
        complete=bool(info.get("complete", not machine_made and not name.startswith(INCOMPLETE_SETS))),
        machine_made=machine_made,
    )


def pictures_below(folder: Path) -> list[Path]:
    """Picture files of a folder and those below it, by name."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)


def find_json(path: Path) -> Path:
    """The COCO file that a path means."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise SourceError(
            path, "expected a COCO file or a folder that holds one, found nothing there", "check the path"
        )
    found = [path / name for name in FILE_NAMES if (path / name).is_file()] or sorted(path.glob("*.json"))
    if len(found) != 1:
        raise SourceError(path, f"expected one COCO file ({FILE_NAMES[0]}), found {len(found)}", "name the file itself")
    return found[0]


def load_document(source: Path) -> dict[str, Any]:
    """The file's JSON with the three lists that COCO has, none of them empty."""
    try:
        document = json.loads(source.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SourceError(source, f"expected a COCO instances file, found: {error}", "check the file") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise SourceError(source, f"expected a COCO instances file, found no list `{key}`", "check the file")
        if not document[key]:
            raise SourceError(source, f"`{key}` is empty: nothing to learn from", "export the labels again")
    for key, wanted in (("images", ("id", "file_name", "width", "height")), ("categories", ("id", "name"))):
        for item in document[key]:
            absent = [name for name in wanted if name not in item]
            if absent:
                raise SourceError(source, f"an entry of `{key}` lacks `{absent[0]}`: {item}", "correct the file")
    return document


def parse_mapping(texts: Sequence[str]) -> dict[str, str]:
    """``["van=car"]`` -> ``{"van": "car"}``."""
    mapping = {}
    for text in texts:
        old, sign, new = text.partition("=")
        if not sign or not old.strip() or not new.strip():
            raise ConfigError(f"--map {text}", "expected OLD=NEW", "for example --map van=car")
        mapping[old.strip()] = new.strip()
    return mapping


def choose_classes(
    collections: Sequence[Collection], wanted: Sequence[str] | None = None, mapping: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The class names of a training: those wanted, else all that have annotations, in the files' order.

    Raises:
        ConfigError: a wanted class, or the left side of a mapping, that the data does not have.
    """
    counts: Counter[str] = sum((item.counts for item in collections), Counter())
    declared = {name: None for item in collections for _, name in sorted(item.names.items())}
    there = ", ".join(f"{name} ({counts[name]})" for name in declared)
    for old in mapping or {}:
        written = sorted(set().union(*(item.written for item in collections)))
        if old not in written:
            raise ConfigError(
                f"--map {old}={(mapping or {})[old]}",
                f"the data has no class {old!r}; it has {', '.join(written)}",
                "correct the name",
            )
    if wanted is None:
        return tuple(name for name in declared if counts[name])
    if len(set(wanted)) != len(wanted):
        raise ConfigError(f"--classes {','.join(wanted)}", "names a class twice", "name each once")
    for name in wanted:
        if not counts[name]:
            close = difflib.get_close_matches(name, list(declared), 1)
            raise ConfigError(
                f"--classes {','.join(wanted)}",
                f"expected classes that the data has annotations of, found {name!r}; it has {there}",
                f"did you mean {close[0]!r}?" if close else "label some, or leave the class out",
            )
    return tuple(wanted)


def annotation_mask(annotation: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Polygons or RLE -> (height, width) uint8 0/1."""
    segmentation = annotation.get("segmentation")
    if not segmentation:
        return np.zeros((height, width), np.uint8)
    if isinstance(segmentation, list):
        code = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        code = coco_mask.frPyObjects(segmentation, height, width)
    else:
        code = segmentation
    return np.asarray(coco_mask.decode(code), np.uint8)
