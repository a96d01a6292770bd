"""Skin: the texture of one head, painted with OpenCV on the unrolled mean face."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...geometry.landmarks import INNER_LIPS, LEFT_BROW, OUTER_LIPS, RIGHT_BROW
from ...geometry.params import FloatArray
from .background import grain, smooth
from .head import ATLAS_SHAPE, HeadScene, atlas_of

Texture = NDArray[np.float32]
_SMALL = 4  # the texture's broad shades are mixed at a quarter of its resolution

_TONES = np.array(
    [[250, 224, 208], [243, 208, 184], [230, 186, 156], [212, 162, 126], [184, 132, 96],
     [150, 102, 72], [112, 74, 52], [78, 50, 38]], dtype=np.float64,
)[:, ::-1]  # fmt: skip
"""Human skin from the lightest to the darkest, written as RGB, kept as BGR."""

_HAIR = np.array(
    [[22, 18, 16], [38, 28, 22], [62, 42, 28], [92, 62, 38], [130, 92, 54], [176, 136, 84],
     [206, 176, 128], [120, 60, 32], [150, 150, 150], [215, 212, 208]], dtype=np.float64,
)[:, ::-1]  # fmt: skip
_HAIR_SHARE = np.array([0.26, 0.2, 0.14, 0.1, 0.07, 0.06, 0.03, 0.04, 0.06, 0.04])


@dataclass(frozen=True, eq=False)
class Looks:
    """Colours of one person, BGR in [0, 255], and how hairy the face is.

    Attributes:
        dark: 0 for the lightest skin to 1 for the darkest.
        beard: 0 for none to 1 for a full beard.
    """

    skin: FloatArray
    dark: float
    hair: FloatArray
    brow: FloatArray
    beard: float
    make_up: float

    @property
    def exposure(self) -> float:
        """A camera opens up for dark skin, though not all the way."""
        return float((0.38 / np.square(self.skin / 255).mean()) ** 0.4)


def draw_looks(rng: Generator) -> Looks:
    """A random person."""
    dark = rng.beta(1.0, 1.25)
    at = dark * (len(_TONES) - 1)
    low = min(int(at), len(_TONES) - 2)
    skin = _TONES[low] + (at - low) * (_TONES[low + 1] - _TONES[low])
    skin = skin * (1 + rng.normal(0, 0.05)) * (1 + rng.normal(0, 0.03, 3))
    share = _HAIR_SHARE * np.array([1, 1, *[1 - 0.85 * dark] * 6, 1, 1])
    kind = rng.choice(len(_HAIR), p=share / share.sum())
    hair = _HAIR[kind] * np.exp(rng.normal(0, 0.16)) * (1 + rng.normal(0, 0.04, 3))
    if rng.random() < 0.015:
        hair = rng.uniform(20, 230, 3)
    male = rng.random() < 0.5
    beard = float(rng.beta(0.9, 0.9)) if male and rng.random() < 0.55 else 0.0
    make_up = 0.0 if male else float(rng.beta(0.8, 1.4))
    grown = np.minimum(hair, 110) * rng.uniform(0.5, 0.95)
    brow = grown if kind < 8 or rng.random() < 0.5 else hair * 0.8
    return Looks(skin.clip(20, 255), dark, hair.clip(6, 240), brow, beard, make_up)


@dataclass(frozen=True, eq=False)
class _Mask:
    """Coverage in [0, 1] of a part of the atlas."""

    rows: slice
    columns: slice
    cover: Texture

    @classmethod
    def trimmed(cls, cover: Texture, top: int = 0, left: int = 0) -> _Mask:
        """From the coverage of a larger part that begins at (``top``, ``left``)."""
        x, y, w, h = cv2.boundingRect((cover > 0.004).astype(np.uint8))
        return cls(
            slice(top + y, top + y + h), slice(left + x, left + x + w),
            np.ascontiguousarray(cover[y : y + h, x : x + w]),
        )  # fmt: skip

    def lay(self, image: Texture, color: FloatArray, opacity: float) -> None:
        """Blend a colour (3,) into ``image`` (3, H, W), in place."""
        part = image[:, self.rows, self.columns]
        part += (color.astype(np.float32)[:, None, None] - part) * (
            self.cover * np.float32(opacity)
        )


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where things are on the mean face: masks, and lines in texels."""

    lips: _Mask
    lip_line: _Mask
    flush: Texture  # these two at a quarter of the resolution
    eye_socket: Texture
    beard: _Mask
    goatee: _Mask
    moustache: _Mask
    scalp: _Mask
    nostrils: _Mask
    creases: _Mask
    brows: tuple[FloatArray, FloatArray]
    lids: tuple[FloatArray, FloatArray]
    eye_area: tuple[int, int, int, int]  # top, bottom, left, right: brows and lids


def paint_skin(scene: HeadScene, looks: Looks, rng: Generator) -> Texture:
    """(320, 576, 3) float32 BGR in [0, 255]: albedo as it would be displayed."""
    layout = _layout(scene)
    rows, columns = ATLAS_SHAPE
    small = rows // _SMALL, columns // _SMALL
    light = 1 - looks.dark
    # Blotches of brightness and of redness.
    shade = 1 + 0.035 * smooth(*small, 9, 16, rng) + 0.018 * smooth(*small, 40, 72, rng)
    shade -= np.float32(rng.uniform(0, 0.22)) * layout.eye_socket
    flush = np.float32(max(rng.normal(0.05, 0.06), 0) * (0.25 + light))
    red = 0.02 * smooth(*small, 7, 12, rng) + flush * layout.flush
    red += np.float32(rng.uniform(0, 0.1)) * layout.eye_socket
    skin = looks.skin.astype(np.float32)
    red_of = (1 - red * 0.9, 1 - red, 1 + red * 0.25)
    image = np.empty((3, rows, columns), dtype=np.float32)  # in planes: NumPy is slow on triples
    coarse = 1 + np.float32(rng.uniform(0.005, 0.03)) * grain(rows, columns, rng)
    for plane, tone, tint in zip(image, skin, red_of, strict=True):
        cv2.resize(tone * shade * tint, (columns, rows), plane, interpolation=cv2.INTER_LINEAR)
        plane *= coarse
    layout.creases.lay(image, skin * 0.55, np.clip(rng.normal(0.05, 0.15), 0, 0.45))
    if rng.random() < 0.2:
        _freckles(rng).lay(image, skin * [0.4, 0.5, 0.65], rng.uniform(0.2, 0.7))
    _paint_lips(image, layout, looks, rng)
    _paint_beard(image, layout, looks, rng)
    if rng.random() < 0.6:
        layout.scalp.lay(image, 0.7 * looks.hair + 0.1 * looks.skin, rng.uniform(0.2, 0.9))
    layout.nostrils.lay(image, looks.skin * 0.16, rng.uniform(0.7, 1.0))
    _paint_brows(image, layout, looks, rng)
    _paint_lids(image, layout, looks, rng)
    return np.asarray(cv2.merge(list(image)), dtype=np.float32)


def _paint_lips(image: Texture, layout: _Layout, looks: Looks, rng: Generator) -> None:
    natural = looks.skin * [0.66, 0.60, 0.86] + rng.normal(0, 6, 3)
    if looks.make_up > 0.45 and rng.random() < 0.7:
        painted = np.array([rng.uniform(20, 120), rng.uniform(10, 90), rng.uniform(110, 225)])
        natural = natural * (1 - looks.make_up) + painted * looks.make_up
    layout.lips.lay(image, natural, rng.uniform(0.6, 1.0))
    layout.lip_line.lay(image, natural * 0.45, rng.uniform(0.2, 0.7))


def _paint_beard(image: Texture, layout: _Layout, looks: Looks, rng: Generator) -> None:
    if not looks.beard:
        return
    parts = [layout.beard if rng.random() < 0.7 else layout.goatee]
    if rng.random() < 0.85:
        parts.append(layout.moustache)
    lips = image[:, layout.lips.rows, layout.lips.columns].copy()
    strength = 0.12 + 0.83 * looks.beard
    color = looks.hair * 0.8 + 0.08 * looks.skin
    for mask in parts:
        high, wide = mask.cover.shape
        patchy = 1 + 0.25 * smooth(high, wide, 6, 14, rng) + 0.3 * grain(high, wide, rng)
        cover = np.clip(mask.cover * patchy, 0, 1)
        _Mask(mask.rows, mask.columns, cover).lay(image, color, strength)
    part = image[:, layout.lips.rows, layout.lips.columns]
    part += (lips - part) * (np.float32(0.85) * layout.lips.cover)


def _paint_brows(image: Texture, layout: _Layout, looks: Looks, rng: Generator) -> None:
    """A tapered bow along the brow landmarks, of short strokes."""
    top, bottom, left, right = layout.eye_area
    thickness, arch = rng.uniform(5.5, 11.5), rng.normal(0, 1.2)
    drop, density = rng.normal(0, 0.8), int(rng.integers(50, 120))
    mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
    for line, side in zip(layout.brows, (1, -1), strict=True):
        at = np.linspace(-0.06, 1.06, density) + rng.normal(0, 0.01, density)  # 0 outside, 1 inside
        knots = np.linspace(0, 1, len(line))
        x = np.interp(at, knots, line[:, 0]) + (at - at.clip(0, 1)) * 55 * side
        y = np.interp(at, knots, line[:, 1]) + drop - arch * np.sin(np.pi * at.clip(0, 1)) + 1.2
        width = thickness * np.interp(at, [-0.06, 0.15, 0.55, 0.95, 1.06], [0.1, 0.5, 0.9, 1, 0.5])
        lean = np.interp(at, [0, 0.8, 1.06], [1.0, 0.8, 0.1]) * -side + rng.normal(0, 0.15, density)
        start = np.stack([x - lean * width / 2, y + width / 2 * rng.uniform(0.5, 1, density)], 1)
        end = np.stack([x + lean * width / 2, y - width / 2 * rng.uniform(0.5, 1, density)], 1)
        strokes = _fixed(np.stack([start, end], axis=1) - [left, top])
        cv2.polylines(mask, list(strokes), False, 255, 1, cv2.LINE_AA, 4)
    soft = _Mask.trimmed(_soften(mask, rng.uniform(0.6, 1.5)), top, left)
    soft.lay(image, looks.brow, rng.uniform(0.55, 1.0))


def _paint_lids(image: Texture, layout: _Layout, looks: Looks, rng: Generator) -> None:
    """Lashes, liner, the fold above the eye, shadow on the lid."""
    top, bottom, left, right = layout.eye_area
    lash = 0.25 + 0.75 * looks.make_up
    mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
    fold = mask.copy()
    lift, width = rng.uniform(2.5, 6.5), 2 if rng.random() < lash else 1
    for ring in layout.lids:
        ring = ring - [left, top]
        middle = ring.mean(axis=0)
        upper = ring[ring[:, 1] < middle[1] + 0.3]
        upper = upper[np.argsort(upper[:, 0])]
        wide = middle + (upper - middle) * [1.06, 1.0] - [0, 0.7]
        high = middle + (upper - middle) * [1.12, 1.1] - [0, lift]
        cv2.polylines(mask, [_fixed(wide)], False, 255, width, cv2.LINE_AA, 4)
        cv2.polylines(mask, [_fixed(ring)], True, int(70 + 100 * lash), 1, cv2.LINE_AA, 4)
        cv2.polylines(fold, [_fixed(high)], False, 255, 1, cv2.LINE_AA, 4)
    if looks.make_up > 0.6 and rng.random() < 0.5:
        shadow = rng.uniform(20, 190, 3) * 0.5 + looks.skin * 0.3
        around = np.asarray(cv2.dilate(fold, np.ones((7, 7), np.uint8)), np.uint8)
        _Mask.trimmed(_soften(around, 2.5), top, left).lay(image, shadow, 0.5)
    crease = _Mask.trimmed(_soften(fold, 0.8), top, left)
    crease.lay(image, looks.skin * 0.5, rng.uniform(0.1, 0.6))
    dark = np.array([22, 24, 30]) + 0.1 * looks.skin
    lashes = _Mask.trimmed(_soften(mask, 0.5), top, left)
    lashes.lay(image, dark, rng.uniform(0.55, 0.85) + 0.15 * looks.make_up)


def _freckles(rng: Generator) -> _Mask:
    rows, columns = ATLAS_SHAPE
    mask = np.zeros(ATLAS_SHAPE, dtype=np.uint8)
    count = int(rng.integers(20, 160))
    at = rng.normal([columns / 2, rows * 0.5], [columns * 0.09, rows * 0.12], (count, 2))
    for (x, y), size in zip(at, rng.uniform(0.5, 1.6, count), strict=True):
        cv2.circle(mask, (int(x * 16), int(y * 16)), int(size * 16), 255, -1, cv2.LINE_AA, 4)
    return _Mask.trimmed(_soften(mask, 0.6))


def _soften(mask: NDArray[np.uint8], sigma: float) -> Texture:
    """uint8 coverage -> float32 in [0, 1], blurred."""
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), dtype=np.float32) / np.float32(255)


def _fixed(points: FloatArray) -> NDArray[np.int32]:
    """Texels -> OpenCV's fixed point with four fractional bits."""
    return np.rint(points * 16).astype(np.int32)


def _spots(*places: tuple[FloatArray, float, float]) -> Texture:
    """Soft spots over the whole atlas: (centre, width, height) in texels."""
    columns, rows = np.meshgrid(np.arange(ATLAS_SHAPE[1]), np.arange(ATLAS_SHAPE[0]))
    out = np.zeros(ATLAS_SHAPE, dtype=np.float32)
    for at, wide, high in places:
        distance = ((columns - at[0]) / wide) ** 2 + ((rows - at[1]) / high) ** 2
        # Without a floor the far tail is denormal, and every product with it slow.
        out = np.maximum(out, np.where(distance < 6, np.exp(-distance), 0))
    return out.astype(np.float32)


def _filled(outline: FloatArray, sigma: float) -> Texture:
    mask = np.zeros(ATLAS_SHAPE, dtype=np.uint8)
    cv2.fillPoly(mask, [_fixed(outline)], 255, cv2.LINE_AA, 4)
    return _soften(mask, sigma)


def _line(*ways: FloatArray, width: int, sigma: float) -> Texture:
    mask = np.zeros(ATLAS_SHAPE, dtype=np.uint8)
    cv2.polylines(mask, [_fixed(way) for way in ways], False, 255, width, cv2.LINE_AA, 4)
    return _soften(mask, sigma)


def _mirrored(line: FloatArray) -> FloatArray:
    """The same line on the other half of the face, run backwards."""
    return ((line * [-1, 1]) + [ATLAS_SHAPE[1], 0])[::-1]


@lru_cache(maxsize=2)
def _layout(scene: HeadScene) -> _Layout:
    """From the landmarks of the mean face; offsets are texels (1.5 to the millimetre)."""
    flat = atlas_of(scene.model.landmark_mean).astype(np.float64)
    lips, inner = flat[OUTER_LIPS], flat[INNER_LIPS]
    # From the sideburns over the cheeks to the corners of the mouth and round the chin.
    cheek = flat[[15, 14, 13]] + [[-6, 0], [-16, -4], [-30, -6]]
    upper = np.concatenate([cheek, [lips[6] + [12, -6], lips[6] + [2, 5]]])
    below = flat[1:16] + np.array([0, 45])  # under the chin
    beard = np.concatenate([below, upper, lips[7:12] + np.array([0, 6]), _mirrored(upper)])
    moustache = np.concatenate([flat[33] + [[16, 8], [-16, 8]], lips[[0, 2, 3, 4, 6]] - [0, 2]])
    cheeks = flat[[2, 14]] * 0.35 + flat[[36, 45]] * 0.2 + flat[[31, 35]] * 0.45
    eyes = flat[36:42].mean(axis=0), flat[42:48].mean(axis=0)
    fold = np.stack([flat[35] + [9, -8], flat[35] + [20, 12], flat[54] + [10, -4]])
    brow = (flat[21] + flat[22]) / 2
    forehead = [
        np.stack([flat[17] + [20, -d], brow - [0, d + 4], flat[26] + [-20, -d]])
        for d in (28, 42, 55)
    ]
    scalp = np.zeros(ATLAS_SHAPE, dtype=np.uint8)
    hairline = np.array(
        [[0, 170], [18, 170], [30, 95], [72, 95], [80, 60], [118, 60], [150, 28], [288, 18]]
    )
    line = np.concatenate([hairline, _mirrored(hairline), [[576, 0], [0, 0]]])
    cv2.fillPoly(scalp, [line.astype(np.int32)], 255)
    lids = tuple(_ordered(scene.atlas[ring]) for ring in scene.eye_rings)
    around = np.concatenate([flat[17:27], *lids])
    low, high = around.min(axis=0).astype(int) - 18, around.max(axis=0).astype(int) + 18

    def small(mask: Texture) -> Texture:
        size = ATLAS_SHAPE[1] // _SMALL, ATLAS_SHAPE[0] // _SMALL
        return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA))

    nostrils = flat[32] + [-4.5, 0.5], flat[34] + [4.5, 0.5]
    return _Layout(
        lips=_Mask.trimmed(_filled(lips, 1.2)),
        lip_line=_Mask.trimmed(_line(np.concatenate([inner, inner[:1]]), width=2, sigma=1.0)),
        flush=small(_spots((flat[30], 16, 16), (cheeks[0], 36, 26), (cheeks[1], 36, 26))),
        eye_socket=small(_spots(*((eye + np.array([0, 6]), 30, 15) for eye in eyes))),
        beard=_Mask.trimmed(_filled(beard, 5)),
        goatee=_Mask.trimmed(_spots((flat[57] + [0, 22], 34, 30)) * _filled(beard, 5)),
        moustache=_Mask.trimmed(_filled(moustache, 2.5)),
        scalp=_Mask.trimmed(_soften(scalp, 6)),
        nostrils=_Mask.trimmed(_spots(*((at, 4.5, 2.6) for at in nostrils))),
        creases=_Mask.trimmed(_line(fold, _mirrored(fold), *forehead, width=2, sigma=1.6)),
        brows=(flat[RIGHT_BROW], flat[LEFT_BROW][::-1]),
        lids=(lids[0], lids[1]),
        eye_area=(low[1], high[1], low[0], high[0]),
    )


def _ordered(points: FloatArray) -> FloatArray:
    """Points round an eye, sorted by their angle."""
    away = points - points.mean(axis=0)
    return points[np.argsort(np.arctan2(away[:, 1] * 2.5, away[:, 0]))].astype(np.float64)
