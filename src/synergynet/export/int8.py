"""Static int8 quantisation of an ONNX graph's backbone, and the crops that it is calibrated on."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from ..datasets.readers.crop_list import read_crops, read_list
from ..datasets.splits import validation_mask
from ..errors import SynergyNetError
from ..files.partial import partial_folder
from ..geometry.params import INPUT_SIZE
from .quiet import quiet

CALIBRATION_CROPS = 256
_IN_FLOAT = 3
"""First convolutions that are left as they are."""

_BATCH = 16
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


def calibration_crops(source: Path, count: int = CALIBRATION_CROPS) -> NDArray[np.uint8]:
    """At most ``count`` crops (n, 120, 120, 3) uint8 BGR, drawn evenly from ``source``.

    Crops of the validation split (``datasets.splits``) are left out, so that an accuracy on
    them stays an honest one.

    Args:
        source: a folder of 120x120 crops, or a list of their names, one a line, relative to the
            list's folder or to ``crops`` in it.

    Raises:
        SynergyNetError: nothing there, or not 120x120 crops.
    """
    if source.is_dir():
        folder = source
        names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in _PICTURES)
        if not names:
            raise SynergyNetError(
                f"{source}: no picture in it; give a folder of {INPUT_SIZE}x{INPUT_SIZE} crops "
                "or a list of them"
            )
    elif source.is_file():
        names = read_list(source)
        beside = source.parent
        folder = beside if (beside / names[0]).is_file() else beside / "crops"
    else:
        raise SynergyNetError(f"{source}: no such folder or list of crops to calibrate on")
    training = [n for n, held in zip(names, validation_mask(names), strict=True) if not held]
    usable = training or names
    rows = np.linspace(0, len(usable) - 1, min(count, len(usable))).astype(int)
    return read_crops(folder, [usable[row] for row in rows])


def quantise(path: Path, batch: NDArray[Any], input_name: str) -> None:
    """Quantise the convolutional body of the graph in ``path`` in place.

    QDQ format; weights int8 per output channel, activations uint8 by their least and largest
    value. Weights take 7 of the 8 bits, for the products of processors without VNNI saturate:
    there 8 bits cost ten times as much accuracy. Everything from the fourth convolution to
    the last and its activation is in 8 bits. What comes before and after (pixels, the first
    convolutions, pooling, the linear heads, dewhitening, the face model, angles) stays float32:
    0.3 MB and a twentieth of the work, but quantised pooled features and heads cost 0.4 NME.
    Residual sums and activations have to be in it: without them no layer's clipping is folded
    into its range, which costs 0.18.

    Args:
        batch: inputs to calibrate on.
    """
    with partial_folder(path.parent) as folder, quiet():
        prepared = folder / "prepared.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            path,
            _Batches(batch, input_name),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_body(onnx.load(prepared).graph),
        )


def _body(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes from the fourth convolution to the last and the activation after it."""
    convolutions = [i for i, node in enumerate(graph.node) if node.op_type == "Conv"]
    first, last = convolutions[_IN_FLOAT], convolutions[-1]
    produced = set(graph.node[last].output)
    following = [n.name for n in graph.node[last + 1 :] if produced & set(n.input)]
    return [node.name for node in graph.node[first : last + 1]] + following[:1]


class _Batches(CalibrationDataReader):
    """Feeds the calibration, a few crops at a time."""

    def __init__(self, inputs: NDArray[Any], name: str) -> None:
        self._parts = iter([inputs[i : i + _BATCH] for i in range(0, len(inputs), _BATCH)])
        self._name = name

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        part = next(self._parts, None)
        return None if part is None else {self._name: part}
