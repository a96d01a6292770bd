"""Manual landmarks of ``aflw_train``, and the habits in which they differ from the labels."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synergynet.geometry import frames
from synergynet.geometry.landmarks import MIRROR
from synergynet.geometry.params import FloatArray

STYLE_YAWS = np.array([-85, -70, -55, -40, -25, -10, 0, 10, 25, 40, 55, 70, 85], dtype=float)
ENOUGH = 30
"""Faces at a yaw that a landmark must have been marked on for its style to be known there."""

N_JAW = 17
_VISIBLE = 2


def read_labels(folder: Path) -> dict[str, NDArray]:
    """The arrays of a folder's ``labels.npz``, beside its ``train.list``."""
    with np.load(folder / "labels.npz", allow_pickle=False) as data:
        return dict(data)


def manual_marks(labels: dict[str, NDArray]) -> FloatArray:
    """(N, 68, 2) camera frame of the crops; NaN where a landmark is hidden or not marked."""
    flat = labels["manual68"].transpose(0, 2, 1).astype(np.float64)
    deep = np.concatenate([flat, np.zeros((*flat.shape[:2], 1))], axis=2)
    seen = labels["visibility"] == _VISIBLE
    return np.where(seen[..., None], frames.crop1_to_camera(deep)[..., :2], np.nan)


def style(offsets: FloatArray, yaw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median offset (13, 68, 2) and spread (13, 68) of manual landmarks at ``STYLE_YAWS``.

    Args:
        offsets: (N, 68, 2) manual less predicted, along the face's axes and over its size; NaN
            where there is no mark. Each face counts for its mirror image too.
    """
    both = np.concatenate([offsets, offsets[:, MIRROR] * [-1, 1]])
    yaws = np.concatenate([yaw, -yaw])
    median = np.zeros((len(STYLE_YAWS), 68, 2))
    spread = np.full((len(STYLE_YAWS), 68), np.inf)
    for row, centre in enumerate(STYLE_YAWS):
        near = both[np.abs(yaws - centre) < (10 if abs(centre) > 10 else 7)]
        known = np.isfinite(near[..., 0]).sum(axis=0) >= ENOUGH
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            middle = np.nanmedian(near, axis=0)
            distance = np.nanmedian(np.linalg.norm(near - middle, axis=2), axis=0)
        median[row][known] = middle[known]
        spread[row][known] = distance[known] / 1.177  # the median of a Rayleigh distribution
    return median, spread


def at_yaw(table: FloatArray, yaw: FloatArray) -> FloatArray:
    """Rows of ``table`` (13, ...) interpolated at yaws (N,); the nearer one beside infinities."""
    low = np.clip(np.searchsorted(STYLE_YAWS, yaw) - 1, 0, len(STYLE_YAWS) - 2)
    part = np.clip((yaw - STYLE_YAWS[low]) / np.diff(STYLE_YAWS)[low], 0, 1)
    part = part.reshape(-1, *[1] * (table.ndim - 1))
    a, b = table[low], table[low + 1]
    finite = np.isfinite(a) & np.isfinite(b)
    mixed = np.where(finite, a, 0) * (1 - part) + np.where(finite, b, 0) * part
    return np.where(finite, mixed, np.where(part < 0.5, a, b))
