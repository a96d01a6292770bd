#!/usr/bin/env python3
"""Time every step from photo to picture, models loaded.

python tools/bench/speed.py examples/astronaut.jpg --side 640
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from synergynet import FaceAnalyzer, draw, read_image
from synergynet.outputs.pictures import DRAWINGS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--side", type=int, default=640, help="longer side in pixels")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=0, help="of the network; 0: its choice")
    args = parser.parse_args()
    photo = read_image(args.photo)
    scale = args.side / max(photo.shape[:2])
    resized = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    image = np.asarray(resized, dtype=np.uint8)
    analyzer = FaceAnalyzer(threads=args.threads)
    times: dict[str, list[float]] = defaultdict(list)
    for run in range(args.runs + 3):
        analysis = analyzer.analyze(image)
        steps = {
            "detection": analysis.timings.detection,
            "regression (three views)": analysis.timings.regression,
            "decode": analysis.timings.decode,
        }
        for kind in DRAWINGS:
            clock = time.perf_counter()
            draw(image, analysis.faces, kind)
            steps[f"drawing {kind}"] = time.perf_counter() - clock
        if run >= 3:  # the first ones warm up
            for name, seconds in steps.items():
                times[name].append(1000 * seconds)
    height, width = image.shape[:2]
    print(f"{len(analysis.faces)} face(s), {width} x {height}, median of {args.runs} runs:")
    for name, values in times.items():
        print(f"  {name:24} {median(values):7.1f} ms")


if __name__ == "__main__":
    main()
