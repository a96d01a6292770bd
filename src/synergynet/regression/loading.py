"""From a path to a regressor: the file's name decides what runs it."""

import platform
from pathlib import Path

from ..errors import SynergyNetError
from ..files.whole_file import check_access
from ..weights.formats import endings, function_for
from .base import ParamsRegressor

_DATA = Path(__file__).parent / "data"

SHIPPED = {
    "default": _DATA / "default.onnx",
    "default_int8": _DATA / "default_int8.onnx",
    "slim": _DATA / "slim.onnx",
}
"""The networks in the package, by name."""

_INT8_IS_FASTER = ("x86_64", "amd64")
"""Processors on which that was measured: 1.7 times without VNNI, more than twice with it."""

SCOUT = "slim"
"""The shipped network that takes the first look, which only has to say where the face is."""

DEVICES = ("cpu", "cuda", "auto")


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda``; for ``auto`` the GPU where ONNX Runtime really computes on one.

    Raises:
        SynergyNetError: another word.
    """
    if device not in DEVICES:
        raise SynergyNetError(f"unknown device '{device}'; choose {', '.join(DEVICES)}")
    if device != "auto":
        return device
    try:
        load_regressor(SCOUT, device="cuda")
    except SynergyNetError:
        return "cpu"
    return "cuda"


def shipped_file(network: str, device: str = "cpu") -> Path:
    """The file of a shipped network, in the form that is fastest on this processor or GPU.

    Args:
        network: a key of :data:`SHIPPED`; ``default_int8`` is ``default`` where that is not slower.
    """
    faster = device == "cpu" and platform.machine().lower() in _INT8_IS_FASTER
    if network == "default_int8" and not faster:
        network = "default"
    return SHIPPED[network]


def weights_file(weights: str | Path | None) -> Path:
    """The file that ``weights`` stands for: a path, a key of :data:`SHIPPED`, or None."""
    name = "default" if weights is None else str(weights)
    return SHIPPED[name] if name in SHIPPED else Path(name)


def load_regressor(
    weights: str | Path | None = None, *, device: str = "cpu", threads: int = 0
) -> ParamsRegressor:
    """Load a trained network.

    Args:
        weights: ``.onnx`` (run by ONNX Runtime), ``.xml`` (run by OpenVINO in float32, the extra
            ``openvino``), ``.safetensors`` or an official ``.pth.tar`` (run by torch, the extra
            ``train``), ``.ckpt`` (run by MindSpore); a key of :data:`SHIPPED`;
            None for the default of these.
        device: ``cpu``, ``cuda``, or ``auto`` (:func:`resolve_device`).
        threads: of one call of ONNX Runtime or OpenVINO; 0: as many as this process may use.

    Raises:
        SynergyNetError: missing, damaged, foreign, or the framework or device is not there.
    """
    device = resolve_device(device)
    path = weights_file(weights)
    if path in SHIPPED.values() and not path.is_file():
        raise SynergyNetError(
            f"the shipped weights are missing ({path}); reinstall synergynet or give --weights"
        )
    if path.is_dir() or not path.exists():
        kind = "a folder" if path.is_dir() else "no such file"
        raise SynergyNetError(f"{path}: {kind}; give a weights file ({endings('run')})")
    check_access(path)
    if path.stat().st_size == 0:
        raise SynergyNetError(f"{path}: empty file; copy or download the weights again")
    regressor: ParamsRegressor = function_for(path, "run")(path, device=device, threads=threads)
    return regressor
