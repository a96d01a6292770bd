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

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...files.whole_file import read_npy
from ...geometry.crops import aflw2000_roi
from ...geometry.landmarks import N_LANDMARKS
from ...geometry.params import INPUT_SIZE, FloatArray

LIST_NAME = "AFLW2000-3D_crop.list"
CROP_FOLDER = "AFLW2000-3D_crop"
BENCHMARK_IMAGES = 2000

_CURE = "give the official aflw2000_data folder (or its AFLW2000-3D_crop) as --root"
_MAX_LIST_BYTES = 4 << 20
_MAX_ARRAY_BYTES = 64 << 20
_MAX_CROP_BYTES = 4 << 20


@dataclass(frozen=True, eq=False)
class Aflw2000:
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

    def crops(self, batch_size: int = 128) -> Iterator[NDArray[np.uint8]]:
        """Batches (n, 120, 120, 3) uint8 BGR in list order, n <= ``batch_size``.

        Raises:
            SynergyNetError: a crop is missing, broken or not 120x120.
        """
        if batch_size < 1:
            raise SynergyNetError(f"batch size {batch_size}: must be at least 1")
        for start in range(0, len(self.names), batch_size):
            chunk = self.names[start : start + batch_size]
            yield np.stack([_read_crop(self.root / CROP_FOLDER / name) for name in chunk])


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
    """Read the list and the truth (crops are read by :meth:`Aflw2000.crops`).

    Args:
        folder: ``aflw2000_data`` or the ``AFLW2000-3D_crop`` folder inside it.
        list_file: the list, where it is not ``AFLW2000-3D_crop.list`` of the data folder.

    Raises:
        SynergyNetError: a file is missing, broken, or does not agree with the list.
    """
    root = find_root(folder, LIST_NAME if list_file is None else "eval")
    names = _read_list(root / LIST_NAME if list_file is None else Path(list_file))
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
        names=names,
        yaw=_read_array(truth / "AFLW2000-3D.pose.npy", (n,)),
        points_ori=points,
        points_re=points_re,
        roi=roi,
        roi_unclipped=aflw2000_roi(points, clip=None),
        euler=_read_array(truth / "ALFW2000-3D_pose_3ANG_excl.npy", (len(euler_index), 3)),
        euler_index=euler_index,
    )


def _read_list(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise SynergyNetError(f"{path}: no such file; give the benchmark's {LIST_NAME}")
    if path.stat().st_size > _MAX_LIST_BYTES:
        raise SynergyNetError(f"{path}: larger than {_MAX_LIST_BYTES >> 20} MiB; {_CURE}")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SynergyNetError(f"{path}: not a readable text file ({error})") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise SynergyNetError(f"{path}: empty; it lists one crop name a line")
    for name in names:
        plain = PurePosixPath(name).name == name and name != ".."
        if not plain or "\\" in name or "\0" in name:
            raise SynergyNetError(f"{path}: {name!r} is not a plain file name in {CROP_FOLDER}")
    return names


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


def _read_crop(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise SynergyNetError(f"{path}: missing, though {LIST_NAME} names it; {_CURE}")
    if path.stat().st_size > _MAX_CROP_BYTES:
        raise SynergyNetError(f"{path}: larger than {_MAX_CROP_BYTES >> 20} MiB, not a crop")
    try:
        image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, OSError) as error:
        raise SynergyNetError(f"{path}: not a readable image ({error})") from error
    if image is None:
        raise SynergyNetError(f"{path}: not a readable image; fetch the file again")
    if image.shape != (INPUT_SIZE, INPUT_SIZE, 3):
        height, width = image.shape[:2]
        raise SynergyNetError(
            f"{path}: {width}x{height} pixels, expected {INPUT_SIZE}x{INPUT_SIZE}; {_CURE}"
        )
    return np.asarray(image, dtype=np.uint8)
