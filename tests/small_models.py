"""Small face models, parameters, benchmarks and weights."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import pytest

from synergynet.datasets.readers.aflw2000_crops import Aflw2000, load_aflw2000
from synergynet.face_model.model import FaceModel
from synergynet.geometry import crops, params, pose
from synergynet.geometry.conventions import Conventions
from synergynet.geometry.landmarks import MIRROR
from synergynet.geometry.params import Whitening
from synergynet.weights.info import WeightsInfo

if TYPE_CHECKING:
    from synergynet.nets.torch.synergynet import SynergyNet

N_MIDLINE, N_PAIRS = 20, 90
"""Vertices of the tiny model."""

# --- Face models and parameters


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


def write_official(
    model: FaceModel,
    folder: Path,
    mean: Sequence[float] | np.ndarray = range(62),
    std: Sequence[float] | np.ndarray = range(1, 63),
) -> Path:
    """``model``, whose landmarks are taken for vertices, as a 3dmm_data folder."""
    folder.mkdir()
    flat = {
        "u_shp": model.mean.reshape(-1, 1),
        "u_exp": np.zeros((model.mean.size, 1), np.float32),
        "w_shp_sim": model.identity_basis.reshape(40, -1).T,
        "w_exp_sim": model.expression_basis.reshape(10, -1).T,
        "keypoints_sim": (3 * model.landmark_vertices[:, :1] + np.arange(3)).reshape(-1),
    }
    for name, array in flat.items():
        np.save(folder / f"{name}.npy", array)
    whitening = {"param_mean": np.array(mean, "f4"), "param_std": np.array(std, "f4")}
    (folder / "param_whitening.pkl").write_bytes(pickle.dumps(whitening))
    return folder


def centred(model: FaceModel, size: float = 80.0) -> np.ndarray:
    """(62,) a similarity camera whose landmark box is centred and ``size`` px wide in the crop."""
    raw = random_params(1, seed=4)[0]
    points = model.decode_landmarks(raw)
    low, high = points.min(axis=0), points.max(axis=0)
    factor = size / (high - low)[:2].max()
    raw[params.POSE] *= factor
    x, y, _ = (low + high) / 2
    raw[3] += 60.5 - x * factor
    raw[7] += 60.5 - (121 - y) * factor
    return raw


# --- A benchmark


@dataclass(frozen=True, eq=False)
class SmallBenchmark:
    """Twelve made-up faces in the official layout, and parameters that answer perfectly."""

    root: Path
    dataset: Aflw2000
    raw: np.ndarray


def write_benchmark(root: Path, model: FaceModel) -> SmallBenchmark:
    """A benchmark in ``root`` whose exact-frame truth is ``model`` under ``raw``.

    Faces 0 and 1 reach over the photo's edge, so their stored boxes are clipped. Crop i is
    flat but for a brighter right half; its blue value is i.
    """
    raw = random_params(12, 7)
    points = model.decode_landmarks(raw)
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
    """Knows the answer to each crop of :func:`write_benchmark`, and to its mirror image."""

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


# --- Weights


def weights_info(model: FaceModel, **changes: object) -> WeightsInfo:
    rng = np.random.default_rng(5)
    info = WeightsInfo(
        architecture="mean-colour",
        face_model=model.name,
        face_model_hash=model.hash,
        whitening=Whitening(rng.normal(size=62), rng.uniform(0.5, 2, 62)),
        training_data="none",
        frame="pixel",
    )
    return replace(info, **changes)  # type: ignore[arg-type]


def write_onnx(
    path: Path,
    info: WeightsInfo | None,
    *,
    raw: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    half: bool = False,
    size: int = 120,
    outputs: int = 62,
) -> Path:
    """A network that maps the mean colour (3) linearly to whitened parameters.

    Args:
        raw: the constant answer, raw (62,); zeros in whitened units by default.
        weight: (3, outputs); zeros by default.
        half: store the weights as float16 behind Cast nodes.
    """
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto
    weight = np.zeros((3, outputs)) if weight is None else weight
    bias = np.zeros(outputs) if raw is None or info is None else info.whitening.whiten(raw)
    stored = np.float16 if half else np.float32
    arrays = {"weight": weight.astype(stored), "bias": bias.astype(stored)}
    nodes = [
        helper.make_node("GlobalAveragePool", ["crops_normalised"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
    ]
    if half:
        nodes += [helper.make_node("Cast", [n], [n + "32"], to=kind.FLOAT) for n in arrays]
    names = [n + "32" * half for n in arrays]
    nodes.append(helper.make_node("Gemm", ["mean", *names], ["whitened"]))
    graph = helper.make_graph(
        nodes,
        "mean-colour",
        [helper.make_tensor_value_info("crops_normalised", kind.FLOAT, ["n", 3, size, size])],
        [helper.make_tensor_value_info("whitened", kind.FLOAT, ["n", outputs])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if info is not None:
        onnx.helper.set_model_props(model, info.to_metadata())
    onnx.save(model, path)
    return path


def colours(n: int, seed: int = 0) -> np.ndarray:
    """(n, 120, 120, 3) uint8 crops of one colour each."""
    colour = np.random.default_rng(seed).integers(0, 256, (n, 1, 1, 3), dtype=np.uint8)
    return np.broadcast_to(colour, (n, 120, 120, 3)).copy()


def random_net(face_model: FaceModel, whitening: Whitening) -> SynergyNet:
    """Random weights and batch statistics, so that no two entries agree by chance."""
    import torch
    from torch import nn

    from synergynet.nets.torch.backbones import build_backbone
    from synergynet.nets.torch.synergynet import SynergyNet

    torch.manual_seed(3)
    net = SynergyNet(
        build_backbone("mobilenet_v2"), face_model, whitening, Conventions.official(), dense=True
    )
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked.fill_(7)
    return net.eval()


def torch_save(path: Path, net: SynergyNet, epoch: int = 80) -> Path:
    """As the official training loop writes it."""
    import torch

    torch.save({"epoch": epoch, "state_dict": torch.nn.DataParallel(net).state_dict()}, path)
    return path


def toy_face_model() -> FaceModel:
    """120 random vertices; every landmark is one vertex, as in the official layout."""
    rng = np.random.default_rng(1)
    vertices = rng.permutation(120)[:68].astype(np.int32)
    return FaceModel(
        name="toy",
        mean=rng.normal(0, 5e4, (120, 3)).astype(np.float32),
        identity_basis=rng.normal(0, 1e3, (40, 120, 3)).astype(np.float32),
        expression_basis=rng.normal(0, 1e3, (10, 120, 3)).astype(np.float32),
        triangles=np.zeros((0, 3), np.int32),
        landmark_vertices=np.repeat(vertices[:, None], 3, axis=1),
        landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (68, 1)),
    )


def toy_whitening() -> Whitening:
    rng = np.random.default_rng(2)
    return Whitening(rng.normal(size=62), rng.uniform(0.1, 2.0, 62))
