"""A training list of real crops turned to larger poses; see :mod:`.profiling`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry import params, pose
from ..geometry.params import FloatArray
from .profiling import draw_turn, turn_crop
from .readers.crop_list import label_whitening
from .readers.crop_store import read_crop
from .readers.list_folder import chunks_of, claim_folder, in_order, write_crop, write_list

RECORD = "turned.json"
FURTHEST_SOURCE = 70.0
"""Degrees of yaw beyond which a crop is not turned any further."""

_CHUNK = 100


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
