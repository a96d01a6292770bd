"""Draw a sheet of synthetic faces; with --landmarks, their labels coloured by visibility.

python tools/figures/synthetic_sheet.py -o docs/images/synthetic_faces.jpg
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
from shared.command import Parser, run
from shared.pictures import Image, sheet, write_sheet

from synergynet.datasets.synthetic import SyntheticFace, SyntheticFaces

COLORS = ((60, 60, 255), (255, 170, 40), (80, 255, 80))
"""BGR of hidden, occluded and visible landmarks."""

QUALITY = 86


def tile(face: SyntheticFace, zoom: float, *, landmarks: bool) -> Image:
    """The crop, enlarged."""
    size = round(120 * zoom)
    image = np.asarray(cv2.resize(face.image, (size, size), interpolation=cv2.INTER_CUBIC))
    if landmarks:
        for (x, y, _), kind in zip(face.landmarks, face.visibility, strict=True):
            at = [round(((v - 0.5) * zoom - 0.5) * 16) for v in (float(x), float(y))]
            cv2.circle(image, at, 18, COLORS[kind], cv2.FILLED, cv2.LINE_AA, 4)
    return image.astype(np.uint8)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    for name, default in (("seed", 0), ("rows", 5), ("columns", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--zoom", type=float, default=1.25)
    parser.add_argument("--landmarks", action="store_true")
    args = parser.parse_args()
    faces = SyntheticFaces(args.seed)
    tiles = [
        tile(faces[index], args.zoom, landmarks=args.landmarks)
        for index in range(args.rows * args.columns)
    ]
    write_sheet(args.output, sheet(tiles, args.columns), QUALITY)


if __name__ == "__main__":
    run(main)
