"""A network in an ONNX file, run by ONNX Runtime.

The graph takes normalised crops (N, 3, 120, 120) float32 in the channel order of its metadata
and gives whitened parameters (N, 62), and perhaps the expected NME in percent (N,) as an output
of that name; weights may be stored as float16 behind Cast nodes, or as int8 (QDQ).
``WeightsInfo`` is in the file's metadata. Normalising and dewhitening happen here, in NumPy.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.onnx_session import open_session
from ..files.shipped import check_shipped
from ..geometry.params import FloatArray
from .base import EXPECTED_NME, GraphRegressor

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

_TOO_NEW = (
    "unsupported model ir version",
    "under development and support for this is limited",  # of an operator set
    "could not find an implementation",
    "is not a registered function/op",
)
"""What ONNX Runtime says of files that are whole."""


class OnnxRegressor(GraphRegressor):
    """ONNX Runtime behind :class:`~synergynet.regression.base.ParamsRegressor`.

    Args:
        path: ONNX file with ``WeightsInfo`` metadata.
        device: ``cpu`` or ``cuda`` (needs the package onnxruntime-gpu).
        threads: of one network call; 0: as many as this process may use.

    Raises:
        SynergyNetError: not such a file, or a device that is not there.
    """

    def __init__(self, path: str | Path, *, device: str = "cpu", threads: int = 0) -> None:
        providers = _providers(device)
        self._source = path
        check_shipped(Path(path))
        try:
            self._session = open_session(path, threads=threads, providers=providers)
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
            metadata = self._session.get_modelmeta().custom_metadata_map
            takes = [p.shape if p.type == "tensor(float)" else [p.type] for p in inputs]
            gives = {port.name: port.shape[-1] if port.shape else None for port in outputs}
            names = [port.name for port in (*inputs, *outputs)]
        except Exception as error:  # of a dozen kinds, UnicodeDecodeError among them
            raise SynergyNetError(f"{path}: {_why_not(error)}") from error
        if self._session.get_providers()[0] != providers[0]:  # it only warns, and takes the next
            raise SynergyNetError(
                f"ONNX Runtime cannot use '{device}' here (no such device, driver or library); "
                "use the device cpu, or auto"
            )
        self._describe(path, metadata, takes, gives)
        self._input, first = names[0], names[len(inputs)]
        self._outputs = [first, *([EXPECTED_NME] if self.assessed else [])]

    def _run(self, planes: NDArray[np.float32]) -> list[FloatArray]:
        try:
            answers = self._session.run(self._outputs, {self._input: planes})
            return [np.asarray(answer, dtype=np.float32) for answer in answers]
        except Exception as error:  # of a dozen kinds
            raise SynergyNetError(
                f"{self._source}: the network fails on {len(planes)} crops "
                f"({' '.join(str(error).split())[:200]}); export it again with synergynet export"
            ) from error


def _why_not(error: Exception) -> str:
    """Why a file cannot be loaded, and the cure."""
    if any(words in str(error).lower() for words in _TOO_NEW):
        return (
            f"made for a newer ONNX Runtime than {onnxruntime.__version__}; "
            "pip install --upgrade onnxruntime"
        )
    return "not a complete ONNX model; copy or download it again"


def _providers(device: str) -> tuple[str, ...]:
    if device not in _PROVIDERS:
        raise SynergyNetError(f"unknown device '{device}'; choose {' or '.join(_PROVIDERS)}")
    wanted = _PROVIDERS[device]
    if wanted not in onnxruntime.get_available_providers():
        raise SynergyNetError(
            f"ONNX Runtime has no '{device}' here; use the device cpu or auto, or install "
            "onnxruntime-gpu"
        )
    return (wanted,) if device == "cpu" else (wanted, _PROVIDERS["cpu"])
