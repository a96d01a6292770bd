"""What a synthetic face shows: identity, expression, gaze, pose and crop, drawn at random.

And, once it is rendered, which of its landmarks can be seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...face_model.model import FaceModel
from ...geometry import params, pose
from ...geometry.crops import LANDMARK_BOX_PIXELS
from ...geometry.params import N_SHAPE, FloatArray
from ..augmentation import CROP_CENTER

IDENTITY_SPREAD = 1.15
"""Identities are drawn a little wider than the prior: real people are more varied than it."""

_PAIRS: dict[str, tuple[float, float]] = {
    "mouthSmile": (0.32, 1.0), "mouthFrown": (0.12, 0.9), "mouthStretch": (0.10, 0.8),
    "mouthDimple": (0.10, 0.8), "mouthPress": (0.10, 0.8), "mouthUpperUp": (0.14, 0.8),
    "mouthLowerDown": (0.14, 0.8), "noseSneer": (0.10, 0.8), "cheekSquint": (0.14, 1.0),
    "browDown": (0.20, 1.0), "browOuterUp": (0.20, 1.0), "eyeSquint": (0.22, 0.9),
    "eyeWide": (0.12, 0.9),
}  # fmt: skip
_SINGLES: dict[str, tuple[float, float]] = {
    "jawOpen": (0.45, 1.0), "mouthPucker": (0.10, 1.0), "mouthFunnel": (0.08, 0.9),
    "mouthRollLower": (0.08, 0.7), "mouthRollUpper": (0.08, 0.7), "mouthShrugLower": (0.08, 0.8),
    "mouthShrugUpper": (0.06, 0.7), "cheekPuff": (0.05, 0.9), "jawForward": (0.05, 0.8),
    "browInnerUp": (0.22, 1.0),
}  # fmt: skip
_SIDEWAYS: dict[str, tuple[float, float]] = {"mouth": (0.08, 0.8), "jaw": (0.06, 0.7)}
"""ARKit unit (a pair without its Left and Right) -> (probability, largest weight)."""

_NEUTRAL = 0.12
_CROP_SCALE, _CROP_SHIFT = 0.05, 2.2
"""Standard deviations of log scale and of the shift in pixels, as in AugmentationConfig."""

HIDDEN, OCCLUDED, VISIBLE = 0, 1, 2
"""By the head itself; by something else, or outside the crop; visible. As in MERL-RAV."""

_TURNED_AWAY = -0.15
"""Cosine between normal and viewer below which a point is on the far side. A little under 0:
on the outline of a profile the normals of visible landmarks are at right angles to the view."""

_ON_EDGES = slice(36, 68)
"""Eyes and lips: their landmarks lie on edges that turn inward, so only the z-buffer decides."""

_EDGE_TOLERANCE = 2.5
"""Lids and lips fold over their landmarks by up to 7 mm in faces seen from the front."""


@dataclass(frozen=True, eq=False)
class Label:
    """Everything about one face that is known before it is painted.

    Attributes:
        params: (62,) float32 raw parameters, crop1 pixels; the 68 landmarks have mean z 0.
        rotation: (3, 3) model frame -> camera frame.
        scale: pixels per millimetre.
        body_rotation: (3, 3) of the shoulders, which follow the head half-way.
        unit_weights: (U,) float32 in [0, 1], ARKit units whose modes are in ``params``.
        gaze: (2,) degrees to the subject's left and up, against the head.
    """

    params: FloatArray
    rotation: FloatArray
    scale: float
    body_rotation: FloatArray
    unit_weights: FloatArray
    gaze: FloatArray


def draw_label(model: FaceModel, rng: Generator) -> Label:
    """A random face; ``model`` must name its units as ARKit does."""
    gaze = rng.normal(0, 9, 2).clip(-24, 24)
    weights = draw_units(model.unit_names, gaze, rng)
    expression = weights @ model.unit_coefficients
    identity = rng.normal(0, IDENTITY_SPREAD, N_SHAPE)
    rotation, body_rotation = _draw_rotation(rng)
    points = model.landmarks(identity, expression) @ rotation.T
    low, high = points.min(axis=0), points.max(axis=0)
    wide = 2.0 if rng.random() < 0.1 else 1.0
    size = np.exp(rng.normal(0, _CROP_SCALE * wide))
    shift = rng.normal(0, _CROP_SHIFT * wide, 2)
    scale = float(size * LANDMARK_BOX_PIXELS / (high - low)[:2].max())
    # The crop's centre is the same number in crop1 and, with y up, in the camera frame.
    at = np.append(CROP_CENTER + shift, 0) - scale * np.append(
        (low + high)[:2] / 2, points[:, 2].mean()
    )
    raw = params.join(pose.camera_from_pose(scale, rotation, at), identity, expression)
    return Label(raw.astype(np.float32), rotation, scale, body_rotation, weights, gaze)


def draw_units(names: tuple[str, ...], gaze: FloatArray, rng: Generator) -> FloatArray:
    """(U,) float32 weights in [0, 1]: a few units at a time, both sides nearly alike."""
    weights = dict.fromkeys(names, 0.0)

    def put(name: str, value: float) -> None:
        if name in weights:
            weights[name] = float(np.clip(value, 0, 1))

    def put_pair(name: str, value: float, unlike: float = 0.12) -> None:
        for side in ("Left", "Right"):
            put(name + side, value * (1 + rng.normal(0, unlike)))

    if rng.random() >= _NEUTRAL:
        for name, (chance, most) in _SINGLES.items():
            if rng.random() < chance:
                put(name, most * rng.beta(1.2, 1.8))
        for name, (chance, most) in _PAIRS.items():
            if rng.random() < chance:
                one_sided = rng.random() < 0.1
                put_pair(name, most * rng.beta(1.2, 1.6), 0.8 if one_sided else 0.12)
        for name, (chance, most) in _SIDEWAYS.items():
            if rng.random() < chance:
                put(name + str(rng.choice(["Left", "Right"])), most * rng.random())
        if weights.get("mouthSmileLeft", 0) > 0.3:
            put_pair("cheekSquint", 0.7 * weights["mouthSmileLeft"])
    if rng.random() < 0.10:
        put_pair("eyeBlink", rng.uniform(0.6, 1.0), 0.03)
    elif rng.random() < 0.04:
        put("eyeBlink" + str(rng.choice(["Left", "Right"])), rng.uniform(0.7, 1.0))
    elif rng.random() < 0.4:
        put_pair("eyeBlink", rng.uniform(0.0, 0.35), 0.05)
    left, up = gaze / 25
    for side, outward in (("Left", left), ("Right", -left)):
        put(f"eyeLookOut{side}", outward)
        put(f"eyeLookIn{side}", -outward)
        put(f"eyeLookUp{side}", up)
        put(f"eyeLookDown{side}", -up)
    return np.array(list(weights.values()), dtype=np.float32)


def _draw_rotation(rng: Generator) -> tuple[FloatArray, FloatArray]:
    """Rotations (3, 3) of head and shoulders.

    Nod, turn of the head, camera height and tilt of the picture, in this order. Drawing Euler
    angles instead would give no profile face that nods: at 90 degrees of yaw their pitch and
    roll are one and the same turn.
    """
    yaw = rng.uniform(-90, 90) if rng.random() < 0.9 else np.clip(rng.normal(0, 25), -90, 90)
    nod = np.clip(rng.normal(0, 13), -35, 35)
    height = np.clip(rng.normal(0, 10), -25, 25)
    # Tilting a profile turns yaw into pitch; less of it keeps the large yaws.
    tilt = np.clip(rng.normal(0, 12 if rng.random() < 0.65 else 48), -135, 135)
    tilt *= np.interp(abs(yaw), [30, 60], [1.0, 0.5])
    picture = pose.rotation_from_euler(0, 0, tilt) @ pose.rotation_from_euler(height, 0, 0)
    head = pose.rotation_from_euler(0, yaw, 0) @ pose.rotation_from_euler(nod, 0, 0)
    body = pose.rotation_from_euler(0, yaw * rng.uniform(0.2, 0.9), 0)
    lean = pose.rotation_from_euler(0, 0, -tilt * rng.uniform(0, 0.6))
    return picture @ head, lean @ picture @ body


def landmark_visibility(
    model: FaceModel,
    points: FloatArray,
    normals: FloatArray,
    depth: NDArray[np.float32],
    blocked: NDArray[np.float32],
    tolerance: float,
) -> NDArray[np.uint8]:
    """(68,) of ``HIDDEN``, ``OCCLUDED``, ``VISIBLE``.

    Args:
        points: (68, 3) landmarks in pixels of the picture.
        normals: (V, 3) of the vertices, image frame; the model's come first.
        depth: (S, S) z-buffer of the head, -inf where it is not.
        blocked: (S, S) how much of each pixel something else covers, in [0, 1].
        tolerance: how far a landmark may lie behind the z-buffer, same unit as z.
    """
    toward = model.at_landmarks(normals[: model.n_vertices])[:, 2]
    facing: NDArray[np.bool_] = np.greater(toward, _TURNED_AWAY)
    side = len(depth)
    at = np.rint(points[:, :2]).astype(np.intp)
    inside = ((at >= 1) & (at < side - 1)).all(axis=1)
    x, y = np.clip(at, 1, side - 2).T
    dy, dx = (d.ravel() for d in np.mgrid[-1:2, -1:2])
    around = depth[y[:, None] + dy, x[:, None] + dx]
    # The farthest of what is seen around: a landmark on the outline has a nearer surface beside it.
    farthest = np.where(np.isfinite(around), around, np.inf).min(axis=1)
    on_outline = ~np.isfinite(farthest)
    edges = np.zeros(len(points), dtype=bool)
    edges[_ON_EDGES] = True
    free = farthest - points[:, 2] < tolerance * np.where(edges, _EDGE_TOLERANCE, 1.0)
    facing = facing | (edges & inside & ~on_outline)
    out = np.full(len(points), HIDDEN, dtype=np.uint8)
    out[facing & (free | on_outline | ~inside)] = VISIBLE
    covered = blocked[y[:, None] + dy, x[:, None] + dx].mean(axis=1) > 0.5
    outside = (points[:, :2] < -0.5).any(axis=1) | (points[:, :2] > side - 0.5).any(axis=1)
    out[(out == VISIBLE) & (covered | outside)] = OCCLUDED
    return out
