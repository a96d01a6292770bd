"""Shared fixtures: the private data folder, and small face models made on the spot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from synergynet.datasets.readers.aflw2000_crops import Aflw2000, load_aflw2000
from synergynet.face_model.model import FaceModel
from synergynet.geometry import crops, params, pose
from synergynet.geometry.landmarks import MIRROR
from synergynet.geometry.params import Whitening
from synergynet.weights.info import WeightsInfo

REPO = Path(__file__).resolve().parents[1]
N_MIDLINE, N_PAIRS = 20, 90


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """``$SYNERGYNET_DATA`` or ``../shared/data`` beside the repository; else skip."""
    folder = Path(os.environ.get("SYNERGYNET_DATA", REPO.parent / "shared" / "data"))
    needed = ("aflw2000_data", "aflw2000_originals", "aflw_train", "golden", "3dmm_data")
    missing = [name for name in needed if not (folder / name).is_dir()]
    if missing:
        pytest.skip(
            f"{folder / missing[0]} is not here: set SYNERGYNET_DATA to the development data"
        )
    return folder


@pytest.fixture(scope="session")
def bfm(shared_data: Path) -> FaceModel:
    """The Basel Face Model of the development data."""
    from synergynet.face_model.official import load_official

    return load_official(shared_data / "3dmm_data")[0]


def partner_vertices() -> np.ndarray:
    """(200,) index of each vertex's mirror image: 20 on the midline, then 90 pairs."""
    out = np.arange(N_MIDLINE + 2 * N_PAIRS)
    out[N_MIDLINE:] = np.r_[out[N_MIDLINE + N_PAIRS :], out[N_MIDLINE : N_MIDLINE + N_PAIRS]]
    return out


def make_tiny_model(seed: int = 0) -> FaceModel:
    """A left-right symmetric face model of 200 vertices in millimetres, random but fixed."""
    rng = np.random.default_rng(seed)
    partner, flip = partner_vertices(), np.array([-1.0, 1.0, 1.0])
    n = len(partner)

    def symmetric(field: np.ndarray, sign: float) -> np.ndarray:
        return (field + sign * field[partner] * flip) / 2

    mean = rng.uniform([5, -90, -10], [70, 90, 10], (n, 3))
    mean[:, 2] += 60 - mean[:, 0] ** 2 / 80
    mean[:N_MIDLINE, 0] = 0
    mean[N_MIDLINE + N_PAIRS :] = mean[N_MIDLINE : N_MIDLINE + N_PAIRS] * flip
    signs = np.where(rng.random(50) < 0.7, 1.0, -1.0)
    bases = np.stack([symmetric(rng.normal(0, 2.0, (n, 3)), sign) for sign in signs])

    vertices = np.zeros((68, 3), dtype=np.int32)
    free = iter(rng.permutation(np.arange(N_MIDLINE, N_MIDLINE + N_PAIRS)).tolist())
    for i, j in enumerate(MIRROR.tolist()):
        a = next(free) if i <= j else 0
        if i == j:
            vertices[i] = [i % N_MIDLINE, a, partner[a]]
        elif i < j:
            vertices[i] = [a, N_MIDLINE + i % N_PAIRS, N_MIDLINE + (i + 1) % N_PAIRS]
            vertices[j] = partner[vertices[i]]
    return FaceModel(
        name="tiny",
        mean=mean,
        identity_basis=bases[:40],
        expression_basis=bases[40:],
        triangles=rng.integers(0, n, (50, 3)).astype(np.int32),
        landmark_vertices=vertices,
        landmark_weights=np.tile(np.array([0.8, 0.1, 0.1], np.float32), (68, 1)),
        uv=rng.random((n, 2)),
        unit_names=("jawOpen", "mouthSmileLeft"),
        unit_coefficients=rng.normal(size=(2, 10)),
        unit_shapes=rng.normal(size=(2, n, 3)),
        mirror_signs=signs,
    )


@pytest.fixture(scope="session")
def tiny_model() -> FaceModel:
    return make_tiny_model()


def random_params(n: int, seed: int = 0, *, spread: float = 1.0) -> np.ndarray:
    """(n, 62) raw parameters of the tiny model: similarity cameras that fill a 120 crop."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform([-40, -70, -40], [40, 70, 40], (n, 3))
    camera = pose.camera_from_pose(
        rng.uniform(0.4, 0.55, n),
        pose.rotation_from_euler(*angles.T),
        rng.uniform([55, 55, -70], [66, 66, -60], (n, 3)),
    )
    return params.join(camera, rng.normal(0, spread, (n, 40)), rng.normal(0, spread, (n, 10)))


@dataclass(frozen=True, eq=False)
class SmallBenchmark:
    """Twelve made-up faces in the official layout, and parameters that answer perfectly."""

    root: Path
    dataset: Aflw2000
    raw: np.ndarray


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, tiny_model: FaceModel) -> SmallBenchmark:
    """A benchmark whose exact-frame truth is the tiny model under ``raw``.

    Faces 0 and 1 reach over the photo's edge, so their stored boxes are clipped. Crop i is
    flat but for a brighter right half; its blue value is i.
    """
    root = tmp_path_factory.mktemp("aflw2000_data")
    raw = random_params(12, 7)
    points = tiny_model.decode_landmarks(raw)
    place = np.tile(np.array([[2.0, 0, 100], [0, 2.0, 90]]), (12, 1, 1))
    place[0, 0, 2], place[1, 1, 2] = -30, 240  # out at the left, out at the bottom
    photo = points.copy()
    photo[..., :2] = 2 * points[..., :2] + place[:, None, :, 2]
    photo[..., 2] *= 2
    photo = np.swapaxes(photo, 1, 2)
    unclipped = crops.aflw2000_roi(photo, clip=None)
    # From the old crop's pixels to the photo to the pixels of the crop that the rule cuts.
    zoom = 120 / (unclipped[:, 2] - unclipped[:, 0] + 1)
    place[..., 2] = (place[..., 2] - unclipped[:, :2] + 0.5) * zoom[:, None] + 0.5
    place[..., :2] *= zoom[:, None, None]
    camera = pose.transform_camera(params.split(raw)[0], place)
    raw[:, :12] = camera.reshape(12, 12)

    arrays = {
        "AFLW2000-3D.pose": np.array([0, 30, -30, 187, 31, -60, 45, 61, -90, 70, 5, -10.0]),
        "AFLW2000-3D.pts68": photo,
        "AFLW2000-3D-Reannotated.pts68": np.floor(photo[:, :2]).astype(np.float32),
        "AFLW2000-3D_crop.roi_box": crops.aflw2000_roi(photo),
        "ALFW2000-3D_pose_3ANG_skip": np.array([3, 11]),
        "ALFW2000-3D_pose_3ANG_excl": np.delete(
            pose.euler_from_camera(camera, "exact"), [3, 11], axis=0
        ),
    }
    (root / "eval").mkdir()
    for name, array in arrays.items():
        np.save(root / "eval" / f"{name}.npy", array)
    (root / "AFLW2000-3D_crop").mkdir()
    names = [f"face{i:02d}.png" for i in range(12)]
    for i, name in enumerate(names):
        image = np.full((120, 120, 3), i, np.uint8)
        image[:, 60:, 1] = 255
        cv2.imwrite(str(root / "AFLW2000-3D_crop" / name), image)
    (root / "AFLW2000-3D_crop.list").write_text("\n".join(names) + "\n")
    return SmallBenchmark(root, load_aflw2000(root), raw)


class FakeRegressor:
    """Knows the answer to each crop of :func:`small`, and to its mirror image."""

    def __init__(
        self,
        raw: np.ndarray,
        model: FaceModel,
        *,
        frame: Literal["protocol", "pixel"] = "pixel",
        border: int = 0,
    ) -> None:
        self.raw = raw
        self.face_model: FaceModel | None = None
        self.info = WeightsInfo(
            architecture="fake",
            face_model=model.name,
            face_model_hash=model.hash,
            whitening=Whitening(np.zeros(62), np.ones(62)),
            training_data="none",
            frame=frame,
            border=border,
        )
        self.seen: list[int] = []
        self.border_was_zero = True
        camera, shape, expression = params.split(raw)
        turned = pose.mirror_camera(camera)
        if frame == "protocol":
            turned[:, 0, 3] -= 1  # about 60, not 60.5
        signs = model.mirror_signs
        assert signs is not None
        self.mirrored = params.join(turned, shape * signs[:40], expression * signs[40:])

    def predict(self, crops: np.ndarray, /) -> np.ndarray:
        self.seen.append(len(crops))
        edge = self.info.border
        self.border_was_zero &= not edge or not crops[:, :edge].any()
        index = crops[:, 60, 60, 0]
        is_mirrored = crops[:, 60, 20, 1] > crops[:, 60, 100, 1]
        return np.where(is_mirrored[:, None], self.mirrored[index], self.raw[index])
