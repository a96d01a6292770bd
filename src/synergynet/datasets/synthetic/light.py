"""Light on a mesh: coloured ambient and sky, one key light with a cast shadow, gloss."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...geometry.params import FloatArray
from ...rendering import rasterize, vertex_normals
from ...rendering.rasterizer import Backend

_DIRECTIONS = 48
_SHADOW_SIDE = 96
_AO_SIDE = 160
_VIEW = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Light:
    """Linear light, BGR, in the image frame (y down, z toward the viewer).

    Attributes:
        ambient: (3,) from everywhere.
        gradient: (3, 3) [axis, colour]: more from one side (first-order harmonics).
        key: (3,) colour of the key light, ``direction`` (3,) unit vector toward it.
        gloss: strength of the sheen; ``shininess`` its exponent.
        shadow: how dark the key light's shadows are, in [0, 1].
    """

    ambient: FloatArray
    gradient: FloatArray
    key: FloatArray
    direction: FloatArray
    gloss: float
    shininess: float
    shadow: float

    def diffuse(
        self, normals: FloatArray, open_sky: FloatArray | float, lit: FloatArray | float
    ) -> FloatArray:
        """(N, 3) unit normals -> (N, 3) irradiance; factors in [0, 1] for each light."""
        n = normals.astype(np.float32)
        soft = np.maximum(self.ambient + n @ self.gradient, 0) * np.reshape(open_sky, (-1, 1))
        facing = np.maximum(n @ self.direction, 0)[:, None]
        return (soft + facing * np.reshape(lit, (-1, 1)) * self.key).astype(np.float32)

    def sheen(self, normals: FloatArray, lit: FloatArray | float) -> FloatArray:
        """(N,) gloss of the key light at unit ``normals`` (N, 3)."""
        half = self.direction + _VIEW
        facing = normals @ (half / np.linalg.norm(half))
        facing = np.maximum(facing, 0.05).astype(np.float32)  # powers of less are denormal: slow
        return (self.gloss * lit * facing**self.shininess).astype(np.float32)


def draw_light(exposure: float, rng: Generator) -> Light:
    """A random light: indoors to sunshine, from the front, a side, above, rarely below."""
    key_share = rng.beta(1.6, 1.6)
    toward = np.array([rng.normal(0, 0.8), rng.normal(-0.55, 0.55), rng.uniform(0.15, 1.2)])
    level = exposure * np.exp(rng.normal(0.0, 0.3))
    gradient = np.outer(rng.normal([0, -0.22, 0.05], 0.3), _tint(rng, 0.08))
    soft = 1.05 * (1 - 0.75 * key_share) * level
    return Light(
        ambient=(soft * _tint(rng, 0.05)).astype(np.float32),
        gradient=(soft * gradient).astype(np.float32),
        key=(1.3 * key_share * level * _tint(rng, 0.09)).astype(np.float32),
        direction=(toward / np.linalg.norm(toward)).astype(np.float32),
        gloss=float(rng.gamma(1.5, 0.09) * (0.3 + key_share)),
        shininess=float(rng.uniform(6, 30)),
        shadow=float(rng.uniform(0.35, 1.0)),
    )


def _tint(rng: Generator, spread: float) -> FloatArray:
    """(3,) BGR of mean 1: warm or cold, hardly green."""
    warm, green = rng.normal(0, spread), rng.normal(0, spread / 4)
    return np.array([1 - warm, 1 + green, 1 + warm])


@dataclass(frozen=True, eq=False)
class Ball:
    """Where the head is: centre (3,) and radius, image frame. Shadows are looked for in it."""

    centre: FloatArray
    radius: float


def seen_from(
    points: FloatArray,
    triangles: NDArray[np.int64],
    direction: FloatArray,
    within: Ball,
    side: int,
    tolerance: float,
    backend: Backend | None = None,
) -> FloatArray:
    """How far vertices are free of the mesh before them on the way to ``direction``.

    Args:
        points: (N, 3) image frame, as ``within``.
        side: of the depth map, pixels.
        tolerance: in the unit of ``points``; what is hidden by twice as much is dark.

    Returns:
        (N,) float32 in [0, 1]; 1 outside ``within``.
    """
    z = direction / np.linalg.norm(direction)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    axes = np.stack([x, np.cross(z, x), z])
    zoom = side / (2 * within.radius)
    shift = np.array([side / 2, side / 2, 0]) - axes @ within.centre * zoom
    turned = points @ (axes.T * zoom) + shift
    raster = rasterize(turned, triangles, side, side, cull_backfaces=True, backend=backend)
    column, row, height = turned.T
    at_x, at_y = np.rint(column).astype(np.intp), np.rint(row).astype(np.intp)
    inside = (at_x >= 0) & (at_x < side) & (at_y >= 0) & (at_y < side)
    ahead = raster.depth[np.where(inside, at_y, 0), np.where(inside, at_x, 0)] - height
    free = np.clip(2 - ahead / (tolerance * zoom), 0, 1)
    return np.where(inside, free, 1).astype(np.float32)


def cast_shadow(
    light: Light,
    points: FloatArray,
    triangles: NDArray[np.int64],
    within: Ball,
    tolerance: float,
    backend: Backend | None = None,
) -> FloatArray:
    """(N,) share of the key light that reaches each vertex."""
    free = seen_from(points, triangles, light.direction, within, _SHADOW_SIDE, tolerance, backend)
    return 1 - np.float32(light.shadow) * (1 - free)


def ambient_occlusion(points: FloatArray, triangles: NDArray[np.int64], within: Ball) -> FloatArray:
    """(N,) share of the sky that each vertex (N, 3), image frame, in millimetres, sees."""
    normals = vertex_normals(points, triangles)
    k = np.arange(_DIRECTIONS) + 0.5
    height, turn = 1 - 2 * k / _DIRECTIONS, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    seen, whole = np.zeros(len(points)), np.full(len(points), 1e-6)
    for direction in np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=1):
        facing = np.maximum(normals @ direction, 0)
        seen += facing * seen_from(points, triangles, direction, within, _AO_SIDE, 2.0)
        whole += facing
    return (seen / whole).astype(np.float32)
