"""``FaceTracker``: frames of a video in, faces with stable ids out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.pixels import ChannelOrder, as_bgr
from ..files.video import FRAME_RATE
from ..geometry.boxes import next_crop
from ..geometry.params import FloatArray
from .analyzer import FaceAnalyzer
from .face import Face
from .likeness import OTHER, STEADY, Appearance, CutFinder, Looks, appearance, correlation
from .looks import quarters_of_params
from .reader import SAME_FACE_IOU
from .smoothing import FaceSmoother, SmoothingConstants
from .tracks import (
    Seen,
    Track,
    doubtful,
    expected_crop,
    face_overlaps,
    jumped,
    more_certain,
    near_one_another,
    one_per_face,
    pair,
    shift,
    trusted,
    with_own_box,
)

_KNOWN_IOU = 0.3
"""A face found by the detector that overlaps a track more than this is that track's."""

_REFINE = 0.08
"""Crop sides: a face that moved farther was seen off centre, and is looked at again."""

_RETRY_SECONDS = 0.2
"""Between two looks for a face that was lost or is in doubt, or for the first one."""

_COASTING_SECONDS = 1.0
"""For so long a lost face is looked for in every frame, where it was going."""

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
        frame_rate: frames per second, for calls without ``time``. What is no rate (0, negative,
            NaN, infinite, as OpenCV says of streams) counts as unknown: 25.
        detect_every: seconds between looks for new faces, more than 0.
        patience: seconds for which a lost face's id is kept for a face that appears near by and
            looks alike (``likeness.py``).

    Raises:
        SynergyNetError: options that are none of these.
    """

    def __init__(
        self,
        analyzer: FaceAnalyzer,
        *,
        smooth: bool | SmoothingConstants = True,
        frame_rate: float = FRAME_RATE,
        detect_every: float = 1.0,
        patience: float = 10.0,
    ) -> None:
        if not isinstance(smooth, bool | SmoothingConstants):
            raise SynergyNetError(f"smooth is {smooth!r}; it is True, False or SmoothingConstants")
        self.analyzer = analyzer
        self.smooth = smooth
        rate = _number("frame_rate", frame_rate)
        self.frame_rate = rate if math.isfinite(rate) and rate > 0 else FRAME_RATE
        self.detect_every = _number("detect_every", detect_every)
        self.patience = _number("patience", patience)
        if not self.detect_every > 0:
            raise SynergyNetError(f"detect_every is {detect_every}; it is more than 0 seconds")
        if not self.patience >= 0:
            raise SynergyNetError(f"patience is {patience}; it is 0 seconds or more")
        self.reset()

    def reset(self) -> None:
        """Forget all faces and begin with id 0, as for another video."""
        self._tracks: list[Track] = []
        self._lost: list[Track] = []
        self._shape: tuple[int, ...] = ()
        self._frame = -1
        self._time = 0.0
        self._next_look = self._retry = 0.0
        self._next_id = 0
        self._cuts = CutFinder()

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
            time: of the frame in seconds; without it, or if it is not finite, one frame of
                ``frame_rate`` after the last.
            channel_order: ``BGR`` (OpenCV) or ``RGB``.

        Raises:
            SynergyNetError: not such an image, or the weights answer with NaN.
        """
        bgr = as_bgr(frame, channel_order)
        step = self._advance(time)
        if bgr.shape != self._shape:  # another picture: nothing to follow
            self._tracks, self._lost, self._shape = [], [], bgr.shape
            self._cuts = CutFinder()
            self._next_look = self._time
        if self._cuts(bgr):
            self._cut()
        lost = self._follow(bgr)
        doubt = any(doubtful(track.face) for track in self._tracks)
        due = self._retry if doubt else self._next_look
        if lost or self._time + step / 2 >= due:  # the frame nearest to it
            self._look(bgr)
        return [self._answer(track, step) for track in sorted(self._tracks, key=lambda t: t.id)]

    def _advance(self, time: float | None) -> float:
        """Set the clock to this frame; returns the seconds since the last one."""
        self._frame += 1
        usual = 1 / self.frame_rate
        if time is not None and not math.isfinite(time):
            time = None
        if self._frame == 0:
            self._time = self._next_look = self._retry = 0.0 if time is None else time
            return usual
        step = usual if time is None else time - self._time
        step = step if step > 0 else usual  # clocks of broken videos stand still or go back
        self._time += step
        return step

    def _follow(self, bgr: NDArray[np.uint8]) -> bool:
        """Find every track's face in the new frame; True if one was lost.

        Those lost a moment ago are looked for where they were going, too: whoever passed behind
        somebody comes out there.
        """
        coasting = [track for track in self._lost if self._coasts(track)]
        every = self._tracks + coasting
        if not every:
            return False
        seen = [
            (track, face, appearance(bgr, face))
            for track, face in zip(every, self._faces_of(bgr, every), strict=True)
            if trusted(face) and not jumped(track, face)
        ]
        now = [item for item in seen if item[0] not in coasting]
        kept = one_per_face([item for item in now if not _another(item, now)])
        back = [item for item in seen if item[0] in coasting and _is_back(item, kept)]
        kept += one_per_face(back)
        followed = [track for track, _, _ in kept]
        lost = [track for track in self._tracks if track not in followed]
        for track, face, look in kept:
            track.follow(face, look, self._time, hidden=_touches(face, track, kept))
            track.shot = self._cuts.pattern
        self._tracks = followed
        self._lost = [track for track in self._lost if track not in followed] + lost
        for track in self._lost:
            track.frames_away += 1
        return bool(lost)

    def _cut(self) -> None:
        """End all tracks; whoever is seen again in the same place goes on with the same id."""
        self._lost += self._tracks
        self._tracks = []
        for track in self._lost:
            track.cut = True
        self._next_look = self._retry = self._time

    def _coasts(self, track: Track) -> bool:
        return not track.cut and self._time - track.seen <= _COASTING_SECONDS

    def _faces_of(self, bgr: NDArray[np.uint8], tracks: list[Track]) -> list[Face]:
        """What the network sees where each track's face is expected."""
        rule = self.analyzer.regressor.info.crop_rule
        boxes = [expected_crop(track, bgr.shape, rule) for track in tracks]
        turns = [quarters_of_params(track.face.params) for track in tracks]
        faces = self.analyzer.faces_in(bgr, boxes, quarters=turns)
        following = [next_crop(face.landmarks, face.crop, bgr.shape, rule) for face in faces]
        moved = [
            (i, box)
            for i, (face, box) in enumerate(zip(faces, following, strict=True))
            if shift(face.crop, box) > _REFINE
        ]
        if moved:
            again = self.analyzer.faces_in(
                bgr, [box for _, box in moved], quarters=[turns[i] for i, _ in moved]
            )
            for (i, _), face in zip(moved, again, strict=True):
                faces[i] = face
        return faces

    def _look(self, bgr: NDArray[np.uint8]) -> None:
        """Ask the detector: new faces, lost ones, and whether the tracks are still right."""
        self._lost = [t for t in self._lost if self._time - t.seen <= self.patience]
        found = [face for face in self.analyzer(bgr) if trusted(face)]
        known = face_overlaps(found, [track.face for track in self._tracks])
        confirmed, new = _assigned(known)
        for i, k in confirmed.items():
            track, face = self._tracks[k], found[i]
            track.score = face.score
            if doubtful(track.face) and more_certain(face, track.face):
                track.face = face
        for number, track in enumerate(self._tracks):
            track.misses = 0 if number in confirmed.values() else track.misses + 1
        # The network's own word is better than the detector's, if it has one.
        self._tracks = [
            t for t in self._tracks if t.face.confidence is not None or t.misses < _MISSES
        ]
        faces = [found[i] for i in new]
        looks = [appearance(bgr, face) for face in faces]
        others = [track.face for track in self._tracks]
        hidden = [any(near_one_another(face, other) for other in others) for face in faces]
        old = pair(faces, looks, hidden, self._lost, self._time, self._cuts.pattern)
        for number, (face, look) in enumerate(zip(faces, looks, strict=True)):
            self._tracks.append(self._begin(face, look, old.get(number)))
        waiting = bool(self._lost) or not self._tracks
        self._retry = self._time + min(_RETRY_SECONDS, self.detect_every)
        self._next_look = self._retry if waiting else self._time + self.detect_every

    def _begin(self, face: Face, look: Appearance, old: Track | None) -> Track:
        """A track of a new face, or of one that was lost."""
        if old is not None:
            self._lost.remove(old)
            number, first = old.id, old.first_frame
        else:
            number, first = self._next_id, self._frame
            self._next_id += 1
        constants = None if isinstance(self.smooth, bool) else self.smooth
        smoother = FaceSmoother(constants) if self.smooth else None
        return Track(number, face, Looks(look), face.score, first, self._time, smoother)

    def _answer(self, track: Track, step: float) -> TrackedFace:
        face = track.face if track.smoother is None else track.smoother(track.face, step)
        face = with_own_box(face, track.score)
        return TrackedFace(track.id, face, self._frame - track.first_frame)


def _number(name: str, value: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise SynergyNetError(f"{name} is {value!r}; it is a number") from error


def _another(item: Seen, others: list[Seen]) -> bool:
    """Whether somebody else has taken a face's place within a frame: not one who passes by."""
    track, face, look = item
    if correlation(track.looks.last, look) >= STEADY or _touches(face, track, others):
        return False
    return track.looks.difference(look) > OTHER


def _is_back(item: Seen, others: list[Seen]) -> bool:
    """Whether a lost track's face is seen again, and is not that of another track."""
    track, face, look = item
    if doubtful(face):
        return False
    overlap = face_overlaps([face], [other for _, other, _ in others]).max(initial=0.0)
    if track.looks.difference(look) < OTHER:
        return bool(overlap < SAME_FACE_IOU)
    return 0 < overlap < _KNOWN_IOU  # half hidden by another


def _touches(face: Face, track: Track, others: list[Seen]) -> bool:
    """Whether the face of another track may hide some of this one."""
    return any(other is not track and near_one_another(face, seen) for other, seen, _ in others)


def _assigned(overlap: FloatArray) -> tuple[dict[int, int], list[int]]:
    """Found faces (rows) and tracks (columns): row -> its track, and rows that are new faces.

    Each track has one face at most: of two found about it, the farther one is another person.
    """
    pairs: dict[int, int] = {}
    order = np.argsort(-overlap, axis=None, kind="stable")
    for i, k in zip(*np.unravel_index(order, overlap.shape), strict=True):
        if overlap[i, k] > _KNOWN_IOU and i not in pairs and k not in pairs.values():
            pairs[int(i)] = int(k)
    most = overlap.max(axis=1, initial=0.0)
    new = [i for i in range(len(overlap)) if i not in pairs and most[i] < SAME_FACE_IOU]
    return pairs, new
