"""``FaceAnalyzer``: a photo in, faces out."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ..detection import Detection, FaceDetector, SquareCalibration, create_detector
from ..detection.base import doubtful_below
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..face_model.sources import resolve_face_model
from ..files.pixels import ChannelOrder, Image, as_bgr
from ..geometry.boxes import is_possible, non_maximum_suppression, outline
from ..geometry.conventions import Conventions
from ..geometry.crops import CropBox, crop_from_box_by_height
from ..geometry.params import FloatArray
from ..regression import (
    LOST_BELOW,
    MirrorAveraged,
    ParamsRegressor,
    Prediction,
    can_mirror,
    load_regressor,
)
from ..regression.loading import SCOUT, SHIPPED, resolve_device, shipped_file, weights_file
from .face import Face, landmarks_in_images, poses_in_images
from .looks import View, follow, look, look_again, quarters_of_detection
from .quality import quality_named

SAME_FACE_IOU = 0.5
"""Two answers whose landmark boxes overlap more than this are one face."""

CONFIRMED = 0.8
"""Confidence of a face that the detector doubts and the network does not."""

MAX_THREADS = 256

_PHOTOS_AT_ONCE = 16
"""Photos of a list whose crops go to the network together: enough for its speed, and few enough
to hold in memory."""


@dataclass(frozen=True)
class Timings:
    """Seconds spent on one photo.

    Attributes:
        detection: finding boxes.
        regression: cutting crops and running the network, all passes.
        decode: parameters to landmarks and poses (meshes and units are made when asked for).
    """

    detection: float
    regression: float
    decode: float


@dataclass(frozen=True)
class Analysis:
    """Faces of one photo, best score first, and what they cost.

    Attributes:
        left_out: boxes of the detector that the network takes for no face.
    """

    faces: list[Face]
    timings: Timings
    left_out: int = 0


class FaceAnalyzer:
    """Detector, network and face model, loaded once.

    Pickled, as for a process of ``multiprocessing`` or a ``DataLoader``, it is its settings: the
    files are read again there.

    >>> from synergynet import FaceAnalyzer, read_image
    >>> from synergynet.pipeline import next_crop
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
        detector: a name known to ``synergynet.detection.create_detector``, or a detector; None
            for that of ``quality``.
        weights: a weights file, a regressor, or None for the shipped network of ``quality``.
        face_model: a model, ``open-head``, an ``.npz``, a ``3dmm_data`` folder, or None for
            the one inside the weights' file or else the shipped one.
        device: where the network runs, ``cpu``, ``cuda``, or ``auto``: on a GPU if it can.
        conventions: exact by default; of the official ones Euler decode, detector box rule
            and the y of the translation matter here.
        passes: looks at a face; from the second on, crops are cut about the landmarks of the
            look before, as the training crops were. Where the network is a shipped one, a small
            network takes the first look.
        quality: a key of ``synergynet.pipeline.quality.QUALITIES``: ``fast``, ``default`` or
            ``best``.
        mirror: average the last look with the network's answer to the mirrored crop; None for
            what ``quality`` says. Without effect where ``mirrored`` says so: for face models
            that are not symmetric, and answers in another frame than crop pixels.
        threads: of one call of the network or of a detector given by name; 0: as many as this
            process may use (``files.processors``).
        min_confidence: of a face, 0 to 1; boxes of the detector with less are left out
            (:attr:`Analysis.left_out`), and those that the detector itself doubts need 0.8. Of
            weights that cannot tell their confidence, none is.

    Attributes:
        networks: architecture -> file of the networks that it read.

    Raises:
        SynergyNetError: files missing or damaged, or weights trained with another face model.
    """

    def __init__(
        self,
        detector: str | FaceDetector | None = None,
        weights: str | Path | ParamsRegressor | None = None,
        face_model: FaceModel | str | Path | None = None,
        device: str = "cpu",
        conventions: Conventions | None = None,
        passes: int = 2,
        *,
        quality: str = "default",
        mirror: bool | None = None,
        threads: int = 0,
        min_confidence: float = LOST_BELOW,
    ) -> None:
        self._made_by = partial(
            type(self),
            *(detector, weights, face_model, device, conventions, passes),
            quality=quality,
            mirror=mirror,
            threads=threads,
            min_confidence=min_confidence,
        )
        if not 0 <= min_confidence <= 1:
            raise SynergyNetError(f"min_confidence is {min_confidence!r}, expected 0 to 1")
        if not isinstance(passes, int) or passes < 1:
            raise SynergyNetError(f"passes is {passes}, but the network must run at least once")
        if not isinstance(threads, int) or not 0 <= threads <= MAX_THREADS:
            raise SynergyNetError(f"threads is {threads!r}, expected 0 to {MAX_THREADS}")
        wanted = quality_named(quality)
        detector = wanted.detector if detector is None else detector
        self.networks: dict[str, Path] = {}
        device = resolve_device(device)
        load = partial(load_regressor, device=device, threads=threads)
        # Side by side: each of these inflates what it reads, or prepares a graph.
        with ThreadPoolExecutor(thread_name_prefix="load") as pool:
            model = pool.submit(_face_model, face_model, needed=weights is None)
            scout = None
            if weights is None and passes > 1 and wanted.network != SCOUT:
                scout = pool.submit(load, SHIPPED[SCOUT])
            if isinstance(detector, str):
                detector = create_detector(detector, threads=threads)
            if weights is None or isinstance(weights, str | Path):
                source = "the shipped network" if weights is None else str(weights)
                file = weights_file(weights)
                if weights is None:
                    file = shipped_file(wanted.network, device)
                self.regressor = load(file)
                self.networks[self.regressor.info.architecture] = file
            else:
                source, self.regressor = "the network", weights
        chosen = model.result() or self.regressor.face_model
        self.face_model = resolve_face_model(None)[0] if chosen is None else chosen
        self.regressor.info.check_face_model(self.face_model, source)
        self.detector = detector
        self._doubtful_below = doubtful_below(detector)
        self._can_turn = self.regressor.info.frame == "pixel"
        self.conventions = conventions or Conventions.exact()
        self.passes = passes
        self.min_confidence = min_confidence
        wanted_mirror = wanted.mirror if mirror is None else mirror
        self.mirrored = wanted_mirror and can_mirror(self.regressor, self.face_model)
        self._last = (
            MirrorAveraged(self.regressor, self.face_model) if self.mirrored else self.regressor
        )
        self._first = self._last if passes == 1 else self.regressor
        if scout is not None:
            self._first = scout.result()
            self.networks[self._first.info.architecture] = SHIPPED[SCOUT]

    def __reduce__(self) -> tuple[Any, ...]:
        return self._made_by, ()

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
        if isinstance(images, str | bytes | bytearray | memoryview | Path | np.ndarray):
            return self.analyze(images, channel_order=channel_order).faces  # type: ignore[arg-type]
        if isinstance(images, Sequence):
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
        quarters: Sequence[int] | None = None,
        channel_order: ChannelOrder = "BGR",
    ) -> list[Face]:
        """One pass of the network over given crops of a photo, as one batch, for trackers.

        No detector runs, no second pass and no mirrored one, and no answer is left out: one face
        per box, in order. :func:`~synergynet.geometry.boxes.next_crop` gives the crop of the next
        frame.

        Args:
            image: (H, W, 3) uint8.
            boxes: N crops, rounded to whole pixels here.
            detections: N, whose boxes and scores the faces carry; without them a face's box is
                that of its landmarks and its score 0.
            quarters: N, by which each crop is turned to the left for its face to stand upright
                (:func:`~.looks.quarters_of_params`); none by default.

        Raises:
            SynergyNetError: not such an image, an impossible box, or the weights answer with NaN.
        """
        bgr = as_bgr(image, channel_order)
        for box in boxes:
            if not is_possible(box, bgr.shape):
                raise SynergyNetError(f"{box} is no square that touches the image")
        if not len(boxes) == len(detections or boxes) == len(quarters or boxes):
            raise SynergyNetError("as many detections and quarters are needed as boxes")
        turns = [0] * len(boxes) if quarters is None or not self._can_turn else quarters
        views = [View(0, b.rounded(), turn) for b, turn in zip(boxes, turns, strict=True)]
        if not views:
            return []
        answer = look(self.regressor, [bgr], views)
        return self._faces([bgr], detections or [None] * len(views), views, answer)

    def _analyze(self, photos: list[NDArray[np.uint8]]) -> list[Analysis]:
        times, detections, views = [], [], []
        for number, bgr in enumerate(photos):
            clock = time.perf_counter()
            for detection, view in self._detect(bgr, number):
                detections.append(detection)
                views.append(view)
            times.append(time.perf_counter() - clock)
        if not views:
            return [Analysis([], Timings(t, 0.0, 0.0)) for t in times]
        clock = time.perf_counter()
        last, answer = self._look(photos, views)
        regression = time.perf_counter() - clock
        clock = time.perf_counter()
        faces = self._faces(photos, detections, last, answer)
        self._turn_doubted(photos, views, faces)
        own: list[list[Face]] = [[] for _ in photos]
        left_out = [0] * len(photos)
        for face, view in zip(faces, views, strict=True):
            if self._is_face(face):
                own[view.photo].append(face)
            else:
                left_out[view.photo] += 1
        each = [different_faces(some) for some in own]
        decode = time.perf_counter() - clock
        shares = np.bincount([view.photo for view in views], minlength=len(photos)) / len(views)
        return [
            Analysis(some, Timings(seconds, share * regression, share * decode), left)
            for some, seconds, share, left in zip(
                each, times, shares.tolist(), left_out, strict=True
            )
        ]

    def _is_face(self, face: Face) -> bool:
        """Whether the network believes in what the detector found, where it can tell."""
        doubted = face.score < self._doubtful_below
        least = max(self.min_confidence, CONFIRMED) if doubted else self.min_confidence
        return face.confidence is None or face.confidence >= least

    def _turn_doubted(
        self, photos: list[NDArray[np.uint8]], views: Sequence[View], faces: list[Face]
    ) -> None:
        """Look again at what the detector is sure of and the network is not, turned by quarters.

        The detector's points of a face that is upside down may be those of one that is not.

        Args:
            views: of the first look.
            faces: what came of them; answers that the network believes in take their places.
        """
        rows = [i for i, face in enumerate(faces) if self._may_be_turned(face)]
        turned = [
            replace(views[i], quarters=(views[i].quarters + more) % 4)
            for i in rows
            for more in (1, 2, 3)
        ]
        if not turned:
            return
        last, answer = self._look(photos, turned)
        found = [Detection(faces[i].box, faces[i].score) for i in rows for _ in range(3)]
        tried = self._faces(photos, found, last, answer)
        for number, i in enumerate(rows):
            best = max(tried[3 * number : 3 * number + 3], key=lambda face: face.confidence or 0.0)
            if self._is_face(best):
                faces[i] = best

    def _may_be_turned(self, face: Face) -> bool:
        sure = face.score >= self._doubtful_below
        return self._can_turn and sure and face.confidence is not None and not self._is_face(face)

    def _look(
        self, photos: list[NDArray[np.uint8]], views: list[View]
    ) -> tuple[list[View], Prediction]:
        """All looks at all faces: the views of the last one, and its answers."""
        network, rule = self._first, self.regressor.info.crop_rule
        answer = look(network, photos, views)
        for turn in range(1, self.passes):
            landmarks = self._landmarks(answer.params, views, network)
            following = follow(views, answer, landmarks, photos, rule, turn=self._can_turn)
            before, network = network, self._last if turn + 1 == self.passes else self.regressor
            if network is before:
                views, answer = look_again(network, photos, views, following, answer)
            else:
                views, answer = following, look(network, photos, following)
        return views, answer

    def _landmarks(
        self, params: FloatArray, views: Sequence[View], network: ParamsRegressor
    ) -> FloatArray:
        """(N, 62) raw parameters that ``network`` answered -> (N, 68, 3), image frames."""
        crops = [view.crop for view in views]
        return landmarks_in_images(self.face_model, params, crops, network.info.frame)

    def _detect(self, bgr: NDArray[np.uint8], number: int) -> Iterator[tuple[Detection, View]]:
        """The faces that the detector finds, and how to look at them first."""
        for detection in self.detector.detect(bgr):
            crop = self._first_crop(detection)
            if is_possible(crop, bgr.shape):
                quarters = quarters_of_detection(detection) if self._can_turn else 0
                yield detection, View(number, crop.rounded(), quarters)

    def _first_crop(self, detection: Detection) -> CropBox:
        if self.conventions.detector_box == "height":
            return crop_from_box_by_height(detection.box)
        own = self._first.info.detector_calibration.get(self.detector.name)
        square = self.detector.crop_square if own is None else SquareCalibration(own)
        return CropBox.from_center(*square(detection))

    def _faces(
        self,
        photos: Sequence[NDArray[np.uint8]],
        detections: Sequence[Detection | None],
        views: Sequence[View],
        answer: Prediction,
    ) -> list[Face]:
        """The faces of all views, with their landmarks and poses."""
        expected = answer.expected_nme
        every = self._landmarks(answer.params, views, self.regressor)
        crops, frame = [view.crop for view in views], self.regressor.info.frame
        poses = poses_in_images(answer.params, crops, frame, self.conventions)
        faces = []
        for i, (detection, view) in enumerate(zip(detections, views, strict=True)):
            height, width = photos[view.photo].shape[:2]
            face = Face(
                box=outline(every[i]) if detection is None else detection.box,
                score=0.0 if detection is None else detection.score,
                params=answer.params[i],
                crop=view.crop,
                frame=frame,
                face_model=self.face_model,
                image_size=(height, width),
                conventions=self.conventions,
                expected_nme=None if expected is None else float(expected[i]),
            )
            face.__dict__.update(landmarks=every[i], pose=poses[i])
            faces.append(face)
        return faces


def _face_model(face_model: FaceModel | str | Path | None, *, needed: bool) -> FaceModel | None:
    """The face model that was asked for; None where the weights may bring their own."""
    if isinstance(face_model, FaceModel):
        return face_model
    return resolve_face_model(face_model)[0] if face_model is not None or needed else None


def different_faces(faces: list[Face]) -> list[Face]:
    """Faces of one photo, best score first, without second answers to one face."""
    if len(faces) < 2:
        return faces
    outlines = np.array([outline(face.landmarks) for face in faces])
    scores = np.array([face.score for face in faces])
    kept = non_maximum_suppression(outlines, scores, SAME_FACE_IOU)
    return [faces[i] for i in kept.tolist()]


def _numbered(image: Image, channel_order: ChannelOrder, number: int) -> NDArray[np.uint8]:
    try:
        return as_bgr(image, channel_order)
    except SynergyNetError as error:
        raise SynergyNetError(f"image {number} of the list: {error}") from error
