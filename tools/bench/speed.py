"""Time every step from photo to picture, models loaded.

python tools/bench/speed.py examples/astronaut.jpg --side 640
"""

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared.command import Parser, run
from shared.pictures import read_scaled
from shared.timing import milliseconds

from synergynet import FaceAnalyzer, draw
from synergynet.outputs.kinds import DEFAULT_DRAWINGS


def main() -> None:
    parser = Parser(__doc__)
    parser.add_photo()
    parser.add_argument("--threads", type=int, default=0, help="of the network; 0: its choice")
    args = parser.parse_args()
    image = read_scaled(args.photo, args.side)
    analyzer = FaceAnalyzer(threads=args.threads)
    times: dict[str, list[float]] = defaultdict(list)
    for run_number in range(args.runs + 3):
        analysis = analyzer.analyze(image)
        if run_number >= 3:  # the first ones warm up
            times["detection"].append(1000 * analysis.timings.detection)
            times["regression (three views)"].append(1000 * analysis.timings.regression)
            times["decode"].append(1000 * analysis.timings.decode)
    for kind in DEFAULT_DRAWINGS:
        times[f"drawing {kind}"] = milliseconds(
            lambda kind=kind: draw(image, analysis.faces, kind),  # type: ignore[misc]
            args.runs,
            warm_up=3,
        )
    height, width = image.shape[:2]
    print(f"{len(analysis.faces)} face(s), {width} x {height}, median of {args.runs} runs:")
    for name, values in times.items():
        print(f"  {name:24} {median(values):7.1f} ms")


if __name__ == "__main__":
    run(main)
