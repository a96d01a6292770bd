"""What the package says of itself to pip: its dependencies, their lower bounds, its hooks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import REPO

import synergynet

NAMES = {
    **{"cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml"},
    **{"prometheus_client": "prometheus-client", "python_multipart": "python-multipart"},
}
"""Module -> the package that brings it, where the names differ."""
BESIDE = {"mindspore", "PyInstaller"}
"""One has an environment of its own, requirements-mindspore.txt; the other calls us."""


def lower_bounds(*extras: str) -> dict[str, str]:
    """Package -> its lower bound, as CI installs them."""
    done = subprocess.run(
        [sys.executable, REPO / ".ci" / "lowest.py", *extras],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("==") for line in done.stdout.splitlines())


def third_party_imports() -> dict[str, str]:
    """Package that the code imports by name -> a file that does."""
    found: dict[str, str] = {}
    for path in Path(synergynet.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module or "")
            for name in {name.split(".")[0] for name in names}:
                if name not in {*sys.stdlib_module_names, "synergynet"}:
                    found[NAMES.get(name, name)] = path.name
    return found


def test_whatever_is_imported_is_a_declared_dependency() -> None:
    """Not one that comes along with another package, and may stay away with its next version."""
    undeclared = third_party_imports().keys() - lower_bounds("all").keys() - BESIDE
    assert not undeclared


def test_every_dependency_has_a_lower_bound_that_ci_installs() -> None:
    base, every = lower_bounds(), lower_bounds("all")
    assert {"numpy", "onnxruntime", "typer"} <= base.keys() < every.keys()
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in every.values())


def test_an_unknown_extra_is_told() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        lower_bounds("nonsense")


def test_messages_of_the_troubleshooting_page_are_those_of_the_code() -> None:
    """``...`` stands for what changes; a message is in the first column, up to the next ``|``."""
    sources = Path(synergynet.__file__).parent.rglob("*.py")
    texts = "\n".join(
        node.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    page = (REPO / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    page, _, _ = page.partition("## A program of one folder")
    first_columns = re.findall(r"^\| (`[^|]*) \|", page, flags=re.M)
    assert len(first_columns) > 20
    for message in (m for column in first_columns for m in re.findall(r"`([^`]+)`", column)):
        for piece in filter(None, (part.strip() for part in message.split("..."))):
            assert piece in texts, message
