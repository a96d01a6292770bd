"""Cheap noise: one fixed tile, cut at random places."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

_TILE = 1024


@lru_cache(maxsize=1)
def _tile() -> NDArray[np.float32]:
    return np.random.default_rng(19).standard_normal((_TILE, _TILE)).astype(np.float32)


def grain(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    """(height, width) standard normal noise, read-only, sides up to 960."""
    y, x = rng.integers(0, _TILE - height + 1), rng.integers(0, _TILE - width + 1)
    return _tile()[y : y + height, x : x + width]


def smooth(
    height: int, width: int, rows: int, columns: int, rng: Generator, channels: int = 1
) -> NDArray[np.float32]:
    """(height, width[, channels]) noise of ``rows`` x ``columns`` waves, about standard normal."""
    knots = rng.standard_normal((rows, columns, channels), dtype=np.float32)
    out = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(out, dtype=np.float32)
