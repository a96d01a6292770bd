"""A network in an OpenVINO .xml, run by OpenVINO; imported only when one is asked for."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..geometry.params import FloatArray
from .base import EXPECTED_NME, GraphRegressor

RT_INFO = "synergynet"
"""Where in the model's runtime information our metadata are."""


class OpenVinoRegressor(GraphRegressor):
    """OpenVINO on the CPU behind :class:`~synergynet.regression.base.ParamsRegressor`.

    Args:
        path: .xml of ``synergynet export``, its .bin beside it.
        device: ``cpu``.
        threads: of one network call; 0 lets OpenVINO choose.

    Raises:
        SynergyNetError: OpenVINO is not installed, not such a file, or another device.
    """

    def __init__(self, path: str | Path, *, device: str = "cpu", threads: int = 0) -> None:
        if device != "cpu":
            raise SynergyNetError(f"{path}: OpenVINO files run on the device cpu here")
        if not Path(path).with_suffix(".bin").is_file():
            raise SynergyNetError(f"{path}: its weights, the .bin file beside it, are missing")
        model = read_model(path)
        compiled = compile_model(model, path, threads=threads)
        self._describe(
            path,
            _metadata(model),
            [_sizes(port) for port in compiled.inputs],
            {
                EXPECTED_NME if EXPECTED_NME in port.names else str(number): _sizes(port)[-1]
                for number, port in enumerate(compiled.outputs)
            },
        )
        self._compiled = compiled
        self._again = partial(OpenVinoRegressor, path, device=device, threads=threads)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._again, ()

    def _run(self, planes: NDArray[np.float32]) -> list[FloatArray]:
        try:
            answers = self._compiled(planes)
        except RuntimeError as error:
            raise SynergyNetError(
                f"the network fails on {len(planes)} crops "
                f"({' '.join(str(error).split())[:200]}); export it again with synergynet export"
            ) from error
        return [np.array(answers[i]) for i in range(1 + self.assessed)]


def import_openvino(path: str | Path) -> Any:
    """The module; SynergyNetError naming the extra where it is not installed.

    Without ``openvino_telemetry``, by which its import already tells Google Analytics that it was
    used: where that package is missing, OpenVINO does without.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
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


def _sizes(port: Any) -> list[int | None]:
    """Of a port's axes; None where any size will do."""
    axes = [int(str(a)) if a.is_static else None for a in port.partial_shape]
    return axes or [None]


def _metadata(model: Any) -> dict[str, str]:
    """Our part of a model's runtime information."""
    if not model.has_rt_info([RT_INFO]):
        return {}
    return {str(k): str(v) for k, v in model.get_rt_info([RT_INFO]).value.items()}
