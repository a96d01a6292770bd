#!/usr/bin/env python3
"""Accuracy, size and time of a checkpoint and of its exports.

    python tools/bench/exports.py --root aflw2000_data --calibrate aflw_train/train.list

Exports the checkpoint to ONNX and OpenVINO with float32, float16 and int8 weights and measures
each on AFLW2000-3D: NME ('ori') and MAE in the exact frame and by the
published arithmetic, megabytes, and milliseconds per crop. Prints a table in Markdown. The
benchmark is measured only; the settings of int8 were chosen on the validation split of the
training crops.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

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

CHECKPOINT = Path(__file__).parents[2] / "weights" / "efficientnet_lite0.safetensors"
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path, nargs="?", default=CHECKPOINT)
    parser.add_argument("--root", type=Path, required=True, help="aflw2000_data")
    parser.add_argument(
        "--calibrate", type=Path, required=True, help="folder of training crops, or their list"
    )
    parser.add_argument("--face-model", help="as for synergynet export")
    parser.add_argument("--runs", type=int, default=100, help="per timing")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="more weights to measure")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, _ = resolve_face_model(args.face_model)
    dataset = load_aflw2000(args.root)
    print(
        "| | MB | NME exact | NME official | MAE exact | MAE official | ms, 1 crop | "
        "ms per crop, 16 |\n|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        files = [("PyTorch", args.checkpoint), *((path.name, path) for path in args.also)]
        for name, path in [*files, *_exports(args, Path(folder))]:
            regressor = load_regressor(path, threads=1)
            result = evaluate_regressor(dataset, regressor, model, weights=name).to_json()
            nme = [result[key]["ori"]["mean"] for key in ("nme_percent_exact_frame", "nme_percent")]
            mae = [result["euler_mae_degrees"][key]["mean"] for key in ("exact", "official")]
            size = sum(
                file.stat().st_size
                for file in (path, path.with_suffix(".bin"))
                if file.is_file() and (file == path or path.suffix == ".xml")
            )
            numbers = " | ".join(f"{value:.4f}" for value in (*nme, *mae))
            times = " | ".join(f"{_milliseconds(regressor, n, args.runs):.2f}" for n in (1, 16))
            print(f"| {name} | {size / 1e6:.1f} | {numbers} | {times} |", flush=True)


def _exports(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of every variant, made when it is asked for."""
    model, _ = resolve_face_model(args.face_model)
    deployed = deployment(*load_checkpoint(args.checkpoint, model))
    crops = calibration_crops(args.calibrate)
    for precision in PRECISIONS:
        path = folder / f"{precision}.onnx"
        write_onnx(deployed, path, precision, calibration=crops)
        yield f"ONNX Runtime, {precision}", path
    for precision in PRECISIONS:
        path = folder / f"{precision}.xml"
        write_openvino(deployed, path, precision, calibration=crops)
        yield f"OpenVINO, {precision}", path


def _milliseconds(regressor: ParamsRegressor, batch: int, runs: int) -> float:
    """Per crop, of the fastest run (other work can only add), one thread, with normalising."""
    crops = np.resize(verification_crops(), (batch, 120, 120, 3))
    times = []
    for run in range(runs // batch + 5):
        clock = time.perf_counter()
        regressor.predict(crops)
        if run >= 3:  # the first ones warm up
            times.append(time.perf_counter() - clock)
    return 1000 * min(times) / batch


if __name__ == "__main__":
    main()
