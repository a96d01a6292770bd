"""How much to trust an answer: a number in [0, 1] from its expected error."""

import numpy as np
from numpy.typing import ArrayLike

from ..geometry.params import FloatArray

USABLE_NME = 8.0
"""Percent; confidence is 1/2 here. Landmarks this far off no longer follow the face."""

STEEPNESS = 5.0
"""Of the logistic curve in log(error), rounded from a fit to held-back crops."""

LOST_BELOW = 0.5
"""A crop with less confidence than this shows no face that could be followed; how often that is
right is measured in docs/confidence.md."""


def confidence(expected_nme: ArrayLike) -> FloatArray:
    """Expected NME in percent (...) -> confidence (...) in [0, 1], strictly decreasing.

    ``1 / (1 + (expected / 8)^5)``: about the chance that the true NME is below 8 %.
    """
    ratio = np.asarray(expected_nme, dtype=np.float64) / USABLE_NME
    with np.errstate(over="ignore"):
        return 1 / (1 + ratio**STEEPNESS)
