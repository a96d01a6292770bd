"""The crops of a run: read, relabelled, split."""

from __future__ import annotations

import numpy as np

from ..datasets.crop_list import (
    LabelledCrops,
    centre_depth,
    find_whitening,
    read_crops,
    read_list,
    read_params,
    refuse_evaluation_data,
    relabel,
)
from ..datasets.splits import validation_mask
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..face_model.sources import resolve_face_model
from .config import TrainConfig


def load_training_data(
    config: TrainConfig, model: FaceModel
) -> tuple[LabelledCrops, LabelledCrops]:
    """Read and relabel the crops of a run: training part, validation part."""
    data = config.data
    refuse_evaluation_data(data.list)
    names = read_list(data.list)
    source, of_model = resolve_face_model(data.face_model)
    raw = read_params(data.params, find_whitening(data.params, of_model), len(names))
    keep = np.ones(len(names), dtype=bool)
    if data.quality is not None:
        try:
            with np.load(data.quality, allow_pickle=False) as labels:
                keep = labels["mirror_disagreement_px"] < data.max_disagreement_px
        except Exception as error:  # zipfile and zlib raise many kinds on broken files
            raise SynergyNetError(f"{data.quality}: no mirror_disagreement_px in it") from error
        if keep.shape != (len(names),):
            raise SynergyNetError(f"{data.quality}: made for another list than {data.list}")
    names = [n for n, k in zip(names, keep, strict=True) if k]
    images = read_crops(data.crops, names)
    if source.hash == model.hash:
        labels62, points = centre_depth(model, raw[keep])
    else:
        labels62, points = relabel(model, source, raw[keep])
    crops = LabelledCrops(names, images, labels62, points)
    held_back = validation_mask(names)
    if not held_back.any() or held_back.all():
        raise SynergyNetError(
            f"{data.list}: {len(names)} crops are too few to hold some back for validation"
        )
    return crops.subset(~held_back), crops.subset(held_back)
