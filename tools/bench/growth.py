"""How time and memory grow: with faces, pixels, photos and a video's length.

    python tools/bench/growth.py examples/astronaut.jpg

Prints a table for each. Times are medians of the analysis alone, photos decoded; memory is the
process's largest resident set so far, so each table goes upward.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
from shared.command import Parser, run
from shared.pictures import Image, enlarged
from shared.tables import print_head, print_row
from shared.timing import milliseconds

from synergynet import FaceAnalyzer, FaceTracker, read_image
from synergynet.files.video import VideoSource
from synergynet.jobs.videos import process_video
from synergynet.pipeline.quality import QUALITIES

HEAD = slice(20, 220), slice(125, 325)
"""Rows and columns of the head in examples/astronaut.jpg."""

FACES = (1, 4, 16, 64, 256)
MEGAPIXELS = (0.3, 1, 3, 12, 25, 50)
PHOTOS = (10, 100, 1000)
SECONDS = (4, 16, 64)
FRAME_RATE = 25


def crowd(head: Image, count: int) -> Image:
    """So many heads of 110 pixels in a square."""
    tile = np.asarray(cv2.resize(head, (110, 110), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    columns = int(np.ceil(np.sqrt(count)))
    picture = np.full((110 * columns, 110 * columns, 3), 128, np.uint8)
    for number in range(count):
        y, x = (110 * place for place in divmod(number, columns))
        picture[y : y + 110, x : x + 110] = tile if number % 2 else tile[:, ::-1]
    return picture


def memory() -> str:
    """Largest resident set of this process so far, MB."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"


def print_time(label: str, analyzer: FaceAnalyzer, photo: Image, runs: int) -> None:
    faces = analyzer(photo)
    spent = median(milliseconds(lambda: analyzer(photo), runs))
    per_face = f"{spent / len(faces):.2f}" if faces else "-"
    print_row((label, len(faces), f"{spent:.1f}", per_face, memory()))


def write_video(path: Path, photo: Image, frames: int) -> None:
    """A face that sways, 640 x 480."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FRAME_RATE, (640, 480))
    small = cv2.resize(photo, (480, 480), interpolation=cv2.INTER_AREA)
    for number in range(frames):
        left = round(80 + 60 * np.sin(number / 12))
        frame = np.full((480, 640, 3), 90, np.uint8)
        frame[:, left : left + 480] = small
        writer.write(frame)
    writer.release()


def main() -> None:
    parser = Parser(__doc__)
    parser.add_photo()
    parser.add_argument("--quality", default="default", choices=[*QUALITIES])
    args = parser.parse_args()
    photo = read_image(args.photo)
    analyzer = FaceAnalyzer(quality=args.quality)
    print_head("faces in a photo", "found", "ms", "ms per face", "MB")
    for count in FACES:
        print_time(str(count), analyzer, crowd(photo[HEAD], count), args.runs)
    print()
    print_head("megapixels", "found", "ms", "ms per face", "MB")
    for size in MEGAPIXELS:
        large = enlarged(photo, float(np.sqrt(size * 1e6 / (photo.shape[0] * photo.shape[1]))))
        print_time(f"{size:g}", analyzer, large, max(3, args.runs // 5))
    print()
    print_head("photos of a list", "photos/s", "MB")
    for count in PHOTOS:
        start = time.perf_counter()
        analyzer([args.photo] * count)
        print_row((count, f"{count / (time.perf_counter() - start):.1f}", memory()))
    print()
    print_head("seconds of video", "frames/s", "MB")
    follower = FaceAnalyzer(quality=args.quality, mirror=False, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        for seconds in SECONDS:
            film, lines = Path(folder) / f"{seconds}.mp4", Path(folder) / f"{seconds}.jsonl"
            write_video(film, photo, seconds * FRAME_RATE)
            source = VideoSource(film)
            start = time.perf_counter()
            done = process_video(source, FaceTracker(follower), json_lines=lines).frames
            source.close()
            print_row((seconds, f"{done / (time.perf_counter() - start):.0f}", memory()))


if __name__ == "__main__":
    run(main)
