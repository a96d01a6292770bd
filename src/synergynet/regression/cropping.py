"""Cut crop boxes out of a photo: the network's input."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.boxes import largest_side
from ..geometry.crops import CropBox, zero_border
from ..geometry.params import INPUT_SIZE


def cut_crops(
    image: NDArray[np.uint8], boxes: Sequence[CropBox], *, border: int = 0
) -> NDArray[np.uint8]:
    """Cut boxes out of ``image`` and resize them to the network's input.

    Boxes are rounded to whole pixels (``CropBox.rounded``; project back with the rounded box);
    what lies outside the photo is black. Resizing is aligned on pixel centres, so that
    ``geometry.frames.crop1_to_image`` is its exact inverse. Shrinking averages over areas
    (``INTER_AREA``), because linear interpolation would skip pixels of large faces and alias;
    enlarging is linear.

    Args:
        image: (H, W, 3) uint8.
        boxes: N boxes in the image frame.
        border: outermost pixels of the crop that are set to 0 (``WeightsInfo.border``).

    Returns:
        (N, 120, 120, 3) uint8.

    Raises:
        ValueError: a box wider than ``geometry.boxes.largest_side``.
    """
    out = np.empty((len(boxes), INPUT_SIZE, INPUT_SIZE, 3), dtype=np.uint8)
    for index, box in enumerate(boxes):
        patch = _patch(image, box.rounded())
        side = patch.shape[0]
        if side == INPUT_SIZE:
            out[index] = patch
        else:
            method = cv2.INTER_AREA if side > INPUT_SIZE else cv2.INTER_LINEAR
            cv2.resize(patch, (INPUT_SIZE, INPUT_SIZE), dst=out[index], interpolation=method)
    return zero_border(out, border)


def _patch(image: NDArray[np.uint8], box: CropBox) -> NDArray[np.uint8]:
    """The pixels of a whole-pixel box, black outside; a view where it lies inside."""
    height, width = image.shape[:2]
    side = int(box.side)
    if side > largest_side(image.shape):
        raise ValueError(f"a crop of {side} pixels from an image of {width} x {height}")
    # Clipped far outside: such a box shows nothing, and Python would wrap huge slices round.
    left = int(np.clip(box.left + 0.5, -side, width))
    top = int(np.clip(box.top + 0.5, -side, height))
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    inside = image[y0:y1, x0:x1]
    if inside.shape[:2] == (side, side):
        return inside
    canvas = np.zeros((side, side, 3), dtype=np.uint8)
    canvas[y0 - top : y1 - top, x0 - left : x1 - left] = inside
    return canvas
