"""From a path to a regressor: the file's name decides what runs it."""

from pathlib import Path

from ..errors import SynergyNetError
from ..weights.formats import endings, function_for
from .base import ParamsRegressor

DEFAULT_WEIGHTS = Path(__file__).parent / "data" / "default.onnx"
"""The shipped network."""

DEVICES = ("cpu", "cuda")


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
    if path.is_dir() or not path.exists():
        kind = "a folder" if path.is_dir() else "no such file"
        raise SynergyNetError(f"{path}: {kind}; give a weights file ({endings('run')})")
    if path.stat().st_size == 0:
        raise SynergyNetError(f"{path}: empty file; copy or download the weights again")
    regressor: ParamsRegressor = function_for(path, "run")(path, device=device, threads=threads)
    return regressor
