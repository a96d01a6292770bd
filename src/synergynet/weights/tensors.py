"""A network's weights in NumPy, outside any framework, and the files that hold them.

A ``.ckpt`` of this package holds the trained tensors under MindSpore's names, and beside them,
where MindSpore's own loader ignores them: ``synergynet.metadata``, the metadata of our
checkpoints as the bytes of a JSON text, and the eight buffers of an official checkpoint
(whitening and face model) under their official names if the weights came from one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from ..errors import SynergyNetError
from ..face_model.model import NO_TRIANGLES, FaceModel
from ..face_model.official import OFFICIAL_NAME
from ..files.whole_file import whole_file
from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import N_EXPRESSION, N_SHAPE
from .architectures import ARCHITECTURES, Shape, state_shapes
from .ckpt import MAX_BYTES, read_ckpt, write_ckpt
from .info import WeightsInfo
from .names import COUNTER, mindspore_names, to_mindspore, to_torch

METADATA = "synergynet.metadata"
_FORMAT = 1
_FACE_ROWS = 3 * N_LANDMARKS
OFFICIAL_BUFFERS = (
    "param_mean", "param_std", "w_shp", "u", "w_exp", "u_base", "w_shp_base", "w_exp_base",
)  # fmt: skip
"""Whitening and face model as an official checkpoint names and orders them."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Official:
    """What an official ``.pth.tar`` holds beside the trained tensors.

    Attributes:
        buffers: the arrays of :data:`OFFICIAL_BUFFERS`.
        epoch: of training.
        archive_name: root folder inside the file's zip archive, None for torch's older format.
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
        half: matrices and kernels were stored as float16.
        official: only of weights that came from an official checkpoint.
    """

    source: str
    tensors: Arrays
    info: WeightsInfo | None
    half: bool = False
    official: Official | None = None

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


def read_ckpt_weights(path: str | Path) -> Weights:
    """Read a MindSpore checkpoint of this package or of the published port.

    Raises:
        SynergyNetError: missing, damaged, incomplete, or of another network.
    """
    source = str(path)
    found = read_ckpt(path)
    blob = found.pop(METADATA, None)
    metadata = {} if blob is None else _metadata(blob, source)
    info = None
    if blob is not None:
        info = WeightsInfo.from_metadata(metadata["info"], source)
    buffers = {name: found.pop(name) for name in OFFICIAL_BUFFERS if name in found}
    architecture = "mobilenet_v2" if info is None else info.architecture
    regularisers = any(name.startswith("forwardDirection.") for name in found)
    shapes = _shapes(source, architecture, regularisers)
    names = mindspore_names(shapes)
    tensors = {ours: to_torch(ours, found[name]) for ours, name in names.items() if name in found}
    unknown = sorted(set(found) - set(names.values()))
    counts = metadata.get("batches_tracked", {})
    for name in shapes:
        if name.endswith(COUNTER):
            tensors[name] = np.array(counts.get(name, 0), np.int64)
    tensors = {name: tensors[name] for name in shapes if name in tensors}
    _check(source, shapes, tensors, unknown)
    official = None
    if "epoch" in metadata:
        _check_buffers(source, buffers)
        official = Official(
            buffers, metadata["epoch"], metadata.get("archive_name"), metadata.get("versions", {})
        )
    return Weights(source, tensors, info, bool(metadata.get("half")), official)


def write_ckpt_weights(path: str | Path, weights: Weights) -> None:
    """Write a MindSpore checkpoint; it appears whole or not at all.

    Raises:
        SynergyNetError: the backbone does not exist in MindSpore.
    """
    info = weights.described()
    shapes = _shapes(weights.source, info.architecture, weights.regularisers)
    _check(weights.source, shapes, weights.tensors, [])
    metadata: dict[str, Any] = {
        "format": _FORMAT,
        "info": info.to_metadata(),
        "half": weights.half,
        "batches_tracked": {
            name: int(array) for name, array in weights.tensors.items() if name.endswith(COUNTER)
        },
    }
    entries = {
        name: to_mindspore(ours, weights.tensors[ours])
        for ours, name in mindspore_names(shapes).items()
    }
    if weights.official is not None:
        metadata["epoch"] = weights.official.epoch
        metadata["archive_name"] = weights.official.archive_name
        metadata["versions"] = dict(weights.official.versions)
        entries |= weights.official.buffers
    text = json.dumps(metadata).encode()
    write_ckpt(path, entries | {METADATA: np.frombuffer(text, np.uint8)})


def read_safetensors_weights(path: str | Path) -> Weights:
    """Read one of our checkpoints without torch.

    Raises:
        SynergyNetError: missing, damaged, or not such a checkpoint.
    """
    source = Path(path)
    if not source.is_file():
        raise SynergyNetError(f"{source}: no such file; give the path of a checkpoint")
    if source.stat().st_size > MAX_BYTES:
        raise SynergyNetError(f"{source} is larger than any checkpoint; give another file")
    try:
        with safetensors.safe_open(source, framework="np") as opened:
            metadata = opened.metadata() or {}
            stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except Exception as error:  # SafetensorError, and TypeError for types that NumPy lacks
        raise SynergyNetError(
            f"{source}: not a complete safetensors file ({error}); copy or download it again"
        ) from error
    info = WeightsInfo.from_metadata(metadata, str(source))
    half = any(array.dtype == np.float16 for array in stored.values())
    tensors = {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in stored.items()
    }
    if info.architecture in ARCHITECTURES:  # the file has them in an order of its own
        ordered = [name for name in state_shapes(info.architecture) if name in tensors]
        tensors = {name: tensors[name] for name in ordered} | tensors
    return Weights(str(source), tensors, info, half)


def write_safetensors_weights(path: str | Path, weights: Weights) -> None:
    """Write one of our checkpoints without torch; it appears whole or not at all."""
    tensors = {name: np.ascontiguousarray(array) for name, array in weights.tensors.items()}
    tensors = {name: array.reshape(weights.tensors[name].shape) for name, array in tensors.items()}
    if weights.half:
        halved = {k: v.astype(np.float16) for k, v in tensors.items() if v.ndim > 1}
        if all(np.array_equal(half, tensors[name]) for name, half in halved.items()):
            tensors |= halved
    data = safetensors.numpy.save(tensors, weights.described().to_metadata())
    with whole_file(Path(path)) as partial:
        partial.write_bytes(data)


def official_face_model(weights: Weights) -> FaceModel | None:
    """The face model (without triangles) inside weights of an official checkpoint, or None.

    Landmark vertices are found by comparing the landmark rows with the mesh rows exactly.
    """
    if weights.official is None:
        return None
    arrays = weights.official.buffers
    mean = arrays["u"].reshape(-1, 3)
    n = len(mean)
    mesh = np.hstack([arrays[name].reshape(n, -1) for name in ("u", "w_shp", "w_exp")])
    wanted = [arrays[f"{name}_base"].reshape(N_LANDMARKS, -1) for name in ("u", "w_shp", "w_exp")]
    index = {row.tobytes(): vertex for vertex, row in reversed(list(enumerate(mesh)))}
    try:
        vertices = [index[row.tobytes()] for row in np.hstack(wanted)]
    except KeyError as error:
        raise SynergyNetError(
            f"{weights.source}: its landmarks are not vertices of its mesh; "
            "use an unmodified checkpoint"
        ) from error
    return FaceModel(
        name=OFFICIAL_NAME,
        mean=mean,
        identity_basis=arrays["w_shp"].T.reshape(N_SHAPE, n, 3),
        expression_basis=arrays["w_exp"].T.reshape(N_EXPRESSION, n, 3),
        triangles=NO_TRIANGLES,
        landmark_vertices=np.repeat(np.array(vertices, np.int32)[:, None], 3, axis=1),
        landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (N_LANDMARKS, 1)),
        millimetres_per_unit=1e-3,
    )


def _metadata(blob: np.ndarray, source: str) -> dict[str, Any]:
    """The parsed and checked JSON of :data:`METADATA`."""
    try:
        if blob.dtype != np.uint8:
            raise ValueError("not bytes")
        values = json.loads(blob.tobytes())
        version = values["format"]
        counts, info = values.get("batches_tracked", {}), values["info"]
        versions = values.get("versions", {})
        good = (
            all(isinstance(v, int) and 0 <= v < 1 << 63 for v in counts.values())
            and all(isinstance(v, int) for v in versions.values())
            and all(isinstance(v, str) for v in info.values())
            and isinstance(values.get("epoch", 0), int)
            and _is_archive_name(values.get("archive_name"))
        )
        if not good:
            raise ValueError("a value of another type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SynergyNetError(
            f"{source}: its entry '{METADATA}' cannot be used ({error}); "
            "use a .ckpt written by synergynet"
        ) from error
    if version != _FORMAT:
        raise SynergyNetError(
            f"{source}: .ckpt metadata of format {version}, but this synergynet reads format "
            f"{_FORMAT}; install the synergynet version that wrote it"
        )
    return dict(values)


def _is_archive_name(name: object) -> bool:
    """Whether ``name`` is None or good as the name of a file, and no path to another folder."""
    if not isinstance(name, str):
        return name is None
    return 0 < len(name) <= 200 and bool(name.strip(".")) and not set(name) & set("/\\\0")


def _shapes(source: str, architecture: str, regularisers: bool) -> dict[str, Shape]:
    try:
        return state_shapes(architecture, regularisers=regularisers)
    except SynergyNetError as error:
        raise SynergyNetError(f"{source}: {error}") from error


def _check(source: str, shapes: Mapping[str, Shape], found: Arrays, unknown: list[str]) -> None:
    """Raise SynergyNetError naming what is missing, unknown, or of another shape or type."""
    missing = [name for name in shapes if name not in found]
    unknown = unknown + [name for name in found if name not in shapes]
    misshapen = [
        f"{name} {found[name].shape} {found[name].dtype} instead of {shape}"
        for name, shape in shapes.items()
        if name in found
        and (
            found[name].shape != shape
            or found[name].dtype != (np.int64 if name.endswith(COUNTER) else np.float32)
        )
    ]
    faults = [
        f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for what, names in (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
        if names
    ]
    if faults:
        raise SynergyNetError(
            f"{source} does not hold this network's weights ({'; '.join(faults)}); "
            "use a checkpoint of the same architecture"
        )


def _check_buffers(source: str, buffers: Arrays) -> None:
    rows = buffers["u"].shape[0] if "u" in buffers and buffers["u"].ndim == 2 else 0
    whitening = buffers["param_mean"].shape if "param_mean" in buffers else ()
    shapes: dict[str, Shape] = {
        "w_shp": (rows, N_SHAPE),
        "u": (rows, 1),
        "w_exp": (rows, N_EXPRESSION),
        "u_base": (_FACE_ROWS, 1),
        "w_shp_base": (_FACE_ROWS, N_SHAPE),
        "w_exp_base": (_FACE_ROWS, N_EXPRESSION),
    }
    wanted: dict[str, Shape] = {"param_mean": whitening, "param_std": whitening, **shapes}
    if whitening not in ((62,), (102,)) or rows % 3 or not rows:
        raise SynergyNetError(f"{source}: its whitening or face model is incomplete")
    _check(source, wanted, buffers, [])
