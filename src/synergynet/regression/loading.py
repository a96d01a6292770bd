"""From a path to a regressor: the file's name decides what runs it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..errors import SynergyNetError
from .base import ParamsRegressor

DEFAULT_WEIGHTS = Path(__file__).parent / "data" / "default.onnx"
"""The shipped network."""

DEVICES = ("cpu", "cuda")

_OFFICIAL_SUFFIXES = (".pth.tar", ".pth", ".tar")
_TORCH_SUFFIXES = (".safetensors", *_OFFICIAL_SUFFIXES)


def load_regressor(
    weights: str | Path | None = None, *, device: str = "cpu", threads: int = 0
) -> ParamsRegressor:
    """Load a trained network.

    Args:
        weights: ``.onnx`` (run by ONNX Runtime), ``.xml`` (run by OpenVINO in float32, the extra
            ``openvino``), ``.safetensors`` or an official ``.pth.tar`` (run by torch, the extra
            ``train``), ``.ckpt`` (run by MindSpore); None for the shipped network.
        device: ``cpu`` or ``cuda``.
        threads: of one call of ONNX Runtime or OpenVINO; 0 lets it choose.

    Raises:
        SynergyNetError: missing, damaged, foreign, or the framework or device is not there.
    """
    if device not in DEVICES:
        raise SynergyNetError(f"unknown device '{device}'; choose {' or '.join(DEVICES)}")
    path = DEFAULT_WEIGHTS if weights is None else Path(weights)
    if weights is None and not path.is_file():
        raise SynergyNetError(
            f"the shipped weights are missing ({path}); reinstall synergynet or give --weights"
        )
    name = path.name.lower()
    if path.is_dir() or not path.exists():
        kind = "a folder" if path.is_dir() else "no such file"
        raise SynergyNetError(f"{path}: {kind}; give a weights file (.onnx or .safetensors)")
    if path.stat().st_size == 0:
        raise SynergyNetError(f"{path}: empty file; copy or download the weights again")
    if name.endswith(".onnx"):
        from .onnx_session import OnnxRegressor

        return OnnxRegressor(path, device=device, threads=threads)
    if name.endswith(".xml"):
        if device != "cpu":
            raise SynergyNetError(f"{path}: OpenVINO files run on the device cpu here")
        from .openvino_net import OpenVinoRegressor

        return OpenVinoRegressor(path, threads=threads)
    if name.endswith(".ckpt"):
        if importlib.util.find_spec("mindspore") is None:
            raise SynergyNetError(
                f"{path}: running a .ckpt needs MindSpore, in an environment of its own "
                "(docs/mindspore.md); synergynet convert makes a .safetensors of it here"
            )
        from . import mindspore_net

        return mindspore_net.load_ckpt(path, device=device)
    if not name.endswith(_TORCH_SUFFIXES):
        raise SynergyNetError(
            f"{path}: unknown kind of weights; expected .onnx, .xml, .safetensors, .pth.tar "
            "or .ckpt"
        )
    if importlib.util.find_spec("torch") is None:
        raise SynergyNetError(
            f'{path}: running a checkpoint needs torch: pip install "synergynet[train]"; '
            "an .onnx file runs without it"
        )
    from . import torch_net

    if name.endswith(".safetensors"):
        return torch_net.load_safetensors(path, device=device)
    return torch_net.load_official_checkpoint(path, device=device)
