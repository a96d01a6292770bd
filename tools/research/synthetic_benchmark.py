"""Measure a network on rendered faces: a second source beside the benchmark, to every yaw.

    python tools/research/synthetic_benchmark.py -n 2000 --worst docs/images/failures.jpg

The truth is exact and the faces are nobody's, so its worst cases may be shown. Networks that
were trained on rendered faces must not be compared with others here.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from rich.console import Console
from shared.command import Parser, run

from synergynet.datasets.synthetic import SyntheticFaces
from synergynet.evaluation.breakdown import break_down
from synergynet.evaluation.metrics import nme
from synergynet.evaluation.report import group_table
from synergynet.evaluation.worst import draw_sheet
from synergynet.geometry import params, pose
from synergynet.geometry.crops import zero_border
from synergynet.regression import load_regressor

SEED = 1_000_000
"""Far from the seeds of training sets."""


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("-n", type=int, default=2000, help="faces")
    parser.add_weights()
    parser.add_argument("--worst", type=Path, help="draw the 24 worst into this picture")
    args = parser.parse_args()
    regressor, source = load_regressor(args.weights), SyntheticFaces(SEED)
    regressor.info.check_face_model(source.model, args.weights or "the shipped weights")
    faces = [source[index] for index in range(args.n)]
    crops = zero_border(np.stack([f.image for f in faces]), regressor.info.border)
    truth = np.stack([f.landmarks for f in faces]).astype(np.float64)
    raw = regressor.predict(crops).astype(np.float64)
    found = source.model.decode_landmarks(raw)
    errors = 100 * nme(found, np.swapaxes(truth, 1, 2))
    angles, expected = (
        pose.euler_from_camera(params.split(p)[0], "exact")
        for p in (raw, np.stack([f.params for f in faces]).astype(np.float64))
    )
    wrong = np.abs((angles - expected + 180) % 360 - 180)
    values = {"yaw": expected[:, 1], "pitch": expected[:, 0], "roll": expected[:, 2]}
    Console(width=100).print(group_table(break_down(values, errors, wrong), "Rendered faces"))
    print(f"all {args.n}: NME {errors.mean():.2f} %, median {np.median(errors):.2f} %")
    if args.worst is not None:
        worst = np.argsort(-errors, kind="stable")[:24]
        draw_sheet(args.worst, crops[worst], truth[worst], found[worst], errors[worst])
        print(f"wrote {args.worst}")


if __name__ == "__main__":
    run(main)
