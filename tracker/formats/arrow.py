"""The package that reads and writes Parquet, which not every installation has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, install_command

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["pyarrow_for"]


def pyarrow_for(path: Path) -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``, for a file.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as missing:
        problem = "expected the package pyarrow for Parquet, found none"
        raise ConfigError(path, problem, install_command("parquet")) from missing
    return pa, parquet
