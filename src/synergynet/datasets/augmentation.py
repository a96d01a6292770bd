"""Augmentation of 120x120 crops together with their parameters and landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..geometry import params, pose
from ..geometry.conventions import Conventions
from ..geometry.crops import LANDMARK_BOX_PIXELS, zero_border
from ..geometry.params import INPUT_SIZE, FloatArray

CROP_CENTER = (INPUT_SIZE + 1) / 2
"""60.5: the crop's centre in 1-based crop pixels."""

Image = NDArray[np.uint8]

_GREY = np.array([0.114, 0.587, 0.299])  # weights of blue, green, red


class AugmentationConfig(BaseModel):
    """How strongly training crops are varied. Probabilities in [0, 1], lengths in crop pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recrop: bool = Field(True, description="cut again by the landmark rule before jittering")
    mirror: float = Field(0.5, ge=0, le=1)
    rotate: float = Field(0.5, ge=0, le=1, description="probability of an in-plane rotation")
    rotate_degrees: float = Field(18.0, ge=0, description="standard deviation")
    any_angle: float = Field(
        0.0, ge=0, le=1, description="probability of any in-plane angle instead, even upside down"
    )
    scale: float = Field(0.05, ge=0, description="standard deviation of log scale")
    shift_pixels: float = Field(2.2, ge=0, description="standard deviation per axis")
    color: float = Field(0.3, ge=0, lt=1, description="range of brightness, contrast, saturation")
    grey: float = Field(0.05, ge=0, le=1)
    blur: float = Field(0.15, ge=0, le=1)
    low_resolution: float = Field(0.1, ge=0, le=1)
    noise: float = Field(0.15, ge=0, le=1)
    erase: float = Field(0.2, ge=0, le=1, description="probability of a random patch")
    border: int = Field(0, ge=0, lt=60, description="width of the zeroed border; official: 5")
    masks: float = Field(0.0, ge=0, le=1, description="official half and quarter masks: 0.01")
    repeated_mask_bug: bool = False

    @classmethod
    def official(cls) -> AugmentationConfig:
        """Colour jitter, 5-pixel border and rare masks, as published."""
        quirks = Conventions.official()
        return cls(
            recrop=False, mirror=0, rotate=0, scale=0, shift_pixels=0, color=0.4, grey=0, blur=0,
            low_resolution=0, noise=0, erase=0, border=quirks.border, masks=0.01,
            repeated_mask_bug=quirks.repeated_mask_bug,
        )  # fmt: skip


def recrop_affine(
    landmarks: FloatArray,
    *,
    degrees: float = 0.0,
    scale: float = 1.0,
    shift: FloatArray | None = None,
) -> FloatArray:
    """(2, 3) affine of 1-based crop coordinates that cuts a face by the landmark rule.

    After a rotation about the face, the larger side of the 68-point box becomes 84.85 px times
    ``scale`` and its centre the crop's centre plus ``shift``.

    Args:
        landmarks: (68, 2+) crop1 frame.
        degrees: counter-clockwise on the screen.
    """
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = landmarks[:, :2] @ turn.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    factor = scale * LANDMARK_BOX_PIXELS / max(float((high - low).max()), 1e-6)
    offset = CROP_CENTER - factor * (low + high) / 2
    if shift is not None:
        offset = offset + shift
    return np.column_stack([factor * turn, offset])


def jitter_affine(*, degrees: float, scale: float, shift: FloatArray) -> FloatArray:
    """(2, 3) affine about the crop's centre: rotation (counter-clockwise), scale, shift."""
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    center = np.array([CROP_CENTER, CROP_CENTER])
    return np.column_stack([linear, center - linear @ center + shift])


def warp_crop(image: Image, affine: FloatArray, *, border_value: int | None = 0) -> Image:
    """Warp a crop by an affine of 1-based crop coordinates.

    ``border_value`` fills what lies outside; None repeats the edge pixels.
    """
    zero_based = affine.copy()
    zero_based[:, 2] += affine[:, :2].sum(axis=1) - 1  # A(x + 1) - 1
    warped = cv2.warpAffine(
        image,
        zero_based,
        (INPUT_SIZE, INPUT_SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if border_value is None else cv2.BORDER_CONSTANT,
        borderValue=(border_value or 0,) * 3,
    )
    return np.asarray(warped, dtype=np.uint8)


def move_label(
    raw: FloatArray, landmarks: FloatArray, affine: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Parameters (62,) and landmarks (68, 3) after ``affine`` (2, 3) of the crop plane."""
    out = np.array(raw, dtype=np.float64)
    camera = params.split(out)[0]
    out[params.POSE] = pose.transform_camera(camera, affine).reshape(-1)
    points = np.array(landmarks, dtype=np.float64)
    points[:, :2] = points[:, :2] @ affine[:, :2].T + affine[:, 2]
    points[:, 2] *= np.sqrt(abs(np.linalg.det(affine[:, :2])))
    return out, points


def vary_pixels(image: Image, config: AugmentationConfig, rng: np.random.Generator) -> Image:
    """Colour, blur, resolution, noise and a random patch; same shape, uint8."""
    matrix, offset = np.eye(3), 0.0  # brightness, contrast, saturation and grey are one affine map
    if config.color:
        brightness, contrast, saturation = 1 + config.color * rng.uniform(-1, 1, 3)
        mean = sum(cv2.mean(image)[:3]) / 3
        matrix = brightness * contrast * (saturation * matrix + (1 - saturation) * _GREY)
        offset = (1 - contrast) * brightness * mean
    if rng.random() < config.grey:
        matrix = np.full((3, 3), 1 / 3) @ matrix
    out: NDArray[Any] = cv2.transform(image, np.column_stack([matrix, np.full(3, offset)]))
    if rng.random() < config.blur:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < config.low_resolution:
        small = int(rng.uniform(28, 90))
        out = cv2.resize(out, (small, small), interpolation=cv2.INTER_AREA)
        out = cv2.resize(out, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_LINEAR)
    if rng.random() < config.noise:
        noise = rng.standard_normal(out.shape, dtype=np.float32) * np.float32(rng.uniform(2, 12))
        out = cv2.add(out, noise, dtype=cv2.CV_8U)
    if rng.random() < config.erase:
        height, width = rng.integers(12, 56, 2)
        y, x = rng.integers(-8, INPUT_SIZE - 8, 2)
        patch = out[max(y, 0) : y + height, max(x, 0) : x + width]
        patch[:] = rng.integers(0, 256, 3 if rng.random() < 0.5 else patch.shape, dtype=np.uint8)
    return np.asarray(out, dtype=np.uint8)


def official_mask(image: Image, kind: int, *, repeated_mask_bug: bool) -> Image:
    """Keep one of 7 parts: 4 quarters, left or right half, or the centre; the rest is black.

    The official code's fourth mask (bottom right) keeps the top-left quarter by mistake.
    """
    h, w = image.shape[0] // 2, image.shape[1] // 2
    top, bottom, left, right = slice(0, h), slice(h, None), slice(0, w), slice(w, None)
    whole = slice(None)
    parts = [
        (top, left),
        (top, right),
        (bottom, left),
        (top, left) if repeated_mask_bug else (bottom, right),
        (whole, left),
        (whole, right),
        (slice(h // 2, -(h // 2)), slice(w // 2, -(w // 2))),
    ]
    out = np.zeros_like(image)
    out[parts[kind]] = image[parts[kind]]
    return out


@dataclass(frozen=True)
class Augmenter:
    """Varies one labelled crop at a time; deterministic in the generator handed to it."""

    config: AugmentationConfig

    def __call__(
        self, image: Image, raw: FloatArray, landmarks: FloatArray, rng: np.random.Generator
    ) -> tuple[Image, FloatArray, FloatArray]:
        """(120, 120, 3), (62,), (68, 3) -> the same, moved and varied together."""
        c = self.config
        degrees = rng.normal(0, c.rotate_degrees) if rng.random() < c.rotate else 0.0
        if c.any_angle and rng.random() < c.any_angle:
            degrees = rng.uniform(-180, 180)
        scale = float(np.exp(rng.normal(0, c.scale)))
        shift = rng.normal(0, c.shift_pixels, 2)
        if c.recrop:
            affine = recrop_affine(landmarks, degrees=degrees, scale=scale, shift=shift)
        else:
            affine = jitter_affine(degrees=degrees, scale=scale, shift=shift)
        if c.recrop or degrees or c.scale or c.shift_pixels:
            outside = 0 if rng.random() < 0.5 else None
            image = warp_crop(image, affine, border_value=outside)
            raw, landmarks = move_label(raw, landmarks, affine)
        image = vary_pixels(image, c, rng)
        image = zero_border(image, c.border)
        if rng.random() < c.masks:
            image = official_mask(
                image, int(rng.integers(7)), repeated_mask_bug=c.repeated_mask_bug
            )
        return image, raw, landmarks
