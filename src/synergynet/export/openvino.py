"""Export to OpenVINO's .xml and .bin, through ONNX."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.partial import partial_folder
from ..regression.openvino_net import RT_INFO, compile_model, import_openvino, read_model
from .graphs import Deployment, Precision
from .onnx import write_onnx
from .verify import verify


def write_openvino(
    deployed: Deployment,
    path: str | Path,
    precision: Precision = "float32",
    *,
    calibration: NDArray[np.uint8] | None = None,
) -> dict[str, float]:
    """Write ``path`` (.xml) and beside it its weights (.bin); as :func:`write_onnx`.

    The metadata are in the .xml's runtime information, under ``synergynet``.
    """
    target = Path(path)
    openvino = import_openvino(str(target))
    if not target.parent.is_dir():
        raise SynergyNetError(f"{target}: the folder {target.parent} does not exist; create it")
    try:
        with partial_folder(target.parent) as folder:
            graph = folder / "model.onnx"
            # OpenVINO has its own float16 storage; ONNX's would leave casts in the graph.
            source: Precision = "int8" if precision == "int8" else "float32"
            write_onnx(deployed, graph, source, calibration=calibration)
            # convert_model would report to its maker, and keep a number in the home folder.
            model = openvino.Core().read_model(graph)
            for port, name in zip(model.outputs, deployed.outputs, strict=True):
                port.get_tensor().set_names({name})
            for key, value in deployed.metadata(precision).items():
                model.set_rt_info(value, [RT_INFO, key])
            partial = folder / target.name
            openvino.save_model(model, partial, compress_to_fp16=precision == "float16")
            compiled = compile_model(read_model(partial), target)

            def run(batch: NDArray[Any]) -> Sequence[NDArray[Any]]:
                answers = compiled(batch)
                return [np.array(answers[i]) for i in range(len(deployed.outputs))]

            worst = verify(deployed, run, precision, target)
            # The .xml last: where it is, its weights are.
            partial.with_suffix(".bin").replace(target.with_suffix(".bin"))
            partial.replace(target)
    except OSError as error:
        raise SynergyNetError(f"{target}: cannot be written ({error.strerror or error})") from error
    return worst
