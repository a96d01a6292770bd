"""Graphs for deployment out of MindSpore: MINDIR, ONNX, and AIR where there is an Ascend."""

import os
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")

import mindspore
import numpy as np
from mindspore import Tensor, nn

from ..errors import SynergyNetError
from ..files.whole_file import whole_file
from ..geometry.params import INPUT_SIZE
from ..nets.mindspore.backbones import ImageToParams
from ..nets.mindspore.synergynet import trained_backbone
from ..weights.ckpt import message_field
from ..weights.tensors import Weights

FORMATS = {".mindir": "MINDIR", ".onnx": "ONNX", ".air": "AIR"}
BATCH = 1
TOLERANCE = 1e-4
"""Largest accepted difference in whitened units."""


class Deployed(nn.Cell):
    """Normalised crops -> whitened params, and nothing else."""

    def __init__(self, network: ImageToParams) -> None:
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, crops: Tensor) -> Tensor:
        """(1, 3, 120, 120) -> (1, 62)."""
        return self.network(crops)[0]


def write_graph(path: str | Path, weights: Weights) -> float:
    """Write the backbone as the format of ``path``'s suffix, one crop per call.

    Returns:
        The largest difference in whitened units between the file and the network on random
        crops. AIR cannot be run here and counts as 0.

    Raises:
        SynergyNetError: AIR away from an Ascend, or the file disagrees.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix == ".air" and mindspore.get_context("device_target") != "Ascend":
        raise SynergyNetError(
            f"{target}: AIR is a format of Ascend processors, and MindSpore writes it only on "
            "a machine that has one; take .mindir or .onnx here"
        )
    deployed = Deployed(trained_backbone(weights)).set_train(False)
    crops = np.random.default_rng(0).uniform(-1, 1, (BATCH, 3, INPUT_SIZE, INPUT_SIZE))
    example = Tensor(crops.astype(np.float32))
    with whole_file(target) as partial:
        try:
            mindspore.export(deployed, example, file_name=str(partial), file_format=FORMATS[suffix])
        except (RuntimeError, ValueError, TypeError) as error:
            raise SynergyNetError(
                f"{target}: MindSpore could not export the network ({str(error)[:200]})"
            ) from error
        wanted = deployed(example).asnumpy()
        if suffix == ".onnx":
            _add_metadata(partial, weights.described().to_metadata())
        worst = _difference(partial, suffix, crops.astype(np.float32), wanted)
        if not worst <= TOLERANCE:
            raise SynergyNetError(
                f"{target}: the exported network differs by {worst:.2g} (limit {TOLERANCE:g}); "
                "nothing was written"
            )
    return worst


def _difference(path: Path, suffix: str, crops: np.ndarray, wanted: np.ndarray) -> float:
    if suffix == ".air":
        return 0.0
    if suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found = session.run(None, {session.get_inputs()[0].name: crops})[0]
    else:
        found = nn.GraphCell(mindspore.load(str(path)))(Tensor(crops)).asnumpy()
    return float(np.abs(found - wanted).max())


def _add_metadata(path: Path, metadata: dict[str, str]) -> None:
    """Append ``metadata_props`` (field 14 of ONNX's ModelProto): protobuf concatenates messages."""
    with path.open("ab") as stream:
        for key, value in metadata.items():
            pair = message_field(1, key.encode()) + message_field(2, value.encode())
            stream.write(message_field(14, pair))
