"""What an evaluation found: one frozen value, its JSON and the published lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.whole_file import whole_file
from ..geometry.params import FloatArray
from .breakdown import Group
from .metrics import BIN_NAMES, AnswerFrame, BinnedNme, EulerMae

_DIGITS = 6


@dataclass(frozen=True, eq=False)
class MeasuredFaces:
    """The faces one by one, in the benchmark's order.

    Attributes:
        nme: (N,) percent, 'ori' truth in the exact frame.
        landmarks, truth: (N, 68, 3) crop1 frame.
    """

    nme: FloatArray
    landmarks: FloatArray
    truth: FloatArray

    def worst(self, count: int) -> NDArray[np.intp]:
        """Indices of the ``count`` faces with the largest error, worst first."""
        return np.argsort(-self.nme, kind="stable")[:count]


@dataclass(frozen=True)
class EvaluationResult:
    """Accuracy of one network on AFLW2000-3D.

    Attributes:
        weights: the checkpoint, or the file that the answers came from.
        face_model, face_model_hash: what decoded the answers.
        frame: the frame that the answers were declared to be in.
        border: pixels of the crops' edge that were zeroed before the network.
        mirror: whether answers are the mean over each crop and its mirror image.
        images: faces measured by the NME; ``bin_images`` of them in each bin.
        seconds: wall time, reading included.
        nme_official, nme_exact: {'ori', 're'} by the published and the exact arithmetic.
        euler_official, euler_exact: MAE by the published and the exact decode.
        groups: accuracy by pose and size.
        faces: the faces one by one; not part of the JSON.
    """

    weights: str
    face_model: str
    face_model_hash: str
    frame: AnswerFrame
    border: int
    mirror: bool
    images: int
    bin_images: tuple[int, int, int]
    seconds: float
    nme_official: Mapping[str, BinnedNme]
    nme_exact: Mapping[str, BinnedNme]
    euler_official: EulerMae
    euler_exact: EulerMae
    groups: tuple[Group, ...] = ()
    faces: MeasuredFaces | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and numbers: NME in percent, angles in degrees."""
        return {
            "benchmark": "AFLW2000-3D",
            "weights": self.weights,
            "face_model": self.face_model,
            "face_model_hash": self.face_model_hash,
            "frame": self.frame,
            "border": self.border,
            "mirror": self.mirror,
            "images": self.images,
            "images_per_bin": dict(zip(BIN_NAMES, self.bin_images, strict=True)),
            "seconds": round(self.seconds, 3),
            "nme_percent": _bins(self.nme_official, "mean"),
            "nme_percent_std": _bins(self.nme_official, "std"),
            "nme_percent_exact_frame": _bins(self.nme_exact, "mean"),
            "nme_percent_exact_frame_std": _bins(self.nme_exact, "std"),
            "euler_mae_degrees": {
                "images": self.euler_official.images,
                "official": _angles(self.euler_official),
                "exact": _angles(self.euler_exact),
            },
            "groups": [_group(g) for g in self.groups],
        }

    def write_json(self, path: str | Path) -> None:
        """Write :meth:`to_json`; the file appears whole or not at all.

        Raises:
            SynergyNetError: the file cannot be written.
        """
        text = json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n"
        with whole_file(Path(path)) as partial:
            partial.write_text(text, encoding="utf-8")

    def published_lines(self) -> tuple[str, ...]:
        """The lines that the official script prints: 'ori' truth, official arithmetic."""
        ori, euler = self.nme_official["ori"], self.euler_official
        rows = [*zip(ori.means, ori.stds, strict=True), (ori.mean, ori.std)]
        labels = ("[ 0, 30]", "[30, 60]", "[60, 90]", "[ 0, 90]")
        return (
            "Facial Alignment on AFLW2000-3D(NME):",
            *(
                f"{label} Mean:{mean:.3f} Std:{std:.3f}"
                for label, (mean, std) in zip(labels, rows, strict=True)
            ),
            "Face orientation estimation:",
            f"Mean MAE = {euler.mean:.3f} (in deg), [yaw,pitch,roll] = "
            f"[{euler.yaw:.3f}, {euler.pitch:.3f}, {euler.roll:.3f}]",
        )


def _bins(table: Mapping[str, BinnedNme], what: str) -> dict[str, dict[str, float]]:
    out = {}
    for truth, value in table.items():
        bins = value.means if what == "mean" else value.stds
        row = {name: round(v, _DIGITS) for name, v in zip(BIN_NAMES, bins, strict=True)}
        row["mean"] = round(value.mean if what == "mean" else value.std, _DIGITS)
        out[truth] = row
    return out


def _angles(value: EulerMae) -> dict[str, float]:
    return {name: round(getattr(value, name), _DIGITS) for name in ("yaw", "pitch", "roll", "mean")}


def _group(group: Group) -> dict[str, Any]:
    mae = None if math.isnan(group.mae) else round(group.mae, _DIGITS)
    return {
        "by": group.name,
        "range": [group.low, group.high],
        "images": group.images,
        "nme_percent": round(group.nme, _DIGITS),
        "nme_percent_median": round(group.median, _DIGITS),
        "euler_mae_degrees": mae,
    }
