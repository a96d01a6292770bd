#!/usr/bin/env python3
"""Turn the best checkpoint of a run into the weights that ship with the package.

    python tools/build/ship_weights.py configs/open_head/efficientnet_lite0.yaml \
        --root aflw2000_data --backgrounds photos --marked data/aflw_refined/marked.npz

Teaches it to tell its expected error (see calibrate_confidence.py), exports it with float32 and
with float16 weights, compares both on the validation crops, ships float16 where that costs less
than 0.005 NME, and writes the figures into the metadata. The benchmark is measured last, for
the metadata alone; nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from calibrate_confidence import marked_crops, teach

from synergynet.datasets.readers.aflw2000_crops import load_aflw2000
from synergynet.evaluation import evaluate_regressor
from synergynet.export.graphs import deployment
from synergynet.export.onnx import write_onnx
from synergynet.face_model.sources import resolve_face_model
from synergynet.nets.torch.checkpoints import load_checkpoint, save_checkpoint
from synergynet.regression import load_regressor
from synergynet.regression.loading import DEFAULT_WEIGHTS
from synergynet.training.config import load_config
from synergynet.training.crops import load_training_data
from synergynet.training.validation import measure, validation_crops

WEIGHTS = Path(__file__).parents[2] / "weights"
HALF_MAY_COST = 0.005
"""NME points on the validation crops."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", type=Path, help="YAML file of the run")
    parser.add_argument("settings", nargs="*", help="key=value, as for the run")
    parser.add_argument(
        "--checkpoint", type=Path, help="instead of the run's best, e.g. the one shipped before"
    )
    parser.add_argument(
        "--root", type=Path, help="aflw2000_data; without it the figures in the metadata stay"
    )
    parser.add_argument(
        "--marked", type=Path, help="marked.npz of refine_labels.py: crops for the error head"
    )
    parser.add_argument(
        "--backgrounds", type=Path, nargs="+", default=[], help="folders of photos without faces"
    )
    parser.add_argument("--figure", type=Path, help="write the reliability diagram to this PNG")
    args = parser.parse_args()
    config = load_config(args.recipe, args.settings)
    model, _ = resolve_face_model(config.target_model)
    net, info = load_checkpoint(args.checkpoint or config.output / "best.safetensors", model)
    info = teach(
        net, info, *marked_crops(config, model, args.marked), args.backgrounds, args.figure
    )
    labelled = load_training_data(config, model)[1]
    held_back = validation_crops(labelled, info.border)
    crops = np.asarray(held_back.images)
    trials = {}
    with tempfile.TemporaryDirectory() as folder:
        for half in (False, True):
            trial, deployed = Path(folder) / f"half_{half}.onnx", deployment(net, info)
            difference = write_onnx(deployed, trial, "float16" if half else "float32")["params"]
            found = measure(model, load_regressor(trial).predict(crops), held_back)
            trials[half] = found
            print(
                f"{'float16' if half else 'float32'}: {trial.stat().st_size / 1e6:.1f} MB, "
                f"{difference:.2g} from torch, validation NME {found.nme:.4f} %, by yaw "
                f"{' / '.join(f'{v:.3f}' for v in found.nme_bins)}, MAE {found.mae:.4f} degrees"
            )
        half = trials[True].nme - trials[False].nme < HALF_MAY_COST
        figures = {}
        if args.root is not None:
            regressor = load_regressor(Path(folder) / f"half_{half}.onnx")
            result = evaluate_regressor(load_aflw2000(args.root), regressor, model).to_json()
            figures = {
                "validation_nme": trials[half].nme,
                "validation_nme_balanced": trials[half].nme_balanced,
                "validation_mae": trials[half].mae,
                "aflw2000_nme_official": result["nme_percent"]["ori"]["mean"],
                "aflw2000_nme_exact_frame": result["nme_percent_exact_frame"]["ori"]["mean"],
                "aflw2000_mae_official": result["euler_mae_degrees"]["official"]["mean"],
                "aflw2000_mae_exact": result["euler_mae_degrees"]["exact"]["mean"],
            }
    info = replace(info, accuracy={**info.accuracy, **{k: round(v, 4) for k, v in figures.items()}})
    DEFAULT_WEIGHTS.parent.mkdir(exist_ok=True)
    write_onnx(deployment(net, info), DEFAULT_WEIGHTS, "float16" if half else "float32")
    WEIGHTS.mkdir(exist_ok=True)
    checkpoint = WEIGHTS / f"{info.architecture}.safetensors"
    save_checkpoint(checkpoint, net, info, half_weights=half)
    print(f"wrote {DEFAULT_WEIGHTS} and {checkpoint}: {info.accuracy}")


if __name__ == "__main__":
    main()
