"""Jitter against lag of the One Euro filter on faces, measured on a video and on known motion.

python tools/research/video_smoothing.py talk.mp4 --compare

Every row is measured on the same unsmoothed tracks:

* still: the video's first frame, again and again with fresh pixel noise. Jitter is the RMS
  distance of the landmarks from where they are on average, after one second.
* held: the video with the head held in place, by a similarity transform per frame from optical
  flow within the face. Jitter is the RMS second difference of the landmarks that do not move with
  the expression (nose bridge, corners of the eyes), over sqrt(6): the standard deviation of white
  noise that would give it. What is left of slow motion does not count.
* video: lag is the delay of the unsmoothed landmarks that comes nearest to the smoothed ones, of
  those same landmarks and of the mouth.
* swing: the first frame, with noise, moved or turned along a sine. Lag is that of the best
  sine of the known frequency through the position (of a turn: the angle) of the smoothed landmarks.
"""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray
from shared.command import Parser, existing, run
from shared.pictures import Image
from shared.tables import print_head, print_row

from synergynet import FaceAnalyzer, SynergyNetError
from synergynet.files.video import VideoSource
from synergynet.pipeline.face import Face
from synergynet.pipeline.smoothing import FaceSmoother, OneEuro, SmoothingConstants
from synergynet.pipeline.tracking import FaceTracker
from synergynet.rendering.draw import face_size

Points = NDArray[np.floating]

NOISE = 4.0
"""Standard deviation of the added pixel noise, of 255."""

RATE = 25.0
STILL_FRAMES = 125
SWINGS = {
    "0.5 Hz, 0.05": (0.5, 0.05, 0.0),
    "0.5 Hz, 0.25": (0.5, 0.25, 0.0),
    "1 Hz, 0.1": (1.0, 0.1, 0.0),
    "1 Hz, 0.25": (1.0, 0.25, 0.0),
    "2 Hz, 0.1": (2.0, 0.1, 0.0),
    "1 Hz, 10 degrees": (1.0, 0.0, 10.0),
}
"""Name -> frequency, amplitude in face sizes sideways, amplitude of the roll in degrees."""

STATIC = [27, 28, 29, 30, 36, 39, 42, 45]
MOUTH = slice(48, 68)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("video", type=existing)
    parser.add_argument("--height", type=int, default=480, help="of the frames in pixels")
    parser.add_argument("--compare", action="store_true", help="other constants as well")
    args = parser.parse_args()
    frames = read_frames(args.video, args.height)
    tracks = record(frames, FaceAnalyzer(mirror=False, threads=1))
    size = face_size(tracks["still"][0].landmarks)
    print(f"{len(frames)} frames of {args.video.name}; the face is {size:.0f} pixels large.")
    print("Lag in frames of 1/25 s, jitter in percent of the face's size.\n")
    jitters = ("jitter, still", "", "jitter, held", "")
    print_head("filter", *jitters, *(f"lag, {name}" for name in ("video", "mouth", *SWINGS)))
    off = OneEuro(1e9, 0.0)
    raw = measure(tracks, SmoothingConstants(off, off, off))
    print_row(row("none", raw, raw))
    for name, constants in candidates(args.compare):
        print_row(row(name, measure(tracks, constants), raw))


def candidates(compare: bool) -> Iterator[tuple[str, SmoothingConstants]]:
    """The shipped constants, and others around them."""
    shipped = SmoothingConstants()
    yield "**shipped**", shipped
    if not compare:
        return
    fields = ("camera", "identity", "expression")
    for (cutoff, beta), name in itertools.product(
        ((0.5, 1.0), (2.0, 1.0), (1.0, 0.5), (1.0, 2.0)), ("all", *fields)
    ):
        changed = {
            field: replace(old, min_cutoff=old.min_cutoff * cutoff, beta=old.beta * beta)
            for field in (fields if name == "all" else [name])
            if (old := getattr(shipped, field))
        }
        what = f"cutoff x {cutoff}" if cutoff != 1 else f"beta x {beta}"
        yield f"{name}: {what}", replace(shipped, **changed)


def read_frames(path: Path, height: int) -> list[Image]:
    frames = []
    for frame in VideoSource(path):
        scale = height / frame.image.shape[0]
        small = cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        frames.append(np.asarray(small, dtype=np.uint8))
    return frames


def warped(frame: Image, matrix: MatLike) -> Image:
    moved = cv2.warpAffine(
        frame, matrix, frame.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, dtype=np.uint8)


def record(frames: list[Image], analyzer: FaceAnalyzer) -> dict[str, list[Face]]:
    """The unsmoothed track of the first face in every setting."""

    def track(pictures: Iterable[Image]) -> list[Face]:
        tracker = FaceTracker(analyzer, smooth=False, frame_rate=RATE)
        found = [tracker(picture) for picture in pictures]
        if not all(found) or any(faces[0].id for faces in found):
            raise SynergyNetError("the first face is not seen in every frame; use another video")
        return [faces[0].face for faces in found]

    rng = np.random.default_rng(0)

    def noisy(picture: Image) -> Image:
        grain = rng.normal(0, NOISE, picture.shape).astype(np.float32)
        return np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8)

    tracks = {"video": track(frames)}
    first = tracks["video"][0].landmarks
    size, middle = face_size(first), first[:, :2].mean(axis=0)
    tracks["held"] = track(held(frames, first))
    tracks["still"] = track(noisy(frames[0]) for _ in range(STILL_FRAMES))
    for name, swing in SWINGS.items():
        tracks[name] = track(noisy(frame) for frame in swung(frames[0], swing, size, middle))
    return tracks


def held(frames: list[Image], landmarks: Points) -> Iterator[Image]:
    """The frames moved, turned and scaled so that the face stays where it is in the first."""
    grey = [np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)) for frame in frames]
    upper = np.rint(landmarks[:48, :2]).astype(np.int32)  # without the mouth
    mask = np.zeros_like(grey[0])
    cv2.fillConvexPoly(mask, cv2.convexHull(upper), 255)
    start = cv2.goodFeaturesToTrack(grey[0], 300, 0.005, 4, mask=mask)
    spots = first = np.asarray(start, dtype=np.float32)
    yield frames[0]
    for before, after, frame in zip(grey, grey[1:], frames[1:], strict=False):
        moved_to, found, _ = cv2.calcOpticalFlowPyrLK(before, after, spots, spots.copy())
        seen = found.ravel() > 0
        spots, first = np.asarray(moved_to, dtype=np.float32)[seen], first[seen]
        back, _ = cv2.estimateAffinePartial2D(spots, first)
        yield warped(frame, back)


def swung(
    frame: Image, swing: tuple[float, float, float], size: float, middle: Points
) -> Iterator[Image]:
    """The frame moved sideways and turned about the face along a sine, for four seconds."""
    frequency, amplitude, degrees = swing
    for k in range(int(4 * RATE)):
        phase = np.sin(2 * np.pi * frequency * k / RATE)
        matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), degrees * phase, 1)
        matrix[0, 2] += amplitude * size * phase
        yield warped(frame, matrix)


def measure(tracks: dict[str, list[Face]], constants: SmoothingConstants) -> dict[str, float]:
    """Jitter in percent of the face's size, lags in frames."""
    smooth = {name: smoothed(track, constants) for name, track in tracks.items()}
    raw = np.array([face.landmarks[:, :2] for face in tracks["video"]])
    size = face_size(tracks["still"][0].landmarks)
    settled = smooth["still"][int(RATE) :]
    spread = settled - settled.mean(axis=0)
    wobble = np.diff(smooth["held"][:, STATIC], 2, axis=0)[int(RATE / 2) :] / np.sqrt(6)
    out = {
        "still": 100 * rms(spread) / size,
        "held": 100 * rms(wobble) / size,
        "lag": delay(raw[:, STATIC], smooth["video"][:, STATIC]),
        "mouth": delay(raw[:, MOUTH], smooth["video"][:, MOUTH]),
    }
    for name, (frequency, _, degrees) in SWINGS.items():
        points = smooth[name]
        eyes = points[:, 36:42].mean(axis=1) - points[:, 42:48].mean(axis=1)
        turn = np.arctan2(eyes[:, 1], eyes[:, 0])
        position = np.unwrap(turn) * -1 if degrees else points[..., 0].mean(axis=1)
        out[name] = phase_lag(position, frequency)
    return out


def smoothed(track: list[Face], constants: SmoothingConstants) -> Points:
    """(frames, 68, 2) landmarks after the filter."""
    smoother = FaceSmoother(constants)
    return np.array([smoother(face, 1 / RATE).landmarks[:, :2] for face in track])


def rms(vectors: Points) -> float:
    return float(np.sqrt((vectors**2).sum(axis=-1).mean()))


def delay(raw: Points, smooth: Points) -> float:
    """Frames by which ``raw`` (frames, n, 2), delayed, comes nearest to ``smooth``."""
    start, times = 8, np.arange(len(raw), dtype=np.float64)
    flat = raw.reshape(len(raw), -1)
    target = smooth.reshape(len(raw), -1)[start:]

    def distance(lag: float) -> float:
        late = [np.interp(times[start:] - lag, times, column) for column in flat.T]
        return float(((np.array(late).T - target) ** 2).sum())

    return least(distance, np.arange(0.0, 6.0, 0.05))


def least(price: Callable[[float], float], choices: Points) -> float:
    return float(min(choices.tolist(), key=price))


def phase_lag(position: Points, frequency: float) -> float:
    """Frames by which a sine that starts at frame 0 is late in ``position`` (frames,)."""
    start = int(RATE)
    angle = 2 * np.pi * frequency * np.arange(len(position)) / RATE
    basis = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)[start:]
    sine, cosine, _ = np.linalg.lstsq(basis, position[start:], rcond=None)[0]
    return float(np.arctan2(-cosine, sine) / (2 * np.pi * frequency) * RATE)


def row(name: str, found: dict[str, float], raw: dict[str, float]) -> list[str]:
    cells = [name]
    for key in ("still", "held"):
        cells += [f"{found[key]:.3f} %", f"{raw[key] / found[key]:.1f} x"]
    return cells + [f"{found[key] + 0.0:.2f}" for key in ("lag", "mouth", *SWINGS)]


if __name__ == "__main__":
    run(main)
