"""Batches for training: deterministic in (seed, step), made ahead of time on threads."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..datasets.augmentation import AugmentationConfig, Augmenter
from ..datasets.readers.crop_list import LabelledCrops, mirrored_landmarks
from ..face_model.mirroring import mirrored_params
from ..face_model.model import FaceModel
from ..geometry.params import FloatArray, Whitening

_AHEAD = 3
_READERS = 4
"""Threads for crops that are not in memory: most of them wait for the disk."""

_ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Batch:
    """Arrays of one step.

    images: (B, 120, 120, 3) uint8 BGR; params: (B, 62) float32 whitened;
    landmarks: (B, 3, 68) float32, crop1 frame.
    """

    images: NDArray[np.uint8]
    params: FloatArray
    landmarks: FloatArray


class BatchMaker:
    """Draws, mirrors and augments crops.

    The order is a fresh permutation per pass over the data, or, where the crops have weights,
    a stratified draw per step; every crop's generator is seeded by (seed, step, position), so
    a resumed run sees the very same batches. ``rows`` confines it to a part of every batch: the
    share of one of several processes.
    """

    def __init__(
        self,
        data: LabelledCrops,
        model: FaceModel,
        whitening: Whitening,
        config: AugmentationConfig,
        *,
        batch_size: int,
        seed: int,
        rows: slice = _ALL,
    ) -> None:
        self._data, self._whitening, self._config = data, whitening, config
        self._augment = Augmenter(config)
        self._batch_size, self._seed, self._rows = batch_size, seed, rows
        self._cumulative = None if data.weights is None else np.cumsum(data.weights)
        if config.mirror > 0:
            self._mirrored = mirrored_params(model, data.params)
            self._mirrored_points = mirrored_landmarks(data.landmarks)

    def _indices(self, step: int) -> NDArray[np.intp]:
        """Which crops step number ``step`` uses."""
        if self._cumulative is not None:
            rng = np.random.default_rng([self._seed, 1, step])
            strata = (np.arange(self._batch_size) + rng.random(self._batch_size)) / self._batch_size
            found = np.searchsorted(self._cumulative, strata * self._cumulative[-1], side="right")
            # In the data's order a process or an accumulated part would get one source only.
            return rng.permutation(np.minimum(found, len(self._data) - 1))
        first, count = step * self._batch_size, len(self._data)
        out = np.empty(self._batch_size, dtype=np.intp)
        for position in range(self._batch_size):
            epoch, at = divmod(first + position, count)
            if position == 0 or at == 0:
                order = np.random.default_rng([self._seed, 1, epoch]).permutation(count)
            out[position] = order[at]
        return out

    def make(self, step: int) -> Batch:
        images, labels, points = [], [], []
        for position, index in list(enumerate(self._indices(step)))[self._rows]:
            rng = np.random.default_rng([self._seed, 2, step, position])
            image = self._data.images[index]
            raw, landmarks = self._data.params[index], self._data.landmarks[index]
            if rng.random() < self._config.mirror:
                image = np.asarray(cv2.flip(image, 1), dtype=np.uint8)
                raw, landmarks = self._mirrored[index], self._mirrored_points[index]
            image, raw, landmarks = self._augment(image, raw, landmarks, rng)
            images.append(image)
            labels.append(raw)
            points.append(landmarks.T)
        params = self._whitening.whiten(np.stack(labels)).astype(np.float32)
        return Batch(np.stack(images), params, np.stack(points).astype(np.float32))

    def stream(self, start: int, stop: int) -> Iterator[Batch]:
        """Batches of steps start..stop-1, in order, a few made ahead on other threads."""
        threads = 1 if isinstance(self._data.images, np.ndarray) else _READERS
        ahead = threads - 1 + _AHEAD
        with ThreadPoolExecutor(threads, thread_name_prefix="augment") as pool:
            pending = [pool.submit(self.make, s) for s in range(start, min(start + ahead, stop))]
            for step in range(start, stop):
                batch = pending.pop(0).result()
                if step + ahead < stop:
                    pending.append(pool.submit(self.make, step + ahead))
                yield batch
