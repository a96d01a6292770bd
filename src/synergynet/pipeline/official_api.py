"""The Python interface of the official code, on this package's networks."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..detection import FaceDetector
from ..face_model.model import FaceModel
from ..geometry import frames
from ..geometry.conventions import Conventions
from ..geometry.params import FloatArray, split
from ..regression import ParamsRegressor
from .analyzer import FaceAnalyzer
from .face import Face

HeadPose: TypeAlias = list[list[float] | FloatArray]
"""``[[yaw, pitch, roll], translation (3,)]``."""


class SynergyNet:
    """The official demo's class: one call, three lists.

    >>> from synergynet import SynergyNet, read_image
    >>> lmk3d, mesh, pose = SynergyNet().get_all_outputs(read_image("examples/astronaut.jpg"))
    >>> lmk3d[0].shape, mesh[0].shape
    ((3, 68), (3, 12644))
    >>> (yaw, pitch, roll), translation = pose[0]

    By default the numbers are ours, in the same places: points are 0-based pixel centres of the
    photo, the angles are the exact inverse of the training data's convention, and the translation
    is the photo's, y down, in pixels. ``conventions=Conventions.official()`` gives the official
    arithmetic: one pass over a crop of 1.2 times the detector's box, points without the half
    pixels, the yaw that is 2 degrees off on average, a translation whose y is not flipped into
    the photo and whose z stays in crop pixels. The detector remains ours.

    Args:
        weights: as for :class:`FaceAnalyzer`; an official ``best.pth.tar`` is welcome.
        face_model: as for :class:`FaceAnalyzer`: with ``3dmm_data``, V is 53215.
        detector: as for :class:`FaceAnalyzer`.
        device: ``cpu`` or ``cuda``.
        conventions: exact by default.

    Raises:
        SynergyNetError: as :class:`FaceAnalyzer`.
    """

    def __init__(
        self,
        weights: str | Path | ParamsRegressor | None = None,
        face_model: FaceModel | str | Path | None = None,
        *,
        detector: str | FaceDetector | None = None,
        device: str = "cpu",
        conventions: Conventions | None = None,
    ) -> None:
        chosen = conventions or Conventions.exact()
        official_crop = chosen.detector_box == "height"
        self.analyzer = FaceAnalyzer(
            detector=detector,
            weights=weights,
            face_model=face_model,
            device=device,
            conventions=chosen,
            passes=1 if official_crop else 2,
            mirror=False if official_crop else None,
        )
        self.triangles = self.analyzer.face_model.triangles

    def get_all_outputs(
        self, input: NDArray[np.uint8]
    ) -> tuple[list[FloatArray], list[FloatArray], list[HeadPose]]:
        """Landmarks, meshes and poses of all faces, best score first.

        Args:
            input: (H, W, 3) uint8 **BGR**, as ``cv2.imread`` gives it.

        Returns:
            Three lists with an entry per face, empty where there is none:
            (3, 68) and (3, V) rows x, y, z in pixels of the photo, y down, z toward the viewer;
            ``[[yaw, pitch, roll] in degrees, translation (3,)]``.

        Raises:
            SynergyNetError: not such an image.
        """
        faces = self.analyzer(input)
        if self.analyzer.conventions.back_projection == "official":
            landmarks = [official_points(f, f.face_model.decode_landmarks(f.params)) for f in faces]
            meshes = [official_points(f, f.face_model.decode_vertices(f.params)) for f in faces]
            shifts = [official_translation(face) for face in faces]
        else:
            landmarks = [face.landmarks for face in faces]
            meshes = [face.vertices for face in faces]
            shifts = [face.pose.translation for face in faces]
        poses: list[HeadPose] = [
            [[face.pose.yaw, face.pose.pitch, face.pose.roll], shift]
            for face, shift in zip(faces, shifts, strict=True)
        ]
        return [p.T for p in landmarks], [p.T for p in meshes], poses


def official_points(face: Face, decoded: FloatArray) -> FloatArray:
    """Decoded points (n, 3) of a face's crop -> photo as the official demo does it.

    ``X = x side / 120 + left`` with the crop's 0-based first pixel as ``left``, although x counts
    from 1: about half to one crop pixel off.
    """
    first = np.array([face.crop.left, face.crop.top]) + 0.5
    roi = np.concatenate([first, first + face.crop.side])
    return frames.x120_to_photo1(decoded[None], roi[None])[0]


def official_translation(face: Face) -> FloatArray:
    """(3,) the camera's translation: x and y as points, y still counted upward, z as it is."""
    shift = split(np.asarray(face.params, dtype=np.float64))[0][:, 3]
    return np.append(official_points(face, shift[None])[0, :2], shift[2])
