"""Turn the best checkpoint of a run into the weights that ship with the package.

    python tools/build/ship_weights.py configs/open_head/efficientnet_lite0.yaml \
        --root aflw2000_data --backgrounds photos --marked data/aflw_refined/marked.npz

Teaches it to tell its expected error (see calibrate_confidence.py), exports it with float32 and
with float16 weights, compares both on the validation crops, ships float16 where that costs less
than 0.005 NME, and writes the figures into the metadata. The benchmark is measured last, for
the metadata alone; nothing is chosen by it.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from shared.command import CLONE, Parser, existing, run
from shared.error_head import marked_crops, teach
from shared.held_back import best_checkpoint, held_back_crops, read_recipe

from synergynet.datasets.readers.aflw2000_crops import load_aflw2000
from synergynet.evaluation import evaluate_regressor
from synergynet.export.graphs import deployment
from synergynet.export.onnx import write_onnx
from synergynet.files.shipped import write_sums
from synergynet.nets.torch.checkpoints import load_checkpoint, save_checkpoint
from synergynet.regression import load_regressor
from synergynet.regression.loading import SHIPPED
from synergynet.training.validation import measure

WEIGHTS = CLONE / "weights"
HALF_MAY_COST = 0.005
"""NME points on the validation crops."""


def main() -> None:
    parser = Parser(__doc__)
    parser.add_recipe()
    parser.add_argument(
        "--checkpoint", type=existing, help="in place of the run's best, such as the shipped one"
    )
    parser.add_benchmark(
        required=False, text="aflw2000_data; without it the figures in the metadata stay"
    )
    parser.add_marked()
    args = parser.parse_args()
    config, model = read_recipe(args)
    net, info = load_checkpoint(best_checkpoint(config, args.checkpoint), model)
    crops = marked_crops(config, model, args.marked)
    info = teach(net, info, *crops, args.backgrounds, args.figure)
    held_back = held_back_crops(config, model, info.border)
    images = np.asarray(held_back.images)
    trials = {}
    with tempfile.TemporaryDirectory() as folder:
        for half in (False, True):
            trial, deployed = Path(folder) / f"half_{half}.onnx", deployment(net, info)
            difference = write_onnx(deployed, trial, "float16" if half else "float32")["params"]
            found = measure(model, load_regressor(trial).predict(images), held_back)
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
    shipped = SHIPPED[info.architecture if info.architecture in SHIPPED else "default"]
    shipped.parent.mkdir(exist_ok=True)
    write_onnx(deployment(net, info), shipped, "float16" if half else "float32")
    write_sums(shipped.parent, "*.onnx")
    WEIGHTS.mkdir(exist_ok=True)
    checkpoint = WEIGHTS / f"{info.architecture}.safetensors"
    save_checkpoint(checkpoint, net, info, half_weights=half)
    print(f"wrote {shipped} and {checkpoint}: {info.accuracy}")


if __name__ == "__main__":
    run(main)
