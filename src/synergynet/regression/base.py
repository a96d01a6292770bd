"""What a trained network is to the rest of the package, whatever runs it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry.params import INPUT_MEAN, INPUT_SIZE, INPUT_STD, N_PARAMS, FloatArray
from ..weights.info import ChannelOrder, WeightsInfo

CHUNK = 128
"""Crops per network call: bounds the activations of a large batch at a few hundred MB."""

EXPECTED_NME = "expected_nme"
"""Name of a graph's optional output; files without it load, and have no expected errors."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answers to N crops.

    Attributes:
        params: (N, 62) float32 raw parameters.
        expected_nme: (N,) float32, percent; None if the weights cannot tell.
    """

    params: FloatArray
    expected_nme: FloatArray | None


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


class AssessingRegressor(ParamsRegressor, Protocol):
    """A regressor that can also say how far off it expects to be."""

    def assess(self, crops: NDArray[np.uint8], /) -> Prediction:
        """(N, 120, 120, 3) uint8 BGR -> parameters and expected errors, from the same pass."""
        ...


def assess(regressor: ParamsRegressor, crops: NDArray[np.uint8]) -> Prediction:
    """Answers with expected errors, or without them from a regressor that has only ``predict``."""
    own: Callable[[NDArray[np.uint8]], Prediction] | None = getattr(regressor, "assess", None)
    return Prediction(regressor.predict(crops), None) if own is None else own(crops)


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


class NetworkRegressor(ABC):
    """What all networks share: normalise, run, dewhiten, chunk by chunk.

    Attributes:
        info: of the weights.
        face_model: the one that came with them, if any.
        assessed: whether the network also answers with expected errors.
        batch: how many crops it takes at a time, neither more nor less; None for any number.
    """

    info: WeightsInfo
    face_model: FaceModel | None = None
    assessed: bool = False
    batch: int | None = None

    @abstractmethod
    def _run(self, planes: NDArray[np.float32]) -> Sequence[FloatArray]:
        """(n, 3, 120, 120) -> whitened (n, 62) and, if ``assessed``, expected NME (n,)."""

    def predict(self, crops: NDArray[np.uint8], /) -> FloatArray:
        """(N, 120, 120, 3) uint8 BGR -> (N, 62) float32 raw parameters."""
        return self.assess(crops).params

    def assess(self, crops: NDArray[np.uint8], /) -> Prediction:
        """(N, 120, 120, 3) uint8 BGR -> parameters and, if the network has them, expected errors.

        Raises:
            ValueError: ``crops`` is of another shape or type.
            SynergyNetError: the network answers in another shape or with NaN.
        """
        size = (INPUT_SIZE, INPUT_SIZE, 3)
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != size:
            raise ValueError(
                f"crops are {crops.dtype} {crops.shape}, expected uint8 (N, 120, 120, 3)"
            )
        info = self.info
        out = np.empty((len(crops), N_PARAMS), dtype=np.float32)
        expected = np.empty(len(crops), dtype=np.float32) if self.assessed else None
        step = self.batch or CHUNK
        for start in range(0, len(crops), step):
            chunk = slice(start, start + step)
            planes = normalise(crops[chunk], info.channel_order)
            count = len(planes)
            if self.batch is not None and count < self.batch:
                planes = np.resize(planes, (self.batch, *planes.shape[1:]))
            answers = self._run(planes)
            params = _shaped(answers[0], (len(planes), N_PARAMS), info)[:count]
            out[chunk] = info.whitening.dewhiten(params)
            if expected is not None:
                expected[chunk] = _shaped(answers[1], (len(planes),), info)[:count]
        if not np.isfinite(out).all() or (expected is not None and not np.isfinite(expected).all()):
            raise SynergyNetError(
                f"the network '{info.architecture}' answers with numbers that are not finite; "
                "its weights are damaged"
            )
        return Prediction(out, expected)


class GraphRegressor(NetworkRegressor):
    """A network in a file for deployment, whose metadata and interface have to be checked."""

    def _describe(
        self,
        source: str | Path,
        metadata: Mapping[str, str],
        inputs: Sequence[Sequence[int | str | None]],
        outputs: Mapping[str, int | str | None],
    ) -> None:
        """Set ``info`` and ``assessed``.

        Args:
            source: the file, for messages.
            metadata: strings of the file.
            inputs: shape of each.
            outputs: size of the last axis of each, by name.

        Raises:
            SynergyNetError: not a network of parameters that takes normalised crops.
        """
        if metadata.get("graph") == json.dumps("whole"):
            raise SynergyNetError(
                f"{source}: a whole graph (uint8 crops in, landmarks and mesh out) for programs "
                "of your own; synergynet runs the parameters alone: export the network without "
                "--whole"
            )
        self.info = WeightsInfo.from_metadata(metadata, str(source))
        if len(inputs) != 1 or [*inputs[0]][1:] != [3, INPUT_SIZE, INPUT_SIZE]:
            raise SynergyNetError(
                f"{source}: takes {inputs or 'nothing'}, expected one input of float32 "
                f"(N, 3, {INPUT_SIZE}, {INPUT_SIZE}); export the network with synergynet export"
            )
        if next(iter(outputs.values()), None) != N_PARAMS:
            raise SynergyNetError(
                f"{source}: its first output is not (N, {N_PARAMS}) parameters; "
                "export the network with synergynet export"
            )
        self.assessed = EXPECTED_NME in [*outputs][1:]
        size = inputs[0][0]
        self.batch = size if isinstance(size, int) and size >= 1 else None
        if self.batch is not None and self.batch > CHUNK:
            raise SynergyNetError(
                f"{source}: takes {self.batch} crops at a time; export the network with "
                "synergynet export, which leaves their number open"
            )


def _shaped(answer: FloatArray, shape: tuple[int, ...], info: WeightsInfo) -> FloatArray:
    array = np.asarray(answer, dtype=np.float32)
    if array.shape != shape:
        raise SynergyNetError(
            f"the network '{info.architecture}' answers with shape {array.shape}, "
            f"expected {shape}; use weights written by synergynet train or export"
        )
    return array
