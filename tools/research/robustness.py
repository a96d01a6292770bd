#!/usr/bin/env python3
"""Accuracy on held-back crops that are tilted, shrunk, blurred, darkened or covered.

    python tools/research/robustness.py configs/open_head/efficientnet_lite0_refined.yaml

Says what a network is worth on photos that are worse than a benchmark's; none is used here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from synergynet.datasets.augmentation import move_label, recrop_affine, warp_crop
from synergynet.datasets.readers.crop_list import LabelledCrops
from synergynet.face_model.sources import resolve_face_model
from synergynet.geometry.params import INPUT_SIZE
from synergynet.regression import load_regressor
from synergynet.training.config import load_config
from synergynet.training.crops import load_training_data
from synergynet.training.validation import measure, validation_crops

Image = NDArray[np.uint8]
TILTS = (30.0, 60.0, 90.0, 135.0, 180.0)


def tilted(data: LabelledCrops, degrees: float) -> LabelledCrops:
    """Every other crop to the left, the rest to the right, cut by the landmark rule."""
    images = np.empty((len(data), INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    raw, points = np.empty_like(data.params), np.empty_like(data.landmarks)
    for i in range(len(data)):
        affine = recrop_affine(data.landmarks[i], degrees=degrees if i % 2 else -degrees)
        images[i] = warp_crop(data.images[i], affine, border_value=None)
        raw[i], points[i] = move_label(data.params[i], data.landmarks[i], affine)
    return LabelledCrops(data.names, images, raw, points)


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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("settings", nargs="*", help="key=value, as for the run")
    parser.add_argument("--weights", help="default: the shipped ones")
    args = parser.parse_args()
    config = load_config(args.recipe, args.settings)
    model, _ = resolve_face_model(config.target_model)
    regressor = load_regressor(args.weights)
    plain = validation_crops(load_training_data(config, model)[1], regressor.info.border)
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
    main()
