"""What a trained network is to the rest of the package, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..face_model.weights_info import ChannelOrder, WeightsInfo
from ..geometry.params import INPUT_MEAN, INPUT_SIZE, INPUT_STD, N_PARAMS, FloatArray

CHUNK = 128
"""Crops per network call: bounds the activations of a large batch at a few hundred MB."""


class ParamsRegressor(Protocol):
    """Crops in, raw parameters out."""

    @property
    def info(self) -> WeightsInfo:
        """What the weights say about themselves."""
        ...

    @property
    def face_model(self) -> FaceModel | None:
        """The face model inside the weights' file (official checkpoints), or None."""
        ...

    def predict(self, crops: NDArray[np.uint8], /) -> FloatArray:
        """(N, 120, 120, 3) uint8 BGR -> (N, 62) float32 raw parameters.

        The crop's border is the caller's business (``cut_crops`` zeroes it).
        """
        ...


def normalise(crops: NDArray[np.uint8], channel_order: ChannelOrder = "BGR") -> NDArray[np.float32]:
    """(N, 120, 120, 3) uint8 BGR -> (N, 3, 120, 120) float32, (x - 127.5) / 128.

    Args:
        channel_order: that the network was trained with.
    """
    ordered = crops[..., ::-1] if channel_order == "RGB" else crops
    planes = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2), dtype=np.float32)
    planes -= np.float32(INPUT_MEAN)
    planes /= np.float32(INPUT_STD)
    return planes


def predict_in_chunks(
    run: Callable[[NDArray[np.float32]], FloatArray], crops: NDArray[np.uint8], info: WeightsInfo
) -> FloatArray:
    """Normalise, ``run`` (n, 3, 120, 120) -> whitened (n, 62), and dewhiten, chunk by chunk.

    Returns:
        (N, 62) float32 raw parameters.

    Raises:
        ValueError: ``crops`` is not (N, 120, 120, 3) uint8.
        SynergyNetError: the network answers in another shape or with NaN.
    """
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (INPUT_SIZE, INPUT_SIZE, 3):
        raise ValueError(f"crops are {crops.dtype} {crops.shape}, expected uint8 (N, 120, 120, 3)")
    out = np.empty((len(crops), N_PARAMS), dtype=np.float32)
    for start in range(0, len(crops), CHUNK):
        chunk = slice(start, start + CHUNK)
        whitened = np.asarray(run(normalise(crops[chunk], info.channel_order)), dtype=np.float32)
        if whitened.shape != out[chunk].shape:
            raise SynergyNetError(
                f"the network '{info.architecture}' answers with shape {whitened.shape}, "
                f"expected {out[chunk].shape}; use weights written by synergynet train or export"
            )
        out[chunk] = info.whitening.dewhiten(whitened)
    if not np.isfinite(out).all():
        raise SynergyNetError(
            f"the network '{info.architecture}' answers with numbers that are not finite; "
            "its weights are damaged"
        )
    return out
