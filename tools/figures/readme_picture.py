#!/usr/bin/env python3
"""Make the picture of README: landmarks, pose axes and mesh of the example photo, side by side.

python tools/figures/readme_picture.py examples/astronaut.jpg -o docs/images/demo.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from synergynet import FaceAnalyzer, draw, read_image
from synergynet.outputs.formats import write_picture
from synergynet.outputs.kinds import DEFAULT_DRAWINGS

ENLARGE = 3
MARGIN = 0.45
"""Of the crop's side, added on every side of the face."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    photo = read_image(args.photo)
    analyzer = FaceAnalyzer()
    box = analyzer(photo)[0].crop
    low = np.maximum(np.array([box.left, box.top]) - MARGIN * box.side, 0).astype(int)
    high = (np.array([box.left, box.top]) + (1 + MARGIN) * box.side).astype(int)
    part = photo[low[1] : high[1], low[0] : high[0]]
    large = cv2.resize(part, None, fx=ENLARGE, fy=ENLARGE, interpolation=cv2.INTER_CUBIC)
    image = np.asarray(large, dtype=np.uint8)
    faces = analyzer(image)
    pictures = [np.asarray(draw(image, faces, kind), dtype=np.uint8) for kind in DEFAULT_DRAWINGS]
    write_picture(args.output, np.hstack(pictures))


if __name__ == "__main__":
    main()
