"""File systems by their mount points: which of them are reached over a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["NETWORK", "file_system"]

NETWORK = re.compile(
    r"nfs\d*|cifs|smb\d*|smbfs|9p|afs|ncpfs|ceph|glusterfs|lustre|gpfs|beegfs|ocfs2|gfs2|davfs|fuse\..*|fuse"
)
"""Types whose locks and shared memory other machines do not see, or which may stand for any other one (fuse)."""


def file_system(path: str | os.PathLike[str], mounts: str | None = None) -> str:
    r"""Type of the file system that a path is on; empty where the system does not tell.

    Args:
        path: Links are resolved.
        mounts: Text of ``/proc/mounts``, which is read where it is not given.

    >>> file_system("/mnt/a b/x.db", "/dev/sda / ext4 rw 0 0\nnas:/v /mnt/a\\040b nfs4 rw 0 0\n")
    'nfs4'
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    target = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1])
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two mounts on one point the later one is seen
            best, kind = point, fields[2]
    return kind
