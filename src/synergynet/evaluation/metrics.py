"""NME of landmarks, MAE of Euler angles, and both by pose and size, as pure functions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SynergyNetError
from ..geometry import frames
from ..geometry.params import FloatArray

AnswerFrame = Literal["protocol", "pixel"]
"""Frame of a network's answers: x120 of the published protocol, or 1-based crop pixels."""

YAW_EDGES = (30.0, 60.0)
"""Upper edges, inclusive, of the first two bins of |yaw| in degrees; the third is open."""

BIN_NAMES = ("0-30", "30-60", "60-90")

DIGITS = 6
"""Of numbers in JSON files."""


@dataclass(frozen=True)
class BinnedNme:
    """NME in percent over the three bins of |yaw|.

    Attributes:
        means: mean of each bin.
        stds: population standard deviation inside each bin.
    """

    means: tuple[float, float, float]
    stds: tuple[float, float, float]

    @property
    def mean(self) -> float:
        """Mean of the three bin means (not weighted by images), as published."""
        return float(np.mean(self.means))

    @property
    def std(self) -> float:
        """Population standard deviation of the three bin means, as published."""
        return float(np.std(self.means))

    def rows(self) -> list[tuple[float, float]]:
        """(mean, std) of each bin and of all three."""
        return [*zip(self.means, self.stds, strict=True), (self.mean, self.std)]

    def mean_json(self) -> dict[str, float]:
        """The means by bin, and theirs."""
        return _by_bin(*self.means, self.mean)

    def std_json(self) -> dict[str, float]:
        """The standard deviations by bin, and that of the means."""
        return _by_bin(*self.stds, self.std)


def _by_bin(*values: float) -> dict[str, float]:
    return {k: round(v, DIGITS) for k, v in zip((*BIN_NAMES, "mean"), values, strict=True)}


@dataclass(frozen=True)
class EulerMae:
    """Mean absolute error in degrees over ``images`` faces, no wrap-around, as published."""

    images: int
    yaw: float
    pitch: float
    roll: float

    @property
    def mean(self) -> float:
        """Mean of the three axes."""
        return (self.yaw + self.pitch + self.roll) / 3

    def numbers(self) -> dict[str, float]:
        """By axis, and their mean."""
        return {"yaw": self.yaw, "pitch": self.pitch, "roll": self.roll, "mean": self.mean}

    def to_json(self) -> dict[str, float]:
        return {name: round(value, DIGITS) for name, value in self.numbers().items()}

    def published_line(self) -> str:
        """As the official script prints it."""
        axes = f"[{self.yaw:.3f}, {self.pitch:.3f}, {self.roll:.3f}]"
        return f"Mean MAE = {self.mean:.3f} (in deg), [yaw,pitch,roll] = {axes}"


def nme(predicted: ArrayLike, truth: ArrayLike) -> FloatArray:
    """Normalised mean error of each face, a fraction (not percent).

    Mean 2D distance of the landmarks over sqrt(width * height) of the truth's bounding box.
    z is ignored and nothing is masked (SynergyNet, benchmark_aflw2000.py).

    Args:
        predicted: (N, 68, 2 or 3), same frame as ``truth``.
        truth: (N, 2 or 3, 68), the layout of the benchmark's files.
    """
    target = np.swapaxes(np.asarray(truth, dtype=np.float64)[:, :2], 1, 2)
    guess = np.asarray(predicted, dtype=np.float64)[..., :2]
    if guess.shape != target.shape:
        raise ValueError(f"predictions have shape {guess.shape}, the truth {target.shape}")
    size = np.sqrt(np.ptp(target, axis=1).prod(axis=1))
    return np.linalg.norm(guess - target, axis=-1).mean(axis=1) / size


def yaw_bins(yaw: ArrayLike) -> NDArray[np.intp]:
    """(N,) degrees -> (N,) bin 0 (|yaw| <= 30), 1 (30 < |yaw| <= 60) or 2 (the rest).

    Values beyond 90 degrees, which the benchmark has, belong to the last bin.
    """
    return np.searchsorted(YAW_EDGES, np.abs(np.asarray(yaw, dtype=np.float64)), side="left")


def binned_nme(errors: ArrayLike, yaw: ArrayLike) -> BinnedNme:
    """Per-face NME fractions (N,) and yaw (N,) degrees -> percent per bin.

    Raises:
        SynergyNetError: a bin holds no face.
    """
    percent, bins = 100 * np.asarray(errors, dtype=np.float64), yaw_bins(yaw)
    groups = [percent[bins == index] for index in range(len(BIN_NAMES))]
    for name, group in zip(BIN_NAMES, groups, strict=True):
        if not len(group):
            raise SynergyNetError(
                f"no image with |yaw| in {name} degrees; the NME needs all three bins"
            )
    a, b, c = (float(group.mean()) for group in groups)
    u, v, w = (float(group.std()) for group in groups)
    return BinnedNme((a, b, c), (u, v, w))


def official_photo_points(landmarks: ArrayLike, frame: AnswerFrame, roi: ArrayLike) -> FloatArray:
    """Answers -> 1-based photo pixels by the published arithmetic.

    ``X = x120 (ex - sx) / 120 + sx`` with the stored, clipped boxes. Answers of a ``pixel``
    network are first moved to x120 with the same boxes, so that they land where the exact
    formula with the stored boxes puts them.

    Args:
        landmarks: (N, 68, 3) answers in ``frame``, y down.
        roi: (N, 4) stored inclusive boxes.
    """
    x120 = landmarks if frame == "protocol" else frames.crop1_to_x120(landmarks, roi)
    return frames.x120_to_photo1(x120, roi)


def exact_photo_points(
    landmarks: ArrayLike, frame: AnswerFrame, roi_unclipped: ArrayLike
) -> FloatArray:
    """Answers -> 1-based photo pixels in the frame in which the crops were really cut.

    A network sees only the crop, and the crop spans the *unclipped* box. So that box is the
    right one at every step, also for a ``protocol`` network: its x120 answer is moved to the
    crop's pixels with the unclipped box (which is what x120 meant on its training crops),
    never with the stored box. The two steps then cancel to
    ``X = x120 (ex - sx) / 120 + sx`` with the unclipped box: a protocol network differs from
    its official numbers only on the images whose stored box was clipped.

    Args:
        landmarks: (N, 68, 3) answers in ``frame``, y down.
        roi_unclipped: (N, 4) inclusive boxes of ``aflw2000_roi(points, clip=None)``.
    """
    crop1 = landmarks if frame == "pixel" else frames.x120_to_crop1(landmarks, roi_unclipped)
    return frames.crop1_to_photo1(crop1, roi_unclipped)


def euler_mae(predicted: ArrayLike, truth: ArrayLike) -> EulerMae:
    """(M, 3) predicted and true [pitch, yaw, roll] in degrees -> mean absolute errors."""
    guess = np.asarray(predicted, dtype=np.float64)
    target = np.asarray(truth, dtype=np.float64)
    if guess.shape != target.shape or guess.ndim != 2 or guess.shape[1] != 3:
        raise ValueError(f"angles have shapes {guess.shape} and {target.shape}, expected (M, 3)")
    pitch, yaw, roll = (float(v) for v in np.abs(guess - target).mean(axis=0))
    return EulerMae(images=len(guess), yaw=yaw, pitch=pitch, roll=roll)


EDGES: Mapping[str, tuple[float, ...]] = {
    "yaw": (0, 15, 30, 45, 60, 75, 90),
    "pitch": (0, 10, 20, 30, 90),
    "roll": (0, 10, 20, 30, 90),
    "face size": (0, 150, 200, 250, 1000),
}
"""Lower edges belong to a group, upper ones to the next. Degrees without their sign, and photo
pixels: the side of the crop's box over sqrt(2), which is the larger side of the landmarks' box."""

UNITS = {"yaw": "degrees", "pitch": "degrees", "roll": "degrees", "face size": "pixels"}


@dataclass(frozen=True)
class Group:
    """Faces alike in one respect.

    Attributes:
        name: of the respect, a key of ``EDGES``.
        low, high: its range.
        images: how many faces.
        nme: percent, 'ori' truth in the exact frame; ``median`` of the same.
        mae: mean over yaw, pitch and roll by the exact decode, degrees; NaN without poses.
    """

    name: str
    low: float
    high: float
    images: int
    nme: float
    median: float
    mae: float

    def to_json(self) -> dict[str, Any]:
        """``nme`` and ``mae`` under the names of the other numbers; None for NaN."""
        return {
            "by": self.name,
            "range": [self.low, self.high],
            "images": self.images,
            "nme_percent": round(self.nme, DIGITS),
            "nme_percent_median": round(self.median, DIGITS),
            "euler_mae_degrees": None if math.isnan(self.mae) else round(self.mae, DIGITS),
        }


def break_down(
    values: Mapping[str, FloatArray], errors: FloatArray, angle_errors: FloatArray
) -> tuple[Group, ...]:
    """Groups of N faces by every key of ``values`` that ``EDGES`` knows; empty ones left out.

    Args:
        values: name -> (N,), NaN where unknown; signs do not count.
        errors: (N,) NME in percent.
        angle_errors: (N, 3) absolute errors in degrees, NaN for faces without a pose.
    """
    groups = []
    for name, edges in EDGES.items():
        if name not in values:
            continue
        size = np.abs(values[name])
        for low, high in pairwise(edges):
            last = high == edges[-1]
            inside = (size >= low) & ((size <= high) if last else (size < high))
            if not inside.any():
                continue
            angles = angle_errors[inside]
            known = np.isfinite(angles).all(axis=1)
            mae = float(angles[known].mean()) if known.any() else float("nan")
            nme, median = float(errors[inside].mean()), float(np.median(errors[inside]))
            groups.append(Group(name, low, high, int(inside.sum()), nme, median, mae))
    return tuple(groups)
