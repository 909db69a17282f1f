"""Provenance record `run.json`: options, data and weights of a run."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import platform
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    import torch

    from export.data.archive import Archive
    from export.data.batches import Recipe
    from export.networks.yolact_nano import YolactNano

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "numpy", "opencv-python", "onnx", "onnxruntime", "onnxruntime-gpu", "pycocotools")

OPTIONS = ("mask_rate", "detector_rate", "seed", "model", "activation", "match_maps")
OPTIONS += ("mask_growth", "mask_outside", "crossover")
# What runs of before had, which do not say so.
SINCE = {
    "mask_teacher": None,
    "activation": None,
    "match_maps": 0.0,
    "mask_growth": 0.0,
    "mask_outside": 1.0,
    "crossover": 0.0,
}


def record(
    options: argparse.Namespace,
    *,
    archive: Archive,
    recipe: Recipe,
    plan: dict[str, int],
    teacher: YolactNano | None,
    device: torch.device,
) -> None:
    """Write `run.json`: settings, versions, commit, hashes, counts; a line more for every start.

    Raises:
        ConfigError: the folder holds a run with other settings.
    """
    from export.data.archive import archive_hash, read_index

    file = options.out / "run.json"
    options.out.mkdir(parents=True, exist_ok=True)
    given = {key: value for key, value in vars(options).items() if key not in {"run", "command", "out"}}
    settings = {
        "classes": list(archive.classes),
        "archive_sha256": archive_hash(archive.path),
        "init_sha256": digest(options.init),
        **({} if options.heads is None else {"heads_sha256": digest(options.heads)}),
        "teacher": None
        if teacher is None
        else (options.teacher if options.teacher == "init" else digest(Path(options.teacher))),
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "mask_teacher": None
        if options.model != "yolact-nanodet" or options.mask_teacher == "none"
        else digest(Path(options.mask_teacher)),
        "mask_steps": plan["mask_steps"],
        "all_steps": plan["all_steps"],
        **{key: getattr(options, key) for key in OPTIONS},
    }
    start = {
        "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "argv": sys.argv[1:],
        "options": {key: value if isinstance(value, (int, float)) else str(value) for key, value in given.items()},
        "device": str(device),
        "versions": versions(),
        "git": git_state(),
    }
    before = json.loads(file.read_text()) if file.exists() else {"settings": settings, "starts": []}
    held = {**SINCE, **before["settings"]}
    changed = [key for key, value in settings.items() if held.get(key) != value]
    if changed and (options.out / "last.pt").exists():
        key = changed[0]
        raise ConfigError(
            options.out,
            f"holds a run with other settings: {key} was {held.get(key)}, and is {settings[key]}",
            "go on with the same settings, or choose another --out",
        )
    document = {
        "settings": settings,
        "data": read_index(archive.path)["report"],
        "starts": [*(before["starts"] if not changed else []), start],
    }
    file.write_text(json.dumps(document, indent=1) + "\n")


def versions() -> dict[str, str]:
    """Of what takes part."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, str]:
    """The commit of this checkout, and whether anything in `export/` differs from it; empty where git does not know."""
    found = {}
    for key, command in (("commit", ["rev-parse", "HEAD"]), ("changed", ["status", "--porcelain", "--", "export"])):
        try:
            run = subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=True)  # noqa: S603, S607
        except (OSError, subprocess.CalledProcessError):
            return {}
        found[key] = run.stdout.strip()
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
