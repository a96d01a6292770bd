"""Pictures of 16 bits and more, and of floating point numbers, as the 8 bits of all others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_INTEGER_BITS = (8, 10, 12, 16, 24, 32)
"""Depths that cameras and scanners have; what they write into 16 bits may have fewer."""

_FLOAT_RANGES = (1.0, 255.0, 65535.0)
"""Values of white. A little more than the first is light above white."""

_OVER_WHITE = 1.5


def to_8_bits(image: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Any picture as uint8, by the range that its values are written for.

    Integers: the smallest of 8, 10, 12, 16, 24 and 32 bits that hold the largest value, so that
    8-bit values in a file of 16 bits are no black picture. Floating point: white is 1, 255 or
    65535, the first that the largest value fits; below black is black.

    Returns:
        None if values are NaN, infinite, or beyond all these ranges.
    """
    if image.dtype == np.uint8:
        return np.asarray(image, dtype=np.uint8)
    if image.dtype.kind in "iu":
        top = max(int(image.max()), 0)
        bits = next((b for b in _INTEGER_BITS if top < 1 << b), None)
        if bits is None:
            return None
        if image.dtype.kind == "i":
            image = np.maximum(image, 0)
        return (image >> (bits - 8)).astype(np.uint8)
    if image.dtype.kind != "f" or not np.isfinite(image).all():
        return None
    brightest = float(image.max())
    ends = ((w, w * (_OVER_WHITE if w == 1 else 1)) for w in _FLOAT_RANGES)
    white = next((w for w, end in ends if brightest <= end), None)
    if white is None:
        return None
    scaled = np.asarray(image, dtype=np.float32) * np.float32(255 / white)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
