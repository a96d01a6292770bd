#!/usr/bin/env python3
"""Draw a sheet of synthetic faces; with --landmarks, their labels coloured by visibility.

python tools/figures/synthetic_sheet.py -o docs/images/synthetic_faces.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from synergynet.datasets.synthetic import SyntheticFace, SyntheticFaces

COLORS = ((60, 60, 255), (255, 170, 40), (80, 255, 80))
"""BGR of hidden, occluded and visible landmarks."""

QUALITY = 86


def tile(face: SyntheticFace, zoom: float, *, landmarks: bool) -> NDArray[np.uint8]:
    """The crop, enlarged."""
    size = round(120 * zoom)
    image = np.asarray(cv2.resize(face.image, (size, size), interpolation=cv2.INTER_CUBIC))
    if landmarks:
        for (x, y, _), kind in zip(face.landmarks, face.visibility, strict=True):
            at = [round(((v - 0.5) * zoom - 0.5) * 16) for v in (float(x), float(y))]
            cv2.circle(image, at, 18, COLORS[kind], cv2.FILLED, cv2.LINE_AA, 4)
    return image.astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--zoom", type=float, default=1.25)
    parser.add_argument("--landmarks", action="store_true")
    args = parser.parse_args()
    faces = SyntheticFaces(args.seed)
    tiles = [
        tile(faces[index], args.zoom, landmarks=args.landmarks)
        for index in range(args.rows * args.columns)
    ]
    rows = [np.hstack(tiles[k : k + args.columns]) for k in range(0, len(tiles), args.columns)]
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if args.output.suffix == ".jpg" else []
    cv2.imwrite(str(args.output), np.vstack(rows), quality)
    print(f"wrote {args.output}: {args.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
