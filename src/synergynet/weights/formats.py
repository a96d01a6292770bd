"""The files that hold trained weights, by their endings; a new one is one line of ``FORMATS``.

Functions are named, not imported: they may live above this package, and need the framework that
their module is named after.
"""

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import SynergyNetError
from .tensors import Weights

Use = Literal["read", "write", "run"]


@dataclass(frozen=True)
class WeightsFormat:
    """What can be done with one kind of file; every function is ``module:name`` in this package.

    Attributes:
        endings: of such files; the first is shown to users.
        read: path -> :class:`Weights`.
        write: (path, weights) -> None, or the largest difference in whitened units between what
            was written and the network.
        run: (path, device=..., threads=...) -> a ``regression.ParamsRegressor``.
        brings_face_model: writing needs ``weights.face_model``.
    """

    endings: tuple[str, ...]
    read: str = ""
    write: str = ""
    run: str = ""
    brings_face_model: bool = False


FORMATS = (
    WeightsFormat(
        (".onnx",),
        write="export.formats:write_graph",
        run="regression.onnx_session:OnnxRegressor",
    ),
    WeightsFormat((".xml",), run="regression.openvino_net:OpenVinoRegressor"),
    WeightsFormat(
        (".safetensors",),
        read="weights.tensors:read_safetensors_weights",
        write="weights.tensors:write_safetensors_weights",
        run="regression.torch_net:load",
    ),
    WeightsFormat(
        (".pth.tar", ".pth", ".tar"),
        read="nets.torch.official_checkpoint:read_official",
        write="nets.torch.official_checkpoint:write_official",
        run="regression.torch_net:load",
        brings_face_model=True,
    ),
    WeightsFormat(
        (".ckpt",),
        read="weights.ckpt_weights:read_ckpt_weights",
        write="weights.ckpt_weights:write_ckpt_weights",
        run="regression.mindspore_net:load",
    ),
    WeightsFormat((".mindir",), write="export.mindspore:write_graph"),
    WeightsFormat((".air",), write="export.mindspore:write_graph"),
)

_TRAIN = 'pip install "synergynet[train]"'
PACKAGES = {
    "torch": ("PyTorch", _TRAIN),
    "onnx": ("onnx", _TRAIN),
    "mindspore": (
        "MindSpore",
        "docs/mindspore.md shows an environment with it, and synergynet convert makes a "
        ".safetensors of a .ckpt without it",
    ),
}
"""Module -> what users call it, and how they get it."""


def endings(use: Use) -> str:
    """The endings that can be read, written or run, for help and messages."""
    return listed((kind.endings[0] for kind in FORMATS if getattr(kind, use)), "or")


def find_format(path: Path, use: Use) -> WeightsFormat:
    """The format of a file by its name; raises SynergyNetError for one that has no such use."""
    for kind in FORMATS:
        if path.name.lower().endswith(kind.endings) and getattr(kind, use):
            return kind
    raise SynergyNetError(f"{path}: unknown kind of weights; expected {endings(use)}")


def function_for(path: Path, use: Use) -> Callable[..., Any]:
    """What reads, writes or runs the file.

    Raises:
        SynergyNetError: no such kind of file, or a package is missing.
    """
    module, name = getattr(find_format(path, use), use).split(":")
    for package in ("torch", "mindspore"):
        if package in module:
            doing = {"read": "reading", "write": "writing", "run": "running"}[use]
            instead = "; an .onnx file runs without it" if use == "run" else ""
            require(package, f"{path}: {doing} it", instead)
    root = __package__.rpartition(".")[0]
    function: Callable[..., Any] = getattr(importlib.import_module(f"{root}.{module}"), name)
    return function


def read_weights(path: str | Path) -> Weights:
    """Read a checkpoint of any format that has a reader.

    Raises:
        SynergyNetError: missing, damaged or foreign, or a package is missing.
    """
    weights: Weights = function_for(Path(path), "read")(Path(path))
    return weights


def require(package: str, why: str, instead: str = "") -> None:
    """Raise SynergyNetError saying how to get ``package`` if it is not installed."""
    if importlib.util.find_spec(package) is None:
        name, cure = PACKAGES[package]
        raise SynergyNetError(f"{why} needs {name}: {cure}{instead}")


def listed(names: Iterable[str], last: str) -> str:
    """``a, b or c``."""
    *others, final = names
    return f"{', '.join(others)} {last} {final}" if others else final
