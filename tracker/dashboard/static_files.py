"""The page's own files: a table made once, by name, compressed, with a checksum each; no path of a client is opened."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STATIC", "StaticFile", "static_files"]

STATIC = Path(__file__).parent / "static"

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_COMPRESSED = (".js", ".mjs", ".css", ".html", ".json", ".svg", ".txt", ".md", ".webmanifest")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file: its bytes, the same by gzip where that is smaller, its type and its checksum."""

    body: bytes
    compressed: bytes | None
    media_type: str
    etag: str


def static_files(folder: Path = STATIC) -> dict[str, StaticFile]:
    """All files of a folder by their names with ``/``; hidden ones and links are left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.is_symlink() or any(part.startswith(".") for part in name.split("/")):
            continue
        body = path.read_bytes()
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        smaller = gzip.compress(body, 9, mtime=0) if path.suffix in _COMPRESSED else None
        found[name] = StaticFile(body, smaller, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found
