"""A fixed split of a data set by a hash of each sample's name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VALIDATION_FRACTION = 0.05


def name_hash(names: Sequence[str]) -> NDArray[np.float64]:
    """A number in [0, 1) per name: the first 8 bytes of its SHA-256."""
    digests = (hashlib.sha256(name.encode()).digest()[:8] for name in names)
    return np.array([int.from_bytes(d, "big") / 2**64 for d in digests])


def validation_mask(
    names: Sequence[str], fraction: float = VALIDATION_FRACTION
) -> NDArray[np.bool_]:
    """True for the held-back part: the same names whatever else the list holds."""
    return name_hash(names) < fraction
