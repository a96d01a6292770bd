"""Hair, headscarves and hats: a shell over the skull that may hang down beside the face.

The shell is a sheet of rows from the crown down and columns round the head. Each vertex knows
how far inside the covered part it lies (millimetres, negative outside); pixels compare that
number with noise, so that the edge breaks into strands.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...face_model.model import FaceModel
from ...geometry.params import FloatArray
from ...rendering import rasterize
from .background import random_color
from .head import grid_triangles

_CENTRE = np.array([0.0, 45.0, 15.0])
_COLUMNS, _ROWS, _HANGING = 73, 21, 12
_AZIMUTH = np.linspace(-180, 180, _COLUMNS)
_ELEVATION = np.linspace(86, -12, _ROWS)
_KNOTS = np.array([0, 25, 45, 60, 72, 86, 100, 116, 180], dtype=np.float64)
"""Degrees from the middle of the face at which the hairline's height is given."""
_EARS = 14.0 * np.outer(
    np.clip((_ELEVATION[0] - 60 - _ELEVATION) / 20, 0, 1),
    np.exp(-(((np.abs(_AZIMUTH) - 96) / 22) ** 2)),
)
"""(R, C) millimetres that the shell stands off where it covers the ears."""


@dataclass(frozen=True, eq=False)
class _Scalp:
    """Where each row and column of the shell touches the skull."""

    corners: NDArray[np.intp]  # (R, C, 3) head vertices
    weights: FloatArray  # (R, C, 3)
    height: FloatArray  # (R, C) of the mean face, millimetres


@dataclass(frozen=True, eq=False)
class Hair:
    """One head of hair (or cloth on it), ready to be turned and rasterised.

    Attributes:
        vertices: (V, 3) model frame.
        cover: (V,) millimetres inside the covered part.
        strands: (V, 2) coordinates of the strand noise, texels (across, along).
        edge: (2,) millimetres: how ragged and how soft the edge is.
        color: (3,) BGR in [0, 255].
        contrast: of the strands.
        gloss: of the sheen.
    """

    vertices: FloatArray
    cover: NDArray[np.float32]
    strands: NDArray[np.float32]
    edge: tuple[float, float]
    color: FloatArray
    contrast: float
    gloss: float


@dataclass(frozen=True)
class _Cut:
    """Heights of the hairline at the knots, thickness and length, millimetres."""

    line: tuple[float, ...]
    thickness: float
    length: float
    opening: float  # degrees from the middle of the face where hanging hair begins
    ragged: float
    over_ears: bool


SHELL_TRIANGLES = grid_triangles(0, _ROWS + _HANGING, _COLUMNS)
"""Of every :class:`Hair`."""


def draw_hair(model: FaceModel, face: FloatArray, color: FloatArray, rng: Generator) -> Hair | None:
    """Random hair or headwear on head vertices ``face`` (V, 3), model frame; None for none."""
    kind = rng.random()
    if kind < 0.16:
        return None
    cloth = kind > 0.9
    cut = _draw_cloth(rng) if cloth else _draw_cut(rng)
    scalp = _scalp(model)
    height = np.interp(np.abs(_AZIMUTH), _KNOTS, cut.line)
    cover = scalp.height - height
    if not cloth:  # a parting: one side is lower
        side = rng.normal(0, 0.12) * _AZIMUTH * (np.abs(_AZIMUTH) < 60)
        cover = cover + side
    touch = np.einsum("rcvk,rcv->rck", face[scalp.corners], scalp.weights)
    out = touch - _CENTRE
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    full = cut.thickness * np.clip(cover / 25, 0, 1) ** 0.7
    bumps = 1 + (0.0 if cloth else 0.18) * _waves(cover.shape, rng)
    full = full * bumps + cut.over_ears * _EARS * np.clip(cover / 10, 0, 1)
    crown = touch + out * (1.5 + full)[..., None]
    hanging, hang_cover = _hang(crown, cut, cloth, rng)
    vertices = np.concatenate([crown, hanging]).reshape(-1, 3)
    cover = np.concatenate([cover, hang_cover]).reshape(-1)
    turns = float(rng.uniform(150, 420))
    across = np.broadcast_to((_AZIMUTH + 180) / 360 * turns, (_ROWS + _HANGING, _COLUMNS))
    along = np.broadcast_to(np.arange(_ROWS + _HANGING)[:, None] * 5.0, across.shape)
    bend = rng.normal(0, 5) * np.sin(along / rng.uniform(6, 30))
    strands = np.stack([across + bend, along], axis=-1).reshape(-1, 2)
    return Hair(
        vertices,
        cover.astype(np.float32),
        strands.astype(np.float32),
        (0.3, 0.8) if cloth else (cut.ragged, float(rng.uniform(0.8, 3))),
        random_color(rng) if cloth else color,
        float(rng.uniform(0.02, 0.12) if cloth else rng.uniform(0.25, 0.6)),
        float(0.0 if cloth else rng.gamma(2.0, 0.08)),
    )


def _draw_cut(rng: Generator) -> _Cut:
    front = rng.normal(98, 5)
    temple = front - rng.uniform(2, 14) if rng.random() < 0.8 else front + rng.uniform(0, 14)
    burns = rng.uniform(0, 42)
    style = rng.random()
    thickness = rng.uniform(4, 16) if style < 0.45 else rng.uniform(8, 26)
    length = 32.0 if style < 0.45 else rng.uniform(60, 200)
    opening = 132.0 if style < 0.45 else rng.uniform(58, 92)
    if style >= 0.45 and rng.random() < 0.6:
        burns = -20.0  # covers the ears
    ragged = rng.uniform(1.5, 6)
    if rng.random() < 0.3:  # a fringe
        front = rng.uniform(46, 84)
        temple, ragged = front - rng.uniform(0, 15), rng.uniform(4, 14)
    over_ears = burns < 0
    line = (
        front, front, temple, min(temple, 64.0) if not over_ears else 40.0, burns,
        -20.0 if over_ears else 48.0, -20.0 if over_ears else 36.0, -40.0, -60.0,
    )  # fmt: skip
    return _Cut(line, thickness, length, opening, ragged, over_ears)


def _draw_cloth(rng: Generator) -> _Cut:
    """A cap or woollen hat, or a headscarf."""
    front = rng.uniform(58, 92)
    if rng.random() < 0.55:
        low = rng.uniform(38, 60)
        line = (front, front, front - 3, front - 8, low, low - 4, low - 6, low - 12, low - 20)
        return _Cut(line, rng.uniform(4, 16), 0.0, 181.0, 0.3, False)
    line = (front, front, front - 8, front - 30, -40.0, -40.0, -40.0, -40.0, -60.0)
    return _Cut(line, rng.uniform(4, 12), rng.uniform(110, 180), rng.uniform(60, 72), 0.3, True)


def _hang(
    crown: FloatArray, cut: _Cut, cloth: bool, rng: Generator
) -> tuple[FloatArray, FloatArray]:
    """Rows below the shell's rim: (H, C, 3) vertices and (H, C) cover."""
    down = np.linspace(0, 1, _HANGING + 1)[1:, None] * max(cut.length, 10.0)
    rim = crown[-1]
    flare = rng.normal(0.0, 0.15) * down + 3.0 * _waves((_HANGING, _COLUMNS), rng) * (not cloth)
    out = rim[:, [0, 2]] - _CENTRE[[0, 2]]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    # Behind the ears hair follows the neck.
    hug = 0.6 if cut.length < 50 else 0.25
    inward = hug * down * np.clip((np.abs(_AZIMUTH) - 110) / 50, 0, 1)
    vertices = np.empty((_HANGING, _COLUMNS, 3))
    vertices[..., [0, 2]] = rim[:, [0, 2]] + out * (flare - inward)[..., None]
    vertices[..., 1] = rim[:, 1] - down
    sideways = (np.abs(_AZIMUTH) - cut.opening) * 1.4
    chin = 0.12 * np.minimum(down, 90) if cloth else 0.0  # a scarf closes under the chin
    return vertices, np.minimum(sideways + chin, cut.length - down)


def _waves(shape: tuple[int, ...], rng: Generator) -> FloatArray:
    """Smooth waves of amplitude about 1 over rows and columns."""
    rows, columns = np.meshgrid(np.arange(shape[0]), _AZIMUTH, indexing="ij")
    out = np.zeros(shape)
    for _ in range(3):
        across, along, phase = rng.integers(2, 14), rng.normal(0, 0.5), rng.uniform(0, 6.3)
        out += np.sin(np.deg2rad(columns) * across + rows * along + phase) / 1.7
    return out


@lru_cache(maxsize=2)
def _scalp(model: FaceModel) -> _Scalp:
    """Cast rays from inside the mean head: a raster in azimuth and elevation."""
    away = model.mean - _CENTRE
    radius = np.linalg.norm(away, axis=1)
    azimuth = np.rad2deg(np.arctan2(away[:, 0], away[:, 2]))
    elevation = np.rad2deg(np.arcsin(np.clip(away[:, 1] / radius, -1, 1)))
    column = (azimuth + 180) / 360 * (_COLUMNS - 1)
    row = (_ELEVATION[0] - elevation) / (_ELEVATION[0] - _ELEVATION[-1]) * (_ROWS - 1)
    spread = np.column_stack([column, row, radius])
    triangles = model.triangles
    ears = (np.abs(model.mean[:, 0]) > 73.5) & (model.mean[:, 1] < 50)
    across_seam = np.ptp(azimuth[triangles], axis=1) > 180
    kept = triangles[~(ears[triangles].any(axis=1) | across_seam)]
    raster = rasterize(spread, kept, _ROWS, _COLUMNS)
    index = raster.triangle.astype(np.intp)
    weights = raster.barycentric.astype(np.float64)
    for of_row, share in zip(index, weights, strict=True):
        # Where a ray meets nothing (ear, seam), its neighbour's place.
        hit = np.flatnonzero(of_row >= 0)
        nearest = hit[np.abs(np.arange(_COLUMNS)[:, None] - hit).argmin(axis=1)]
        of_row[:], share[:] = of_row[nearest], share[nearest]
    corners = kept[index].astype(np.intp)
    height = np.einsum("rcv,rcv->rc", model.mean[corners][..., 1], weights)
    return _Scalp(corners, weights, height)
