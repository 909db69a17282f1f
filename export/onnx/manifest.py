"""`manifest.toml` of exported files, with parity and accuracy figures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def write_manifest(
    path: Path,
    *,
    metadata: dict[str, str],
    files: list[dict[str, Any]],
    score_threshold: float,
    confirmation_score: float = 0.5,
    training: dict[str, Any] | None = None,
) -> None:
    """Write the manifest.

    Args:
        path: where to.
        metadata: the `masktrail.*` properties of one of the files; what differs by file is under `files`.
        files: per file `path`, `height`, `width`, `parity` and `accuracy` (set -> figures of `export evaluate`).
        score_threshold: default for showing and tracking.
        confirmation_score: a track is confirmed by an instance of this score or above.
        training: what is known of how the weights were made; numbers, texts and tables of such.
    """
    classes = json.loads(metadata["masktrail.classes"])
    layout = json.loads(metadata["masktrail.input"])
    lines = [
        "# What the files beside this one take and give, and what was measured on them.",
        "# Written by `python -m export nano`.",
        f"name = {quote(metadata['masktrail.name'])}",
        f"version = {quote(metadata['masktrail.version'])}",
        f"licence = {quote(metadata['masktrail.licence'])}",
        f"contract = {quote(metadata['masktrail.contract'])}",
        f"classes = [{', '.join(quote(name) for name in classes)}]",
        f"score_threshold = {score_threshold}",
        f"confirmation_score = {confirmation_score}",
        f"default_variant = {quote(variant(files[0]))}",
        f"files = [{', '.join(quote(Path(item['path']).name) for item in files)}]",
        "",
        "[input]",
        *(f"{key} = {toml(value)}" for key, value in layout.items() if key not in ("height", "width")),
    ]
    for item in files:
        source = Path(item["path"])
        lines += [
            "",
            f"[export.{variant(item)}]",
            f"bytes = {source.stat().st_size}",
            f"sha256 = {quote(hashlib.sha256(source.read_bytes()).hexdigest())}",
            f"mask_stride = {metadata['masktrail.mask_stride']}",
            f"activation = {quote(metadata['masktrail.activation'])}",
        ]
        for kind, figures in item["parity"].items():
            lines += ["", f"[parity.{variant(item)}.{kind}]  # ONNX Runtime against PyTorch"]
            lines += [f"{key} = {toml(value)}" for key, value in figures.items()]
        lines += accuracy_lines(item)
    if training:
        lines += ["", "[training]", *(f"{key} = {toml(value)}" for key, value in training.items())]
    path.write_text("\n".join(lines) + "\n")


def accuracy_lines(item: dict[str, Any]) -> list[str]:
    """Tables of a file's `accuracy` by set."""
    lines = []
    for name, figures in item["accuracy"].items():
        lines += ["", f"[metrics.{variant(item)}.{name}]  # masks, pycocotools"]
        lines += [f"{key} = {toml(value)}" for key, value in figures.items() if key != "classes"]
        for label, values in figures.get("classes", {}).items():
            lines.append(f"{label} = {{ AP = {toml(values['AP'])}, AP50 = {toml(values['AP50'])} }}")
    return lines


def variant(item: dict[str, Any]) -> str:
    """``384x640``, height x width."""
    return f"{item['height']}x{item['width']}"


def quote(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False)


def toml(value: Any) -> str:
    """A number, a string, or a list or table of such, as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quote(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:.4g}" if value else "0.0"
    return quote(value) if isinstance(value, str) else str(value)
