"""The formats that networks are deployed in, by name; a new one is one line of ``FORMATS``.

Writers are named, not imported: each needs a framework.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SynergyNetError
from ..face_model.sources import resolve_face_model
from ..weights.formats import require
from ..weights.tensors import Weights

if TYPE_CHECKING:
    from .graphs import Precision

Differences = dict[str, float]
"""Output -> largest difference between the file and its network."""


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    Attributes:
        endings: of its files; the first is the usual one.
        writer: ``module:function`` in this package. It takes a ``graphs.Deployment``, a path
            and, with the options ``half`` and ``int8``, the precision and ``calibration=`` crops;
            it returns :data:`Differences`. MindSpore's takes a path and the weights.
        options: of ``synergynet export`` that it can obey.
        needs: packages without which nothing can be written.
        any_ending: its files may have endings that no other format has.
        beside: ending of a second file.
    """

    endings: tuple[str, ...]
    writer: str
    options: Collection[str]
    needs: tuple[str, ...] = ("torch", "onnx")
    any_ending: bool = False
    beside: str = ""


_EVERY = ("whole", "half", "int8")

FORMATS: Mapping[str, ExportFormat] = {
    "onnx": ExportFormat((".onnx",), "onnx:write_onnx", _EVERY),
    "torchscript": ExportFormat(
        (".pt", ".ts", ".torchscript"), "torchscript:write_torchscript", ("whole",), any_ending=True
    ),
    "openvino": ExportFormat((".xml",), "openvino:write_openvino", _EVERY, beside=".bin"),
    "mindir": ExportFormat((".mindir",), "mindspore:write_graph", (), ("mindspore",)),
    "executorch": ExportFormat(
        (".pte",), "executorch:write_executorch", ("whole",), any_ending=True
    ),
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        size: of all files, in bytes.
        differences: from the network, by output.
        contains: the face model inside and its licence, or an empty text.
    """

    size: int
    differences: Differences
    contains: str = ""


def choose_format(path: Path, name: str | None) -> str:
    """The format asked for, or the one of the file's ending.

    Raises:
        SynergyNetError: no such format, or an ending that does not fit it.
    """
    if name not in (None, *FORMATS):
        raise SynergyNetError(f"unknown format '{name}'; choose {_listed(FORMATS, 'or')}")
    by_ending = [k for k, v in FORMATS.items() if path.name.lower().endswith(v.endings)]
    if name is None:
        if not by_ending:
            every = ", ".join(ending for kind in FORMATS.values() for ending in kind.endings)
            raise SynergyNetError(f"{path}: unknown ending; expected {every}, or give --format")
        return by_ending[0]
    if by_ending != [name] and (by_ending or not FORMATS[name].any_ending):
        raise SynergyNetError(
            f"{path}: the name of a file in the format {name} must end in "
            f"{' or '.join(FORMATS[name].endings)}"
        )
    return name


def check_options(path: Path, name: str, options: Collection[str], calibrate: Path | None) -> None:
    """Raise SynergyNetError for options that exclude each other or that the format lacks."""
    if {"half", "int8"} <= set(options):
        raise SynergyNetError("--half and --int8 exclude each other; give one of them")
    for option in options:
        takers = [other for other, kind in FORMATS.items() if option in kind.options]
        if name not in takers:
            raise SynergyNetError(
                f"{path}: --{option} is for {_listed(takers, 'and')}, not {name}; "
                f"leave out --{option}, or take one of them"
            )
    if "int8" in options and calibrate is None:
        raise SynergyNetError(
            "--int8 needs real crops to measure the ranges of its numbers on; give a folder of "
            "them, or their list, with --calibrate"
        )
    if calibrate is not None and "int8" not in options:
        raise SynergyNetError("--calibrate belongs to --int8; give both")


def export_weights(
    weights: Weights,
    path: Path,
    name: str,
    *,
    face_model: str | None = None,
    whole: bool = False,
    precision: Precision = "float32",
    calibrate: Path | None = None,
) -> Exported:
    """Write a network for deployment, compare the file with it, and only then let it appear.

    Args:
        weights: of a checkpoint.
        path: the file to write.
        name: key of :data:`FORMATS`.
        face_model: for ``whole``, as for ``resolve_face_model``; by default the one inside the
            checkpoint, or Open Head.
        whole: everything from pixels to mesh in one graph.
        precision: of the weights.
        calibrate: crops for ``int8``: a folder or a list of them.

    Raises:
        SynergyNetError: a package is missing, or the file disagrees with the network.
    """
    kind = FORMATS[name]
    for package in kind.needs:
        require(package, f"{path}: writing it")
    module, function = kind.writer.split(":")
    if "torch" not in kind.needs:
        write = getattr(import_module(f".{module}", __package__), function)
        differences, contains = {"params": write(path, weights)}, ""
    else:
        from ..nets.torch.backbones import trained_backbone
        from .graphs import backbone_deployment

        model = None
        if whole:
            model = weights.face_model or resolve_face_model(face_model)[0]
            weights.described().check_face_model(model, weights.source)
        deployed = backbone_deployment(trained_backbone(weights), weights.described(), model)
        options: dict[str, Any] = {"precision": precision} if "half" in kind.options else {}
        if calibrate is not None:
            from .int8 import calibration_crops

            options["calibration"] = calibration_crops(calibrate)
        write = getattr(import_module(f".{module}", __package__), function)
        differences = write(deployed, path, **options)
        contains = "" if model is None else f"the face model '{model.name}', {deployed.licence}"
    files = [path, *([path.with_suffix(kind.beside)] if kind.beside else [])]
    return Exported(sum(file.stat().st_size for file in files), differences, contains)


def write_graph(path: Path, weights: Weights) -> float:
    """An ONNX file out of whichever framework is here; returns its difference from the network."""
    if importlib.util.find_spec("torch") is None and importlib.util.find_spec("mindspore"):
        from . import mindspore

        return mindspore.write_graph(path, weights)
    return export_weights(weights, path, "onnx").differences["params"]


def _listed(names: Collection[str], last: str) -> str:
    *others, final = names
    return f"{', '.join(others)} {last} {final}" if others else final
