"""``FaceAnalyzer``: a photo in, faces out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ..detection import Detection, FaceDetector, SquareCalibration, create_detector
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..face_model.sources import resolve_face_model
from ..files.pixels import ChannelOrder, Image, as_bgr
from ..geometry.boxes import is_possible, next_crop, non_maximum_suppression, outline
from ..geometry.conventions import Conventions
from ..geometry.crops import CropBox, crop_from_box_by_height
from ..geometry.params import FloatArray
from ..regression import (
    MirrorAveraged,
    ParamsRegressor,
    Prediction,
    assess,
    can_mirror,
    cut_crops,
    load_regressor,
)
from ..weights.info import WeightsInfo
from .face import Face, crop_to_image

_SAME_FACE_IOU = 0.5
"""Two answers whose landmark boxes overlap more than this are one face."""

_PHOTOS_AT_ONCE = 16
"""Photos of a list whose crops go to the network together: enough for its speed, and few enough
to hold in memory."""


@dataclass(frozen=True)
class Timings:
    """Seconds spent on one photo.

    Attributes:
        detection: finding boxes.
        regression: cutting crops and running the network, all passes.
        decode: parameters to landmarks (poses, meshes and weights are made when asked for).
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

    >>> from synergynet import FaceAnalyzer, read_image
    >>> analyzer = FaceAnalyzer()
    >>> photo = read_image("examples/astronaut.jpg")
    >>> (face,) = analyzer(photo)
    >>> face.landmarks.shape
    (68, 3)
    >>> [len(faces) for faces in analyzer([photo, photo[:40]])]  # a list: one batch
    [1, 0]
    >>> (tracked,) = analyzer.faces_in(photo, [next_crop(face.landmarks, face.crop, photo.shape)])
    >>> bool(abs(tracked.landmarks - face.landmarks).max() < 5)
    True

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
        mirror: average the last pass with the network's answer to the mirrored crop: a twentieth
            less error for half a pass more. Without effect where ``mirrored`` says so: for face
            models that are not symmetric, and answers in another frame than crop pixels.
        threads: of one call of the network or of a detector given by name; 0 lets ONNX Runtime
            choose.

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
        mirror: bool = True,
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
        if isinstance(detector, str):
            detector = create_detector(detector, threads=threads)
        self.detector = detector
        self.conventions = conventions or Conventions.exact()
        self.passes = passes
        self.mirrored = mirror and can_mirror(self.regressor, self.face_model)
        self._last = (
            MirrorAveraged(self.regressor, self.face_model) if self.mirrored else self.regressor
        )

    @overload  # a str is a sequence too: hence the "ignore"
    def __call__(  # type: ignore[overload-overlap]
        self, images: Image, *, channel_order: ChannelOrder = "BGR"
    ) -> list[Face]: ...

    @overload
    def __call__(
        self, images: Sequence[Image], *, channel_order: ChannelOrder = "BGR"
    ) -> list[list[Face]]: ...

    def __call__(
        self, images: Image | Sequence[Image], *, channel_order: ChannelOrder = "BGR"
    ) -> list[Face] | list[list[Face]]:
        """The faces of a photo, best score first, or of each photo of a list.

        Args:
            images: (H, W, 3) uint8 or a path, or a sequence of them.
            channel_order: of the arrays. **The default is BGR**, as ``cv2.imread`` and
                :func:`read_image` give it; say ``RGB`` for Pillow, imageio and matplotlib.
                Swapped channels raise no error, only the accuracy suffers.

        Raises:
            SynergyNetError: not such an image, or the weights answer with NaN.
        """
        if isinstance(images, Sequence) and not isinstance(images, str):
            every = self.analyze_all(images, channel_order=channel_order)
            return [analysis.faces for analysis in every]
        return self.analyze(images, channel_order=channel_order).faces

    def analyze(self, image: Image, *, channel_order: ChannelOrder = "BGR") -> Analysis:
        """As calling, for one photo, with the time that each step took."""
        return self._analyze([as_bgr(image, channel_order)])[0]

    def analyze_all(
        self, images: Sequence[Image], *, channel_order: ChannelOrder = "BGR"
    ) -> list[Analysis]:
        """As calling, for a list, with times; the network sees up to 16 photos as one batch.

        Photos given as paths are read batch by batch. The time of a batch is divided among its
        photos by their faces.
        """
        out: list[Analysis] = []
        for start in range(0, len(images), _PHOTOS_AT_ONCE):
            batch = images[start : start + _PHOTOS_AT_ONCE]
            numbered = enumerate(batch, start)
            out += self._analyze([_numbered(image, channel_order, i) for i, image in numbered])
        return out

    def faces_in(
        self,
        image: NDArray[np.uint8],
        boxes: Sequence[CropBox],
        detections: Sequence[Detection] | None = None,
        *,
        channel_order: ChannelOrder = "BGR",
    ) -> list[Face]:
        """One pass of the network over given crops of a photo, as one batch, for trackers.

        No detector runs, no second pass and no mirrored one, and no answer is left out: one face
        per box, in order. See :func:`next_crop` for the crop of the next frame.

        Args:
            image: (H, W, 3) uint8.
            boxes: N crops, rounded to whole pixels here.
            detections: N, whose boxes and scores the faces carry; without them a face's box is
                that of its landmarks and its score 0.

        Raises:
            SynergyNetError: not such an image, an impossible box, or the weights answer with NaN.
        """
        bgr = as_bgr(image, channel_order)
        for box in boxes:
            if not is_possible(box, bgr.shape):
                raise SynergyNetError(f"{box} is no square that touches the image")
        whole = [box.rounded() for box in boxes]
        answer = self._answer([bgr], [whole], self.regressor)
        seen = [None] * len(whole) if detections is None else detections
        return [
            self._face(detection, box, bgr.shape, answer, i)
            for i, (detection, box) in enumerate(zip(seen, whole, strict=True))
        ]

    def _analyze(self, photos: list[NDArray[np.uint8]]) -> list[Analysis]:
        times, detections, boxes = [], [], []
        for bgr in photos:
            clock = time.perf_counter()
            found, squares = self._detect(bgr)
            times.append(time.perf_counter() - clock)
            detections.append(found)
            boxes.append(squares)
        counts = [len(squares) for squares in boxes]
        if not any(counts):
            return [Analysis([], Timings(t, 0.0, 0.0)) for t in times]
        regression = decode = 0.0
        for turn in range(self.passes):
            clock = time.perf_counter()
            last = turn + 1 == self.passes
            answer = self._answer(photos, boxes, self._last if last else self.regressor)
            regression += time.perf_counter() - clock
            clock = time.perf_counter()
            if not last:
                landmarks = self.face_model.decode_landmarks(answer.params)
                boxes = _next_crops(photos, boxes, landmarks, self.regressor.info)
            decode += time.perf_counter() - clock
        out, start = [], 0
        for bgr, found, squares, detection in zip(photos, detections, boxes, times, strict=True):
            clock = time.perf_counter()
            faces = [
                self._face(d, box, bgr.shape, answer, i)
                for i, (d, box) in enumerate(zip(found, squares, strict=True), start)
            ]
            faces = different_faces(faces)
            own = time.perf_counter() - clock
            start += len(squares)
            share = len(squares) / sum(counts)
            out.append(
                Analysis(faces, Timings(detection, share * regression, share * decode + own))
            )
        return out

    def _detect(self, bgr: NDArray[np.uint8]) -> tuple[list[Detection], list[CropBox]]:
        """The faces that the detector finds, and their first crops on whole pixels."""
        first = [(d, self._first_crop(d)) for d in self.detector.detect(bgr)]
        kept = [(d, box.rounded()) for d, box in first if is_possible(box, bgr.shape)]
        return [d for d, _ in kept], [box for _, box in kept]

    def _first_crop(self, detection: Detection) -> CropBox:
        if self.conventions.detector_box == "height":
            return crop_from_box_by_height(detection.box)
        own = self.regressor.info.detector_calibration.get(self.detector.name)
        square = self.detector.crop_square if own is None else SquareCalibration(own)
        return CropBox.from_center(*square(detection))

    def _answer(
        self,
        photos: Sequence[NDArray[np.uint8]],
        boxes: Sequence[Sequence[CropBox]],
        regressor: ParamsRegressor,
    ) -> Prediction:
        """The network's answers to all crops of all photos, as one batch."""
        border = regressor.info.border
        pairs = zip(photos, boxes, strict=True)
        crops = [cut_crops(bgr, squares, border=border) for bgr, squares in pairs]
        return assess(regressor, crops[0] if len(crops) == 1 else np.concatenate(crops))

    def _face(
        self,
        detection: Detection | None,
        crop: CropBox,
        shape: tuple[int, ...],
        answer: Prediction,
        index: int,
    ) -> Face:
        expected = answer.expected_nme
        face = Face(
            box=(0.0, 0.0, 0.0, 0.0) if detection is None else detection.box,
            score=0.0 if detection is None else detection.score,
            params=answer.params[index],
            crop=crop,
            frame=self.regressor.info.frame,
            face_model=self.face_model,
            image_size=(shape[0], shape[1]),
            conventions=self.conventions,
            expected_nme=None if expected is None else float(expected[index]),
        )
        return face if detection is not None else replace(face, box=outline(face.landmarks))


def _next_crops(
    photos: list[NDArray[np.uint8]],
    boxes: list[list[CropBox]],
    landmarks: FloatArray,
    info: WeightsInfo,
) -> list[list[CropBox]]:
    """The crops of the next pass, from the decoded landmarks (N, 68, 3) of all of this one."""
    left = iter(landmarks)
    frame, rule = info.frame, info.crop_rule
    return [
        [next_crop(crop_to_image(next(left), b, frame), b, bgr.shape, rule) for b in squares]
        for bgr, squares in zip(photos, boxes, strict=True)
    ]


def different_faces(faces: list[Face]) -> list[Face]:
    """Faces of one photo, best score first, without second answers to one face."""
    if len(faces) < 2:
        return faces
    outlines = np.array([outline(face.landmarks) for face in faces])
    scores = np.array([face.score for face in faces])
    kept = non_maximum_suppression(outlines, scores, _SAME_FACE_IOU)
    return [faces[i] for i in kept.tolist()]


def _numbered(image: Image, channel_order: ChannelOrder, number: int) -> NDArray[np.uint8]:
    try:
        return as_bgr(image, channel_order)
    except SynergyNetError as error:
        raise SynergyNetError(f"image {number} of the list: {error}") from error
