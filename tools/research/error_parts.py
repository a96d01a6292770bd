"""What a network's error on AFLW2000-3D consists of; for the account of its limits, not for tuning.

    python tools/research/error_parts.py --root aflw2000_data [--weights FILE]

1. What no network of this face model can undercut: the model fitted to the truth itself.
2. The answers with one part at a time taken from that fit: what a perfect scale and position,
   rotation, identity or expression would be worth.
3. How far two annotations and the answers are from each other, and what each one's own error
   would be if the three were independent.
4. Rotation errors beside the Euler angles' errors, by yaw.
"""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from shared.command import Parser, run
from shared.faces import Faces

from synergynet.datasets.readers.aflw2000_crops import Aflw2000, load_aflw2000
from synergynet.evaluation.metrics import (
    AnswerFrame,
    binned_nme,
    euler_mae,
    exact_photo_points,
    nme,
    yaw_bins,
)
from synergynet.face_model.fitting import fit_landmarks
from synergynet.face_model.model import FaceModel
from synergynet.face_model.sources import resolve_face_model
from synergynet.geometry import frames, params, pose
from synergynet.geometry.crops import zero_border
from synergynet.geometry.params import N_SHAPE, FloatArray
from synergynet.regression import load_regressor

YAWS = (0, 15, 30, 45, 60, 75, 90)


class Bench:
    """The measures, in the exact frame."""

    def __init__(self, dataset: Aflw2000, model: FaceModel, frame: AnswerFrame) -> None:
        self.data, self.model, self.frame = dataset, model, frame

    def photo_points(self, raw: FloatArray) -> FloatArray:
        landmarks = self.model.decode_landmarks(raw)
        return exact_photo_points(landmarks, self.frame, self.data.roi_unclipped)

    def report(self, name: str, raw: FloatArray) -> None:
        errors = binned_nme(nme(self.photo_points(raw), self.data.points_ori), self.data.yaw)
        cameras = params.split(raw)[0][self.data.euler_index]
        angles = euler_mae(pose.euler_from_camera(cameras, "exact"), self.data.euler)
        bins = " ".join(f"{v:6.3f}" for v in errors.means)
        print(f"{name:44s} {bins} {errors.mean:6.3f}   {angles.mean:6.3f}")


def swapped(model: FaceModel, raw: FloatArray, other: FloatArray, *parts: str) -> FloatArray:
    """``raw`` (N, 62) with ``parts`` of ``other``; only "place" moves the landmarks' centre."""
    found, taken = Faces.of(raw), Faces.of(other)
    mixed = {name: getattr(taken, name) for name in ("scale", "rotation") if name in parts}
    coefficients = found.coefficients.copy()
    for name, part in (("identity", slice(N_SHAPE)), ("expression", slice(N_SHAPE, None))):
        if name in parts:
            coefficients[:, part] = taken.coefficients[:, part]
    out = replace(found, **mixed, coefficients=coefficients)
    centre = model.decode_landmarks(other if "place" in parts else raw).mean(axis=1)
    shift = centre - model.decode_landmarks(out.params()).mean(axis=1)
    shift[:, 1] *= -1  # the camera's y points up
    return replace(out, translation=out.translation + shift).params()


def own_errors(bench: Bench, raw: FloatArray) -> None:
    data = bench.data
    answers = bench.photo_points(raw)
    ori, re = (np.swapaxes(p[:, :2], 1, 2) for p in (data.points_ori, data.points_re))
    pairs = {
        "answers to 'ori'": nme(answers, data.points_ori),
        "answers to 're'": nme(answers, data.points_re),
        "'ori' to 're'": nme(re, data.points_ori),
        "answers to the mean of both": nme(answers, np.swapaxes((ori + re) / 2, 1, 2)),
    }
    print("\ndistances, NME %                               0-30  30-60  60-90   mean")
    means = {}
    for name, errors in pairs.items():
        binned = binned_nme(errors, data.yaw)
        means[name] = np.array([*binned.means, binned.mean])
        print(f"{name:44s} " + " ".join(f"{v:6.3f}" for v in means[name]))
    a, b, c = (means[n] ** 2 for n in list(pairs)[:3])
    for name, squared in (
        ("the answers' own", (a + b - c) / 2),
        ("'ori's own", (a + c - b) / 2),
        ("'re's own", (b + c - a) / 2),
    ):
        print(f"{name:44s} " + " ".join(f"{v:6.3f}" for v in np.sqrt(np.maximum(squared, 0))))


def rotations(bench: Bench, raw: FloatArray) -> None:
    data = bench.data
    cameras = params.split(raw)[0][data.euler_index]
    found = pose.decompose_exact(cameras)[1]
    wanted = pose.rotation_from_euler(*data.euler.T)
    cosine = (np.einsum("nij,nij->n", found, wanted) - 1) / 2
    turned = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    errors = np.abs(pose.euler_from_camera(cameras, "exact") - data.euler)
    yaw = np.abs(data.euler[:, 1])
    print("\n|yaw|      faces  rotation  its median   yaw   pitch    roll  mean of the three")
    for low, high in pairwise(YAWS):
        inside = (yaw >= low) & (yaw < high + (high == YAWS[-1]) * 10)
        y, p, r = errors[inside][:, [1, 0, 2]].mean(axis=0)
        print(
            f"{low:2d} to {high:2d}  {inside.sum():6d}  {turned[inside].mean():8.2f}  "
            f"{np.median(turned[inside]):10.2f}  {y:5.2f}  {p:6.2f}  {r:6.2f}  "
            f"{(y + p + r) / 3:6.2f}"
        )
    worst = np.sort(errors.mean(axis=1))[::-1]
    for count in (5, 20, 100):
        share = worst[:count].sum() / worst.sum()
        print(f"the worst {count} of {len(worst)} faces are {100 * share:.0f} % of the MAE")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_benchmark()
    parser.add_weights()
    args = parser.parse_args()
    dataset = load_aflw2000(args.root)
    regressor = load_regressor(args.weights)
    model, _ = resolve_face_model("open-head")
    regressor.info.check_face_model(model, args.weights or "the shipped weights")
    bench = Bench(dataset, model, regressor.info.frame)
    border = regressor.info.border
    raw = np.concatenate(
        [regressor.predict(zero_border(crops, border)) for crops in dataset.crops()]
    ).astype(np.float64)
    truth = np.swapaxes(dataset.points_ori, 1, 2)
    fit = fit_landmarks(model, frames.photo1_to_crop1(truth, dataset.roi_unclipped)).params
    counts = np.bincount(yaw_bins(dataset.yaw)).tolist()
    print(f"{len(dataset)} faces, {counts} by yaw; NME in the exact frame, MAE by the exact decode")
    print("NME %, then MAE in degrees                     0-30  30-60  60-90   mean      MAE")
    bench.report("the face model fitted to the truth", fit)
    bench.report("the network's answers", raw)
    for name, parts in (
        ("with the fit's scale and position", ("scale", "place")),
        ("with its rotation", ("rotation",)),
        ("with its identity", ("identity",)),
        ("with its expression", ("expression",)),
        ("with its identity and expression", ("identity", "expression")),
        ("with its scale, position and rotation", ("scale", "place", "rotation")),
    ):
        bench.report(f"  {name}", swapped(model, raw, fit, *parts))
    own_errors(bench, raw)
    rotations(bench, raw)


if __name__ == "__main__":
    run(main)
