#!/usr/bin/env python3
"""Turn the best checkpoint of a run into the weights that ship with the package.

    python tools/ship_weights.py runs/efficientnet_lite0 --root aflw2000_data

Exports it with float32 and with float16 weights, measures both on AFLW2000-3D (nothing is chosen
by the result: it is written down), and writes the float16 files with the figures in their
metadata: ``default.onnx`` for inference and a ``.safetensors`` to fine-tune.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from synergynet.datasets.aflw2000 import Aflw2000, load_aflw2000
from synergynet.evaluation import evaluate_regressor
from synergynet.export.onnx import export_onnx
from synergynet.face_model.open_head import load_open_head
from synergynet.nets.checkpoints import load_checkpoint, save_checkpoint
from synergynet.regression import load_regressor
from synergynet.regression.loading import DEFAULT_WEIGHTS

WEIGHTS = Path(__file__).parents[1] / "weights"


def measured(path: Path, dataset: Aflw2000) -> dict[str, Any]:
    """The evaluation of an ONNX file, as numbers."""
    return evaluate_regressor(dataset, load_regressor(path), load_open_head()).to_json()


def summary(result: dict[str, Any]) -> dict[str, float]:
    """What the metadata keep of it."""
    return {
        "aflw2000_nme_official": round(result["nme_percent"]["ori"]["mean"], 4),
        "aflw2000_nme_exact_frame": round(result["nme_percent_exact_frame"]["ori"]["mean"], 4),
        "aflw2000_mae_official": round(result["euler_mae_degrees"]["official"]["mean"], 4),
        "aflw2000_mae_exact": round(result["euler_mae_degrees"]["exact"]["mean"], 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="output folder of a training")
    parser.add_argument("--root", type=Path, required=True, help="aflw2000_data")
    args = parser.parse_args()
    dataset = load_aflw2000(args.root)
    net, info = load_checkpoint(args.run / "best.safetensors", load_open_head())
    with tempfile.TemporaryDirectory() as folder:
        for half in (False, True):
            trial = Path(folder) / f"half_{half}.onnx"
            difference = export_onnx(net, info, trial, half_weights=half)
            result = measured(trial, dataset)
            size = trial.stat().st_size / 1e6
            kind = "float16" if half else "float32"
            print(f"{kind}: {size:.1f} MB, {difference:.2g} from torch, {summary(result)}")
    info = replace(info, accuracy={**info.accuracy, **summary(result)})
    DEFAULT_WEIGHTS.parent.mkdir(exist_ok=True)
    export_onnx(net, info, DEFAULT_WEIGHTS, half_weights=True)
    WEIGHTS.mkdir(exist_ok=True)
    checkpoint = WEIGHTS / f"{info.architecture}.safetensors"
    save_checkpoint(checkpoint, net, info, half_weights=True)
    print(f"wrote {DEFAULT_WEIGHTS} and {checkpoint}")


if __name__ == "__main__":
    main()
