"""Reader of the official ``3dmm_data`` folder (Basel Face Model arrays; never shipped)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.mat import read_arrays
from ..files.restricted_pickle import load_pickle, numbers
from ..files.whole_file import read_bytes, read_npy
from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import N_EXPRESSION, N_SHAPE, FloatArray, Whitening
from .model import NO_TRIANGLES, FaceModel

OFFICIAL_NAME = "bfm-official"
_MAX_BYTES = 512 << 20
_MAX_TRIANGLE_BYTES = 64 << 20


def load_official(folder: str | Path) -> tuple[FaceModel, Whitening]:
    """Read ``keypoints_sim, w_shp_sim, w_exp_sim, u_shp, u_exp, param_whitening`` and ``tri``.

    Args:
        folder: directory in the official layout. ``tri.mat`` and ``BFM_UV.npy``
            are optional.

    Returns:
        The model (53,215 vertices in micrometres for the Basel Face Model) and its whitening.

    Raises:
        SynergyNetError: a file is missing, broken or of the wrong shape.
    """
    root = Path(folder)
    if not root.is_dir():
        raise SynergyNetError(f"{root}: no such folder; expected the official 3dmm_data layout")
    u_shp, u_exp = (_array(root / f"{name}.npy").reshape(-1) for name in ("u_shp", "u_exp"))
    if u_shp.shape != u_exp.shape or u_shp.size == 0 or u_shp.size % 3:
        raise SynergyNetError(
            f"{root}: u_shp.npy has {u_shp.size} and u_exp.npy {u_exp.size} numbers, "
            "expected the same multiple of 3"
        )
    mean = (u_shp + u_exp).reshape(-1, 3)
    n = len(mean)
    identity = _basis(root / "w_shp_sim.npy", n, N_SHAPE)
    expression = _basis(root / "w_exp_sim.npy", n, N_EXPRESSION)
    keypoints = _array(root / "keypoints_sim.npy").reshape(-1)
    rows = keypoints.reshape(-1, 3) if keypoints.size == 3 * N_LANDMARKS else None
    if rows is None or not (rows == rows[:, :1] + np.arange(3)).all() or (rows[:, 0] % 3).any():
        raise SynergyNetError(f"{root / 'keypoints_sim.npy'}: expected 204 rows 3v, 3v+1, 3v+2")
    vertices = np.repeat(rows[:, :1] // 3, 3, axis=1)
    uv_file = root / "BFM_UV.npy"
    model = FaceModel(
        name=OFFICIAL_NAME,
        mean=mean,
        identity_basis=identity,
        expression_basis=expression,
        triangles=_triangles(root / "tri.mat"),
        landmark_vertices=vertices.astype(np.int32),
        landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (N_LANDMARKS, 1)),
        millimetres_per_unit=1e-3,
        uv=_array(uv_file) if uv_file.is_file() else None,
    )
    return model, load_whitening(root / "param_whitening.pkl")


def load_whitening(path: Path) -> Whitening:
    """``param_whitening.pkl`` with keys param_mean and param_std, 62 or 102 long."""
    data = load_pickle(path, max_bytes=1 << 20)
    try:
        return Whitening(
            numbers(data["param_mean"]).reshape(-1)[:62],
            numbers(data["param_std"]).reshape(-1)[:62],
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SynergyNetError(f"{path}: not a whitening file ({error})") from error


def _array(path: Path) -> FloatArray:
    return read_npy(path, max_bytes=_MAX_BYTES, cure="the official 3dmm_data folder needs it")


def _basis(path: Path, n: int, modes: int) -> FloatArray:
    flat = _array(path)
    if flat.shape != (3 * n, modes):
        raise SynergyNetError(f"{path}: shape {flat.shape}, expected {(3 * n, modes)}")
    return np.ascontiguousarray(flat.T).reshape(modes, n, 3)


def _triangles(path: Path) -> NDArray[np.int32]:
    if not path.is_file():
        return NO_TRIANGLES
    data = read_bytes(path, max_bytes=_MAX_TRIANGLE_BYTES)
    try:
        tri = read_arrays(data, {"tri"}, _MAX_TRIANGLE_BYTES)["tri"]
    except (ValueError, KeyError) as error:
        raise SynergyNetError(f"{path}: not a readable .mat file with 'tri' ({error})") from error
    if tri.ndim != 2 or 3 not in tri.shape or not np.isfinite(tri).all():
        raise SynergyNetError(f"{path}: 'tri' has shape {tri.shape}, expected (3, T)")
    # 1-based in the file; its winding is clockwise seen from outside.
    return (tri.T if tri.shape[0] == 3 else tri)[:, ::-1].astype(np.int32) - 1
