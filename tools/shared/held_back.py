"""The crops that a recipe holds back, and its face model and best checkpoint."""

import argparse
from pathlib import Path

import numpy as np

from synergynet.datasets.augmentation import move_label, recrop_affine, warp_crop
from synergynet.datasets.readers.crop_list import LabelledCrops
from synergynet.face_model.model import FaceModel
from synergynet.face_model.sources import resolve_face_model
from synergynet.geometry.params import INPUT_SIZE
from synergynet.training.config import TrainConfig, load_config
from synergynet.training.crops import load_training_data
from synergynet.training.validation import validation_crops


def read_recipe(args: argparse.Namespace, *more: str) -> tuple[TrainConfig, FaceModel]:
    """The recipe of :meth:`Parser.add_recipe`, with ``more`` settings, and its face model."""
    config = load_config(args.recipe, [*args.settings, *more])
    return config, resolve_face_model(config.target_model)[0]


def best_checkpoint(config: TrainConfig, instead: Path | None) -> Path:
    return instead or config.output / "best.safetensors"


def held_back_crops(config: TrainConfig, model: FaceModel, border: int) -> LabelledCrops:
    """Cut by the landmark rule, as a benchmark cuts."""
    return validation_crops(load_training_data(config, model)[1], border)


def tilted(data: LabelledCrops, degrees: float) -> LabelledCrops:
    """Every other crop to the left, the rest to the right, cut by the landmark rule."""
    images = np.empty((len(data), INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    raw, points = np.empty_like(data.params), np.empty_like(data.landmarks)
    for i in range(len(data)):
        affine = recrop_affine(data.landmarks[i], degrees=degrees if i % 2 else -degrees)
        images[i] = warp_crop(data.images[i], affine, border_value=None)
        raw[i], points[i] = move_label(data.params[i], data.landmarks[i], affine)
    return LabelledCrops(data.names, images, raw, points)
