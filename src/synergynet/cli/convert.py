"""``synergynet convert``: weights from one framework's file to another's."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from ..errors import SynergyNetError

if TYPE_CHECKING:
    from ..weights.tensors import Weights

OFFICIAL = (".pth.tar", ".pth", ".tar")
GRAPHS = (".onnx", ".mindir", ".air")
_EPOCH = "epoch"


class OrderOption(str, Enum):
    """Channel order of the crops that a foreign .ckpt was trained on."""

    RGB = "RGB"
    BGR = "BGR"


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help=".safetensors, .pth.tar (official) or .ckpt")
    ],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="the same, or .onnx, .mindir, .air: out only"),
    ],
    face_model: Annotated[
        str | None,
        typer.Option(
            help="Where a file does not hold it: 'open-head', a .npz, or a 3dmm_data folder. "
            "Needed for .safetensors -> .pth.tar and for a .ckpt of another program."
        ),
    ] = None,
    channel_order: Annotated[
        OrderOption,
        typer.Option(help="Of a .ckpt of another program; the published port feeds RGB."),
    ] = OrderOption.RGB,
) -> None:
    """Convert a checkpoint, number for number.

    .safetensors and .ckpt are read and written without PyTorch and MindSpore; .pth.tar needs
    PyTorch, .onnx PyTorch or MindSpore, .mindir and .air need MindSpore.
    """
    kind = _kind(target, (".safetensors", ".ckpt", *OFFICIAL, *GRAPHS))
    if target.exists() and target.samefile(source):
        raise SynergyNetError(f"{target}: is the file to convert; give the result another name")
    weights = _read(source, face_model, channel_order.value)
    print_note = ""
    if kind == ".safetensors":
        from ..weights.tensors import write_safetensors_weights

        write_safetensors_weights(target, weights)
    elif kind == ".ckpt":
        from ..weights.tensors import write_ckpt_weights

        write_ckpt_weights(target, weights)
    elif kind in OFFICIAL:
        _write_official(target, weights, face_model)
    else:
        worst = _write_graph(target, kind, weights, face_model)
        print_note = f", differs from the network by at most {worst:.2g} (whitened units)"
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB{print_note}")


def _kind(path: Path, allowed: tuple[str, ...]) -> str:
    for suffix in allowed:
        if path.name.lower().endswith(suffix):
            return suffix
    raise SynergyNetError(f"{path}: unknown kind of weights; expected {', '.join(allowed)}")


def _need(module: str, name: str, why: str) -> None:
    if importlib.util.find_spec(module) is None:
        cure = (
            'pip install "synergynet[train]"'
            if module == "torch"
            else "see docs/mindspore.md for an environment with it"
        )
        raise SynergyNetError(f"{why} needs {name}: {cure}")


def _read(source: Path, face_model: str | None, channel_order: str) -> Weights:
    from ..weights.tensors import read_ckpt_weights, read_safetensors_weights

    kind = _kind(source, (".safetensors", ".ckpt", *OFFICIAL))
    if kind == ".safetensors":
        return read_safetensors_weights(source)
    if kind == ".ckpt":
        weights = read_ckpt_weights(source)
        return weights if weights.info is not None else _described(
            weights, face_model, channel_order
        )  # fmt: skip
    return _read_official(source)


def _described(weights: Weights, spec: str | None, channel_order: str) -> Weights:
    """A checkpoint of the published port, with the face model that the user names."""
    from ..face_model.sources import resolve_face_model
    from ..geometry.conventions import Conventions
    from ..weights.info import WeightsInfo

    model, whitening = resolve_face_model(spec) if spec else (None, None)
    if model is None or whitening is None:
        raise SynergyNetError(
            f"{weights.source}: written by another program, so it does not say which face model "
            "and whitening it belongs to; give --face-model FOLDER, its 3dmm_data folder"
        )
    info = WeightsInfo(
        architecture="mobilenet_v2",
        face_model=model.name,
        face_model_hash=model.hash,
        whitening=whitening,
        training_data="a MindSpore checkpoint of another program (300W-LP)",
        frame="protocol",
        border=Conventions.official().border,
        channel_order="RGB" if channel_order == "RGB" else "BGR",
    )
    return replace(weights, info=info)


def _read_official(source: Path) -> Weights:
    _need("torch", "PyTorch", f"{source}: reading it")
    from ..geometry.conventions import Conventions
    from ..nets.torch.official_checkpoint import ARCHITECTURE, PREFIX, read_official
    from ..weights.info import WeightsInfo
    from ..weights.tensors import OFFICIAL_BUFFERS, Official, Weights

    checkpoint = read_official(source)
    model = checkpoint.face_model()
    info = WeightsInfo(
        architecture=ARCHITECTURE,
        face_model=model.name,
        face_model_hash=model.hash,
        whitening=checkpoint.whitening(),
        training_data="an official SynergyNet checkpoint (300W-LP)",
        frame="protocol",
        border=Conventions.official().border,
        extra={_EPOCH: checkpoint.epoch},
    )
    whole = {
        name.removeprefix(PREFIX): value.numpy() for name, value in checkpoint.state_dict.items()
    }
    buffers = {name: whole[name] for name in OFFICIAL_BUFFERS}
    tensors = {name: array for name, array in whole.items() if name not in buffers}
    versions = _module_versions(getattr(checkpoint.state_dict, "_metadata", None))
    official = Official(buffers, checkpoint.epoch, checkpoint.archive_name, versions)
    return Weights(str(source), tensors, info, official=official)


def _module_versions(modules: object) -> dict[str, int]:
    """Module -> version out of what torch hangs on a state dict; the file may hold anything."""
    found = modules.items() if isinstance(modules, dict) else ()
    versions = {str(name): local.get("version") for name, local in found if isinstance(local, dict)}
    return {name: version for name, version in versions.items() if isinstance(version, int)}


def _write_official(target: Path, weights: Weights, face_model: str | None) -> None:
    _need("torch", "PyTorch", f"{target}: writing it")
    from collections import OrderedDict

    import torch

    from ..face_model.sources import resolve_face_model
    from ..nets.torch.official_checkpoint import (
        ARCHITECTURE,
        PREFIX,
        OfficialCheckpoint,
        write_official,
    )
    from ..nets.torch.synergynet import dense_arrays, flat_basis, flat_mean

    info = weights.described()
    if info.architecture != ARCHITECTURE or not weights.regularisers:
        raise SynergyNetError(
            f"{weights.source}: an official checkpoint holds a whole {ARCHITECTURE} network with "
            f"MAFA and regressor, not this {info.architecture}; take .safetensors or .ckpt"
        )
    if info.frame != "protocol" or info.channel_order != "BGR":
        raise SynergyNetError(
            f"{weights.source}: answers in frame '{info.frame}' from {info.channel_order} crops, "
            "which an official checkpoint cannot say; take .safetensors or .ckpt"
        )
    archive: str | None = None
    versions: Mapping[str, int] = {}
    if weights.official is not None:
        buffers, archive = dict(weights.official.buffers), weights.official.archive_name
        epoch, versions = weights.official.epoch, weights.official.versions
    else:
        model, _ = resolve_face_model(face_model)
        info.check_face_model(model, weights.source)
        if (model.landmark_weights.max(axis=1) < 1).any():
            raise SynergyNetError(
                f"face model '{model.name}' has landmarks inside triangles, which an official "
                "checkpoint cannot hold; take .safetensors or .ckpt"
            )
        buffers = {
            "param_mean": info.whitening.mean,
            "param_std": info.whitening.std,
            **dense_arrays(model),
            "u_base": flat_mean(model.landmark_mean),
            "w_shp_base": flat_basis(model.landmark_identity),
            "w_exp_base": flat_basis(model.landmark_expression),
        }
        epoch = info.extra.get(_EPOCH, 0)
    state = OrderedDict(
        (PREFIX + name, torch.from_numpy(np.array(array, order="C")))
        for name, array in [*buffers.items(), *weights.tensors.items()]
    )
    if versions:
        modules = OrderedDict((name, {"version": version}) for name, version in versions.items())
        state._metadata = modules  # type: ignore[attr-defined]
    write_official(target, OfficialCheckpoint(str(target), int(epoch), state, archive))


def _write_graph(target: Path, kind: str, weights: Weights, face_model: str | None) -> float:
    """Write a graph for deployment; returns how far it is from the network."""
    if kind == ".onnx" and importlib.util.find_spec("torch") is not None:
        import torch

        from ..export.onnx import export_onnx
        from ..face_model.sources import resolve_face_model
        from ..nets.torch.backbones import build_backbone
        from ..nets.torch.synergynet import SynergyNet
        from ..weights.tensors import official_face_model

        info = weights.described()
        model = official_face_model(weights) or resolve_face_model(face_model)[0]
        info.check_face_model(model, weights.source)
        backbone = build_backbone(info.architecture)
        prefix = "I2P.backbone."
        backbone.load_state_dict(
            {
                name.removeprefix(prefix): torch.from_numpy(np.array(array, order="C"))
                for name, array in weights.tensors.items()
                if name.startswith(prefix)
            }
        )
        net = SynergyNet(backbone, model, info.whitening, regularisers=False)
        return export_onnx(net.eval(), info, target)
    _need("mindspore", "MindSpore" if kind != ".onnx" else "PyTorch or MindSpore",
          f"{target}: writing it")  # fmt: skip
    from ..export.mindspore import export_graph

    return export_graph(weights, target)
