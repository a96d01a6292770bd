"""The scripts of tools/: each describes itself, and says a user's mistake in one sentence."""

from __future__ import annotations

import ast
import importlib
import runpy
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
FOLDERS = ("build", "bench", "figures", "research")
SCRIPTS = sorted(
    path.relative_to(TOOLS).as_posix()
    for folder in FOLDERS
    for path in TOOLS.glob(f"{folder}/*.py")
)
WITHOUT_PATH = "figures/synthetic_sheet.py"
BEFORE_THE_PATH = {
    "bench/detectors.py": ("--originals",),
    "bench/training.py": ("--recipe",),
    "build/build_open_head.py": ("build", "--wheel"),
    "figures/open_head_sheet.py": ("-o", "unused", "--face-model"),
    "research/error_parts.py": ("--root",),
    "research/refine_labels.py": ("--data",),
    "research/synthetic_benchmark.py": ("--weights",),
}
"""Arguments of the scripts that do not begin with a path."""


def outcome(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """What the script ends with: 0, or the sentence that goes to stderr with exit code 1."""
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    try:
        runpy.run_path(str(TOOLS / script), run_name="__main__")
    except SystemExit as end:
        return end.code
    except ModuleNotFoundError as error:
        pytest.skip(f"{script} needs {error.name}, which is not installed")
    raise AssertionError(f"{script} did not end")


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_describes_itself(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(script, ["--help"], monkeypatch) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: ") and len(text.split("\n\n")[1]) > 20, text


@pytest.mark.parametrize("script", [s for s in SCRIPTS if s != WITHOUT_PATH])
def test_a_wrong_path_ends_in_one_sentence(
    script: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "not_here"
    end = outcome(script, [*BEFORE_THE_PATH.get(script, ()), str(missing)], monkeypatch)
    assert isinstance(end, str) and end.startswith("error: "), end
    assert str(missing) in end and "\n" not in end


def test_a_bad_option_and_a_broken_file_end_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"no photo")
    for arguments, told in (
        (["--no-such-option", str(photo)], "--no-such-option"),
        ([str(photo), "--rounds", "many"], "--rounds"),
        ([str(photo), "-o", str(tmp_path / "bench")], "photo.jpg"),
    ):
        end = outcome("bench/speed.py", arguments, monkeypatch)
        assert isinstance(end, str) and end.startswith("error: ") and told in end
        assert "\n" not in end


def test_a_missing_extra_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    command = importlib.import_module("shared.command")
    error = ModuleNotFoundError("No module named 'torch'", name="torch.nn")
    command.explain_imports(type(error), error, None)
    shown = capsys.readouterr().err
    assert shown.startswith("error: torch is not installed; run: pip install ")
    assert shown.endswith('[train]"\n') and shown.count("\n") == 1


def test_no_script_imports_another() -> None:
    names = {Path(script).stem for script in SCRIPTS}
    for path in TOOLS.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported = {(node.module or "").split(".")[0]} if not node.level else set()
            else:
                continue
            assert not imported & names, f"{path.name} imports {imported & names}"


def test_the_table_lists_every_script() -> None:
    table = (TOOLS / "README.md").read_text(encoding="utf-8")
    assert [script for script in SCRIPTS if f"`{script}" not in table] == []
