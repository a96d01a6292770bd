"""The texture of a face, sampled from its photo.

What the photo shows is taken from it. What it hides is taken from the other side of the face,
matched in colour, where that side is seen; the rest is filled smoothly.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray
from .attributes import vertex_normals
from .rasterizer import Raster, rasterize
from .scene import covered_box
from .uv import UvLayout

DEFAULT_SIZE = 1024

_GRAZING, _FACING = 0.25, 0.50
"""Cosine of the surface to the view: nothing is taken below the first, all above the second."""
_TOLERANCE = 0.012
"""Of the mesh's size: how far behind the z-buffer a point still counts as seen."""
_MIRROR_ERROR = 0.05
"""Of the head's size: how far apart mirrored points may lie on the mean face."""
_SPREADING = 200
"""Rounds in which vertices without a colour ask their neighbours."""
_GAIN = 1.8
"""Most that the mirrored side is brightened or darkened."""

Layer = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Texture:
    """A texture and where it comes from.

    Attributes:
        image: (S, S, 3) uint8 BGR, row 0 at v = 1; filled beyond the mesh, so that no
            background bleeds in.
        seen: (S, S) float32 in [0, 1], how much of the texel is the photo's.
        mirrored: (S, S) float32 in [0, 1], how much is the other side's; the rest is filled.
        covered: (S, S) where the mesh is.
    """

    image: NDArray[np.uint8]
    seen: Layer
    mirrored: Layer
    covered: NDArray[np.bool_]


def sample_texture(
    image: NDArray[np.uint8],
    vertices: ArrayLike,
    triangles: NDArray[np.integer],
    layout: UvLayout,
    mean: ArrayLike,
    *,
    size: int = DEFAULT_SIZE,
    hidden: NDArray[np.bool_] | None = None,
) -> Texture:
    """Sample the texture of a face.

    Args:
        image: (H, W, 3) uint8 BGR photo.
        vertices: (V, 3) in its image frame.
        triangles: (T, 3) of the face model.
        layout: its texture coordinates, from ``open_seam``.
        mean: (V, 3) its mean shape, which says what mirrors what.
        size: side of the texture in texels.
        hidden: (H, W) where something else stands before the face.

    Raises:
        ValueError: a size below 16.
    """
    if size < 16:
        raise ValueError(f"a texture of {size} x {size} texels is too small")
    points = np.asarray(vertices, dtype=np.float64)
    corners = layout.triangles[layout.sound]
    atlas = rasterize(layout.texels(size), corners, size, size)
    covered = atlas.mask
    normals = vertex_normals(points, triangles)[layout.source]
    weight = _visibility(
        image,
        atlas.interpolate(points[layout.source], corners),
        atlas.interpolate(normals, corners),
        points,
        triangles,
        hidden,
    )
    photo = _sample(image, points[layout.source], atlas, corners)
    seen = np.zeros((size, size), dtype=np.float32)
    seen[covered] = weight
    direct = np.zeros((size, size, 3), dtype=np.float32)
    direct[covered] = photo
    mirror = _mirror_map(np.asarray(mean, np.float64)[layout.source], layout, atlas, corners)
    if mirror is None:
        other, other_seen = direct, np.zeros_like(seen)
    else:
        other, other_seen = _other_side(direct, seen, *mirror)
    mirrored = (1 - seen) * other_seen
    known = seen + mirrored
    colors = seen[..., None] * direct + mirrored[..., None] * other
    filled = fill_smoothly(colors, known)
    out = colors + (1 - known)[..., None] * filled
    picture = np.rint(np.clip(out, 0, 255)).astype(np.uint8)
    return Texture(picture, seen, mirrored, covered)


def vertex_colors(
    image: NDArray[np.uint8],
    vertices: ArrayLike,
    triangles: NDArray[np.integer],
    *,
    hidden: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """(V, 3) uint8 BGR of each vertex in the photo; hidden ones take after their neighbours.

    For face models without texture coordinates; arguments as in :func:`sample_texture`.
    """
    points = np.asarray(vertices, dtype=np.float64)
    normals = vertex_normals(points, triangles)
    weight = _visibility(image, points, normals, points, triangles, hidden)
    at = points[:, :2].astype(np.float32)[None]
    colors = look_up(image, at)[0].astype(np.float64) * weight[:, None]
    known = weight.astype(np.float64)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    for _ in range(_SPREADING):
        if not (known < 1).any():
            break
        pull = np.zeros((len(points), 4))
        for a, b in ((0, 1), (1, 0)):
            np.add.at(pull, edges[:, a], np.column_stack([colors, known])[edges[:, b]])
        share = np.minimum(1, pull[:, 3]) - known
        grow = np.clip(share, 0, None) / np.maximum(pull[:, 3], 1e-9)
        colors += pull[:, :3] * grow[:, None]
        known += pull[:, 3] * grow
    average = colors.sum(axis=0) / known.sum() if known.sum() > 0 else np.full(3, 127.5)
    colors += (1 - known)[:, None] * average
    return np.rint(np.clip(colors, 0, 255)).astype(np.uint8)


def look_up(
    picture: NDArray[Any],
    grid: NDArray[np.float32],
    interpolation: int = cv2.INTER_LINEAR,
    *,
    outside: float | None = None,
) -> NDArray[Any]:
    """The picture at pixel positions ``grid`` (H, W, 2), x and y.

    Args:
        outside: value beyond the picture; by default its edge goes on.
    """
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    x, y = np.ascontiguousarray(grid[..., 0]), np.ascontiguousarray(grid[..., 1])
    value = (outside or 0.0,) * 4
    source = np.ascontiguousarray(picture)
    return np.asarray(cv2.remap(source, x, y, interpolation, borderMode=border, borderValue=value))


def fill_smoothly(colors: Layer, weight: Layer) -> Layer:
    """Colours everywhere from those where ``weight`` is, by an image pyramid (pull and push).

    Args:
        colors: (H, W, C) float32, multiplied by the weight.
        weight: (H, W) float32 in [0, 1].

    Returns:
        (H, W, C) float32.
    """
    height, width = weight.shape
    if min(height, width) <= 1:
        total = float(weight.sum())
        mean = colors.sum(axis=(0, 1)) / total if total > 0 else np.full(colors.shape[2], 127.5)
        return np.broadcast_to(mean, colors.shape).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    small = cv2.resize(np.dstack([colors, weight]), half, interpolation=cv2.INTER_AREA)
    small_colors, small_weight = small[..., :-1], small[..., -1]
    # Weights grow on the way down: a pixel with any knowledge below it is known.
    grown = np.minimum(1, 4 * small_weight)
    scaled = small_colors * (grown / np.maximum(small_weight, 1e-9))[..., None]
    below = fill_smoothly(scaled.astype(np.float32), grown.astype(np.float32))
    wide = cv2.resize(below, (width, height), interpolation=cv2.INTER_LINEAR)
    spread = np.reshape(wide, colors.shape)  # OpenCV drops a single channel's axis
    return np.asarray(colors + (1 - weight)[..., None] * spread, dtype=np.float32)


def _visibility(
    image: NDArray[np.uint8],
    at: FloatArray,
    facing: FloatArray,
    points: FloatArray,
    triangles: NDArray[np.integer],
    hidden: NDArray[np.bool_] | None,
) -> Layer:
    """(K,) how well the photo shows points (K, 3) of a mesh with normals (K, 3), in [0, 1]."""
    height, width = image.shape[:2]
    toward = facing[:, 2] / np.maximum(np.linalg.norm(facing, axis=1), 1e-9)
    ramp = np.clip((toward - _GRAZING) / (_FACING - _GRAZING), 0, 1)
    weight = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    box = covered_box(points, height, width)
    if box is None:
        return np.zeros_like(weight)
    left, top, right, bottom = box
    # At twice the photo's resolution, so that the z-buffer's steps are small.
    low = points - [left, top, 0]
    low[:, :2] = (low[:, :2] + 0.5) * 2 - 0.5
    depth = rasterize(low, triangles, 2 * (bottom - top), 2 * (right - left)).depth
    # Soft edges: the share of the pixels around that the point is not behind.
    reach = _TOLERANCE * float(np.linalg.norm(np.ptp(points, axis=0)))
    x = np.rint((at[:, 0] - left + 0.5) * 2 - 0.5).astype(np.intp)
    y = np.rint((at[:, 1] - top + 0.5) * 2 - 0.5).astype(np.intp)
    free = np.zeros_like(weight)
    for dy in (-2, 0, 2):
        for dx in (-2, 0, 2):
            xs, ys = np.clip(x + dx, 0, depth.shape[1] - 1), np.clip(y + dy, 0, depth.shape[0] - 1)
            free += depth[ys, xs] - at[:, 2] < reach
    weight *= np.clip(free / 9 * 2 - 1, 0, 1)
    inside = (at[:, 0] >= 0) & (at[:, 0] <= width - 1) & (at[:, 1] >= 0) & (at[:, 1] <= height - 1)
    weight[~inside] = 0
    if hidden is not None:
        xi = np.clip(np.rint(at[:, 0]), 0, width - 1).astype(np.intp)
        yi = np.clip(np.rint(at[:, 1]), 0, height - 1).astype(np.intp)
        weight[hidden[yi, xi]] = 0
    return weight


def _sample(
    image: NDArray[np.uint8], points: FloatArray, atlas: Raster, corners: NDArray[np.integer]
) -> Layer:
    """(K, 3) the photo at the covered texels."""
    at = atlas.interpolate(points[:, :2], corners).astype(np.float32)
    low = np.clip(np.floor(at.min(axis=0)) - 3, 0, [image.shape[1] - 1, image.shape[0] - 1])
    high = np.clip(np.ceil(at.max(axis=0)) + 4, low + 1, [image.shape[1], image.shape[0]])
    left, top, right, bottom = (int(v) for v in (*low, *high))
    part = image[top:bottom, left:right]
    # A photo much finer than the texture is reduced first: no moire.
    covered = max(int(atlas.mask.sum()), 1)
    zoom = min(1.0, float(np.sqrt(4.0 * covered / max((right - left) * (bottom - top), 1))))
    if zoom < 1:
        size = (max(1, round(part.shape[1] * zoom)), max(1, round(part.shape[0] * zoom)))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    scale = np.array([part.shape[1] / (right - left), part.shape[0] / (bottom - top)])
    grid = np.zeros((*atlas.triangle.shape, 2), dtype=np.float32)
    grid[atlas.mask] = (at - [left, top] + 0.5) * scale - 0.5
    return look_up(part, grid, cv2.INTER_CUBIC)[atlas.mask].astype(np.float32)


def _mirror_map(
    mean: FloatArray, layout: UvLayout, atlas: Raster, corners: NDArray[np.integer]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
    """Texel -> texel (S, S, 2) of the other side and where that holds; None if nowhere.

    The layout must be a mirror image of itself in u or in v, as those of heads are. Whether it
    is, the mean face decides texel by texel.
    """
    size = len(atlas.triangle)
    span = float(np.ptp(mean[:, 0]))
    middle = layout.uv[np.abs(mean[:, 0]) < 0.01 * span]
    if len(middle) < 3:
        return None
    axis = int(np.argmin(np.median(np.abs(middle - np.median(middle, axis=0)), axis=0)))
    centre = float(np.median(middle[:, axis]))
    ticks = np.arange(size, dtype=np.float32)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    turn = centre if axis == 0 else 1 - centre
    grid[..., axis] = 2 * (turn * size - 0.5) - grid[..., axis]
    place = np.full((size, size, 3), 1e6, dtype=np.float32)
    place[atlas.mask] = atlas.interpolate(mean, corners)
    across = look_up(place, grid, cv2.INTER_NEAREST, outside=1e6)
    apart = np.linalg.norm(place - across * np.array([-1, 1, 1], dtype=np.float32), axis=2)
    good = atlas.mask & (apart < _MIRROR_ERROR * span)
    return (grid, good) if good.any() else None


def _other_side(
    direct: Layer, seen: Layer, grid: NDArray[np.float32], good: NDArray[np.bool_]
) -> tuple[Layer, Layer]:
    """The other side's colours, matched to this side's, and how far they are known."""
    both = np.dstack([direct * seen[..., None], seen])
    across = look_up(both, grid, outside=0.0)
    known = np.where(good, across[..., 3], 0).astype(np.float32)
    colors = across[..., :3] / np.maximum(across[..., 3:], 1e-6)
    # The light differs from side to side: the ratio of both where both are seen, spread
    # smoothly, carries over to where one is.
    shared = seen * known
    ratio = np.log((direct + 8) / (colors + 8))
    limit = float(np.log(_GAIN))
    ratio = np.clip(ratio, -limit, limit).astype(np.float32)
    blur = max(3.0, len(seen) / 40)
    # The neutral ratio with a little weight: far from all evidence the colours stay.
    weights = np.dstack([ratio * shared[..., None], shared])
    small = cv2.resize(weights, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    spread = np.zeros_like(small)
    for k in (1, 3, 9):
        spread = spread + cv2.GaussianBlur(small, (0, 0), blur / 4 * k) / k
    gain = np.exp(spread[..., :3] / (spread[..., 3:] + 1e-3))
    gain = cv2.resize(gain, seen.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(colors * gain, dtype=np.float32), known
