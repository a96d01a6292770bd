"""A network in an OpenVINO .xml, run by OpenVINO; imported only when one is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry.params import INPUT_SIZE, N_PARAMS, FloatArray
from ..weights.info import WeightsInfo
from .base import Prediction, predict_in_chunks
from .onnx_session import EXPECTED_NME, refuse_whole

RT_INFO = "synergynet"
"""Where in the model's runtime information our metadata are."""


class OpenVinoRegressor:
    """OpenVINO on the CPU behind :class:`~synergynet.regression.base.ParamsRegressor`.

    Args:
        path: .xml of ``synergynet export``, its .bin beside it.
        threads: of one network call; 0 lets OpenVINO choose.

    Raises:
        SynergyNetError: OpenVINO is not installed, or not such a file.
    """

    face_model: FaceModel | None = None

    def __init__(self, path: str | Path, *, threads: int = 0) -> None:
        if not Path(path).with_suffix(".bin").is_file():
            raise SynergyNetError(f"{path}: its weights, the .bin file beside it, are missing")
        model = read_model(path)
        metadata = _metadata(model)
        refuse_whole(metadata, str(path))
        self.info = WeightsInfo.from_metadata(metadata, str(path))
        self._compiled = compile_model(model, path, threads=threads)
        inputs, outputs = self._compiled.inputs, self._compiled.outputs
        found = inputs[0].partial_shape.to_string() if len(inputs) == 1 else "nothing"
        if not found.endswith(f",3,{INPUT_SIZE},{INPUT_SIZE}]"):
            raise SynergyNetError(
                f"{path}: takes {found}, expected one input of float32 "
                f"(N, 3, {INPUT_SIZE}, {INPUT_SIZE}); export the network with synergynet export"
            )
        if not outputs or outputs[0].partial_shape[-1].to_string() != str(N_PARAMS):
            raise SynergyNetError(
                f"{path}: its first output is not (N, {N_PARAMS}) parameters; "
                "export the network with synergynet export"
            )
        self._assessed = any(EXPECTED_NME in port.names for port in outputs[1:])

    def predict(self, crops: NDArray[np.uint8], /) -> FloatArray:
        """(N, 120, 120, 3) uint8 BGR -> (N, 62) float32 raw parameters."""
        return self.assess(crops).params

    def assess(self, crops: NDArray[np.uint8], /) -> Prediction:
        """(N, 120, 120, 3) uint8 BGR -> parameters and, if the file has them, expected errors."""
        return predict_in_chunks(self._run, crops, self.info, assessed=self._assessed)

    def _run(self, planes: NDArray[np.float32]) -> list[FloatArray]:
        answers = self._compiled(planes)
        return [np.array(answers[i]) for i in range(1 + self._assessed)]


def import_openvino(path: str | Path) -> Any:
    """The module; SynergyNetError naming the extra where it is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise SynergyNetError(
            f'{path}: OpenVINO files need OpenVINO: pip install "synergynet[openvino]"'
        ) from error
    return openvino


def read_model(path: str | Path) -> Any:
    """An .xml and the .bin beside it; SynergyNetError if they are damaged."""
    openvino = import_openvino(path)
    try:
        return openvino.Core().read_model(path)
    except RuntimeError as error:
        raise SynergyNetError(
            f"{path}: not a complete OpenVINO model; export it again, and keep its .bin beside it"
        ) from error


def compile_model(model: Any, path: str | Path, *, threads: int = 0) -> Any:
    """For the CPU, in float32: some processors would silently take bfloat16."""
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    return import_openvino(path).compile_model(model, "CPU", settings)


def _metadata(model: Any) -> dict[str, str]:
    """Our part of a model's runtime information."""
    if not model.has_rt_info([RT_INFO]):
        return {}
    return {str(k): str(v) for k, v in model.get_rt_info([RT_INFO]).value.items()}
