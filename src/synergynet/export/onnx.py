"""Export to ONNX, with float32, float16 or int8 weights, verified before the file appears."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..files.whole_file import whole_file
from .graphs import CROPS, Deployment, Precision
from .int8 import quantise
from .quiet import quiet
from .verify import verify

OPSET = 18
_MIN_HALF_ELEMENTS = 64
_EXACT = ("param_mean", "param_std", "landmark_mean", "dense_mean")
"""Never stored as float16: a mean face in micrometres does not fit."""


def write_onnx(
    deployed: Deployment,
    path: str | Path,
    precision: Precision = "float32",
    *,
    calibration: NDArray[np.uint8] | None = None,
) -> dict[str, float]:
    """Write ``deployed`` as ONNX of opset 18 with any batch size.

    Args:
        precision: ``float16`` stores large arrays in half the size and computes in float32;
            ``int8`` runs the backbone's convolutions in 8 bits.
        calibration: (N, 120, 120, 3) uint8 BGR crops, for ``int8``.

    Returns:
        Output -> largest difference from the network on real crops (see ``verify.TOLERANCES``).

    Raises:
        SynergyNetError: the exported file disagrees with the network; nothing is written.
    """
    target = Path(path)
    with whole_file(target, "model.onnx") as partial:
        with quiet():
            torch.onnx.export(
                deployed.module,
                (deployed.example(),),
                partial,
                input_names=[CROPS],
                output_names=list(deployed.outputs),
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                opset_version=OPSET,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        if precision == "int8":
            assert calibration is not None, "int8 needs crops to calibrate on"
            quantise(partial, deployed.inputs(calibration), CROPS)
        model = onnx.load(partial)
        if precision == "float16":
            _halve_weights(model)
        _strip_traces(model)
        metadata = deployed.metadata(precision) | {"opset": str(OPSET)}
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        onnx.save(model, partial)
        session = onnxruntime.InferenceSession(partial, providers=["CPUExecutionProvider"])

        def run(batch: NDArray[Any]) -> Sequence[NDArray[Any]]:
            answers: list[NDArray[Any]] = session.run(None, {CROPS: batch})
            return answers

        return verify(deployed, run, precision, target)


def _strip_traces(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on where in whose files each node came from."""
    model.doc_string = ""
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        item.doc_string = ""
        if hasattr(item, "metadata_props"):
            del item.metadata_props[:]


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store large float32 initializers as float16, each behind a Cast to float32."""
    graph = model.graph
    largest = np.finfo(np.float16).max
    casts = []
    for tensor in list(graph.initializer):
        array = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or array.size < _MIN_HALF_ELEMENTS:
            continue
        if tensor.name.startswith(_EXACT) or np.abs(array).max() > largest:
            continue
        name = tensor.name
        half = numpy_helper.from_array(array.astype(np.float16), f"{name}_half")
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
