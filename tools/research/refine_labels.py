#!/usr/bin/env python3
"""Second-generation labels: what a trained network says, moved to the manual landmarks.

    python tools/research/refine_labels.py --data aflw_train --bfm 3dmm_data -o data/aflw_refined

Writes ``train.list``, ``param_all_norm.pkl`` and ``param_whitening.pkl`` (Open Head),
``quality.npz``, and ``marked.npz``, which also rejects what no person has marked. Nothing here
looks at a benchmark: its two strengths were chosen by manual landmarks that a fit had not been
shown.

1. The network labels every crop in four views (plain, mirrored, two jittered); their mean is
   far less noisy than the labels it learned from.
2. Manual landmarks follow another style than the labels: they lie higher on the nose, and on
   the visible outline instead of the jaw. The median offset of each landmark, by yaw, is taken
   off, so that only what is particular to a face is left.
3. Maximum a posteriori pose and coefficients given the corrected landmarks. The prior's
   covariance is that of the old labels about the network's answers.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synergynet.datasets.augmentation import move_label, recrop_affine, warp_crop
from synergynet.datasets.readers.crop_list import (
    label_whitening,
    read_crops,
    read_list,
    relabel,
)
from synergynet.datasets.readers.list_folder import TRAIN_LIST, write_list
from synergynet.face_model.mirroring import mirrored_params
from synergynet.face_model.model import FaceModel
from synergynet.face_model.sources import resolve_face_model
from synergynet.geometry import frames, params, pose
from synergynet.geometry.landmarks import MIRROR
from synergynet.geometry.params import FloatArray
from synergynet.regression import load_regressor
from synergynet.regression.base import ParamsRegressor
from synergynet.regression.loading import DEFAULT_WEIGHTS

VIEWS = (
    (0.0, 1.0, (0.0, 0.0), False),
    (0.0, 1.0, (0.0, 0.0), True),
    (8.0, 0.97, (1.5, -1.0), False),
    (-8.0, 1.03, (-1.5, 1.0), True),
)
"""Rotation in degrees, scale, shift in pixels, mirrored."""

STYLE_YAWS = np.array([-85, -70, -55, -40, -25, -10, 0, 10, 25, 40, 55, 70, 85], dtype=float)
ENOUGH = 30
"""Faces at a yaw that a landmark must have been marked on for its style to be known there."""

SIGHT = 0.5
"""Noise of a manual landmark over its spread about the network's (which is noisy itself)."""
LOOSENESS = 2.0
"""The prior's covariance over that of the old labels about the network's answers."""
NETWORK_SHARE = 0.75
"""Weight of the network against the old label on crops without manual landmarks."""

LARGEST_DISAGREEMENT_PX = 5.0
LARGEST_SURPRISE = 6.0
"""Percent NME between old label and network beyond which a crop is left out."""

HUBER = 2.5
ITERATIONS = 6
CHUNK = 2000
CROP_PIXELS = 85.0
"""Unit of translation in the fit: about the size of a face in its crop."""

N_JAW = 17
VISIBLE = 2
N_UNKNOWN = 6 + params.N_COEFFICIENTS


@dataclass(frozen=True, eq=False)
class Faces:
    """Pose and coefficients of N faces, camera frame: scale (N,), rotation (N, 3, 3),
    translation (N, 3), coefficients (N, 50)."""

    scale: FloatArray
    rotation: FloatArray
    translation: FloatArray
    coefficients: FloatArray

    @classmethod
    def of(cls, raw: FloatArray) -> Faces:
        camera, identity, expression = params.split(np.asarray(raw, dtype=np.float64))
        return cls(*pose.decompose_exact(camera), np.concatenate([identity, expression], axis=1))

    @classmethod
    def mean(cls, faces: list[Faces], weights: list[float]) -> Faces:
        w = np.array(weights) / sum(weights)

        def average(parts: list[FloatArray]) -> FloatArray:
            return np.tensordot(w, np.array(parts), axes=1)

        return cls(
            np.exp(average([np.log(f.scale) for f in faces])),
            pose.nearest_rotation(average([f.rotation for f in faces])),
            average([f.translation for f in faces]),
            average([f.coefficients for f in faces]),
        )

    def part(self, rows: slice | NDArray[np.bool_]) -> Faces:
        return Faces(*(a[rows] for a in vars(self).values()))

    def moved(self, by: FloatArray) -> Faces:
        """After steps (N, 56): rotation vector, log scale, x and y, coefficients."""
        shift = np.column_stack([by[:, 4:6] * CROP_PIXELS, np.zeros(len(by))])
        return Faces(
            self.scale * np.exp(by[:, 3]),
            _rotations(by[:, :3]) @ self.rotation,
            self.translation + shift,
            self.coefficients + by[:, 6:],
        )

    def steps_to(self, other: Faces) -> FloatArray:
        """(N, 56) steps that lead to ``other``."""
        from scipy.spatial.transform import Rotation

        turn = other.rotation @ np.swapaxes(self.rotation, 1, 2)
        return np.column_stack(
            [
                Rotation.from_matrix(turn).as_rotvec(),
                np.log(other.scale / self.scale),
                (other.translation - self.translation)[:, :2] / CROP_PIXELS,
                other.coefficients - self.coefficients,
            ]
        )

    def params(self) -> FloatArray:
        camera = pose.camera_from_pose(self.scale, self.rotation, self.translation)
        c = self.coefficients
        return params.join(camera, c[:, : params.N_SHAPE], c[:, params.N_SHAPE :])

    @property
    def yaw(self) -> FloatArray:
        return np.rad2deg(np.arcsin(np.clip(-self.rotation[:, 0, 2], -1, 1)))

    def axes(self) -> FloatArray:
        """(N, 2, 2) rows: the face's right-hand and upward direction in the picture."""
        up = self.rotation[:, :2, 1]
        up = up / np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
        return np.stack([np.stack([up[:, 1], -up[:, 0]], axis=1), up], axis=1)


class Landmarks:
    """The 68 landmarks of a face model as a function of :class:`Faces`."""

    def __init__(self, model: FaceModel) -> None:
        self.mean = model.landmark_mean.astype(np.float64)
        basis = [model.landmark_identity, model.landmark_expression]
        self.basis = np.concatenate(basis).astype(np.float64)

    def turned(self, f: Faces) -> FloatArray:
        """(N, 68, 3) about the translation, camera frame."""
        shape = self.mean + np.tensordot(f.coefficients, self.basis, 1)
        return f.scale[:, None, None] * np.einsum("nij,nlj->nli", f.rotation, shape)

    def __call__(self, f: Faces) -> FloatArray:
        """(N, 68, 2) camera frame."""
        return (self.turned(f) + f.translation[:, None])[..., :2]

    def jacobian(self, f: Faces) -> FloatArray:
        """(N, 68, 2, 56) of the picture's x and y by the steps of :meth:`Faces.moved`."""
        x = self.turned(f)
        out = np.zeros((*x.shape[:2], 2, N_UNKNOWN))
        out[..., 0, 1], out[..., 0, 2] = x[..., 2], -x[..., 1]
        out[..., 1, 0], out[..., 1, 2] = -x[..., 2], x[..., 0]
        out[..., 3] = x[..., :2]
        out[..., 0, 4] = out[..., 1, 5] = CROP_PIXELS
        linear = f.scale[:, None, None] * f.rotation[:, :2]
        out[..., 6:] = np.einsum("nij,klj->nlik", linear, self.basis)
        return out


def _rotations(vectors: FloatArray) -> FloatArray:
    """(N, 3) rotation vectors -> (N, 3, 3)."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(vectors).as_matrix())


def network_answers(
    regressor: ParamsRegressor, model: FaceModel, images: NDArray[np.uint8], points: FloatArray
) -> list[Faces]:
    """The network's labels of crops (N, 120, 120, 3), one per view, in the crops' own frame."""
    out = []
    for degrees, scale, shift, mirror in VIEWS:
        affines = [
            recrop_affine(p, degrees=degrees, scale=scale, shift=np.array(shift)) for p in points
        ]
        crops = np.stack([warp_crop(i, a) for i, a in zip(images, affines, strict=True)])
        if mirror:
            crops = np.ascontiguousarray(crops[:, :, ::-1])
        raw: FloatArray = regressor.predict(crops).astype(np.float64)
        if mirror:
            raw = mirrored_params(model, raw)
        for row, affine in enumerate(affines):
            back = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))[:2]
            raw[row] = move_label(raw[row], points[row], back)[0]
        out.append(Faces.of(raw))
    return out


def style(offsets: FloatArray, yaw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median offset (13, 68, 2) and spread (13, 68) of manual landmarks at ``STYLE_YAWS``.

    Args:
        offsets: (N, 68, 2) manual less predicted, along the face's axes and over its size; NaN
            where there is no mark. Each face counts for its mirror image too.
    """
    both = np.concatenate([offsets, offsets[:, MIRROR] * [-1, 1]])
    yaws = np.concatenate([yaw, -yaw])
    median = np.zeros((len(STYLE_YAWS), 68, 2))
    spread = np.full((len(STYLE_YAWS), 68), np.inf)
    for row, centre in enumerate(STYLE_YAWS):
        near = both[np.abs(yaws - centre) < (10 if abs(centre) > 10 else 7)]
        known = np.isfinite(near[..., 0]).sum(axis=0) >= ENOUGH
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            middle = np.nanmedian(near, axis=0)
            distance = np.nanmedian(np.linalg.norm(near - middle, axis=2), axis=0)
        median[row][known] = middle[known]
        spread[row][known] = distance[known] / 1.177  # the median of a Rayleigh distribution
    return median, spread


def at_yaw(table: FloatArray, yaw: FloatArray) -> FloatArray:
    """Rows of ``table`` (13, ...) interpolated at yaws (N,); the nearer one beside infinities."""
    low = np.clip(np.searchsorted(STYLE_YAWS, yaw) - 1, 0, len(STYLE_YAWS) - 2)
    part = np.clip((yaw - STYLE_YAWS[low]) / np.diff(STYLE_YAWS)[low], 0, 1)
    part = part.reshape(-1, *[1] * (table.ndim - 1))
    a, b = table[low], table[low + 1]
    finite = np.isfinite(a) & np.isfinite(b)
    mixed = np.where(finite, a, 0) * (1 - part) + np.where(finite, b, 0) * part
    return np.where(finite, mixed, np.where(part < 0.5, a, b))


def fit(
    landmarks: Landmarks, prior: Faces, precision: FloatArray, marks: FloatArray, weight: FloatArray
) -> Faces:
    """Gauss-Newton with a Gaussian prior and a Huber loss.

    Marks of the jaw count along the outline's normal only: where on the line an annotator puts
    his point is a matter of taste.

    Args:
        marks: (N, 68, 2) camera frame; weight: (N, 68) 1 / pixels, 0 where there is no mark.
    """
    start = landmarks(prior)
    tangent = np.gradient(start[:, :N_JAW], axis=1)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    along = np.tile(np.eye(2), (*marks.shape[:2], 1, 1))
    along[:, :N_JAW] = normal[..., :, None] * normal[..., None, :]
    step = np.zeros((len(marks), N_UNKNOWN))
    for _ in range(ITERATIONS):
        now = prior.moved(step)
        rest = np.where(weight[..., None] > 0, marks - landmarks(now), 0.0)
        rest = np.einsum("nlij,nlj->nli", along, rest)
        jacobian = np.einsum("nlij,nljk->nlik", along, landmarks.jacobian(now))
        error = np.linalg.norm(rest, axis=2) * weight
        robust = weight**2 * np.minimum(1, HUBER / np.maximum(error, 1e-9))
        weighted = jacobian * robust[..., None, None]
        hessian = np.einsum("nlia,nlib->nab", weighted, jacobian) + precision
        slope = np.einsum("nlia,nli->na", weighted, rest) - step @ precision
        step = step + np.linalg.solve(hessian, slope[..., None])[..., 0]
    return prior.moved(step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="aflw_train")
    parser.add_argument("--bfm", type=Path, required=True, help="3dmm_data, of the old labels")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    model, _ = resolve_face_model("open-head")
    basel, _ = resolve_face_model(args.bfm)
    landmarks = Landmarks(model)
    names = read_list(args.data / TRAIN_LIST)
    with np.load(args.data / "labels.npz", allow_pickle=False) as data:
        points = data["landmarks68"].transpose(0, 2, 1).astype(np.float64)
        flat = data["manual68"].transpose(0, 2, 1).astype(np.float64)
        seen = (data["visibility"] == VISIBLE) & np.isfinite(flat[..., 0])
        manual, doubt = data["refined_by_manual"], data["mirror_disagreement_px"]
        old = Faces.of(relabel(model, basel, data["params62"].astype(np.float64))[0])
    deep = np.concatenate([flat, np.zeros((*flat.shape[:2], 1))], axis=2)
    marks = frames.crop1_to_camera(deep)[..., :2]
    size = np.sqrt(np.ptp(points[..., :2], axis=1).prod(axis=1))
    images = read_crops(args.data / "crops", names)
    views = network_answers(load_regressor(args.weights), model, images, points)
    network = Faces.mean(views, [1.0] * len(views))

    trusted = manual & (doubt < LARGEST_DISAGREEMENT_PX)
    axes, yaw = network.axes(), network.yaw
    offset = np.where(seen[..., None], marks - landmarks(network), np.nan) / size[:, None, None]
    offset = np.einsum("nij,nlj->nli", axes, offset)
    median, spread = style(offset[trusted], yaw[trusted])
    habit = np.einsum("nij,nli->nlj", axes, at_yaw(median, yaw)) * size[:, None, None]
    noise = SIGHT * at_yaw(spread, yaw) * size[:, None]
    weight = np.where(seen & np.isfinite(noise), 1 / noise, 0.0)
    marks = np.where(seen[..., None], marks - habit, 0.0)
    covariance = np.cov(network.part(trusted).steps_to(old.part(trusted)).T)
    precision = np.linalg.inv(LOOSENESS * covariance + 1e-6 * np.eye(N_UNKNOWN))

    raw = Faces.mean([network, old], [NETWORK_SHARE, 1 - NETWORK_SHARE]).params()
    for start in range(0, len(names), CHUNK):
        rows = slice(start, start + CHUNK)
        found = fit(landmarks, network.part(rows), precision, marks[rows], weight[rows]).params()
        raw[rows] = np.where(manual[rows, None], found, raw[rows])
    gap = np.linalg.norm(landmarks(old) - landmarks(network), axis=2).mean(axis=1) / size
    good = (doubt < LARGEST_DISAGREEMENT_PX) & (100 * gap < LARGEST_SURPRISE)
    written = write_list(args.output, names, raw, label_whitening(raw))
    for file, chosen in (("quality.npz", good), ("marked.npz", good & manual)):
        np.savez(args.output / file, mirror_disagreement_px=np.where(chosen, doubt, np.inf))
    moved = landmarks(Faces.of(raw)) - frames.crop1_to_camera(points)[..., :2]
    nme = 100 * np.linalg.norm(moved, axis=2).mean(axis=1) / size
    print(f"labels moved by {nme[good].mean():.2f} % NME; {good.sum()} of {len(names)} to train on")
    print(f"wrote {written}")


if __name__ == "__main__":
    main()
