"""The command line of every script: its usual arguments, and how a user's mistake ends.

A wrong path, a bad option and a missing extra are one sentence on stderr and exit code 1.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from synergynet.errors import SynergyNetError

CLONE = Path(__file__).resolve().parents[2]
EXTRAS = {
    "torch": "train",
    "onnx": "train",
    "onnxscript": "train",
    "scipy": "build",
    "pyarrow": "ray",
    "ray": "ray",
}
"""Module -> the extra that brings it."""


class Parser(argparse.ArgumentParser):
    """Describes a script by the first line of its text; raises SynergyNetError on bad options."""

    def __init__(self, text: str | None) -> None:
        super().__init__(description=(text or "").split("\n")[0])

    def error(self, message: str) -> NoReturn:
        raise SynergyNetError(f"{message}; --help lists the options")

    def add_recipe(self) -> None:
        self.add_argument("recipe", type=existing, help="YAML file of the run")
        self.add_argument("settings", nargs="*", help="key=value, as for the run")

    def add_weights(self) -> None:
        self.add_argument("--weights", type=existing, help="default: the shipped ones")

    def add_marked(self) -> None:
        """What an error head is taught with, beside the recipe's crops."""
        self.add_argument(
            "--marked", type=existing, help="marked.npz of refine_labels.py, for data.quality"
        )
        self.add_backgrounds()
        self.add_argument("--figure", type=Path, help="write the reliability diagram to this PNG")

    def add_backgrounds(self, *, required: bool = False) -> None:
        text = "folders of photos to cut crops without faces from"
        self.add_argument(
            "--backgrounds", type=existing, nargs="+", default=[], required=required, help=text
        )

    def add_benchmark(self, *, required: bool = True, text: str = "aflw2000_data") -> None:
        self.add_argument("--root", type=existing, required=required, help=text)

    def add_photo(self) -> None:
        self.add_argument("photo", type=existing)
        self.add_argument("--side", type=int, default=640, help="longer side in pixels")
        self.add_argument("--runs", type=int, default=30)


def existing(text: str) -> Path:
    """The type of an argument that names a file or folder to read."""
    path = Path(text)
    if not path.exists():
        raise SynergyNetError(f"{path}: no such file or folder")
    return path


def run(main: Callable[[], None]) -> None:
    """Run a script; a user's mistake ends it in one sentence."""
    try:
        main()
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        sys.exit(f"error: {sentence}")


def explain(error: BaseException) -> str | None:
    """The sentence for a user's mistake; None for one of ours."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        name = error.name.split(".")[0]
        cure = f'"{CLONE}[{EXTRAS[name]}]"' if name in EXTRAS else name
        return f"{name} is not installed; run: pip install {cure}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) if isinstance(error, SynergyNetError) else None


def explain_imports(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Says that an extra is missing when a script imports it, before :func:`run` is reached."""
    if isinstance(error, ModuleNotFoundError):
        print(f"error: {explain(error)}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = explain_imports
