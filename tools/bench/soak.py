"""Analyse photos and read damaged files for minutes, and watch memory and handles.

    python tools/bench/soak.py --minutes 20

One analyser, in this process: photos of several sizes, damaged files, results written and
removed. Prints a line a minute; exit code 1 if memory or open files grew after the first fifth.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
from shared.command import Parser, run

from synergynet import FaceAnalyzer, SynergyNetError, read_image
from synergynet.jobs.results import Wanted, settings_of, try_results

REPO = Path(__file__).resolve().parents[2]
PHOTO = REPO / "examples" / "astronaut.jpg"
_GROWTH_MB, _HANDLES = 60.0, 5


def resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("needs Linux's /proc")


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def write_photos(folder: Path) -> list[Path]:
    """The example at several sizes and formats, without a face, and damaged."""
    image = read_image(PHOTO)
    paths = []
    for side, suffix in ((512, ".jpg"), (300, ".png"), (200, ".webp"), (160, ".tif")):
        paths.append(folder / f"photo{side}{suffix}")
        cv2.imwrite(str(paths[-1]), cv2.resize(image, (side, side)))
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    paths.append(folder / "noise.jpg")
    cv2.imwrite(str(paths[-1]), noise)
    data = paths[0].read_bytes()
    for name, part in {"cut.jpg": data[:9000], "empty.jpg": b"", "text.jpg": b"text"}.items():
        (folder / name).write_bytes(part)
        paths.append(folder / name)
    return paths


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    minutes = parser.parse_args().minutes
    start, rounds, first = time.monotonic(), 0, None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_photos(folder)
        analyzer = FaceAnalyzer(threads=1)
        wanted = Wanted()
        settings = settings_of(wanted, analyzer)
        told = -1
        while (spent := (time.monotonic() - start) / 60) < minutes:
            for path in paths:
                try_results(path, folder / "out" / path.stem, analyzer, wanted, settings)
            for detector in ("yunet", "centerface") if rounds % 20 == 0 else ():
                try:
                    FaceAnalyzer(detector, threads=1)  # sessions must go as they came
                except SynergyNetError as error:
                    sys.exit(str(error))
            rounds += 1
            if first is None and spent > minutes / 5:
                first = resident_mb(), handles()
            if int(spent) != told:
                told = int(spent)
                print(
                    f"{spent:5.1f} min, {rounds * len(paths)} photos: {resident_mb():.0f} MB, "
                    f"{handles()} open files, {threads()} threads",
                    flush=True,
                )
        assert first is not None
        grown, more = resident_mb() - first[0], handles() - first[1]
    print(f"{rounds * len(paths)} photos: {grown:+.0f} MB and {more:+d} open files since a fifth")
    sys.exit(grown > _GROWTH_MB or more > _HANDLES)


if __name__ == "__main__":
    run(main)
