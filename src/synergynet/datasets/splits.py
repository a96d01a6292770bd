"""A fixed split of a data set by a hash of each photo's name."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VALIDATION_FRACTION = 0.05

# 300W-LP: AFW_Flip/AFW_134212_1_0.jpg is face 1, pose 0 of photo AFW_134212, mirrored. The official
# list, of crops augmented once more, has AFWFlip_AFW_134212_1_0_3.jpg, all in one folder.
_PHOTO = re.compile(
    r"(?:^|[/_])((?:AFW|HELEN|IBUG|LFPW)_(?:image_(?:(?:train|test)_)?)?\d+)(?=[_.]|$)"
)


def name_hash(names: Sequence[str]) -> NDArray[np.float64]:
    """A number in [0, 1) per name: the first 8 bytes of its SHA-256."""
    digests = (hashlib.sha256(name.encode()).digest()[:8] for name in names)
    return np.array([int.from_bytes(d, "big") / 2**64 for d in digests])


def photo_of(name: str) -> str:
    """The photo that a crop was made from: the same for all poses, mirrored or not, in 300W-LP.

    >>> photo_of("LFPW_Flip/LFPW_image_test_0001_3.jpg")
    'LFPW_image_test_0001'

    Names of other data sets stand for themselves.
    """
    found = _PHOTO.search(name)
    return found[1] if found else name


def validation_mask(
    names: Sequence[str], fraction: float = VALIDATION_FRACTION
) -> NDArray[np.bool_]:
    """True for the held-back part: the same names whatever else the list holds.

    Crops of one photo fall on the same side, so that no copy of a held-back face is trained on.
    """
    return name_hash([photo_of(name) for name in names]) < fraction
