"""Make the picture of README: landmarks, pose axes and mesh of the example photo, side by side.

python tools/figures/readme_picture.py examples/astronaut.jpg -o docs/images/demo.jpg
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from shared.command import Parser, existing, run
from shared.pictures import enlarged

from synergynet import FaceAnalyzer, SynergyNetError, draw, read_image
from synergynet.outputs.formats import write_picture
from synergynet.outputs.kinds import DEFAULT_DRAWINGS

ENLARGE = 3
MARGIN = 0.45
"""Of the crop's side, added on every side of the face."""


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("photo", type=existing)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    photo = read_image(args.photo)
    analyzer = FaceAnalyzer()
    found = analyzer(photo)
    if not found:
        raise SynergyNetError(f"{args.photo}: no face was found; give a photo with one")
    box = found[0].crop
    low = np.maximum(np.array([box.left, box.top]) - MARGIN * box.side, 0).astype(int)
    high = (np.array([box.left, box.top]) + (1 + MARGIN) * box.side).astype(int)
    image = enlarged(photo[low[1] : high[1], low[0] : high[0]], ENLARGE)
    faces = analyzer(image)
    pictures = [np.asarray(draw(image, faces, kind), dtype=np.uint8) for kind in DEFAULT_DRAWINGS]
    write_picture(args.output, np.hstack(pictures))


if __name__ == "__main__":
    run(main)
