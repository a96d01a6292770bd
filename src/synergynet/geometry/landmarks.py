"""Tables of the 68 landmarks (iBUG / dlib order)."""

import numpy as np
from numpy.typing import NDArray

N_LANDMARKS = 68

JAW = slice(0, 17)
RIGHT_BROW = slice(17, 22)
LEFT_BROW = slice(22, 27)
NOSE_BRIDGE = slice(27, 31)
NOSE_BASE = slice(31, 36)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)
OUTER_LIPS = slice(48, 60)
INNER_LIPS = slice(60, 68)
EYES = slice(36, 48)
MOUTH = slice(48, 68)

NOSE_TIP = 30

DRAW_GROUPS: tuple[tuple[slice, bool], ...] = (
    (JAW, False),
    (RIGHT_BROW, False),
    (LEFT_BROW, False),
    (NOSE_BRIDGE, False),
    (NOSE_BASE, False),
    (RIGHT_EYE, True),
    (LEFT_EYE, True),
    (OUTER_LIPS, True),
    (INNER_LIPS, True),
)
"""Lines of the classic drawing: (points, closed?)."""

# fmt: off
MIRROR: NDArray[np.intp] = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
     45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
     54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65],
    dtype=np.intp,
)
# fmt: on
"""``points[MIRROR]`` are the landmarks of the mirrored face (after x -> -x); an involution."""
