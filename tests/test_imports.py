"""The architecture as a test: which part may import which, and what a bare import must not load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("sources", "segment", "associate", "analytics", "render", "sinks")
CENTRAL = {
    "tracker.alert_rules",
    "tracker.types",
    "tracker.boxes",
    "tracker.masks",
    "tracker.errors",
    "tracker.events",
    "tracker.contacts",
    "tracker.heat",
    "tracker.ground",
    "tracker.groups",
    "tracker.polygons",
    "tracker.premises",
    "tracker.recount",
    "tracker.site",
    "tracker.site_checks",
    "tracker.track_block",
    "tracker.traffic",
    "tracker.version",
}


@cache
def modules(folder: str) -> tuple[Path, ...]:
    return tuple(sorted((ROOT / folder).rglob("*.py")))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path: Path) -> frozenset[str]:
    """Every module that a file names in an import, at any depth of nesting."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def imports_of(path: Path, package: str) -> set[str]:
    return {name for name in imported(path) if name == package or name.startswith(package + ".")}


@pytest.mark.parametrize("stage", STAGES)
def test_stages_never_import_each_other(stage: str) -> None:
    for path in modules(f"tracker/{stage}"):
        for other in STAGES:
            if other != stage:
                assert not imports_of(path, f"tracker.{other}"), f"{path.relative_to(ROOT)} imports tracker.{other}"


def test_inference_knows_no_pictures_and_no_other_stage() -> None:
    """An .onnx on a device: neither boxes nor masks nor the stages that use it."""
    for path in modules("tracker/inference"):
        found = {name for name in imports_of(path, "tracker") if not name.startswith("tracker.inference")}
        assert found - {"tracker"} <= {
            "tracker.errors",
            "tracker.errors.ModelError",
            "tracker.errors.ConfigError",
            "tracker.errors.install_command",
        }, path


def test_formats_import_only_central_modules_and_each_other() -> None:
    for path in modules("tracker/formats"):
        for name in imports_of(path, "tracker") - {"tracker"}:
            inside = name.startswith("tracker.formats")
            assert inside or any(name == one or name.startswith(one + ".") for one in CENTRAL), f"{path}: {name}"


def test_analytics_is_pure() -> None:
    """Central modules and its own: no files, no network, no drawing."""
    for path in modules("tracker/analytics"):
        for name in imports_of(path, "tracker") - {"tracker"}:
            inside = name.startswith("tracker.analytics")
            assert inside or any(name == one or name.startswith(one + ".") for one in CENTRAL), f"{path}: {name}"
        for package in ("cv2", "av", "pathlib", "os", "io", "socket", "urllib", "yaml"):
            assert not imports_of(path, package), f"{path.relative_to(ROOT)} imports {package}"


def test_central_modules_import_nothing_but_each_other() -> None:
    files = [ROOT / (name.replace(".", "/") + ".py") for name in CENTRAL - {"tracker.masks"}]
    for path in (*files, *modules("tracker/masks")):
        for found in imports_of(path, "tracker") - {"tracker"}:
            assert any(found == allowed or found.startswith(allowed + ".") for allowed in CENTRAL), f"{path}: {found}"


def test_the_engine_has_no_console_no_signals_and_no_yaml() -> None:
    for path in modules("tracker/engine"):
        for package in ("rich", "typer", "signal", "yaml", "tracker.app", "tracker.service"):
            assert not imports_of(path, package), f"{path.relative_to(ROOT)} imports {package}"


def test_only_the_top_of_the_house_sees_the_engine() -> None:
    allowed = {
        "tracker/__init__.py",
        "tracker/app",
        "tracker/batch",
        "tracker/engine",
        "tracker/service",
        "tracker/measure",
    }
    for path in modules("tracker"):
        name = path.relative_to(ROOT).as_posix()
        if imports_of(path, "tracker.engine"):
            assert any(name == entry or name.startswith(entry + "/") for entry in allowed), name


def test_the_dashboard_sees_the_engine_through_messages_and_ledgers_only() -> None:
    """A process of its own, which must not load a model or read a camera."""
    for path in modules("tracker/dashboard"):
        for other in ("engine", "app", "service", "sources", "segment", "inference", "associate", "refine"):
            assert not imports_of(path, f"tracker.{other}"), f"{path.relative_to(ROOT)} imports tracker.{other}"


def test_reports_are_made_of_ledgers_and_nothing_above_them() -> None:
    """Values and files in, pages out: the command, the service and the dashboard may all ask for one."""
    for path in modules("tracker/report"):
        for other in ("engine", "app", "service", "dashboard", "batch", "sources", "segment", "inference", "settings"):
            assert not imports_of(path, f"tracker.{other}"), f"{path.relative_to(ROOT)} imports tracker.{other}"


def test_the_contract_of_sinks_is_a_class_and_not_a_habit() -> None:
    for path in modules("tracker"):
        assert "getattr(sink" not in path.read_text(encoding="utf-8"), f"{path.relative_to(ROOT)}"


def test_extension_points_name_modules_and_import_none_of_them() -> None:
    """What is registered may ask the page for others of its kind: it must not lead back there."""
    named = imports_of(ROOT / "tracker/plugins.py", "tracker")
    for stage in ("sources", "segment", "associate", "analytics"):
        assert not any(name.startswith(f"tracker.{stage}") for name in named), stage
    for path in (*modules("tracker/render"), *modules("tracker/sinks")):
        assert not imports_of(path, "tracker.plugins"), f"{path.relative_to(ROOT)}: a circle"


def test_run_time_never_imports_torch_or_export() -> None:
    for path in modules("tracker"):
        for package in ("torch", "export", "matplotlib"):
            assert not imports_of(path, package), f"{path.relative_to(ROOT)} imports {package}"


def test_inner_packages_re_export_nothing() -> None:
    for path in modules("tracker"):
        if path.name == "__init__.py" and path.parent.name != "tracker":
            body = parsed(path).body
            assert len(body) == 1, f"{path.relative_to(ROOT)}: a docstring and nothing else"
            assert isinstance(body[0], ast.Expr)


def test_module_docstrings_name_what_the_module_is() -> None:
    """In the field's words, never as "X enters; Y leaves"."""
    for path in (*modules("tracker"), *modules("export"), *modules("demos")):
        docstring = ast.get_docstring(parsed(path))
        assert docstring, f"{path}: no module docstring"
        found = re.search(r"\b(enters?|leaves?|comes? in)\b", docstring.split("\n")[0])
        assert found is None, f"{path.relative_to(ROOT)}: {docstring.splitlines()[0]!r}"


def test_bare_import_loads_nothing_heavy() -> None:
    code = "import sys, tracker; print(sorted({'cv2', 'av', 'onnxruntime', 'torch', 'pyarrow'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def module_imports(path: Path) -> set[str]:
    """Modules of tracker that a file imports at its top level, for types only as well."""
    found: set[str] = set()
    waiting: list[ast.stmt] = list(parsed(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If | ast.Try | ast.With):
            waiting += node.body
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in modules("tracker")
        if path.name != "__init__.py"
    }
    needs = {name: module_imports(path) & set(names) for name, path in names.items()}
    while free := {name for name, needed in needs.items() if not needed}:
        needs = {name: needed - free for name, needed in needs.items() if name not in free}
    assert needs == {}, f"circles among {sorted(needs)}"
