"""Where the errors are: accuracy by head pose and by the size of the face in the photo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..geometry.params import FloatArray
from .metrics import DIGITS

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
