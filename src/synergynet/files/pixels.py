"""A photo as the rest of the package takes it: contiguous (H, W, 3) uint8 BGR."""

from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from .images import read_image

Image: TypeAlias = NDArray[np.uint8] | str | Path
"""(H, W, 3) uint8, or the path of a photo."""

ChannelOrder: TypeAlias = Literal["BGR", "RGB"]


def as_bgr(image: Image, channel_order: ChannelOrder) -> NDArray[np.uint8]:
    """A photo, given as array or path, as contiguous (H, W, 3) uint8 BGR.

    Raises:
        SynergyNetError: not such an image.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if image is None:
        raise SynergyNetError(
            "the image is None; cv2.imread answers so where it cannot read a file: use read_image"
        )
    if isinstance(image, bytes | bytearray | memoryview):
        raise SynergyNetError(
            "the image is the bytes of a file; give its path, or pixels: cv2.imdecode reads them"
        )
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise SynergyNetError(f"the image is {kind}, expected a uint8 array (H, W, 3)")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise SynergyNetError(f"the image has shape {image.shape}, expected (H, W, 3)")
    if channel_order not in ("BGR", "RGB"):
        raise SynergyNetError(f"channel order '{channel_order}' is neither BGR nor RGB")
    return np.ascontiguousarray(image[..., ::-1] if channel_order == "RGB" else image)
