"""Face profiling: turn a real crop in depth with its fitted mesh, label and all.

Zhu et al., "Face Alignment Across Large Poses", CVPR 2016, made 300W-LP this way. A face turned
away from the viewer shows what the photo already held; a side that was hidden cannot be
invented, so only turns that hide more of the face than they reveal look right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry import frames, params, pose
from ..geometry.params import INPUT_SIZE, FloatArray
from ..rendering.rasterizer import rasterize
from .augmentation import Image, move_label, recrop_affine
from .readers.crop_list import label_whitening
from .readers.crop_store import read_crop
from .readers.list_folder import chunks_of, claim_folder, in_order, write_crop, write_list

RECORD = "turned.json"
FURTHEST_SOURCE = 70.0
"""Degrees of yaw beyond which a crop is not turned any further."""

_CHUNK = 100
_STEP = 6
_MARGIN = 48
"""The background is a grid of nodes, so many pixels apart, this far beyond the crop's edge."""
_REACH = 30.0
"""Pixels from the head over which the background's movement fades to 1 / e."""
_BEHIND = -1e4
_GRAZING = 0.12
"""Cosine of the surface to the view below which the photo shows too little of a triangle."""

_Y_DOWN = np.diag([1.0, -1.0, 1.0])


@dataclass(frozen=True)
class TurnLimits:
    """Which turns are drawn, in degrees.

    Attributes:
        most: largest change of yaw.
        least: smallest change of yaw.
        furthest: largest yaw after the turn.
        pitch: standard deviation of the change of pitch, cut at two.
    """

    most: float = 55.0
    least: float = 8.0
    furthest: float = 90.0
    pitch: float = 11.0


def draw_turn(
    camera: FloatArray, rng: np.random.Generator, limits: TurnLimits | None = None
) -> FloatArray:
    """A turn (3, 3) of the camera frame that takes a face (3, 4) further from the frontal view."""
    c = limits or TurnLimits()
    rotation = pose.decompose_exact(camera)[1]
    forward = rotation[:, 2]  # where the face looks, camera frame
    yaw = float(np.rad2deg(np.arctan2(-forward[0], forward[2])))
    side = np.sign(yaw) if abs(yaw) > 12 else rng.choice([-1.0, 1.0])
    room = max(c.furthest - side * yaw, c.least)
    change = side * rng.uniform(c.least, min(c.most, room))
    tilt = float(np.clip(rng.normal(0, c.pitch), -2 * c.pitch, 2 * c.pitch))
    # About the head's own vertical axis as the picture shows it, so that a rolled head turns
    # like an upright one.
    up = rotation[:, 1] * [1.0, 1.0, 0.0]
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    right = np.array([up[1], -up[0], 0.0])
    return axis_turn(right, tilt) @ axis_turn(up, -change)


def axis_turn(axis: FloatArray, degrees: float) -> FloatArray:
    """Rotation (3, 3) about a unit axis (3,), right-handed."""
    return np.asarray(cv2.Rodrigues(np.asarray(axis) * np.deg2rad(degrees))[0])


def turn_crop(
    image: Image, raw: FloatArray, model: FaceModel, turn: FloatArray
) -> tuple[Image, FloatArray, FloatArray]:
    """A crop as it would look with the head turned, cut by the landmark rule.

    The head moves as its mesh does; the background follows at the outline and rests further out.

    Args:
        image: (120, 120, 3) uint8.
        raw: (62,) parameters of the crop, pixel frame.
        model: their face model.
        turn: (3, 3) rotation in the camera frame (x right, y up, z to the viewer).

    Returns:
        (120, 120, 3) uint8, (62,) float64 parameters, (68, 3) landmarks in the crop1 frame.
    """
    head = frames.crop1_to_crop0(np.asarray(model.decode_vertices(raw), dtype=np.float64))
    centre = head.mean(axis=0)
    turned = (head - centre) @ (_Y_DOWN @ turn @ _Y_DOWN).T + centre
    triangles = model.triangles[_faces_viewer(head, model.triangles)]
    nodes, cells = _background()
    before = np.concatenate([head[:, :2], nodes])
    background = nodes + _fading_movement(head, turned, triangles)
    after = np.concatenate([turned, np.column_stack([background, np.full(len(nodes), _BEHIND)])])

    new_raw = turn_label(raw, turn, frames.crop0_to_crop1(centre[None])[0])
    points: FloatArray = np.asarray(model.decode_landmarks(new_raw), dtype=np.float64)
    affine = recrop_affine(points)
    new_raw, points = move_label(new_raw, points, affine)
    moved = frames.crop0_to_crop1(after)
    moved[:, :2] = moved[:, :2] @ affine[:, :2].T + affine[:, 2]
    both = np.concatenate([triangles, cells + len(head)])
    seen = rasterize(frames.crop1_to_crop0(moved), both, INPUT_SIZE, INPUT_SIZE)
    where = np.full((INPUT_SIZE, INPUT_SIZE, 2), -1.0, dtype=np.float32)
    where[seen.mask] = seen.interpolate(before, both)
    picture = cv2.remap(
        image, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(picture, dtype=np.uint8), new_raw, points


def turn_label(raw: FloatArray, turn: FloatArray, centre: FloatArray) -> FloatArray:
    """Raw parameters (62,) after the head turned about ``centre`` (3,), crop1 frame."""
    out = np.array(raw, dtype=np.float64)
    camera = params.split(out)[0]
    pivot = frames.crop1_to_camera(np.asarray(centre)[None])[0]
    linear = turn @ camera[:, :3]
    shift = turn @ (camera[:, 3] - pivot) + pivot
    out[params.POSE] = np.column_stack([linear, shift]).reshape(-1)
    return out


def _faces_viewer(points: FloatArray, triangles: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(T,) which triangles the photo shows well enough to take their colours from."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    size = np.linalg.norm(normal, axis=1)
    return np.asarray(-normal[:, 2] > _GRAZING * size)  # y down turns the winding round


@cache
def _background() -> tuple[FloatArray, NDArray[np.int64]]:
    """Nodes (n, 2) of the grid, crop0 frame, and its triangles (m, 3)."""
    ticks = np.arange(-_MARGIN, INPUT_SIZE + _MARGIN + 1, _STEP, dtype=np.float64)
    x, y = np.meshgrid(ticks, ticks)
    index = np.arange(x.size).reshape(x.shape)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    cells = np.concatenate([np.column_stack([a, b, c]), np.column_stack([b, d, c])])
    return np.column_stack([x.ravel(), y.ravel()]), cells


def _fading_movement(
    before: FloatArray, after: FloatArray, triangles: NDArray[np.integer]
) -> FloatArray:
    """(n, 2) movement of the background's nodes: the head's own, fading with distance."""
    count = int(np.sqrt(len(_background()[0])))
    small = (before - [-_MARGIN, -_MARGIN, 0]) / [_STEP, _STEP, 1]
    head = rasterize(small, triangles, count, count)
    moved = np.zeros((count, count, 2))
    moved[head.mask] = head.interpolate((after - before)[:, :2], triangles)
    weight = head.mask.astype(np.float64)
    blurred = cv2.GaussianBlur(np.dstack([moved, weight]), (0, 0), 2.0)
    near = blurred[..., :2] / np.maximum(blurred[..., 2:], 1e-6)
    far = cv2.distanceTransform((~head.mask).astype(np.uint8), cv2.DIST_L2, 3) * _STEP
    faded = np.where(head.mask[..., None], moved, near * np.exp(-far / _REACH)[..., None])
    return faded.reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class _Task:
    output: Path
    crops: Path
    names: Sequence[str]
    params: FloatArray
    model: FaceModel
    seed: int


def turn_list(
    crops: Path,
    names: Sequence[str],
    raw: FloatArray,
    model: FaceModel,
    output: Path,
    *,
    count: int,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write ``count`` crops, each a turned one of the list, drawn with repetition.

    The same for any number of workers. Crops beyond 70 degrees of yaw are not used.

    Args:
        crops: folder of the 120x120 crops.
        names: (N,) their file names.
        raw: (N, 62) their raw parameters, pixel frame.
        model: the face model of ``raw``; needs its whole mesh.
        output: empty folder, or one of an unfinished run with the same settings.

    Returns:
        The list's path.

    Raises:
        SynergyNetError: no crop can be turned, a crop cannot be read, or ``output`` holds
            something else.
    """
    rotation = pose.decompose_exact(params.split(np.asarray(raw, dtype=np.float64))[0])[1]
    yaw = np.rad2deg(np.arcsin(np.clip(-rotation[:, 0, 2], -1, 1)))
    usable = np.flatnonzero(np.abs(yaw) < FURTHEST_SOURCE)
    if not len(usable):
        raise SynergyNetError(f"{crops}: every face looks further aside than 70 degrees")
    settings: dict[str, object] = {
        "crops": str(crops.resolve()),
        "usable": len(usable),
        "face_model": [model.name, model.hash],
        "count": count,
        "seed": seed,
    }
    claim_folder(output, RECORD, settings)
    kept = [names[int(i)] for i in usable]
    task = _Task(output, crops, kept, np.asarray(raw[usable], dtype=np.float64), model, seed)
    chunks = chunks_of(count, _CHUNK)
    turned = np.concatenate(in_order(_turn_chunk, task, chunks, workers, progress, total=count))
    return write_list(output, [_name(i) for i in range(count)], turned, label_whitening(turned))


def _name(index: int) -> str:
    return f"{index:06d}.jpg"


def _turn_chunk(task: _Task, indices: range) -> FloatArray:
    out = np.empty((len(indices), params.N_PARAMS))
    for row, index in enumerate(indices):
        rng = np.random.default_rng([task.seed, index])
        which = int(rng.integers(len(task.names)))
        image = read_crop(task.crops / task.names[which])
        raw = task.params[which]
        turn = draw_turn(params.split(raw)[0], rng)
        crop, out[row], _ = turn_crop(image, raw, task.model, turn)
        write_crop(task.output, _name(index), crop)
    return out
