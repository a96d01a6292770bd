"""Expected errors: learn the head, calibrate it, and measure what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synergynet.geometry.crops import CropBox
from synergynet.geometry.params import INPUT_SIZE, FloatArray
from synergynet.weights.error_head import ErrorHead

KNOTS = 12
"""Of the map from scores to errors, before those that do not increase are pooled."""

WORST_NME = 30.0
"""Percent; errors are clipped here for learning: beyond it, worse is no different."""

_RIDGE = 1000.0
"""Penalty of the standardised weights, chosen on the validation crops; 100 to 5000 are alike."""

_FLAT = 1e-3  # smallest standard deviation of a feature that is divided by

Image = NDArray[np.uint8]


def learn_weight(features: ArrayLike, nme: ArrayLike, importance: ArrayLike) -> FloatArray:
    """Ridge regression of log(NME) on pooled features.

    Args:
        features: (N, F).
        nme: (N,) percent.
        importance: (N,) weight of each crop.

    Returns:
        (F,) float32 that float16 holds exactly, so that storing weights as float16 changes
        nothing. The constant is left to the map of :func:`calibrate`.
    """
    x = np.asarray(features, dtype=np.float64)
    spread = x.std(axis=0) + _FLAT
    x = (x - x.mean(axis=0)) / spread
    y = np.log(np.minimum(np.asarray(nme, dtype=np.float64), WORST_NME))
    w = np.asarray(importance, dtype=np.float64)
    x -= w @ x / w.sum()  # removes the constant
    gram = (x * w[:, None]).T @ x + _RIDGE * np.eye(x.shape[1])
    beta = np.linalg.solve(gram, x.T @ (w * (y - w @ y / w.sum())))
    return np.float16(beta / spread).astype(np.float32)


def calibrate(
    weight: ArrayLike, scores: ArrayLike, nme: ArrayLike, knots: int = KNOTS
) -> ErrorHead:
    """The monotone map from scores to the mean NME of crops with such scores.

    Crops are sorted by score into ``knots`` groups of one size; each gives a knot at its means,
    and neighbours whose errors do not increase are pooled (isotonic regression). Two more
    knots continue the outer segments to the 0.1th and 99.9th percentile of the scores.

    Args:
        weight: (F,) that made the scores.
        scores: (N,) of held-back crops, the higher the worse.
        nme: (N,) percent.

    Raises:
        ValueError: fewer than two groups are left.
    """
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(nme, dtype=np.float64)
    order = np.argsort(s, kind="stable")
    pooled: list[tuple[float, float, int]] = []
    for group in np.array_split(order, knots):
        pooled.append((float(s[group].mean()), float(y[group].mean()), len(group)))
        while len(pooled) > 1 and pooled[-1][1] <= pooled[-2][1]:
            (s1, y1, n1), (s0, y0, n0) = pooled.pop(), pooled.pop()
            n = n0 + n1
            pooled.append(((s0 * n0 + s1 * n1) / n, (y0 * n0 + y1 * n1) / n, n))
    if len(pooled) < 2:
        raise ValueError("the scores say nothing about the errors")
    x, logs = np.array([p[0] for p in pooled]), np.log([p[1] for p in pooled])
    slopes = np.diff(logs) / np.diff(x)
    low, high = min(np.quantile(s, 0.001), x[0] - 1e-3), max(np.quantile(s, 0.999), x[-1] + 1e-3)
    logs = np.r_[logs[0] - slopes[0] * (x[0] - low), logs, logs[-1] + slopes[-1] * (high - x[-1])]
    return ErrorHead(np.asarray(weight), np.r_[low, x, high], np.exp(logs))


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Correlation of ranks, ties at their mean rank."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def roc_auc(low: ArrayLike, high: ArrayLike) -> float:
    """Chance that a member of ``high`` is above one of ``low``; a tie counts one half."""
    n, m = np.size(low), np.size(high)
    ranks = _ranks(np.r_[np.ravel(low), np.ravel(high)])
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def _ranks(values: ArrayLike) -> FloatArray:
    """1-based ranks, ties at their mean."""
    _, index, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[index]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Crops sorted by expected NME into bins of one size; (B,) each, percent.

    expected, observed: means of the bins. low, high: 10th and 90th percentile of the
    observed NME.
    """

    expected: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def error(self) -> float:
        """Mean of |log(observed / expected)|: 0.1 is about 10 % too much or too little."""
        return float(np.abs(np.log(self.observed / self.expected)).mean())


def reliability(expected: ArrayLike, nme: ArrayLike, bins: int = 10) -> Reliability:
    """Expected (N,) against observed NME (N,), percent."""
    e, y = np.asarray(expected), np.asarray(nme)
    groups = np.array_split(np.argsort(e, kind="stable"), bins)
    return Reliability(
        np.array([e[g].mean() for g in groups]),
        np.array([y[g].mean() for g in groups]),
        np.array([np.quantile(y[g], 0.1) for g in groups]),
        np.array([np.quantile(y[g], 0.9) for g in groups]),
    )


def background_squares(
    shape: tuple[int, ...],
    faces: Sequence[tuple[float, float, float, float]],
    count: int,
    rng: np.random.Generator,
    *,
    smallest: float = 30.0,
) -> list[CropBox]:
    """Random squares of a photo that keep half a face's size away from every face.

    Args:
        shape: of the photo, (H, W, ...).
        faces: boxes (x0, y0, x1, y1), image frame.
        count: squares wanted; fewer where faces leave no room.
        smallest: side in pixels; the largest is the photo's shorter side.
    """
    height, width = shape[:2]
    longest = float(min(height, width))
    out: list[CropBox] = []
    for _ in range(10 * count if longest > smallest else 0):
        side = float(np.exp(rng.uniform(np.log(smallest), np.log(longest))))
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
        margins = [(box, max(box[2] - box[0], box[3] - box[1]) / 2) for box in faces]
        near = any(
            x < x1 + m and x + side > x0 - m and y < y1 + m and y + side > y0 - m
            for (x0, y0, x1, y1), m in margins
        )
        if not near:
            out.append(CropBox(x - 0.5, y - 0.5, side).rounded())
        if len(out) == count:
            break
    return out


def degrade(image: Image, landmarks: ArrayLike, other: Image, rng: np.random.Generator) -> Image:
    """Spoil a crop by one harm of random strength, from hardly visible to no face left.

    Resolution, blur, noise, faded contrast, a patch of one colour or a patch of another crop.

    Args:
        image: (120, 120, 3) uint8.
        landmarks: (68, 2+) crop1 frame; patches aim at their box.
        other: a crop of another photo.
    """
    strength = float(rng.random())
    out: NDArray[Any] = image.astype(np.float32)
    kind = rng.integers(6)
    if kind == 0:
        side = round(60 * (4 / 60) ** strength)
        out = cv2.resize(out, (side, side), interpolation=cv2.INTER_AREA)
        out = cv2.resize(out, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_LINEAR)
    elif kind == 1:
        out = cv2.GaussianBlur(out, (0, 0), 0.5 + 11.5 * strength)
    elif kind == 2:
        out = out + rng.normal(0, 5 + 95 * strength, out.shape)
    elif kind == 3:
        out = (out - out.mean()) * (1 - 0.97 * strength) + rng.uniform(0, 255)
    else:
        points = np.asarray(landmarks)[:, :2] - 1
        low, high = points.min(axis=0), points.max(axis=0)
        stretch = np.exp(rng.normal(0, 0.25) * np.array([1, -1]))
        size = (high - low) * np.sqrt(0.05 + 1.15 * strength) * stretch
        centre = low + (high - low) * (rng.random(2) if rng.random() < 0.7 else 0.5)
        x0, y0 = np.maximum(centre - size / 2, 0).astype(int)
        x1, y1 = np.clip(centre + size / 2, 0, INPUT_SIZE).astype(int)
        if x1 > x0 and y1 > y0:
            turned = np.ascontiguousarray(np.rot90(other, int(rng.integers(1, 4))))
            patch = cv2.resize(turned, (int(x1 - x0), int(y1 - y0)))
            out[y0:y1, x0:x1] = rng.uniform(0, 255, 3) if kind == 4 else patch
    return np.clip(out, 0, 255).astype(np.uint8)
