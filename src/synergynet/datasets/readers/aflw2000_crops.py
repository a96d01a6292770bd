"""AFLW2000-3D in the layout of the official benchmark.

::

    aflw2000_data/
        AFLW2000-3D_crop.list                 one crop name a line
        AFLW2000-3D_crop/*.jpg                120x120 crops
        eval/AFLW2000-3D.pose.npy             (N,) yaw in degrees, chooses the bin
        eval/AFLW2000-3D.pts68.npy            (N, 3, 68) 'ori' truth, 1-based photo pixels
        eval/AFLW2000-3D-Reannotated.pts68.npy (N, 2, 68) 're' truth, whole photo pixels
        eval/AFLW2000-3D_crop.roi_box.npy     (N, 4) inclusive corners, clipped to the photo
        eval/ALFW2000-3D_pose_3ANG_excl.npy   (M, 3) [pitch, yaw, roll] degrees of the M kept
        eval/ALFW2000-3D_pose_3ANG_skip.npy   (N - M,) indices without an Euler truth

The misspelt ``ALFW`` is official. The benchmark has N = 2000 and M = 1969.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...files.whole_file import read_npy
from ...geometry import frames
from ...geometry.crops import aflw2000_roi
from ...geometry.landmarks import N_LANDMARKS
from ...geometry.params import FloatArray
from . import Reader, Sample
from .crop_list import read_list
from .crop_store import read_crop

LIST_NAME = "AFLW2000-3D_crop.list"
CROP_FOLDER = "AFLW2000-3D_crop"
BENCHMARK_IMAGES = 2000

_CURE = "give the official aflw2000_data folder (or its AFLW2000-3D_crop) as --root"
_MAX_ARRAY_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Aflw2000(Reader):
    """The benchmark's truth and where its crops lie; N crops, M of them with Euler angles.

    Attributes:
        root: the data folder.
        names: N file names inside ``AFLW2000-3D_crop``, in the order of every array.
        yaw: (N,) degrees; its absolute value chooses the bin of the NME.
        points_ori: (N, 3, 68) original landmarks, 1-based photo pixels, y down.
        points_re: (N, 2, 68) re-annotated landmarks, photo pixels.
        roi: (N, 4) stored boxes [sx, sy, ex, ey], inclusive, 1-based, clipped to the photo.
        roi_unclipped: (N, 4) the boxes that the crops were really cut with.
        euler: (M, 3) [pitch, yaw, roll] in degrees.
        euler_index: (M,) which crops those belong to, ascending.
    """

    name = "AFLW2000-3D"
    evaluation_only = True

    root: Path
    names: tuple[str, ...]
    yaw: FloatArray
    points_ori: FloatArray
    points_re: FloatArray
    roi: FloatArray
    roi_unclipped: FloatArray
    euler: FloatArray
    euler_index: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        file = self.root / CROP_FOLDER / self.names[index]
        points, box = self.points_ori[index].T, self.roi_unclipped[index : index + 1]
        landmarks = frames.photo1_to_crop1(points[None], box)[0]
        return Sample(file.name, partial(_read_crop, file), landmarks=landmarks, files=(file,))


def _read_crop(file: Path) -> NDArray[np.uint8]:
    try:
        return read_crop(file)
    except SynergyNetError as error:
        raise SynergyNetError(f"{error}; {_CURE}") from error


def find_root(folder: str | Path, needed: str = LIST_NAME) -> Path:
    """The data folder, from itself or from its ``AFLW2000-3D_crop`` folder.

    Args:
        needed: what the data folder holds, by default the benchmark's list.

    Raises:
        SynergyNetError: neither holds it.
    """
    path = Path(folder)
    if not path.is_dir():
        raise SynergyNetError(f"{path}: no such folder; {_CURE}")
    for candidate in (path, path.resolve().parent):
        if (candidate / needed).exists():
            return candidate
    raise SynergyNetError(f"{path / needed}: missing; {_CURE}")


def load_aflw2000(folder: str | Path, list_file: str | Path | None = None) -> Aflw2000:
    """Read the list and the truth (crops are read when they are drawn).

    Args:
        folder: ``aflw2000_data`` or the ``AFLW2000-3D_crop`` folder inside it.
        list_file: the list, where it is not ``AFLW2000-3D_crop.list`` of the data folder.

    Raises:
        SynergyNetError: a file is missing, broken, or does not agree with the list.
    """
    root = find_root(folder, LIST_NAME if list_file is None else "eval")
    names = read_list(root / LIST_NAME if list_file is None else Path(list_file), _check_name)
    n, truth = len(names), root / "eval"
    points = _read_array(truth / "AFLW2000-3D.pts68.npy", (n, 3, N_LANDMARKS))
    points_re = _read_array(truth / "AFLW2000-3D-Reannotated.pts68.npy", (n, 2, N_LANDMARKS))
    for name, xy in (("AFLW2000-3D", points), ("AFLW2000-3D-Reannotated", points_re)):
        flat = (np.ptp(xy[:, :2], axis=2) <= 0).any(axis=1)
        if flat.any():
            row = int(np.flatnonzero(flat)[0])
            raise SynergyNetError(
                f"{truth / name}.pts68.npy: the landmarks of row {row} span no area; "
                "fetch the official file again"
            )
    roi_file = truth / "AFLW2000-3D_crop.roi_box.npy"
    roi = _read_array(roi_file, (n, 4))
    if not (roi[:, 2:] > roi[:, :2]).all():
        raise SynergyNetError(f"{roi_file}: a box is empty; fetch the official file again")
    euler_index = _read_kept(truth / "ALFW2000-3D_pose_3ANG_skip.npy", n)
    return Aflw2000(
        root=root,
        names=tuple(names),
        yaw=_read_array(truth / "AFLW2000-3D.pose.npy", (n,)),
        points_ori=points,
        points_re=points_re,
        roi=roi,
        roi_unclipped=aflw2000_roi(points, clip=None),
        euler=_read_array(truth / "ALFW2000-3D_pose_3ANG_excl.npy", (len(euler_index), 3)),
        euler_index=euler_index,
    )


def _check_name(name: str, path: Path) -> None:
    plain = PurePosixPath(name).name == name and name != ".."
    if not plain or "\\" in name or "\0" in name:
        raise SynergyNetError(f"{path}: {name!r} is not a plain file name in {CROP_FOLDER}")


def _open_array(path: Path) -> NDArray:
    return np.array(read_npy(path, max_bytes=_MAX_ARRAY_BYTES, cure=_CURE))


def _read_array(path: Path, shape: tuple[int, ...]) -> FloatArray:
    data = _open_array(path)
    if data.shape != shape:
        raise SynergyNetError(
            f"{path}: shape {data.shape}, expected {shape} to match {LIST_NAME}; {_CURE}"
        )
    if not np.isfinite(data).all():
        raise SynergyNetError(f"{path}: holds numbers that are not finite; {_CURE}")
    return data.astype(np.float64)


def _read_kept(path: Path, n: int) -> NDArray[np.intp]:
    """Indices of the n crops that ``path`` does not skip."""
    skip = _open_array(path)
    if skip.ndim != 1 or (skip.size and skip.dtype.kind not in "iu"):
        raise SynergyNetError(f"{path}: expected a list of whole numbers; {_CURE}")
    if skip.size and (skip.min() < 0 or skip.max() >= n or len(np.unique(skip)) != len(skip)):
        raise SynergyNetError(f"{path}: must hold distinct indices from 0 to {n - 1}; {_CURE}")
    kept = np.ones(n, dtype=bool)
    kept[skip.astype(np.intp)] = False
    if not kept.any():
        raise SynergyNetError(f"{path}: skips every image; {_CURE}")
    return np.flatnonzero(kept)
