"""Write a photo's largest face as raw pixels: 120 x 120 x 3 uint8, BGR.

python examples/deploy/crop.py examples/astronaut.jpg crop.bin
"""

import sys

from synergynet import FaceAnalyzer, read_image
from synergynet.regression import cut_crops

photo = read_image(sys.argv[1])
face = max(FaceAnalyzer()(photo), key=lambda face: face.crop.side)
cut_crops(photo, [face.crop])[0].tofile(sys.argv[2])
print(f"left {face.crop.left}, top {face.crop.top}, side {face.crop.side}")
