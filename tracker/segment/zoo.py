"""Model zoo: file and manifest of a model by name or path.

Names are folders of the zoo: ``tracker/_models/<name>/`` in an installed wheel, ``models/<name>/`` in a checkout. A
folder holds ``<name>-<height>x<width>.onnx`` variants or one ``<name>.onnx``, and a ``manifest.toml``.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ModelError, system_refusals
from tracker.inference.graph import read_graph, weights_of
from tracker.segment.manifest import Manifest, load_manifest
from tracker.types import Letterbox

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DEFAULT_MODEL",
    "ModelFile",
    "ZooEntry",
    "find_model",
    "is_of_zoo",
    "list_models",
    "model_files",
    "zoo_folders",
]

DEFAULT_MODEL = "yolact-nano"
SIZE = re.compile(r"-(\d+)x(\d+)$")
PACKAGE = Path(__file__).resolve().parent.parent
NOTES = frozenset({"path", "description", "free"})
"""Fields of a manifest that change no instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file to open.

    Attributes:
        label: How errors and reports name it.
        path: The ``.onnx`` file.
        variant: ``384x640`` (height x width) where the file's name says so, else empty.
        manifest: The manifest that goes with it, or ``None``.
    """

    label: str
    path: Path
    variant: str
    manifest: Manifest | None

    def digest(self) -> str:
        """SHA-256 of the network, the files of its weights and the manifest's settings; of no path.

        The same in every process: what a recording is resumed by. The manifest's notes for people do not count.
        """
        manifest = self.manifest
        names = [] if manifest is None else [one.name for one in fields(manifest) if one.name not in NOTES]
        total = hashlib.sha256(repr([(name, getattr(manifest, name)) for name in names]).encode())
        for file in (self.path, *(path for path in _weights(self.path) if path.is_file())):
            with file.open("rb") as data:
                total.update(hashlib.file_digest(data, "sha256").digest())
        return total.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooEntry:
    """A named model.

    Attributes:
        name: What ``--model`` takes.
        folder: Where it lies.
        files: Its ``.onnx`` files, the default first.
        manifest: Its manifest, or ``None``.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    manifest: Manifest | None

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants, the default first; empty texts where the files have no size in their name."""
        return tuple(variant_of(path) for path in self.files)


def variant_of(path: Path) -> str:
    """``384x640`` from ``yolact-nano-384x640.onnx``, else an empty text.

    >>> variant_of(Path("yolact-nano-384x640.onnx"))
    '384x640'
    """
    found = SIZE.search(path.stem)
    return "" if found is None else f"{found[1]}x{found[2]}"


def zoo_folders() -> list[Path]:
    """Folders that hold named models, the wheel's before the checkout's."""
    checkout = PACKAGE.parent
    candidates = [PACKAGE / "_models"]
    if (checkout / "pyproject.toml").is_file():
        candidates.append(checkout / "models")
    return [folder for folder in candidates if folder.is_dir()]


def is_of_zoo(path: Path) -> bool:
    """Whether a file is one of the zoo's, which came with masktrail and are opened without a trial."""
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in zoo_folders())


def list_models(folders: Sequence[Path] | None = None) -> list[ZooEntry]:
    """Every named model, by name.

    Args:
        folders: Where to look; ``None`` = :func:`zoo_folders`.
    """
    entries: dict[str, ZooEntry] = {}
    for root in zoo_folders() if folders is None else folders:
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            if folder.name not in entries and any(folder.glob("*.onnx")):
                entries[folder.name] = _entry(folder)
    return [entries[name] for name in sorted(entries)]


def _entry(folder: Path) -> ZooEntry:
    described = folder / "manifest.toml"
    manifest = load_manifest(described) if described.is_file() else None
    preferred = (manifest.default_variant if manifest else None) or "384x640"
    files = sorted(folder.glob("*.onnx"), key=lambda path: (variant_of(path) != preferred, path.name))
    return ZooEntry(name=folder.name, folder=folder, files=tuple(files), manifest=manifest)


@system_refusals(ModelError)
def find_model(
    model: str | Path,
    *,
    variant: str | None = None,
    source_size: tuple[int, int] | None = None,
    folders: Sequence[Path] | None = None,
) -> ModelFile:
    """The file that ``--model`` means.

    Args:
        model: A name of the zoo, with or without the variant (``yolact-nano-416x416``), an ``.onnx`` file, or a folder
            of them.
        variant: ``384x640``, height x width; ``None`` = the one that shows most of ``source_size``, else the default.
        source_size: ``(width, height)`` of the pictures to come.
        folders: Where named models are; ``None`` = :func:`zoo_folders`.

    Raises:
        ModelError: No such model or variant; the message names what there is.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return ModelFile(label=str(model), path=path, variant=variant_of(path), manifest=_manifest_beside(path))
    if path.is_dir() and any(path.glob("*.onnx")):
        entry = _entry(path)
        if entry.manifest is not None and entry.manifest.promptable is not None:
            problem = "expected a model that finds objects, found a promptable segmenter, which outlines boxes"
            raise ModelError(model, problem, f"--outline {model}, beside a model")
        return _choose(entry, str(model), variant, source_size)
    entries = list_models(folders)
    for entry in entries:
        if str(model) == entry.name:
            return _choose(entry, entry.name, variant, source_size)
        for file in entry.files:
            if str(model) == file.stem:
                return ModelFile(label=file.stem, path=file, variant=variant_of(file), manifest=_manifest_beside(file))
    names = [entry.name for entry in entries]
    if path.suffix.lower() == ".onnx" or path.parent != Path():
        if path.suffix.lower() != ".onnx" and path.with_name(f"{path.name}.onnx").is_file():
            raise ModelError(model, "no such model file", f"did you mean {f'{path}.onnx'!r}?")
        raise ModelError(
            model,
            "no such model file",
            f"check the path, or use a model by name: {', '.join(names) or 'none is installed'}",
        )
    beside = path.with_name(f"{path.name}.onnx")
    close = [str(beside)] if beside.is_file() else difflib.get_close_matches(str(model), names, 1)
    hint = f"did you mean {close[0]!r}?" if close else "give the path of an .onnx file"
    raise ModelError(model, f"no model of this name; installed: {', '.join(names) or 'none'}", hint)


@system_refusals(ModelError)
def model_files(model: str | Path) -> list[Path]:
    """Every file that ``--model`` may read: the network, the files of its weights, and manifests; no session is opened.

    Empty where there is no such model, which :func:`find_model` says.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return [path, *_weights(path), path.with_suffix(".toml"), path.parent / "manifest.toml"]
    if path.is_dir():
        return list(path.iterdir())
    places = [folder for root in zoo_folders() for folder in root.iterdir() if str(model).startswith(folder.name)]
    return [file for folder in places if folder.is_dir() for file in folder.iterdir()]


def _weights(path: Path) -> list[Path]:
    """Files that a network names for its weights; none where it cannot be read, which is reported at opening."""
    with contextlib.suppress(ModelError):
        return weights_of(path, read_graph(path))
    return []


def _choose(entry: ZooEntry, label: str, variant: str | None, source_size: tuple[int, int] | None) -> ModelFile:
    files = {variant_of(file): file for file in reversed(entry.files)}
    if variant is not None and variant not in files:
        raise ModelError(
            label,
            f"no variant {variant!r}; there is {', '.join(sorted(filter(None, files))) or 'only one'}",
            "choose one of these, height x width",
        )
    chosen = entry.files[0] if variant is None else files[variant]
    if variant is None and source_size is not None:
        # The variant with most content pixels at network size; the default among equals.
        chosen = max(entry.files, key=lambda file: _content_pixels(file, source_size))
    return ModelFile(label=label, path=chosen, variant=variant_of(chosen), manifest=entry.manifest)


def _content_pixels(file: Path, source_size: tuple[int, int]) -> int:
    found = SIZE.search(file.stem)
    if found is None:
        return 0
    width, height = Letterbox.fit(source_size, (int(found[2]), int(found[1]))).content_size
    return width * height


def _manifest_beside(path: Path) -> Manifest | None:
    """``<file>.toml``, else a ``manifest.toml`` in the folder that names the file or names none."""
    own = path.with_suffix(".toml")
    if own.is_file():
        return load_manifest(own)
    shared = path.parent / "manifest.toml"
    if not shared.is_file():
        return None
    manifest = load_manifest(shared)
    return manifest if manifest.files is None or path.name in manifest.files else None
