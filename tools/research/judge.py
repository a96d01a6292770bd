"""The measures by which a step of the recipe is kept or dropped, for one or more networks.

    python tools/research/judge.py RECIPE --data data/aflw_train --weights FILE FILE...

All on the crops that the recipe holds back; nothing here looks at a benchmark:

- labels: NME against the recipe's labels, by yaw as well, and MAE of the angles;
- marks: mean distance of the visible inner landmarks (17 to 67) from the manual ones, less the
  annotators' habits (median offsets from the labels of the training crops, by landmark and yaw);
- tilted: NME with the crops turned by 90 degrees.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from shared.command import Parser, existing, run
from shared.faces import Faces, Landmarks
from shared.held_back import read_recipe, tilted
from shared.marks import N_JAW, at_yaw, manual_marks, read_labels, style

from synergynet.datasets.augmentation import move_label, recrop_affine
from synergynet.datasets.readers.crop_list import LabelledCrops, read_list
from synergynet.datasets.readers.list_folder import TRAIN_LIST
from synergynet.face_model.model import FaceModel
from synergynet.geometry.params import FloatArray
from synergynet.regression import MirrorAveraged, load_regressor
from synergynet.training.crops import load_training_data
from synergynet.training.validation import measure, validation_crops

INNER = np.arange(68) >= N_JAW
LARGEST_MARK = 0.2
"""Of the face size: a manual landmark further than this from the label is a slip."""


class Marks:
    """Manual landmarks of ``aflw_train``, camera frame of the crops, less the habits."""

    def __init__(self, folder: Path, model: FaceModel, training: LabelledCrops) -> None:
        self.row = {name: i for i, name in enumerate(read_list(folder / TRAIN_LIST))}
        labels = read_labels(folder)
        known = labels["refined_by_manual"][:, None] & INNER
        self.points = np.where(known[..., None], manual_marks(labels), np.nan)
        self.landmarks = Landmarks(model)
        own = [i for i, name in enumerate(training.names) if name in self.row]
        faces = Faces.of(np.asarray(training.params)[own])
        offset = self._offsets([training.names[i] for i in own], faces, faces)
        self.habit = style(offset, faces.yaw)[0]

    def _offsets(self, names: Sequence[str], faces: Faces, frame: Faces) -> FloatArray:
        """Manual less ``faces``' landmarks, along the axes of ``frame`` and over its size."""
        size = np.sqrt(np.ptp(self.landmarks(frame), axis=1).prod(axis=1))
        rest = self.points[[self.row[n] for n in names]] - self.landmarks(faces)
        rest = np.einsum("nij,nlj->nli", frame.axes(), rest) / size[:, None, None]
        return np.where(np.linalg.norm(rest, axis=2, keepdims=True) < LARGEST_MARK, rest, np.nan)

    def error(self, names: Sequence[str], found: Faces, label: Faces) -> float:
        """Mean over faces with marks, percent of the face size."""
        rest = self._offsets(names, found, label) - at_yaw(self.habit, label.yaw)
        distance = np.linalg.norm(rest, axis=2)
        marked = np.isfinite(distance).sum(axis=1) >= 5
        return float(100 * np.nanmean(distance[marked], axis=1).mean())


def in_original_crops(raw: FloatArray, data: LabelledCrops) -> FloatArray:
    """Answers (N, 62) for crops cut by the landmark rule, moved back to the crops of ``data``."""
    out = np.array(raw, dtype=np.float64)
    for i, points in enumerate(np.asarray(data.landmarks)):
        back = np.linalg.inv(np.vstack([recrop_affine(points), [0, 0, 1]]))[:2]
        out[i] = move_label(out[i], points, back)[0]
    return out


def main() -> None:
    parser = Parser(__doc__)
    parser.add_recipe()
    parser.add_argument("--data", type=existing, required=True, help="aflw_train, with labels.npz")
    parser.add_argument("--weights", type=existing, nargs="*", help="default: the shipped ones")
    parser.add_argument("--mirror", action="store_true", help="average with the mirrored crop")
    args = parser.parse_args()
    config, model = read_recipe(args, "data.extra=[]", "data.yaw_balance=0")
    training, held_back = load_training_data(config, model)
    marks = Marks(args.data, model, training)
    label = Faces.of(np.asarray(held_back.params))
    own = marks.error(held_back.names, label, label)
    print(f"{len(held_back)} crops; the labels' own distance from the marks: {own:.3f} %")
    print("labels   to 30   to 60   to 90   MAE     marks   tilted")
    for weights in args.weights or [None]:
        regressor = load_regressor(weights)
        if args.mirror:
            regressor = MirrorAveraged(regressor, model)
        plain = validation_crops(held_back, regressor.info.border)
        raw = regressor.predict(np.asarray(plain.images))
        result = measure(model, raw, plain)
        moved = in_original_crops(raw, held_back)
        turned = tilted(plain, 90)
        askew = measure(model, regressor.predict(np.asarray(turned.images)), turned).nme
        marked = marks.error(held_back.names, Faces.of(moved), label)
        numbers = [result.nme, *result.nme_bins, result.mae, marked, askew]
        print("".join(f"{n:<8.3f}" for n in numbers), weights or "shipped", flush=True)


if __name__ == "__main__":
    run(main)
