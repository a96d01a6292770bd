"""Boxes in an image: their overlap, which of them to keep, and which crops make sense there.

A box is (x0, y0, x1, y1) in any one frame; a crop is a :class:`~.crops.CropBox` of the image frame.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .crops import CROP_RULES, DEFAULT_CROP_RULE, CropBox
from .params import FloatArray

Box = tuple[float, float, float, float]

_LARGEST = 4  # crop sides over the photo's longer side
_ALWAYS_ALLOWED = 1024  # pixels

_SUPPRESSED_AT_ONCE = 128
"""Boxes whose overlaps with all others are computed together."""

_SIZE_JUMP = 3.0
"""A crop this many times larger or smaller than the one before is not believed."""


def outline(points: ArrayLike) -> Box:
    """(x0, y0, x1, y1) about (n, 2 or 3) points, in their frame.

    >>> outline([[3, 1, 9], [2, 5, 0]])
    (2.0, 1.0, 3.0, 5.0)
    """
    xy = np.asarray(points, dtype=np.float64)[:, :2]
    x0, y0 = xy.min(axis=0).tolist()
    x1, y1 = xy.max(axis=0).tolist()
    return x0, y0, x1, y1


def overlaps(some: ArrayLike, others: ArrayLike) -> FloatArray:
    """(n, m) intersection over union of n boxes (n, 4) and m boxes (m, 4).

    >>> overlaps([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]]).round(3).tolist()
    [[1.0, 0.333, 0.0]]
    """
    a = np.asarray(some, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(others, dtype=np.float64).reshape(1, -1, 4)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    area = sum(np.prod(np.clip(box[..., 2:] - box[..., :2], 0, None), axis=2) for box in (a, b))
    return np.asarray(common / np.maximum(area - common, 1e-9))


def non_maximum_suppression(
    boxes: FloatArray, scores: FloatArray, max_iou: float
) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best score first; greedy.

    A box goes when its intersection over union with a better one exceeds ``max_iou``.

    Args:
        boxes: (K, 4) x0, y0, x1, y1.
        scores: (K,).
    """
    order = np.argsort(-scores, kind="stable")
    alive, keep = np.ones(len(order), dtype=bool), []
    for start in range(0, len(order), _SUPPRESSED_AT_ONCE):
        some = order[start : start + _SUPPRESSED_AT_ONCE]
        some = some[alive[some]]
        clear = overlaps(boxes[some], boxes) <= max_iou
        for row, box in enumerate(some.tolist()):
            if alive[box]:
                keep.append(box)
                alive &= clear[row]
    return np.array(keep, dtype=np.intp)


def largest_side(image_shape: tuple[int, ...]) -> int:
    """The largest side of a crop of an image (H, W, ...), in pixels.

    A face crop is never far larger than its photo; the limit keeps wild boxes from asking
    for gigabytes of black.
    """
    return max(_LARGEST * max(image_shape[:2]), _ALWAYS_ALLOWED)


def touches(crop: CropBox, image_shape: tuple[int, ...]) -> bool:
    """Whether a crop shows anything of an image (H, W, ...); False for NaN."""
    height, width = image_shape[:2]
    return -crop.side < crop.left < width and -crop.side < crop.top < height


def is_possible(crop: CropBox, image_shape: tuple[int, ...]) -> bool:
    """Whether a crop is finite, touches the image (H, W, ...) and is neither tiny nor huge."""
    return touches(crop, image_shape) and 1 <= crop.side <= largest_side(image_shape) - 1


def next_crop(
    landmarks: FloatArray,
    crop: CropBox,
    image_shape: tuple[int, ...],
    rule: str = DEFAULT_CROP_RULE,
) -> CropBox:
    """The crop of the next pass or frame, cut about the landmarks of this one.

    Args:
        landmarks: (68, 3) image frame, seen in ``crop``.
        image_shape: (H, W, ...).
        rule: the crop rule of the network, a key of ``CROP_RULES``.

    Returns:
        A crop on whole pixels; ``crop`` again where the landmarks make no sense.

    >>> corners = np.array([[100.0, 100.0, 0.0], [170.0, 150.0, 0.0]])
    >>> next_crop(corners, CropBox(80.5, 80.5, 100), (480, 640))
    CropBox(left=85.5, top=75.5, side=99)
    """
    if not np.isfinite(landmarks).all():
        return crop
    following = CROP_RULES[rule](landmarks)
    believable = crop.side / _SIZE_JUMP <= following.side <= crop.side * _SIZE_JUMP
    return following.rounded() if believable and is_possible(following, image_shape) else crop
