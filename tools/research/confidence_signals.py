"""What signals other than the shipped error head would say of a network's error.

    python tools/research/confidence_signals.py RECIPE --weights FILE --backgrounds photos/

Ridge regressions of log(NME) on the held-back crops, whole and spoiled, cross-validated by crop;
the weights must have an error head (calibrate_confidence.py).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from numpy.typing import NDArray
from shared.command import Parser, existing, run
from shared.error_head import (
    KINDS,
    background_crops,
    decoded,
    folds,
    forward,
    held_back_variants,
    look,
    marked_crops,
)
from shared.held_back import read_recipe

from synergynet import SynergyNetError
from synergynet.datasets.readers.crop_list import LabelledCrops
from synergynet.evaluation.aflw2000 import mirror_landmarks
from synergynet.evaluation.confidence import WORST_NME, roc_auc, spearman
from synergynet.geometry import frames
from synergynet.geometry.params import EXPRESSION, POSE, SHAPE, FloatArray, split
from synergynet.geometry.pose import euler_from_camera
from synergynet.nets.torch.checkpoints import load_checkpoint
from synergynet.nets.torch.synergynet import SynergyNet
from synergynet.weights.error_head import ErrorHead
from synergynet.weights.info import WeightsInfo

FAMILIES = (
    *(("params",), ("params", "cycle"), ("pooled",), ("pooled", "params", "cycle")),
    *(("mirror",), ("pooled", "mirror")),
)


def compare(
    net: SynergyNet,
    info: WeightsInfo,
    head: ErrorHead,
    held_back: LabelledCrops,
    backgrounds: list[Path],
) -> None:
    """Print what other signals would be worth: ridge regressions, cross-validated by crop."""
    seen = look(net, info, held_back_variants(held_back, info.border))
    rows = [
        signals(net, info, head, batch.images)
        for batch in held_back_variants(held_back, info.border)
    ]
    faces = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    others = signals(net, info, head, background_crops(backgrounds, info.border))
    for names in FAMILIES:
        x = np.concatenate([faces[name] for name in names], axis=1)
        z = np.concatenate([others[name] for name in names], axis=1)
        middle, spread = x.mean(axis=0), x.std(axis=0)
        x, z = (np.c_[(a - middle) / spread, np.ones(len(a))] for a in (x, z))
        y, guess, absent = np.log(np.minimum(seen.nme, WORST_NME)), np.empty(len(x)), []
        for held in folds(seen):
            gram = x[~held].T @ x[~held] + np.eye(x.shape[1])
            beta = np.linalg.solve(gram, x[~held].T @ y[~held])
            guess[held] = x[held] @ beta
            absent.append(z @ beta)
        ranks = [spearman(guess[seen.kind == kind], seen.nme[seen.kind == kind]) for kind in KINDS]
        auc = roc_auc(guess[seen.kind == "clean"], np.mean(absent, axis=0))
        print(f"{' + '.join(names)}: Spearman", *(f"{r:.3f}" for r in ranks), f"AUC {auc:.5f}")


def signals(
    net: SynergyNet, info: WeightsInfo, head: ErrorHead, images: NDArray[np.uint8]
) -> dict[str, FloatArray]:
    """Signals of N crops by family, (N, k) each.

    params: size of the whitened parameters, the camera's distance from a similarity, the angles.
    cycle: distance of decoded and refined landmarks, of first- and second-stage coefficients.
    pooled: score of the error head. mirror: distance from the mirrored crop's landmarks.
    """
    params, pooled = forward(net, images)
    points = decoded(net, info, params)
    size = np.sqrt(np.ptp(points[..., :2], axis=1).prod(axis=1))

    def apart(others: FloatArray) -> FloatArray:
        return np.log(np.linalg.norm(points - others, axis=2).mean(axis=1) / size)

    camera = split(info.whitening.dewhiten(params))[0]
    axes = np.linalg.svd(camera[..., :3], compute_uv=False)
    norms = np.linalg.norm(camera[..., :3], axis=2)
    angles = np.abs(euler_from_camera(camera, "exact"))
    out = {
        "params": np.column_stack(
            [np.log(_rms(params[:, part])) for part in (POSE, SHAPE, EXPRESSION)]
            + [
                np.log(np.log(axes[:, 0] / axes[:, 2])),
                norms.std(axis=1) / norms.mean(axis=1),
                angles,
            ]
        ),
        "pooled": head.score(pooled)[:, None],
        "mirror": apart(
            mirror_landmarks(
                decoded(net, info, forward(net, np.ascontiguousarray(images[:, :, ::-1]))[0]),
                frames.CROP_FLIP,
            )
        )[:, None],
    }
    if net.reverseDirection is not None:
        with torch.inference_mode():
            refined = net.refine(torch.from_numpy(params), torch.from_numpy(pooled))
            again = net.reverseDirection(refined).numpy()
        change = params - again
        out["cycle"] = np.column_stack(
            [
                apart(refined.numpy().transpose(0, 2, 1)),
                np.log(_rms(change[:, SHAPE])),
                np.log(_rms(change[:, EXPRESSION])),
                np.log(_rms(again[:, SHAPE])),
            ]
        )
    return out


def _rms(values: FloatArray) -> FloatArray:
    return np.sqrt((values**2).mean(axis=1))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_recipe()
    parser.add_argument("--weights", type=existing, required=True, help="with an error head")
    parser.add_argument("--marked", type=existing, help="as for calibrate_confidence.py")
    parser.add_backgrounds(required=True)
    args = parser.parse_args()
    config, model = read_recipe(args)
    net, info = load_checkpoint(args.weights, model)
    if info.error_head is None:
        raise SynergyNetError(f"{args.weights}: no error head; run calibrate_confidence.py first")
    held_back = marked_crops(config, model, args.marked)[1]
    compare(net, info, info.error_head, held_back, args.backgrounds)


if __name__ == "__main__":
    run(main)
