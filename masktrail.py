"""The package ``tracker`` under its distribution's name: ``import masktrail`` is the same module object.

Submodules are the same objects too: ``masktrail.errors`` is ``tracker.errors``. The documentation says ``tracker``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

import tracker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

PREFIX = "masktrail."


class _SameModules(MetaPathFinder, Loader):
    """Finder of ``masktrail.x`` that gives the module ``tracker.x``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for submodules of masktrail that tracker has; ``None`` for everything else."""
        del path, target
        if not fullname.startswith(PREFIX) or importlib.util.find_spec(_own_name(fullname)) is None:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module of tracker; its own spec is kept from the import system, which sets the alias's."""
        module = importlib.import_module(_own_name(spec.name))
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: the module was imported under its own name."""
        module.__spec__ = self._spec


def _own_name(alias: str) -> str:
    return f"tracker.{alias.removeprefix(PREFIX)}"


if __name__ == "__main__":  # python -m masktrail
    sys.argv[0] = "masktrail"
    importlib.import_module("tracker.__main__").main()
else:
    sys.meta_path.insert(0, _SameModules())
    sys.modules[__name__] = tracker
