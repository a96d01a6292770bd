"""The crops of a run: read, relabelled, split."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..datasets.readers.crop_list import (
    LabelledCrops,
    centre_depth,
    find_whitening,
    read_list,
    read_params,
    refuse_evaluation_data,
    relabel,
    trusted,
)
from ..datasets.readers.crop_store import CropImages, LazyCrops, crop_files, join_crops
from ..datasets.readers.shards import read_shards
from ..datasets.splits import validation_mask
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..face_model.sources import resolve_face_model
from ..geometry import params, pose
from ..geometry.params import FloatArray
from .config import CropSource, DataConfig, TrainConfig

MEMORY_LIMIT = 100_000
"""Crops of a run, all sources together, that are held in memory unless the recipe says more."""

_YAW_BIN = 10.0
_MOST_FREQUENT = 5.0
"""No crop is drawn more often than this times the average, however rare its yaw."""


def load_training_data(
    config: TrainConfig, model: FaceModel
) -> tuple[LabelledCrops, LabelledCrops]:
    """Read and relabel the crops of a run: training part, validation part.

    The validation part is a fixed share of the main source; extra ones are all for training.
    Crops are read and decoded last: all of them into memory, or each when it is drawn.
    """
    data = config.data
    keep = None
    if data.quality is not None:
        keep = trusted(data.quality, data.max_disagreement_px)
    crops = _read(data, model, keep)
    held_back = validation_mask(crops.names)
    if not held_back.any() or held_back.all():
        raise SynergyNetError(
            f"{data.name}: {len(crops)} crops are too few to hold some back for validation"
        )
    parts = [crops.subset(~held_back), *(_read(extra, model) for extra in data.extra)]
    training, validation = _mixed(parts, data), crops.subset(held_back)
    in_memory = data.in_memory
    if in_memory == "auto":
        in_memory = len(training) + len(validation) <= MEMORY_LIMIT
    return (_loaded(training), _loaded(validation)) if in_memory else (training, validation)


def _loaded(crops: LabelledCrops) -> LabelledCrops:
    images = crops.images
    return replace(crops, images=images.load() if isinstance(images, LazyCrops) else images)


def _read(
    data: CropSource, model: FaceModel, keep: NDArray[np.bool_] | None = None
) -> LabelledCrops:
    source, of_model = resolve_face_model(data.face_model)
    names: Sequence[str]
    images: CropImages
    if data.shards:
        shards = read_shards(data.shards)
        if shards.face_model_hash != source.hash:
            raise SynergyNetError(
                f"{data.name}: labels of face model '{shards.face_model}' "
                f"({shards.face_model_hash[:8]}), but face_model names '{source.name}' "
                f"({source.hash[:8]}); give the one that they were packed with"
            )
        names, raw, images = shards.names, shards.params, shards.images
    else:
        folder, list_file, labels = data.list_files
        refuse_evaluation_data(list_file)
        names = read_list(list_file)
        raw = read_params(labels, find_whitening(labels, of_model), len(names))
        images = crop_files(folder, names)
    if keep is not None:
        if keep.shape != (len(names),):
            raise SynergyNetError(f"the quality file was made for another list than {data.name}")
        names, raw = [n for n, k in zip(names, keep, strict=True) if k], raw[keep]
        images = images[keep]
    if source.hash == model.hash:
        labels62, points = centre_depth(model, raw)
    else:
        labels62, points = relabel(model, source, raw)
    return LabelledCrops(names, images, labels62, points)


def _mixed(parts: list[LabelledCrops], data: DataConfig) -> LabelledCrops:
    """All training crops, with weights where they are not drawn alike."""
    main = parts[0]
    if len(parts) == 1 and not data.yaw_balance:
        return main
    shares = [extra.share for extra in data.extra]
    if sum(shares) >= 1:
        raise SynergyNetError("data.extra: the shares must leave something to the main list")
    weights = [yaw_weights(main.params, data.yaw_balance) * (1 - sum(shares))]
    weights += [
        np.full(len(part), share / len(part)) for part, share in zip(parts[1:], shares, strict=True)
    ]
    return LabelledCrops(
        [name for part in parts for name in part.names],
        join_crops([part.images for part in parts]),
        np.concatenate([part.params for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
        np.concatenate(weights),
    )


def yaw_weights(raw: FloatArray, balance: float) -> FloatArray:
    """(N, 62) raw parameters -> (N,) weights with sum 1.

    ``balance`` 0 gives all crops the same, 1 gives every ten degrees of |yaw| the same; no crop
    gets more than five times the average.
    """
    rotation = pose.decompose_exact(params.split(np.asarray(raw, dtype=np.float64))[0])[1]
    yaw = np.rad2deg(np.arcsin(np.clip(np.abs(rotation[:, 0, 2]), 0, 1)))
    bins = (yaw / _YAW_BIN).astype(int)
    weights = np.bincount(bins)[bins] ** -float(balance)
    weights = np.minimum(weights, _MOST_FREQUENT * weights.mean())
    return np.asarray(weights / weights.sum())
