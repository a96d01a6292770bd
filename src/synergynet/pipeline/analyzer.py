"""``FaceAnalyzer``: a photo in, faces out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..detection import FaceDetector, create_detector
from ..detection.base import Detection, non_maximum_suppression
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..face_model.sources import resolve_face_model
from ..geometry.conventions import Conventions
from ..geometry.crops import CropBox, crop_from_box_by_height, crop_from_landmarks
from ..geometry.params import EXPRESSION, FloatArray
from ..regression import ParamsRegressor, Prediction, assess, cut_crops, load_regressor
from ..regression.cropping import largest_side
from .arkit import unit_weights
from .face import Face, crop_to_image, image_pose

_SAME_FACE_IOU = 0.5
"""Two answers whose landmark boxes overlap more than this are one face."""

_SIZE_JUMP = 3.0
"""A second crop this many times larger or smaller than the first is not believed."""


@dataclass(frozen=True)
class Timings:
    """Seconds spent on one photo.

    Attributes:
        detection: finding boxes.
        regression: cutting crops and running the network, all passes.
        decode: parameters to landmarks, pose and weights (meshes are made when asked for).
    """

    detection: float
    regression: float
    decode: float


@dataclass(frozen=True)
class Analysis:
    """Faces of one photo, best score first, and what they cost."""

    faces: list[Face]
    timings: Timings


class FaceAnalyzer:
    """Detector, network and face model, loaded once.

    >>> from synergynet import FaceAnalyzer, read_image  # doctest: +SKIP
    >>> faces = FaceAnalyzer()(read_image("photo.jpg"))  # doctest: +SKIP

    Args:
        detector: a name known to ``synergynet.detection.create_detector``, or a detector.
        weights: a weights file, a regressor, or None for the shipped network.
        face_model: a model, ``open-head``, an ``.npz``, a ``3dmm_data`` folder, or None for
            the one inside the weights' file or else the shipped one.
        device: where the network runs, ``cpu`` or ``cuda``.
        conventions: exact by default; of the official ones Euler decode, detector box rule
            and the y of the translation matter here.
        passes: network passes; from the second on, crops are cut about the landmarks of the
            pass before, as the training crops were.
        threads: of one network call; 0 lets ONNX Runtime choose.

    Raises:
        SynergyNetError: files missing or damaged, or weights trained with another face model.
    """

    def __init__(
        self,
        detector: str | FaceDetector = "default",
        weights: str | Path | ParamsRegressor | None = None,
        face_model: FaceModel | str | Path | None = None,
        device: str = "cpu",
        conventions: Conventions | None = None,
        passes: int = 2,
        *,
        threads: int = 0,
    ) -> None:
        if passes < 1:
            raise SynergyNetError(f"passes is {passes}, but the network must run at least once")
        if weights is None or isinstance(weights, str | Path):
            source = "the shipped network" if weights is None else str(weights)
            self.regressor = load_regressor(weights, device=device, threads=threads)
        else:
            source, self.regressor = "the network", weights
        if isinstance(face_model, FaceModel):
            self.face_model = face_model
        elif face_model is None and self.regressor.face_model is not None:
            self.face_model = self.regressor.face_model
        else:
            self.face_model = resolve_face_model(face_model)[0]
        self.regressor.info.check_face_model(self.face_model, source)
        self.detector = create_detector(detector) if isinstance(detector, str) else detector
        self.conventions = conventions or Conventions.exact()
        self.passes = passes

    def __call__(
        self, image: NDArray[np.uint8], *, channel_order: Literal["BGR", "RGB"] = "BGR"
    ) -> list[Face]:
        """The faces of a photo, best score first; see :meth:`analyze`."""
        return self.analyze(image, channel_order=channel_order).faces

    def analyze(
        self, image: NDArray[np.uint8], *, channel_order: Literal["BGR", "RGB"] = "BGR"
    ) -> Analysis:
        """Find and reconstruct all faces of a photo; the network sees them as one batch.

        Args:
            image: (H, W, 3) uint8, as ``cv2.imread`` or :func:`read_image` give it.
            channel_order: ``BGR`` (OpenCV) or ``RGB`` (Pillow, matplotlib).

        Raises:
            SynergyNetError: not such an image, or the weights answer with NaN.
        """
        bgr = _checked(image, channel_order)
        clock = time.perf_counter()
        found = self.detector.detect(bgr)
        detection = time.perf_counter() - clock
        first = [(d, self._first_crop(d)) for d in found]
        kept = [(d, box) for d, box in first if _usable(box, bgr.shape)]
        if not kept:
            return Analysis([], Timings(detection, 0.0, 0.0))
        detections = [d for d, _ in kept]
        boxes = [box.rounded() for _, box in kept]
        regression = decode = 0.0
        for turn in range(self.passes):
            clock = time.perf_counter()
            crops = cut_crops(bgr, boxes, border=self.regressor.info.border)
            answer = assess(self.regressor, crops)
            regression += time.perf_counter() - clock
            clock = time.perf_counter()
            landmarks = self._landmarks(answer.params, boxes)
            if turn + 1 < self.passes:
                boxes = [_next_crop(p, b, bgr.shape) for p, b in zip(landmarks, boxes, strict=True)]
            decode += time.perf_counter() - clock
        clock = time.perf_counter()
        faces = self._faces(detections, boxes, answer, landmarks)
        decode += time.perf_counter() - clock
        return Analysis(faces, Timings(detection, regression, decode))

    def _first_crop(self, detection: Detection) -> CropBox:
        if self.conventions.detector_box == "height":
            return crop_from_box_by_height(detection.box)
        return CropBox.from_center(*self.detector.crop_square(detection))

    def _landmarks(self, raw: FloatArray, boxes: list[CropBox]) -> FloatArray:
        """Raw (N, 62) in their crops -> (N, 68, 3) image frame."""
        decoded = self.face_model.decode_landmarks(raw)
        frame = self.regressor.info.frame
        return np.stack([crop_to_image(p, b, frame) for p, b in zip(decoded, boxes, strict=True)])

    def _faces(
        self,
        detections: list[Detection],
        boxes: list[CropBox],
        answer: Prediction,
        landmarks: FloatArray,
    ) -> list[Face]:
        raw, expected = answer.params, answer.expected_nme
        frame = self.regressor.info.frame
        outline = np.concatenate([landmarks.min(axis=1)[:, :2], landmarks.max(axis=1)[:, :2]], 1)
        scores = np.array([d.score for d in detections])
        different = non_maximum_suppression(outline, scores, _SAME_FACE_IOU)
        weights = unit_weights(raw[:, EXPRESSION], self.face_model)
        return [
            Face(
                box=detections[i].box,
                score=detections[i].score,
                params=raw[i],
                crop=boxes[i],
                frame=frame,
                landmarks=landmarks[i],
                pose=image_pose(raw[i], boxes[i], frame, self.conventions),
                arkit=dict(zip(self.face_model.unit_names, weights[i].tolist(), strict=True)),
                face_model=self.face_model,
                expected_nme=None if expected is None else float(expected[i]),
            )
            for i in different.tolist()
        ]


def _checked(image: NDArray[np.uint8], channel_order: str) -> NDArray[np.uint8]:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise SynergyNetError(f"the image is {kind}, expected a uint8 array (H, W, 3)")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise SynergyNetError(f"the image has shape {image.shape}, expected (H, W, 3)")
    if channel_order not in ("BGR", "RGB"):
        raise SynergyNetError(f"channel order '{channel_order}' is neither BGR nor RGB")
    return np.ascontiguousarray(image[..., ::-1] if channel_order == "RGB" else image)


def _usable(box: CropBox, shape: tuple[int, ...]) -> bool:
    """Whether a crop is finite, of a possible size, and touches the image."""
    if not np.isfinite([box.left, box.top, box.side]).all():
        return False
    inside = (-box.side < box.left < shape[1]) and (-box.side < box.top < shape[0])
    return bool(inside and 1 <= box.side <= largest_side(shape) - 1)


def _next_crop(landmarks: FloatArray, box: CropBox, shape: tuple[int, ...]) -> CropBox:
    """The crop of the next pass; the same one again where the landmarks make no sense."""
    if not np.isfinite(landmarks).all():
        return box
    following = crop_from_landmarks(landmarks)
    believable = box.side / _SIZE_JUMP <= following.side <= box.side * _SIZE_JUMP
    return following.rounded() if believable and _usable(following, shape) else box
