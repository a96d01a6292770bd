"""One face followed through a film: where to look for it next, and what cannot be it."""

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from ..geometry.boxes import next_crop, outline, overlaps, touches
from ..geometry.crops import CropBox, crop_from_landmarks
from ..geometry.params import FloatArray
from ..regression.trust import LOST_BELOW
from .face import Face
from .likeness import LIKELY_SAME, OTHER, SURELY_SAME, Appearance, Looks, same_shot
from .reader import SAME_FACE_IOU
from .smoothing import FaceSmoother

_JUMP = 0.5
"""Crop sides that a face may move from one frame to the next."""

_GROWTH = 1.5
"""Factor by which it may grow or shrink."""

_QUICK = 0.03
"""Crop sides per frame: for a face that moves faster, the next crop is cut ahead of it. Crops that
stay behind make the network err the same way, and the next crop worse."""

_NEAR, _NEAR_GROWTH = 1.0, 2.0
"""Crop sides and factor of size within which a face that appears can be the one that was lost."""

_DRIFT = 0.3
"""Weight of a frame in the mean motion, along which a lost face is looked for."""

_SHORT_ABSENCE = 2.0
"""Seconds after which a lost face must look much the same to get its id again."""

_CLEARLY = 0.2
"""Of two tracks on one face, the one that looks so much less like itself goes."""


_DOUBT_BELOW = 0.97
"""Confidence under which the detector is asked, and believed if its answer is the better one. Well
followed faces stay above 0.99; crops that lag behind a quick face end below."""


@dataclass(eq=False)
class Track:
    id: int
    face: Face  # as the network answered, unsmoothed
    looks: Looks
    score: float
    first_frame: int
    seen: float  # seconds
    smoother: FaceSmoother | None
    misses: int = 0
    motion: tuple[float, float] = (0.0, 0.0)  # pixels since the frame before
    drift: tuple[float, float] = (0.0, 0.0)  # the same over some frames, unhidden
    frames_away: int = 0
    cut: bool = False  # lost by a cut
    shot: FloatArray | None = None  # pattern of the picture in which it was last seen

    def follow(self, face: Face, look: Appearance, seen: float, *, hidden: bool) -> None:
        """Take the face of a new frame; ``hidden``: another face may cover some of it."""
        if self.frames_away == 0:
            self.motion = motion_between(self.face, face)
            if not hidden:
                x, y = self.drift
                dx, dy = self.motion
                self.drift = (x + _DRIFT * (dx - x), y + _DRIFT * (dy - y))
        else:
            self.motion = self.drift
        self.face, self.seen = face, seen
        self.looks.add(look, keep=not hidden)
        self.frames_away, self.cut = 0, False


Seen: TypeAlias = tuple[Track, Face, Appearance]
"""A track and what a new frame shows where it is expected."""


def trusted(face: Face) -> bool:
    """Whether the network believes that it sees a face; True if it cannot tell."""
    return face.confidence is None or face.confidence >= LOST_BELOW


def doubtful(face: Face) -> bool:
    return face.confidence is not None and face.confidence < _DOUBT_BELOW


def more_certain(one: Face, other: Face) -> bool:
    return (one.confidence or 0.0) > (other.confidence or 0.0)


def with_own_box(face: Face, score: float) -> Face:
    box = outline(face.landmarks)
    fresh = replace(face, box=box, score=score)
    # replace() forgets what was computed; the landmarks stay what they were.
    fresh.__dict__.update(landmarks=face.landmarks, pose=face.pose)
    return fresh


def expected_crop(track: Track, shape: tuple[int, ...], rule: str) -> CropBox:
    """Where to look for a face in a frame of this shape: about its last landmarks."""
    box = next_crop(track.face.landmarks, track.face.crop, shape, rule)
    dx, dy = track.motion
    if track.frames_away:
        dx, dy = (step * (track.frames_away + 1) for step in track.drift)
    elif math.hypot(dx, dy) < _QUICK * box.side:
        return box
    ahead = CropBox(box.left + dx, box.top + dy, box.side).rounded()
    return ahead if touches(ahead, shape) else box


def motion_between(before: Face, after: Face) -> tuple[float, float]:
    x0, y0 = crop_from_landmarks(before.landmarks).center
    x1, y1 = crop_from_landmarks(after.landmarks).center
    return x1 - x0, y1 - y0


def shift(old: CropBox, new: CropBox) -> float:
    """How far apart two crops' centres are, in sides of the first."""
    return math.dist(old.center, new.center) / old.side


def jumped(track: Track, after: Face) -> bool:
    """Whether a track's face cannot have moved like this since it was seen."""
    if not np.isfinite(after.landmarks).all():
        return True
    old, new = crop_from_landmarks(track.face.landmarks), crop_from_landmarks(after.landmarks)
    grown = max(old.side, new.side) / min(old.side, new.side)
    if track.frames_away:
        dx, dy = (step * (track.frames_away + 1) for step in track.drift)
        old = CropBox(old.left + dx, old.top + dy, old.side)
    return shift(old, new) > _JUMP or grown > _GROWTH


def face_overlaps(some: list[Face], others: list[Face]) -> FloatArray:
    """(n, m) intersection over union of the landmark boxes of n and m faces."""
    a, b = ([outline(face.landmarks) for face in faces] for faces in (some, others))
    return overlaps(np.array(a), np.array(b))


def near_one_another(one: Face, other: Face) -> bool:
    """Whether the landmark boxes of two faces touch."""
    a, b = outline(one.landmarks), outline(other.landmarks)
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def one_per_face(kept: list[Seen]) -> list[Seen]:
    """Leave out tracks that slid onto another track's face: of two, the one it is less like."""
    if len(kept) < 2:
        return kept
    faces = [face for _, face, _ in kept]
    unlike = [track.looks.difference(look) for track, _, look in kept]
    gone: set[int] = set()
    for i, j in np.argwhere(np.triu(face_overlaps(faces, faces), 1) > SAME_FACE_IOU).tolist():
        if not gone & {i, j}:
            if abs(unlike[i] - unlike[j]) > _CLEARLY:
                gone.add(i if unlike[i] > unlike[j] else j)
            else:  # then the one that moved more
                gone.add(max(i, j, key=lambda k: _moved(kept[k][0].face, faces[k])))
    return [item for i, item in enumerate(kept) if i not in gone]


def pair(
    faces: list[Face],
    looks: list[Appearance],
    hidden: list[bool],
    lost: list[Track],
    now: float,
    shot: FloatArray | None,
) -> dict[int, Track]:
    """Number of a new face -> the lost track that it continues: the most alike first.

    It must be about where it was lost, and of like size and looks: the more so after a cut or a
    long absence, when anybody may have taken the place.

    Args:
        looks: of the faces.
        hidden: whether another face may cover some of each.
        now: seconds.
        shot: pattern of the picture (``likeness.CutFinder``).
    """
    options = []
    for i, face in enumerate(faces):
        place = crop_from_landmarks(face.landmarks)
        for track in lost:
            old = crop_from_landmarks(track.face.landmarks)
            grown = max(old.side, place.side) / min(old.side, place.side)
            far, unlike = shift(old, place), track.looks.difference(looks[i])
            most = _most_unlike(track, now, shot, hidden=hidden[i])
            if far < _NEAR and grown < _NEAR_GROWTH and unlike < most:
                options.append((unlike + far, i, track))
    out: dict[int, Track] = {}
    for _, i, track in sorted(options, key=lambda option: option[0]):
        if i not in out and track not in out.values():
            out[i] = track
    return out


def _most_unlike(track: Track, now: float, shot: FloatArray | None, *, hidden: bool) -> float:
    if track.cut:
        return LIKELY_SAME if same_shot(track.shot, shot) else SURELY_SAME
    if now - track.seen > _SHORT_ABSENCE:
        return LIKELY_SAME
    return math.inf if hidden else OTHER  # half a face looks like nobody


def _moved(before: Face, after: Face) -> float:
    return 1 - float(face_overlaps([before], [after])[0, 0])
