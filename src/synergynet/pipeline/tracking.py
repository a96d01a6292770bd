"""``FaceTracker``: frames of a video in, faces with stable ids out."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..files.pixels import ChannelOrder, as_bgr
from ..files.video import FRAME_RATE
from ..geometry.boxes import next_crop, outline, overlaps, touches
from ..geometry.crops import CropBox, crop_from_landmarks
from ..geometry.params import FloatArray
from ..regression.trust import LOST_BELOW
from .analyzer import FaceAnalyzer
from .face import Face
from .looks import quarters_of_params
from .smoothing import FaceSmoother, SmoothingConstants

_SAME_FACE_IOU = 0.5
"""Two tracks whose landmark boxes overlap more than this follow one face."""

_KNOWN_IOU = 0.3
"""A face found by the detector that overlaps a track more than this is that track's."""

_JUMP = 0.5
"""Crop sides that a face may move from one frame to the next."""

_GROWTH = 1.5
"""Factor by which it may grow or shrink."""

_QUICK = 0.03
"""Crop sides per frame: for a face that moves faster, the next crop is cut ahead of it. Crops that
stay behind make the network err the same way, and the next crop worse."""

_REFINE = 0.08
"""Crop sides: a face that moved farther was seen off centre, and is looked at again."""

_NEAR, _NEAR_GROWTH = 1.0, 2.0
"""Crop sides and factor of size within which a face that appears is the one that was lost."""

_DOUBT_BELOW = 0.97
"""Confidence under which the detector is asked, and believed if its answer is the better one. Well
followed faces stay above 0.99; crops that lag behind a quick face end below."""

_RETRY_SECONDS = 0.2
"""Between two looks for a face that was lost or is in doubt, or for the first one."""

_MISSES = 2
"""Looks of the detector that a track without a confidence survives unconfirmed."""


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in one frame of a video.

    Attributes:
        id: the same number in every frame, counted from 0.
        face: smoothed if the tracker smooths. Its box is that of its landmarks, its score that
            of the detector when it last saw the face.
        age: frames since the face was first found, 0 then.
    """

    id: int
    face: Face
    age: int


@dataclass(eq=False)
class _Track:
    id: int
    face: Face  # as the network answered, unsmoothed
    score: float
    first_frame: int
    seen: float  # seconds
    smoother: FaceSmoother | None
    misses: int = 0
    motion: tuple[float, float] = (0.0, 0.0)  # pixels since the frame before


class FaceTracker:
    """Follows the faces of a video; one call per frame, in order.

    The detector looks at the first frame, then every ``detect_every`` seconds for new faces, and
    at once when a face is lost. In between the crops are cut about the last frame's landmarks, for
    quick faces as far ahead as they last moved, and all faces of a frame go through the network as
    one batch. A face is lost when the network does not trust its answer (``Face.confidence`` below
    ``LOST_BELOW``), when it jumps, or when two tracks end up on one face.

    >>> from synergynet import FaceAnalyzer  # doctest: +SKIP
    >>> tracker = FaceTracker(FaceAnalyzer(mirror=False))  # doctest: +SKIP
    >>> for frame in frames:  # doctest: +SKIP
    ...     for tracked in tracker(frame):
    ...         print(tracked.id, tracked.face.pose.yaw)

    Args:
        analyzer: detector, network and face model; with ``mirror=False``, so that new faces
            come from one view as followed ones do.
        smooth: filter the parameters from frame to frame (``smoothing.py``); True, False, or
            the filter's constants.
        frame_rate: frames per second, for calls without ``time``.
        detect_every: seconds between looks for new faces.
        patience: seconds for which a lost face's id is kept for a face that appears near by.
    """

    def __init__(
        self,
        analyzer: FaceAnalyzer,
        *,
        smooth: bool | SmoothingConstants = True,
        frame_rate: float = FRAME_RATE,
        detect_every: float = 1.0,
        patience: float = 2.0,
    ) -> None:
        self.analyzer = analyzer
        self.smooth = smooth
        self.frame_rate = frame_rate
        self.detect_every, self.patience = detect_every, patience
        self.reset()

    def reset(self) -> None:
        """Forget all faces and begin with id 0, as for another video."""
        self._tracks: list[_Track] = []
        self._lost: list[_Track] = []
        self._shape: tuple[int, ...] = ()
        self._frame = -1
        self._time = 0.0
        self._next_look = self._retry = 0.0
        self._next_id = 0

    @property
    def faces_seen(self) -> int:
        """How many ids were given so far."""
        return self._next_id

    def __call__(
        self,
        frame: NDArray[np.uint8],
        time: float | None = None,
        *,
        channel_order: ChannelOrder = "BGR",
    ) -> list[TrackedFace]:
        """The faces of the next frame, by id.

        Args:
            frame: (H, W, 3) uint8.
            time: of the frame in seconds; without it one frame of ``frame_rate`` after the last.
            channel_order: ``BGR`` (OpenCV) or ``RGB``.

        Raises:
            SynergyNetError: not such an image, or the weights answer with NaN.
        """
        bgr = as_bgr(frame, channel_order)
        step = self._advance(time)
        if bgr.shape != self._shape:  # another picture: nothing to follow
            self._tracks, self._lost, self._shape = [], [], bgr.shape
            self._next_look = self._time
        lost = self._follow(bgr)
        doubt = any(_doubtful(track.face) for track in self._tracks)
        due = self._retry if doubt else self._next_look
        if lost or self._time + step / 2 >= due:  # the frame nearest to it
            self._look(bgr)
        return [self._answer(track, step) for track in sorted(self._tracks, key=lambda t: t.id)]

    def _advance(self, time: float | None) -> float:
        """Set the clock to this frame; returns the seconds since the last one."""
        self._frame += 1
        usual = 1 / self.frame_rate
        if self._frame == 0:
            self._time = self._next_look = self._retry = 0.0 if time is None else time
            return usual
        step = usual if time is None else time - self._time
        step = step if step > 0 else usual  # clocks of broken videos stand still or go back
        self._time += step
        return step

    def _follow(self, bgr: NDArray[np.uint8]) -> bool:
        """Find every track's face in the new frame; True if one was lost."""
        if not self._tracks:
            return False
        rule = self.analyzer.regressor.info.crop_rule
        boxes = [_expected_crop(track, bgr.shape, rule) for track in self._tracks]
        turns = [quarters_of_params(track.face.params) for track in self._tracks]
        faces = self.analyzer.faces_in(bgr, boxes, quarters=turns)
        following = [next_crop(face.landmarks, face.crop, bgr.shape, rule) for face in faces]
        moved = [
            (i, box)
            for i, (face, box) in enumerate(zip(faces, following, strict=True))
            if _shift(face.crop, box) > _REFINE
        ]
        if moved:
            again = self.analyzer.faces_in(
                bgr, [box for _, box in moved], quarters=[turns[i] for i, _ in moved]
            )
            for (i, _), face in zip(moved, again, strict=True):
                faces[i] = face
        kept = [
            (track, face)
            for track, face in zip(self._tracks, faces, strict=True)
            if trusted(face) and not _jumped(track.face, face)
        ]
        kept = _one_per_face(kept)
        followed = [track for track, _ in kept]
        lost = [track for track in self._tracks if track not in followed]
        for track, face in kept:
            track.motion = _motion(track.face, face)
            track.face, track.seen = face, self._time
        self._tracks = followed
        self._lost += lost
        return bool(lost)

    def _look(self, bgr: NDArray[np.uint8]) -> None:
        """Ask the detector: new faces, lost ones, and whether the tracks are still right."""
        self._lost = [t for t in self._lost if self._time - t.seen <= self.patience]
        found = [face for face in self.analyzer(bgr) if trusted(face)]
        new: list[Face] = []
        confirmed: list[_Track] = []
        known = _overlaps(found, [track.face for track in self._tracks])
        for face, overlap in zip(found, known, strict=True):
            if len(overlap) and overlap.max() > _KNOWN_IOU:
                track = self._tracks[int(overlap.argmax())]
                track.score = face.score
                if _doubtful(track.face) and _more_certain(face, track.face):
                    track.face = face
                confirmed.append(track)
            else:
                new.append(face)
        for track in self._tracks:
            track.misses = 0 if track in confirmed else track.misses + 1
        # The network's own word is better than the detector's, if it has one.
        self._tracks = [
            t for t in self._tracks if t.face.confidence is not None or t.misses < _MISSES
        ]
        old = _pair(new, self._lost)
        for number, face in enumerate(new):
            self._tracks.append(self._begin(face, old.get(number)))
        waiting = bool(self._lost) or not self._tracks
        self._retry = self._time + min(_RETRY_SECONDS, self.detect_every)
        self._next_look = self._retry if waiting else self._time + self.detect_every

    def _begin(self, face: Face, old: _Track | None) -> _Track:
        """A track of a new face, or of one that was lost."""
        if old is not None:
            self._lost.remove(old)
            number, first = old.id, old.first_frame
        else:
            number, first = self._next_id, self._frame
            self._next_id += 1
        constants = None if isinstance(self.smooth, bool) else self.smooth
        smoother = FaceSmoother(constants) if self.smooth else None
        return _Track(number, face, face.score, first, self._time, smoother)

    def _answer(self, track: _Track, step: float) -> TrackedFace:
        face = track.face if track.smoother is None else track.smoother(track.face, step)
        face = _with_own_box(face, track.score)
        return TrackedFace(track.id, face, self._frame - track.first_frame)


def trusted(face: Face) -> bool:
    """Whether the network believes that it sees a face; True if it cannot tell."""
    return face.confidence is None or face.confidence >= LOST_BELOW


def _doubtful(face: Face) -> bool:
    return face.confidence is not None and face.confidence < _DOUBT_BELOW


def _more_certain(one: Face, other: Face) -> bool:
    return (one.confidence or 0.0) > (other.confidence or 0.0)


def _with_own_box(face: Face, score: float) -> Face:
    box = outline(face.landmarks)
    fresh = replace(face, box=box, score=score)
    # replace() forgets what was computed; the landmarks stay what they were.
    fresh.__dict__.update(landmarks=face.landmarks, pose=face.pose)
    return fresh


def _expected_crop(track: _Track, shape: tuple[int, ...], rule: str) -> CropBox:
    """Where to look for a face in a frame of this shape: about its last landmarks."""
    box = next_crop(track.face.landmarks, track.face.crop, shape, rule)
    dx, dy = track.motion
    if math.hypot(dx, dy) < _QUICK * box.side:
        return box
    ahead = CropBox(box.left + dx, box.top + dy, box.side).rounded()
    return ahead if touches(ahead, shape) else box


def _motion(before: Face, after: Face) -> tuple[float, float]:
    x0, y0 = crop_from_landmarks(before.landmarks).center
    x1, y1 = crop_from_landmarks(after.landmarks).center
    return x1 - x0, y1 - y0


def _shift(old: CropBox, new: CropBox) -> float:
    """How far apart two crops' centres are, in sides of the first."""
    return math.dist(old.center, new.center) / old.side


def _jumped(before: Face, after: Face) -> bool:
    """Whether a face cannot have moved like this within a frame."""
    if not np.isfinite(after.landmarks).all():
        return True
    old, new = crop_from_landmarks(before.landmarks), crop_from_landmarks(after.landmarks)
    grown = max(old.side, new.side) / min(old.side, new.side)
    return _shift(old, new) > _JUMP or grown > _GROWTH


def _overlaps(some: list[Face], others: list[Face]) -> FloatArray:
    """(n, m) intersection over union of the landmark boxes of n and m faces."""
    a, b = ([outline(face.landmarks) for face in faces] for faces in (some, others))
    return overlaps(np.array(a), np.array(b))


def _one_per_face(kept: list[tuple[_Track, Face]]) -> list[tuple[_Track, Face]]:
    """Leave out tracks that slid onto another track's face: of two, the one that moved more."""
    if len(kept) < 2:
        return kept
    faces = [face for _, face in kept]
    stay = np.diag(_overlaps([track.face for track, _ in kept], faces))
    gone: set[int] = set()
    for i, j in np.argwhere(np.triu(_overlaps(faces, faces), 1) > _SAME_FACE_IOU).tolist():
        if not gone & {i, j}:
            gone.add(i if stay[i] < stay[j] else j)
    return [pair for i, pair in enumerate(kept) if i not in gone]


def _pair(faces: list[Face], lost: list[_Track]) -> dict[int, _Track]:
    """Number of a new face -> the lost track that it continues: the nearest first."""
    places = [crop_from_landmarks(face.landmarks) for face in faces]
    options = []
    for i, place in enumerate(places):
        for track in lost:
            old = crop_from_landmarks(track.face.landmarks)
            grown = max(old.side, place.side) / min(old.side, place.side)
            if _shift(old, place) < _NEAR and grown < _NEAR_GROWTH:
                options.append((_shift(old, place), i, track))
    out: dict[int, _Track] = {}
    for _, i, track in sorted(options, key=lambda option: option[0]):
        if i not in out and track not in out.values():
            out[i] = track
    return out
