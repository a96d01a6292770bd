"""Training throughput on made-up crops: crops per second, where a step's time goes, the data wait.

python tools/bench/training.py --backbone mobilenet_v2 --threads 2

The real loop runs with augmentation, all of SynergyNet's losses, gradient clipping, optimizer and
moving average; pictures and labels are random, which costs the same. No data is needed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read by PyTorch when it is imported

import cv2
import numpy as np
from shared.command import Parser, existing, run

from synergynet.datasets.readers.crop_list import LabelledCrops
from synergynet.face_model.model import FaceModel
from synergynet.face_model.sources import resolve_face_model
from synergynet.geometry import params, pose
from synergynet.nets.loss_terms import OFFICIAL_WEIGHTS
from synergynet.training.config import TrainConfig, load_config
from synergynet.training.logs import PHASES
from synergynet.training.run import Trainer

WARM_UP = 5  # steps


def made_up_crops(model: FaceModel, count: int, seed: int = 0) -> LabelledCrops:
    """Smooth random pictures with labels of random faces that fill a crop."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    images = np.stack([np.asarray(cv2.resize(i, (120, 120)), np.uint8) for i in small])
    angles = rng.uniform([-30, -80, -30], [30, 80, 30], (count, 3))
    # In units of the model: a face is about 130 mm wide and fills 60 of 120 pixels.
    width = np.ptp(model.landmark_mean[:, 0])
    camera = pose.camera_from_pose(
        rng.uniform(55, 65, count) / width,
        pose.rotation_from_euler(*angles.T),
        rng.uniform([55, 55, -70], [66, 66, -60], (count, 3)),
    )
    coefficients = rng.normal(0, 0.5, (count, params.N_COEFFICIENTS))
    raw = params.join(camera, coefficients[:, : params.N_SHAPE], coefficients[:, params.N_SHAPE :])
    names = [f"{i}.jpg" for i in range(count)]
    return LabelledCrops(names, images, raw, model.decode_landmarks(raw))


def settings(args: argparse.Namespace, output: Path) -> TrainConfig:
    """Those of ``--recipe``, or SynergyNet's losses and the defaults."""
    overrides = {
        "backbone": args.backbone,
        "batch_size": args.batch,
        "threads": args.threads,
        "precision": args.precision,
        "accumulate": args.accumulate,
        "target_model": "open-head",
        "pretrained": False,
        "output": str(output),
        "epochs": None,
        "steps": WARM_UP + args.steps,
        "log_every": 1,
        "validate_every": 10**9,
        "save_every": 10**9,
    }
    if args.recipe is not None:
        return TrainConfig.model_validate(load_config(args.recipe).model_dump() | overrides)
    nowhere = {name: "none" for name in ("crops", "list", "params", "face_model")}
    return TrainConfig.model_validate(
        {"data": nowhere, "losses": dict(OFFICIAL_WEIGHTS)} | overrides
    )


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--recipe", type=existing, help="recipe to take losses and all else from")
    parser.add_argument("--backbone", default="mobilenet_v2")
    for name, default in (("batch", 64), ("accumulate", 1), ("steps", 30), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    args = parser.parse_args()
    seen: list[dict[str, float]] = []

    def note(_step: int, _steps: int, numbers: dict[str, float]) -> None:
        if "loss_total" in numbers:
            seen.append(numbers)

    model, _ = resolve_face_model("open-head")
    crops = made_up_crops(model, max(1000, args.batch)), made_up_crops(model, 8, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        Trainer(settings(args, Path(folder)), note, crops).run()
    seen = seen[WARM_UP:]
    step = [1000 * args.batch / n["crops_per_second"] for n in seen]
    waits = [n["ms_data"] for n in seen]
    print(f"{args.backbone}, batches of {args.batch}, {args.threads} threads, {len(seen)} steps:")
    print(f"  {1000 * args.batch * len(seen) / sum(step):.0f} crops/s on average, ", end="")
    print(f"{1000 * args.batch / median(step):.0f} by the median step")
    print(f"  data wait {100 * sum(waits) / sum(step):.1f} % of the time")
    for phase in PHASES:
        print(f"  {phase:9} {median(n[f'ms_{phase}'] for n in seen):7.1f} ms")
    print(f"  load average now: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    run(main)
