"""The plan of the house: imports point down, and every name of a registry leads somewhere."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import synergynet
from synergynet.detection import DETECTORS, create_detector
from synergynet.outputs.formats import face_endings, photo_endings
from synergynet.outputs.kinds import DRAWINGS, MESHES, resolve

SRC = Path(synergynet.__file__).parent
FLOORS = (
    ("geometry",),
    ("files",),
    ("face_model",),
    ("weights",),
    ("nets",),
    ("detection", "regression", "rendering"),
    ("datasets",),
    ("pipeline",),
    ("outputs",),
    ("jobs", "training", "evaluation", "export", "serve"),
    ("cli",),
)
"""Packages from the ground up; one may import what lies below it and itself, and ``errors``."""
FRAMEWORKS = {"torch", "mindspore"}
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages}


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SRC.rglob("*.py")}


def imports(module: str) -> Iterator[str]:
    """Modules of the package that a file imports: at its top, in functions, for type checks."""
    path = MODULES[module]
    here = module.split(".") if module else []
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (n.partition(".")[2] for n in names if n.split(".")[0] == "synergynet")
        if not isinstance(node, ast.ImportFrom):
            continue
        base = (node.module or "").split(".")
        if node.level:
            base = package[: len(package) - node.level + 1] + (base if node.module else [])
        elif base[0] == "synergynet":
            base = base[1:]
        else:
            continue
        for alias in node.names:
            inner = ".".join([*base, alias.name])
            yield inner if inner in MODULES else ".".join(base)


GRAPH = {module: sorted(set(imports(module)) - {module}) for module in MODULES}


def test_every_package_has_its_floor() -> None:
    packages = {module.split(".")[0] for module in MODULES if module}
    assert packages == {*FLOOR, "errors", "__main__", "_pyinstaller"}


def test_imports_point_down() -> None:
    wrong = []
    for module, targets in GRAPH.items():
        home = module.split(".")[0]
        if home in ("", "__main__"):  # the doors
            continue
        for target in targets:
            other = target.split(".")[0]
            down = home in FLOOR and other in FLOOR and FLOOR[other] < FLOOR[home]
            if not (down or other in (home, "errors")):
                wrong.append(f"{module} imports {target}")
    assert not wrong


def test_frameworks_do_not_know_each_other() -> None:
    """Nor does what belongs to none of them import one at its top."""
    for module, targets in GRAPH.items():
        own = FRAMEWORKS & set(module.split("."))
        if own:
            others = FRAMEWORKS - own
            assert not [t for t in targets if others & set(t.split("."))], module


def test_no_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        if module not in done:
            for target in GRAPH.get(module, ()):
                visit(target, (*path, module))
            done.add(module)

    for module in GRAPH:
        visit(module, ())


@pytest.mark.parametrize("name", [*DRAWINGS])
def test_every_drawing_leads_somewhere(name: str) -> None:
    kind = DRAWINGS[name]
    for home in (kind.home, kind.in_video, kind.note):
        assert home is None or callable(resolve(home))


def test_every_mesh_format_and_its_files_are_known() -> None:
    for kind in MESHES.values():
        assert callable(resolve(kind.home))
        assert set(kind.endings) <= set(face_endings())
    assert ".json" in photo_endings() and "_uv.png" in face_endings()


def test_every_detector_is_built_by_its_name() -> None:
    for name in DETECTORS:
        assert create_detector(name, threads=1).name == name


THIRD_PARTY = {"geometry": {"numpy"}, "weights": {"numpy", "safetensors", "google"}}


@pytest.mark.parametrize("package", THIRD_PARTY)
def test_the_lowest_floors_need_little(package: str) -> None:
    for path in (SRC / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module or "")
            foreign = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
            assert foreign <= THIRD_PARTY[package] | {"__future__"}, path
