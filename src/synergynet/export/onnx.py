"""Export of a trained network to ONNX, verified before the file appears."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ..errors import SynergyNetError
from ..face_model.weights_info import WeightsInfo
from ..files import whole_file
from ..geometry.params import INPUT_SIZE
from ..nets.confidence import AssessedBackbone
from ..nets.synergynet import SynergyNet
from ..regression.onnx_session import EXPECTED_NME

OPSET = 18
INPUT_NAME = "crops"
OUTPUT_NAME = "params"
TOLERANCE = 1e-4
HALF_TOLERANCE = 0.05
"""Largest accepted difference in whitened units: for float32, and for float16 weights."""
_MIN_HALF_ELEMENTS = 64


def export_onnx(
    net: SynergyNet, info: WeightsInfo, path: str | Path, *, half_weights: bool = False
) -> float:
    """Write the backbone: normalised BGR crops (N, 3, 120, 120) -> whitened params (N, 62).

    With an ``error_head`` in ``info`` the graph has a second output, ``expected_nme`` (N,),
    in percent.

    Args:
        info: the metadata.
        half_weights: store weights as float16 (half the size); arithmetic stays float32.

    Returns:
        The largest difference in whitened units against torch on random crops (of the
        expected error: relative).

    Raises:
        SynergyNetError: the exported file disagrees with the network.
    """
    target = Path(path)
    example = torch.rand(2, 3, INPUT_SIZE, INPUT_SIZE) * 2 - 1
    head = info.error_head
    frozen = (net if head is None else AssessedBackbone(net.backbone, head)).eval()
    with whole_file(target, "model.onnx") as partial:
        with _quiet_exporter():
            torch.onnx.export(
                frozen,
                (example,),
                partial,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME] if head is None else [OUTPUT_NAME, EXPECTED_NME],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                opset_version=OPSET,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        model = onnx.load(partial)
        if half_weights:
            _halve_weights(model)
        _strip_traces(model)
        helper.set_model_props(model, info.to_metadata())
        onnx.checker.check_model(model)
        onnx.save(model, partial)
        worst = _compare(frozen, partial)
        limit = HALF_TOLERANCE if half_weights else TOLERANCE
        if not worst <= limit:
            raise SynergyNetError(
                f"{target}: the exported network differs by {worst:.2g} (limit {limit:g}); "
                "nothing was written"
            )
    return worst


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's remarks about packages that this network does not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


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
    casts = []
    for tensor in list(graph.initializer):
        array = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or array.size < _MIN_HALF_ELEMENTS:
            continue
        name = tensor.name
        half = numpy_helper.from_array(array.astype(np.float16), f"{name}_half")
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])


def _compare(net: nn.Module, path: Path) -> float:
    """Largest |difference| of the answers between torch and the file, batches 1 and 5.

    Where answers exceed 1 it is relative to the largest one: noise is no face, and on it a
    deep network can answer with numbers whose float32 rounding is 1e-3.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    generator = torch.Generator().manual_seed(0)
    for batch in (1, 5):
        crops = torch.rand(batch, 3, INPUT_SIZE, INPUT_SIZE, generator=generator) * 2 - 1
        with torch.inference_mode():
            answers = net(crops)
        expected = [answers] if isinstance(answers, Tensor) else answers
        found = session.run(None, {INPUT_NAME: crops.numpy()})
        for ours, theirs in zip(expected, found, strict=True):
            size = max(1.0, float(ours.abs().max()))
            worst = max(worst, float(np.abs(theirs - ours.numpy()).max()) / size)
    return worst
