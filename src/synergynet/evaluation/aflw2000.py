"""AFLW2000-3D as published: NME of 68 landmarks in three bins of yaw, MAE of the Euler angles."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from rich.table import Table

from ..datasets.readers import Reader
from ..datasets.readers.aflw2000_crops import BENCHMARK_IMAGES, Aflw2000, load_aflw2000
from ..errors import SynergyNetError
from ..geometry import frames, pose
from ..geometry.params import FloatArray
from .metrics import (
    BIN_NAMES,
    BinnedNme,
    EulerMae,
    Group,
    binned_nme,
    break_down,
    euler_mae,
    exact_photo_points,
    nme,
    official_photo_points,
    yaw_bins,
)
from .report import euler_table, group_table, nme_table
from .result import MeasuredFaces, Result

load = load_aflw2000


@dataclass(frozen=True, kw_only=True)
class EvaluationResult(Result):
    """Accuracy of one network on AFLW2000-3D.

    Attributes:
        bin_images: faces in each bin of the NME.
        nme_official, nme_exact: {'ori', 're'} by the published and the exact arithmetic.
        euler_official, euler_exact: MAE by the published and the exact decode.
        groups: accuracy by pose and size.
    """

    benchmark = Aflw2000.name
    benchmark_images = BENCHMARK_IMAGES
    bin_images: tuple[int, int, int]
    nme_official: Mapping[str, BinnedNme]
    nme_exact: Mapping[str, BinnedNme]
    euler_official: EulerMae
    euler_exact: EulerMae
    groups: tuple[Group, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return self.facts() | {
            "images_per_bin": dict(zip(BIN_NAMES, self.bin_images, strict=True)),
            "seconds": round(self.seconds, 3),
            "nme_percent": {k: v.mean_json() for k, v in self.nme_official.items()},
            "nme_percent_std": {k: v.std_json() for k, v in self.nme_official.items()},
            "nme_percent_exact_frame": {k: v.mean_json() for k, v in self.nme_exact.items()},
            "nme_percent_exact_frame_std": {k: v.std_json() for k, v in self.nme_exact.items()},
            "euler_mae_degrees": {
                "images": self.euler_official.images,
                "official": self.euler_official.to_json(),
                "exact": self.euler_exact.to_json(),
            },
            "groups": [group.to_json() for group in self.groups],
        }

    def published_lines(self) -> tuple[str, ...]:
        """As the official script prints them: 'ori' truth, official arithmetic."""
        labels = ("[ 0, 30]", "[30, 60]", "[60, 90]", "[ 0, 90]")
        return (
            "Facial Alignment on AFLW2000-3D(NME):",
            *(
                f"{label} Mean:{mean:.3f} Std:{std:.3f}"
                for label, (mean, std) in zip(labels, self.nme_official["ori"].rows(), strict=True)
            ),
            "Face orientation estimation:",
            self.euler_official.published_line(),
        )

    def tables(self, groups: bool) -> list[Table]:
        counts = (*self.bin_images, self.images)
        angles = {"official": self.euler_official, "exact": self.euler_exact}
        errors = {"official": self.nme_official, "exact": self.nme_exact}
        more = [group_table(self.groups)] if groups else []
        return [nme_table(errors, counts), euler_table(angles), *more]


def measure(
    dataset: Reader, landmarks: FloatArray, cameras: FloatArray, facts: dict[str, Any]
) -> EvaluationResult:
    """As :class:`.sets.EvaluationSet` says; SynergyNetError also if a bin of the NME is empty."""
    data, frame = cast(Aflw2000, dataset), facts["frame"]
    official = official_photo_points(landmarks, frame, data.roi)
    exact = exact_photo_points(landmarks, frame, data.roi_unclipped)
    usable = np.isfinite(official).all() and np.isfinite(exact).all()
    if not usable or not np.linalg.norm(cameras[:, :2, :3], axis=-1).all():
        raise SynergyNetError(
            f"{facts['weights']}: answers decode to no face; are they raw parameters?"
        )
    truths = {"ori": data.points_ori, "re": data.points_re}
    cameras = cameras[data.euler_index]
    angles = pose.euler_from_camera(cameras, "exact")
    errors = nme(exact, data.points_ori)
    a, b, c = np.bincount(yaw_bins(data.yaw), minlength=len(BIN_NAMES)).tolist()
    return EvaluationResult(
        bin_images=(a, b, c),
        nme_official={k: binned_nme(nme(official, t), data.yaw) for k, t in truths.items()},
        nme_exact={k: binned_nme(nme(exact, t), data.yaw) for k, t in truths.items()},
        euler_official=euler_mae(pose.euler_from_camera(cameras, "official"), data.euler),
        euler_exact=euler_mae(angles, data.euler),
        groups=_groups(data, 100 * errors, np.abs(angles - data.euler)),
        faces=MeasuredFaces(
            100 * errors,
            frames.photo1_to_crop1(exact, data.roi_unclipped),
            frames.photo1_to_crop1(np.swapaxes(data.points_ori, 1, 2), data.roi_unclipped),
        ),
        **facts,
    )


def _groups(data: Aflw2000, errors: FloatArray, angle_errors: FloatArray) -> tuple[Group, ...]:
    truth, by_face = np.full((2, len(data), 3), np.nan)
    truth[data.euler_index], by_face[data.euler_index] = data.euler, angle_errors
    side = data.roi_unclipped[:, 2] - data.roi_unclipped[:, 0] + 1
    values = {
        "yaw": data.yaw,
        "pitch": truth[:, 0],
        "roll": truth[:, 2],
        "face size": side / np.sqrt(2),
    }
    return break_down(values, errors, by_face)
