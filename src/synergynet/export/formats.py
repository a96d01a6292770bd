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
from ..weights.formats import listed, require
from ..weights.tensors import Weights

if TYPE_CHECKING:
    from .graphs import Precision


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    Attributes:
        endings: of its files; the first is the usual one.
        writer: ``module:function`` in this package. It takes a ``graphs.Deployment``, a path
            and, with the options ``half`` and ``int8``, the precision and ``calibration=`` crops;
            it returns output -> largest difference between the file and the network.
            MindSpore's takes a path and the weights, and returns that of the parameters.
        options: of ``synergynet export`` that it can obey.
        needs: packages without which nothing can be written.
        any_ending: its files may have endings that no other format has.
        beside: ending of a second file.
    """

    endings: tuple[str, ...]
    writer: str
    options: Collection[str] = ("whole",)
    needs: tuple[str, ...] = ("torch", "onnx")
    any_ending: bool = False
    beside: str = ""


_EVERY = ("whole", "half", "int8")
_SCRIPTS = (".pt", ".ts", ".torchscript")

FORMATS: Mapping[str, ExportFormat] = {
    "onnx": ExportFormat((".onnx",), "onnx:write_onnx", _EVERY),
    "torchscript": ExportFormat(_SCRIPTS, "torchscript:write_torchscript", any_ending=True),
    "openvino": ExportFormat((".xml",), "openvino:write_openvino", _EVERY, beside=".bin"),
    "mindir": ExportFormat((".mindir",), "mindspore:write_graph", (), ("mindspore",)),
    "executorch": ExportFormat((".pte",), "executorch:write_executorch", any_ending=True),
}


def choose_format(path: Path, name: str | None) -> str:
    """The format asked for, or the one of the file's ending.

    Raises:
        SynergyNetError: no such format, or an ending that does not fit it.
    """
    if name not in (None, *FORMATS):
        raise SynergyNetError(f"unknown format '{name}'; choose {listed(FORMATS, 'or')}")
    by_ending = [k for k, v in FORMATS.items() if path.name.lower().endswith(v.endings)]
    if name is None and not by_ending:
        every = ", ".join(ending for kind in FORMATS.values() for ending in kind.endings)
        raise SynergyNetError(f"{path}: unknown ending; expected {every}, or give --format")
    chosen = name or by_ending[0]
    if by_ending != [chosen] and (by_ending or not FORMATS[chosen].any_ending):
        raise SynergyNetError(
            f"{path}: the name of a file in the format {chosen} must end in "
            f"{listed(FORMATS[chosen].endings, 'or')}"
        )
    return chosen


def check_options(path: Path, name: str, options: Collection[str], calibrate: Path | None) -> None:
    """Raise SynergyNetError for options that exclude each other or that the format lacks."""
    if {"half", "int8"} <= set(options):
        raise SynergyNetError("--half and --int8 exclude each other; give one of them")
    for option in options:
        takers = [other for other, kind in FORMATS.items() if option in kind.options]
        if name not in takers:
            raise SynergyNetError(
                f"{path}: --{option} is for {listed(takers, 'and')}, not {name}; "
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
) -> tuple[dict[str, float], str]:
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

    Returns:
        Output -> largest difference from the network; the face model inside and its licence, or
        an empty text.

    Raises:
        SynergyNetError: a package is missing, or the file disagrees with the network.
    """
    kind = FORMATS[name]
    for package in kind.needs:
        require(package, f"{path}: writing it")
    module, function = kind.writer.split(":")
    write = getattr(import_module(f".{module}", __package__), function)
    if "torch" not in kind.needs:
        return {"params": write(path, weights)}, ""
    from ..nets.torch.backbones import trained_backbone
    from .graphs import backbone_deployment

    info, model = weights.described(), None
    if whole:
        model = weights.face_model or resolve_face_model(face_model)[0]
        info.check_face_model(model, weights.source)
    deployed = backbone_deployment(trained_backbone(weights), info, model)
    options: dict[str, Any] = {"precision": precision} if "half" in kind.options else {}
    if calibrate is not None:
        from .int8 import calibration_crops

        options["calibration"] = calibration_crops(calibrate)
    contains = "" if model is None else f"the face model '{model.name}', {deployed.licence}"
    return write(deployed, path, **options), contains


def write_graph(path: Path, weights: Weights) -> float:
    """An ONNX file out of whichever framework is here; returns its difference from the network."""
    if importlib.util.find_spec("torch") is None and importlib.util.find_spec("mindspore"):
        from . import mindspore

        return mindspore.write_graph(path, weights)
    return export_weights(weights, path, "onnx")[0]["params"]
