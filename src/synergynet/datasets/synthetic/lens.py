"""What a camera does to a picture: blur, few pixels, noise, colour cast, JPEG."""

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .background import grain

Image = NDArray[np.uint8]
_GREY = np.array([0.114, 0.587, 0.299], dtype=np.float32)


def photograph(image: NDArray[np.float32], rng: Generator) -> Image:
    """(S, S, 3) float32 BGR in [0, 255], display values -> uint8 as a camera would give it."""
    out: NDArray[Any] = image
    side = len(out)
    if rng.random() < 0.85:
        cast = 1 + rng.normal(0, 0.035, 3) * [1, 0.4, 1]
        gain, lift = rng.uniform(0.85, 1.18), rng.normal(0, 6)
        out = out * (gain * cast).astype(np.float32) + np.float32(lift)
    if rng.random() < 0.5:
        grey = (out @ _GREY)[..., None]
        keep = 0.0 if rng.random() < 0.12 else rng.uniform(0.6, 1.25)
        out = grey + (out - grey) * np.float32(keep)
    choice = rng.random()
    if choice < 0.35:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.35, 1.1))
    elif choice < 0.60:
        small = int(rng.uniform(34, 100))
        out = cv2.resize(out, (small, small), interpolation=cv2.INTER_AREA)
        way = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
        out = cv2.resize(out, (side, side), interpolation=way)
    elif choice < 0.66:
        out = cv2.filter2D(out, -1, _motion(rng))
    if rng.random() < 0.6:
        strength = np.float32(rng.gamma(1.5, 2.5))
        if rng.random() < 0.5:
            out = out + grain(side, side, rng)[..., None] * strength
        else:
            out = out + grain(side, side * 3, rng).reshape(side, side, 3) * strength
    picture = np.clip(out, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.uniform(22, 85))
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return picture


def _motion(rng: Generator) -> NDArray[np.float32]:
    """Kernel of a short straight camera shake."""
    kernel = np.zeros((9, 9), dtype=np.float32)
    angle, reach = rng.uniform(0, np.pi), rng.uniform(1, 3)
    dx, dy = 4 * 16 * 0.25 * reach * np.array([np.cos(angle), np.sin(angle)])
    start, end = (64 - int(dx), 64 - int(dy)), (64 + int(dx), 64 + int(dy))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA, 4)
    return kernel / max(float(kernel.sum()), 1e-6)
