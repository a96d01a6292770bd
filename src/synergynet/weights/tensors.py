"""A network's weights in NumPy, outside any framework, and our own files of them.

``Weights`` is what every format is read into and written from; :mod:`.formats` lists the formats.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..files.whole_file import whole_file
from .architectures import ARCHITECTURES, COUNTER, Shape, state_shapes
from .info import WeightsInfo

MAX_BYTES = 1 << 30
"""Of any checkpoint: the largest official backbone with the Basel Face Model needs half of it."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Official:
    """What an official ``.pth.tar`` holds beside the trained tensors.

    Attributes:
        buffers: whitening and face model, the arrays of ``official.OFFICIAL_BUFFERS``.
        epoch: of training.
        archive_name: root folder inside the file's zip archive, None for torch's older format.
            ``torch.save`` takes it from the file name; keeping it makes a rewritten file identical.
        versions: of the modules by their names, which torch keeps beside a state dict.
    """

    buffers: Arrays
    epoch: int
    archive_name: str | None
    versions: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Weights:
    """Trained tensors and what is known about them.

    Attributes:
        source: the file, for error messages.
        tensors: float32 and int64 arrays under PyTorch's names.
        info: None for a ``.ckpt`` that another program wrote.
        half: matrices and kernels are stored as float16.
        official: only of weights that came from an official checkpoint.
        face_model: the one inside that checkpoint (without triangles).
    """

    source: str
    tensors: Arrays
    info: WeightsInfo | None
    half: bool = False
    official: Official | None = None
    face_model: FaceModel | None = None

    @property
    def regularisers(self) -> bool:
        """Whether MAFA and the landmark regressor are among the tensors."""
        return any(not name.startswith("I2P.") for name in self.tensors)

    def described(self) -> WeightsInfo:
        """``info``; raises SynergyNetError if there is none."""
        if self.info is None:
            raise SynergyNetError(
                f"{self.source}: written by another program, so it does not say which face model "
                "and whitening it belongs to; convert it with synergynet convert --face-model "
                "FOLDER (the 3dmm_data folder that it was trained with)"
            )
        return self.info


def read_safetensors_weights(path: str | Path) -> Weights:
    """Read one of our checkpoints; what is stored as float16 becomes float32.

    Raises:
        SynergyNetError: missing, damaged, or not such a checkpoint.
    """
    source = checkpoint_file(path)
    try:
        with safetensors.safe_open(source, framework="np") as opened:
            metadata = opened.metadata() or {}
            stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except Exception as error:  # SafetensorError, and TypeError for types that NumPy lacks
        raise SynergyNetError(
            f"{source}: not a complete safetensors file ({error}); copy or download it again"
        ) from error
    info = WeightsInfo.from_metadata(metadata, str(source))
    tensors = {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in stored.items()
    }
    if info.architecture in ARCHITECTURES:  # the file has them in an order of its own
        ordered = [name for name in state_shapes(info.architecture) if name in tensors]
        tensors = {name: tensors[name] for name in ordered} | tensors
    half = any(array.dtype == np.float16 for array in stored.values())
    return Weights(str(source), tensors, info, half)


def write_safetensors_weights(path: str | Path, weights: Weights) -> None:
    """Write one of our checkpoints; it appears whole or not at all.

    With ``weights.half`` matrices and kernels are stored as float16; statistics and biases are
    small and keep their range.
    """
    tensors = {name: np.asarray(array, order="C") for name, array in weights.tensors.items()}
    if weights.half:
        tensors |= {k: v.astype(np.float16) for k, v in tensors.items() if v.ndim > 1}
    data = safetensors.numpy.save(tensors, weights.described().to_metadata())
    with whole_file(Path(path)) as partial:
        partial.write_bytes(data)


def checkpoint_file(path: str | Path) -> Path:
    """``path``; raises SynergyNetError if it is no file or larger than any checkpoint."""
    source = Path(path)
    if not source.is_file():
        raise SynergyNetError(f"{source}: no such file; give the path of a checkpoint")
    if source.stat().st_size > MAX_BYTES:
        raise SynergyNetError(
            f"{source} is larger than {MAX_BYTES >> 20} MiB and cannot be a SynergyNet checkpoint; "
            "give the path of another file"
        )
    return source


def check_tensors(
    source: str, shapes: Mapping[str, Shape], found: Arrays, unknown: Iterable[str] = ()
) -> None:
    """Raise SynergyNetError naming what is missing, unknown, or of another shape or type.

    Args:
        source: the file, for the message.
        shapes: every entry; counters of batches are int64, all others float32.
        found: the entries that are there.
        unknown: names in the file that have no place in ``found``.
    """
    misshapen = [
        f"{name} {found[name].shape} {found[name].dtype} instead of {shape}"
        for name, shape in shapes.items()
        if name in found
        and (found[name].shape, found[name].dtype)
        != (shape, np.int64 if name.endswith(COUNTER) else np.float32)
    ]
    kinds = {
        "missing": [name for name in shapes if name not in found],
        "unknown": [*unknown, *(name for name in found if name not in shapes)],
        "misshapen": misshapen,
    }
    faults = [
        f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for what, names in kinds.items()
        if names
    ]
    if faults:
        raise SynergyNetError(
            f"{source} does not hold this network's weights ({'; '.join(faults)}); "
            "use a checkpoint of the same architecture"
        )
