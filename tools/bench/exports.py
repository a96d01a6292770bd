"""Accuracy, size and time of a checkpoint and of its exports.

    python tools/bench/exports.py --root aflw2000_data --calibrate aflw_train/train.list

Exports the checkpoint to ONNX and OpenVINO with float32, float16 and int8 weights and measures
each on AFLW2000-3D: NME ('ori') and MAE in the exact frame and by the
published arithmetic, megabytes, and milliseconds per crop. Prints a table in Markdown. The
benchmark is measured only; the settings of int8 were chosen on the validation split of the
training crops.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from shared.command import CLONE, Parser, existing, run
from shared.tables import print_head, print_row
from shared.timing import milliseconds

from synergynet.datasets.readers.aflw2000_crops import load_aflw2000
from synergynet.evaluation import evaluate_regressor
from synergynet.export.graphs import Precision, deployment
from synergynet.export.int8 import calibration_crops
from synergynet.export.onnx import write_onnx
from synergynet.export.openvino import write_openvino
from synergynet.export.verify import verification_crops
from synergynet.face_model.sources import resolve_face_model
from synergynet.nets.torch.checkpoints import load_checkpoint
from synergynet.regression import ParamsRegressor, load_regressor

CHECKPOINT = CLONE / "weights" / "efficientnet_lite0.safetensors"
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("checkpoint", type=existing, nargs="?", default=CHECKPOINT)
    parser.add_benchmark()
    parser.add_argument(
        "--calibrate", type=existing, required=True, help="folder of training crops, or their list"
    )
    parser.add_argument("--face-model", help="as for synergynet export")
    parser.add_argument("--runs", type=int, default=100, help="per timing")
    parser.add_argument("--also", type=existing, nargs="*", default=[], help="more weights")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, _ = resolve_face_model(args.face_model)
    dataset = load_aflw2000(args.root)
    errors = ("NME exact", "NME official", "MAE exact", "MAE official")
    print_head("", "MB", *errors, "ms, 1 crop", "ms per crop, 16")
    with tempfile.TemporaryDirectory() as folder:
        files = [("PyTorch", args.checkpoint), *((path.name, path) for path in args.also)]
        for name, path in [*files, *_exports(args, Path(folder))]:
            regressor = load_regressor(path, threads=1)
            result = evaluate_regressor(dataset, regressor, model, weights=name).to_json()
            nme = [result[key]["ori"]["mean"] for key in ("nme_percent_exact_frame", "nme_percent")]
            mae = [result["euler_mae_degrees"][key]["mean"] for key in ("exact", "official")]
            files_of = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
            size = sum(file.stat().st_size for file in files_of)
            times = [_milliseconds(regressor, batch, args.runs) for batch in (1, 16)]
            numbers = [f"{value:.4f}" for value in (*nme, *mae)] + [f"{t:.2f}" for t in times]
            print_row((name, f"{size / 1e6:.1f}", *numbers))


def _exports(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of every variant, made when it is asked for."""
    model, _ = resolve_face_model(args.face_model)
    deployed = deployment(*load_checkpoint(args.checkpoint, model))
    crops = calibration_crops(args.calibrate)
    for kind, suffix, write in (
        ("ONNX Runtime", ".onnx", write_onnx),
        ("OpenVINO", ".xml", write_openvino),
    ):
        for precision in PRECISIONS:
            path = folder / f"{precision}{suffix}"
            write(deployed, path, precision, calibration=crops)
            yield f"{kind}, {precision}", path


def _milliseconds(regressor: ParamsRegressor, batch: int, runs: int) -> float:
    """Per crop, of the fastest run (other work can only add), one thread, with normalising."""
    crops = np.resize(verification_crops(), (batch, 120, 120, 3))
    times = milliseconds(lambda: regressor.predict(crops), runs // batch + 2, warm_up=3)
    return min(times) / batch


if __name__ == "__main__":
    run(main)
