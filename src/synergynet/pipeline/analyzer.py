"""``FaceAnalyzer``: a photo in, faces out."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
from ..geometry.boxes import is_possible
from ..geometry.conventions import Conventions
from ..geometry.crops import CropBox, crop_from_box_by_height
from ..regression import (
    LOST_BELOW,
    MirrorAveraged,
    ParamsRegressor,
    can_mirror,
    load_regressor,
)
from ..regression.loading import SCOUT, SHIPPED, resolve_device, shipped_file, weights_file
from .face import Face
from .looks import View, look, quarters_of_detection
from .quality import quality_named
from .reader import FaceReader, different_faces

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
        self.conventions = conventions or Conventions.exact()
        self.passes = passes
        self.min_confidence = min_confidence
        wanted_mirror = wanted.mirror if mirror is None else mirror
        self.mirrored = wanted_mirror and can_mirror(self.regressor, self.face_model)
        last = MirrorAveraged(self.regressor, self.face_model) if self.mirrored else self.regressor
        first = last if passes == 1 else self.regressor
        if scout is not None:
            first = scout.result()
            self.networks[first.info.architecture] = SHIPPED[SCOUT]
        self._reader = FaceReader(
            *(first, self.regressor, last, self.face_model, self.conventions),
            *(passes, min_confidence, doubtful_below(detector)),
        )

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
        given = [values for values in (detections, quarters) if values is not None]
        if any(len(values) != len(boxes) for values in given):
            raise SynergyNetError("as many detections and quarters are needed as boxes")
        turns = [0] * len(boxes) if quarters is None or not self._reader.can_turn else quarters
        views = [View(0, b.rounded(), turn) for b, turn in zip(boxes, turns, strict=True)]
        if not views:
            return []
        answer = look(self.regressor, [bgr], views)
        return self._reader.faces([bgr], detections or [None] * len(views), views, answer)

    def _analyze(self, photos: list[NDArray[np.uint8]]) -> list[Analysis]:
        times: list[float] = []
        detections: list[Detection] = []
        views: list[View] = []
        for number, bgr in enumerate(photos):
            clock = time.perf_counter()
            for detection, view in self._detect(bgr, number):
                detections.append(detection)
                views.append(view)
            times.append(time.perf_counter() - clock)
        if not views:
            return [Analysis([], Timings(t, 0.0, 0.0)) for t in times]
        clock = time.perf_counter()
        last, answer = self._reader.look(photos, views)
        regression = time.perf_counter() - clock
        clock = time.perf_counter()
        faces = self._reader.faces(photos, detections, last, answer)
        decode = time.perf_counter() - clock
        clock = time.perf_counter()
        self._reader.turn_doubted(photos, views, faces)
        regression += time.perf_counter() - clock
        own: list[list[Face]] = [[] for _ in photos]
        left_out = [0] * len(photos)
        for face, view in zip(faces, views, strict=True):
            if self._reader.is_face(face):
                own[view.photo].append(face)
            else:
                left_out[view.photo] += 1
        each = [different_faces(some) for some in own]
        shares = np.bincount([view.photo for view in views], minlength=len(photos)) / len(views)
        return [
            Analysis(some, Timings(seconds, share * regression, share * decode), left)
            for some, seconds, share, left in zip(
                each, times, shares.tolist(), left_out, strict=True
            )
        ]

    def _detect(self, bgr: NDArray[np.uint8], number: int) -> Iterator[tuple[Detection, View]]:
        """The faces that the detector finds, and how to look at them first."""
        for detection in self.detector.detect(bgr):
            crop = self._first_crop(detection)
            if is_possible(crop, bgr.shape):
                quarters = quarters_of_detection(detection) if self._reader.can_turn else 0
                yield detection, View(number, crop.rounded(), quarters)

    def _first_crop(self, detection: Detection) -> CropBox:
        if self.conventions.detector_box == "height":
            return crop_from_box_by_height(detection.box)
        own = self._reader.first.info.detector_calibration.get(self.detector.name)
        square = self.detector.crop_square if own is None else SquareCalibration(own)
        return CropBox.from_center(*square(detection))


def _face_model(face_model: FaceModel | str | Path | None, *, needed: bool) -> FaceModel | None:
    """The face model that was asked for; None where the weights may bring their own."""
    if isinstance(face_model, FaceModel):
        return face_model
    return resolve_face_model(face_model)[0] if face_model is not None or needed else None


def _numbered(image: Image, channel_order: ChannelOrder, number: int) -> NDArray[np.uint8]:
    try:
        return as_bgr(image, channel_order)
    except SynergyNetError as error:
        raise SynergyNetError(f"image {number} of the list: {error}") from error
