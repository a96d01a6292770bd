"""What a stranger's file may ask for. The variables are read anew each time."""

import os

from ..errors import SynergyNetError

_MEGA = 1_000_000


def max_pixels() -> int:
    """Of a photo or a video's frame, before it is decoded: 100 megapixels take 300 MB.

    ``SYNERGYNET_MAX_MEGAPIXELS`` says otherwise.
    """
    return round(_number("SYNERGYNET_MAX_MEGAPIXELS", 100.0) * _MEGA)


def max_photo_bytes() -> int:
    """Of a photo's file. ``SYNERGYNET_MAX_PHOTO_MIB`` says otherwise than 512."""
    return round(_number("SYNERGYNET_MAX_PHOTO_MIB", 512.0) * (1 << 20))


def _number(name: str, default: float) -> float:
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise SynergyNetError(f"the variable {name} is {text!r}; give a number above 0")
    return value
