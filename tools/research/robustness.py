"""Accuracy on held-back crops that are tilted, shrunk, blurred, darkened or covered.

    python tools/research/robustness.py configs/open_head/efficientnet_lite0_refined.yaml

Says what a network is worth on photos that are worse than a benchmark's; none is used here.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
from numpy.random import Generator
from shared.command import Parser, run
from shared.held_back import held_back_crops, read_recipe, tilted
from shared.pictures import Image

from synergynet.datasets.readers.crop_list import LabelledCrops
from synergynet.geometry.params import INPUT_SIZE
from synergynet.regression import load_regressor
from synergynet.training.validation import measure

TILTS = (30.0, 60.0, 90.0, 135.0, 180.0)


def shrunk(image: Image, side: int) -> Image:
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (INPUT_SIZE, INPUT_SIZE)), dtype=np.uint8)


def darkened(image: Image, rng: Generator) -> Image:
    noisy = image * 0.15 + rng.normal(0, 6, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def covered(image: Image, rng: Generator, side: int) -> Image:
    out = image.copy()
    x, y = rng.integers(20, 100 - side, 2)
    out[y : y + side, x : x + side] = rng.integers(0, 256, 3)
    return out


def main() -> None:
    parser = Parser(__doc__)
    parser.add_recipe()
    parser.add_weights()
    args = parser.parse_args()
    config, model = read_recipe(args)
    regressor = load_regressor(args.weights)
    plain = held_back_crops(config, model, regressor.info.border)
    rng = np.random.default_rng(0)

    def report(name: str, data: LabelledCrops) -> None:
        found = measure(model, regressor.predict(np.asarray(data.images)), data)
        print(f"{name:34s} NME {found.nme:6.3f} %   MAE {found.mae:6.3f} degrees", flush=True)

    harms: dict[str, Callable[[Image], Image]] = {
        "40 x 40 pixels": lambda image: shrunk(image, 40),
        "24 x 24 pixels": lambda image: shrunk(image, 24),
        "out of focus": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 3.0)),
        "dark and noisy": lambda image: darkened(image, rng),
        "a patch of 40 x 40 pixels": lambda image: covered(image, rng, 40),
    }
    report("as the benchmark cuts", plain)
    for degrees in TILTS:
        report(f"tilted by {degrees:g} degrees", tilted(plain, degrees))
    for name, harm in harms.items():
        images = np.stack([harm(np.asarray(image)) for image in np.asarray(plain.images)])
        report(name, LabelledCrops(plain.names, images, plain.params, plain.landmarks))


if __name__ == "__main__":
    run(main)
