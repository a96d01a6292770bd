"""A network in an ONNX file, run by ONNX Runtime.

The graph takes normalised crops (N, 3, 120, 120) float32 in the channel order of its metadata
and gives whitened parameters (N, 62), and perhaps the expected NME in percent (N,) as an output
of that name; weights may be stored as float16 behind Cast nodes, or as int8 (QDQ).
``WeightsInfo`` is in the file's metadata. Normalising and dewhitening happen here, in NumPy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry.params import INPUT_SIZE, N_PARAMS, FloatArray
from ..weights.info import WeightsInfo
from .base import Prediction, predict_in_chunks

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ERRORS_ONLY = 3
EXPECTED_NME = "expected_nme"
"""Name of the optional output; files without it load, and have no expected errors."""


class OnnxRegressor:
    """ONNX Runtime behind :class:`~synergynet.regression.base.ParamsRegressor`.

    Args:
        path: ONNX file with ``WeightsInfo`` metadata.
        device: ``cpu`` or ``cuda`` (needs the package onnxruntime-gpu).
        threads: of one network call; 0 lets ONNX Runtime choose.

    Raises:
        SynergyNetError: not such a file, or a device that is not there.
    """

    face_model: FaceModel | None = None

    def __init__(self, path: str | Path, *, device: str = "cpu", threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        providers = _providers(device)
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime raises a dozen kinds for damaged files
            raise SynergyNetError(
                f"{path}: not a complete ONNX model; copy or download it again"
            ) from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        refuse_whole(metadata, str(path))
        self.info = WeightsInfo.from_metadata(metadata, str(path))
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        expected = ["tensor(float)", 3, INPUT_SIZE, INPUT_SIZE]
        found = [inputs[0].type, *inputs[0].shape[1:]] if inputs else []
        if len(inputs) != 1 or found != expected or self.info.input_size != INPUT_SIZE:
            raise SynergyNetError(
                f"{path}: takes {found or 'nothing'}, expected one input of float32 "
                f"(N, 3, {INPUT_SIZE}, {INPUT_SIZE}); export the network with synergynet export"
            )
        if not outputs or outputs[0].shape[-1:] != [N_PARAMS]:
            raise SynergyNetError(
                f"{path}: its first output is not (N, {N_PARAMS}) parameters; "
                "export the network with synergynet export"
            )
        self._input = inputs[0].name
        self._outputs = [outputs[0].name]
        if any(output.name == EXPECTED_NME for output in outputs[1:]):
            self._outputs.append(EXPECTED_NME)

    def predict(self, crops: NDArray[np.uint8], /) -> FloatArray:
        """(N, 120, 120, 3) uint8 BGR -> (N, 62) float32 raw parameters."""
        return self.assess(crops).params

    def assess(self, crops: NDArray[np.uint8], /) -> Prediction:
        """(N, 120, 120, 3) uint8 BGR -> parameters and, if the file has them, expected errors."""
        return predict_in_chunks(self._run, crops, self.info, assessed=len(self._outputs) > 1)

    def _run(self, planes: NDArray[np.float32]) -> list[FloatArray]:
        answers = self._session.run(self._outputs, {self._input: planes})
        return [np.asarray(answer) for answer in answers]


def refuse_whole(metadata: Mapping[str, str], source: str) -> None:
    """Raise SynergyNetError for a graph that was exported with ``--whole``."""
    if metadata.get("graph") == json.dumps("whole"):
        raise SynergyNetError(
            f"{source}: a whole graph (uint8 crops in, landmarks and mesh out) for programs of "
            "your own; synergynet runs the parameters alone: export the network without --whole"
        )


def _providers(device: str) -> list[str]:
    if device not in _PROVIDERS:
        raise SynergyNetError(f"unknown device '{device}'; choose {' or '.join(_PROVIDERS)}")
    wanted = _PROVIDERS[device]
    if wanted not in onnxruntime.get_available_providers():
        raise SynergyNetError(
            f"ONNX Runtime has no '{device}' here; use the device cpu, or install onnxruntime-gpu"
        )
    return [wanted] if device == "cpu" else [wanted, _PROVIDERS["cpu"]]
