"""The official ``.pth.tar``: ``{'epoch', 'state_dict'}``, 445 entries, face model included."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...face_model.official import OFFICIAL_NAME
from ...files.whole_file import whole_file
from ...geometry.conventions import Conventions
from ...geometry.landmarks import N_LANDMARKS
from ...geometry.params import N_EXPRESSION, N_PARAMS, N_SHAPE, Whitening
from .backbones import build_backbone
from .checkpoints import MAX_BYTES, check_size, check_state
from .landmark_regressor import LandmarkRegressor
from .mafa import MAFA
from .synergynet import ImageToParams, SynergyNet, dense_arrays

PREFIX = "module."  # left by nn.DataParallel
N_PARAMS_WITH_TEXTURE = 102
ARCHITECTURE = "mobilenet_v2"  # the only one that the official code trains
MICROMETRES = 1e-3  # millimetres per unit


@dataclass(frozen=True, eq=False)
class OfficialCheckpoint:
    """What an official file holds.

    Attributes:
        source: where it came from, for error messages.
        epoch: of training.
        state_dict: the 445 tensors under their names in the file (``module.`` included).
        archive_name: root folder inside the file's zip archive. ``torch.save`` takes it
            from the file name; keeping it makes a rewritten file identical.
    """

    source: str
    epoch: int
    state_dict: OrderedDict[str, Tensor]
    archive_name: str | None = None

    @classmethod
    def from_network(cls, net: SynergyNet, epoch: int) -> OfficialCheckpoint:
        """The state of a MobileNetV2 network, with its face model's whole mesh.

        Raises SynergyNetError for another network, or a face model whose landmarks are not
        vertices: the format has no room for points inside triangles.
        """
        if (net.face_model.landmark_weights.max(axis=1) < 1).any():
            raise SynergyNetError(
                f"face model '{net.face_model.name}' has landmarks inside triangles, which an "
                "official checkpoint cannot hold; save a .safetensors checkpoint"
            )
        own = net.state_dict()
        for name, array in dense_arrays(net.face_model).items():
            own.setdefault(name, torch.tensor(array))
        expected = _expected_state(3 * net.face_model.n_vertices)
        check_state("The network", expected, own)
        state = OrderedDict((PREFIX + name, own[name].cpu().contiguous()) for name in expected)
        return cls("The network", epoch, state)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The entries without the ``module.`` prefix; whitening cut to its first 62 numbers.

        Files made with texture labels hold 102 (40 texture coefficients that no one uses).
        """
        tensors = _unprefixed(self.state_dict)
        for name in ("param_mean", "param_std"):
            tensors[name] = tensors[name][:N_PARAMS]
        return tensors

    def whitening(self) -> Whitening:
        """The whitening of this network's parameters."""
        tensors = self.tensors
        try:
            return Whitening(tensors["param_mean"].numpy(), tensors["param_std"].numpy())
        except ValueError as error:
            raise SynergyNetError(
                f"{self.source}: {error}; use an unmodified official checkpoint."
            ) from error

    def face_model(self, triangles: np.ndarray | None = None) -> FaceModel:
        """The face model inside the file; the file has no ``triangles`` (T, 3), 0-based.

        Landmark vertices are found by comparing the landmark rows with the mesh rows exactly.
        """
        tensors = {name: value.numpy() for name, value in self.tensors.items()}
        mean = tensors["u"].reshape(-1, 3)
        n = len(mean)
        rows = np.hstack([_by_vertex(tensors[name]) for name in ("u", "w_shp", "w_exp")])
        wanted = np.hstack(
            [_by_vertex(tensors[name]) for name in ("u_base", "w_shp_base", "w_exp_base")]
        )
        index = {row.tobytes(): vertex for vertex, row in reversed(list(enumerate(rows)))}
        try:
            vertices = np.array([index[row.tobytes()] for row in wanted], dtype=np.int32)
        except KeyError as error:
            raise SynergyNetError(
                f"{self.source}: its landmarks (u_base, w_shp_base, w_exp_base) are not vertices "
                "of its mesh (u, w_shp, w_exp); use an unmodified official checkpoint."
            ) from error
        return FaceModel(
            name=OFFICIAL_NAME,
            mean=mean,
            identity_basis=tensors["w_shp"].T.reshape(N_SHAPE, n, 3),
            expression_basis=tensors["w_exp"].T.reshape(N_EXPRESSION, n, 3),
            triangles=np.zeros((0, 3), np.int32) if triangles is None else triangles,
            landmark_vertices=np.repeat(vertices[:, None], 3, axis=1),
            landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (N_LANDMARKS, 1)),
            millimetres_per_unit=MICROMETRES,
        )

    def network(self, triangles: np.ndarray | None = None) -> SynergyNet:
        """The network in eval mode with its own face model, under ``Conventions.official()``.

        ``triangles`` (T, 3), 0-based, as for :meth:`face_model`.
        """
        net = SynergyNet(
            build_backbone(ARCHITECTURE),
            self.face_model(triangles),
            self.whitening(),
            Conventions.official(),
            dense=True,
        )
        net.load_state_dict(self.tensors, strict=True)
        return net.eval()


def read_official(path: str | Path) -> OfficialCheckpoint:
    """Read and check a ``.pth.tar`` without running anything that it contains.

    Raises SynergyNetError naming the file if it is missing, too large, damaged, or if
    any of the 445 entries is missing, unknown or misshapen.
    """
    source = Path(path)
    check_size(source)
    archive_name = _archive_name(source)
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for damaged or foreign files
        raise _damaged(source, error) from error
    if not isinstance(content, dict) or set(content) != {"epoch", "state_dict"}:
        raise SynergyNetError(
            f"{source} is no official SynergyNet checkpoint: its top level must be a dictionary "
            "of 'epoch' and 'state_dict'."
        )
    epoch, state = content["epoch"], content["state_dict"]
    if not isinstance(epoch, int) or not isinstance(state, OrderedDict):
        raise SynergyNetError(f"{source}: 'epoch' must be a number, 'state_dict' a state dict.")
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise SynergyNetError(f"{source}: 'state_dict' must hold tensors only.")
    _check(str(source), _unprefixed(state))
    return OfficialCheckpoint(str(source), epoch, state, archive_name)


def write_official(path: str | Path, checkpoint: OfficialCheckpoint) -> None:
    """Write a file that the official code loads; it appears whole or not at all.

    Writing what :func:`read_official` read gives the same bytes, if the file was written by
    the same version of torch.
    """
    target = Path(path)
    name = None if checkpoint.archive_name is None else f"{checkpoint.archive_name}.tar"
    with whole_file(target, name) as partial:
        try:
            torch.save({"epoch": checkpoint.epoch, "state_dict": checkpoint.state_dict}, partial)
        except RuntimeError as error:  # torch's word for a full disk
            raise SynergyNetError(f"{target}: cannot be written ({error})") from error


def _archive_name(source: Path) -> str | None:
    """Root folder of a zip archive; None for torch's older format. Refuses inflating archives."""
    with source.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            return None
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise _damaged(source, error) from error
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise SynergyNetError(f"{source} inflates beyond {MAX_BYTES >> 20} MiB; do not trust it.")
    root = entries[0].filename.split("/")[0] if entries else ""
    return root if root.strip(".") else None


def _damaged(source: Path, error: Exception) -> SynergyNetError:
    return SynergyNetError(
        f"{source} is not a complete PyTorch checkpoint of plain tensors "
        f"({type(error).__name__}); copy or download it again."
    )


def _check(source: str, tensors: dict[str, Tensor]) -> None:
    """All entries of a MobileNetV2 network; whitening may be 102 long."""
    for name in ("param_mean", "param_std"):
        if name in tensors and tensors[name].shape == (N_PARAMS_WITH_TEXTURE,):
            tensors[name] = tensors[name][:N_PARAMS]
    rows = len(tensors["u"]) if "u" in tensors and tensors["u"].dim() == 2 else 0
    check_state(source, _expected_state(rows - rows % 3), tensors)


def _expected_state(rows: int) -> dict[str, Tensor]:
    """Every entry in the official order as a tensor without memory, for 3V mesh ``rows``."""
    with torch.device("meta"):
        expected = {"param_mean": torch.empty(N_PARAMS), "param_std": torch.empty(N_PARAMS)}
        expected |= {name: torch.empty(shape) for name, shape in _face_shapes(rows).items()}
        modules = {
            "I2P": ImageToParams(build_backbone(ARCHITECTURE)),
            "forwardDirection": MAFA(),
            "reverseDirection": LandmarkRegressor(),
        }
        return expected | nn.ModuleDict(modules).state_dict()


def _face_shapes(rows: int) -> dict[str, tuple[int, int]]:
    landmark_rows = 3 * N_LANDMARKS
    return {
        "w_shp": (rows, N_SHAPE),
        "u": (rows, 1),
        "w_exp": (rows, N_EXPRESSION),
        "u_base": (landmark_rows, 1),
        "w_shp_base": (landmark_rows, N_SHAPE),
        "w_exp_base": (landmark_rows, N_EXPRESSION),
    }


def _by_vertex(flat: np.ndarray) -> np.ndarray:
    """(3n, modes) -> (n, 3 modes)."""
    return flat.reshape(len(flat) // 3, -1)


def _unprefixed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(PREFIX): value for key, value in state.items()}
