"""Time everything from photo to files, beside what a user would pick instead and beside the floor.

    python tools/bench/speed.py --quick

Photos of every size and number of faces are made from one face (by default the astronaut of
``examples``); with --photos real ones are measured too. MediaPipe and dlib are installed from PyPI,
each into an environment below the output folder; the official path runs where torch is installed.
All are measured in turn. Writes ``speed.json`` and ``speed.md`` and prints the latter. A full run
takes about ten minutes, --quick about one; after the first, which installs the rivals.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.bars import judge
from harness.bench import Bench
from harness.canvases import find_face, write_scene
from harness.floor import add_floors, best_peaks
from harness.machine import describe_machine
from harness.plan import FULL, ONE_FACE_SIDE, QUICK, Plan
from harness.report import write_report
from harness.sections import others, ours, start
from harness.worker import WorkerError
from shared.command import CLONE, Parser, existing, run

from synergynet import SynergyNetError, read_image
from synergynet.files.images import PHOTO_SUFFIXES
from synergynet.files.processors import processors
from synergynet.files.whole_file import write_whole
from synergynet.pipeline.quality import QUALITIES

SCHEMA = 1
"""Of the JSON; raised when an entry changes its meaning."""


def main() -> None:
    args = parse()
    machine = describe_machine()
    args.output.mkdir(parents=True, exist_ok=True)
    source = find_face(args.photo)
    with tempfile.TemporaryDirectory(dir=args.output) as folder:
        place = Path(folder)
        photos = [write_scene(place, path.stem, read_image(path)) for path in photos_of(args)]
        kept = args.output / "environments"
        bench = Bench(plan_of(args), source, place, kept, args.quality, photos)
        result: dict[str, Any] = {
            "schema": SCHEMA,
            "when": datetime.now().astimezone().isoformat(timespec="minutes"),
            "arguments": sys.argv[1:],
            "machine": machine,
            **measure(bench, rivals=not args.no_rivals, official=not args.no_official),
        }
        bars = judge(result, ten_faces(args))
        result["bars"] = [bar.as_row() for bar in bars]
        page = write_report(result, bars, bench.qualities)
        bench.say("done")
    write_whole(args.output / "speed.json", json.dumps(result, indent=1).encode())
    write_whole(args.output / "speed.md", page.encode())
    print(page)


def parse() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument(
        "photo",
        type=existing,
        nargs="?",
        default=CLONE / "examples" / "astronaut.jpg",
        help="with a face, of which photos are made",
    )
    parser.add_argument("--photos", type=existing, help="folder of real photos to measure besides")
    parser.add_argument("--ten-faces", type=existing, help="real photo for the bars of ten faces")
    parser.add_argument("-o", "--output", type=Path, default=CLONE / "runs" / "bench")
    parser.add_argument("--quick", action="store_true", help="the main things, in about a minute")
    parser.add_argument(
        "--quality", nargs="+", choices=QUALITIES, default=[*QUALITIES], help="by default all"
    )
    parser.add_argument("--threads", type=int, nargs="+", help="by default 1 and 2")
    parser.add_argument("--rounds", type=int, help="of a comparison")
    parser.add_argument("--no-rivals", action="store_true", help="neither MediaPipe nor dlib")
    parser.add_argument("--no-official", action="store_true", help="no official path")
    return parser.parse_args()


def plan_of(args: argparse.Namespace) -> Plan:
    """The plan, less what this machine has no processors for.

    Raises:
        SynergyNetError: numbers below 1, or more threads than processors.
    """
    plan = QUICK if args.quick else FULL
    most = processors()
    threads = args.threads or sorted({min(n, most) for n in plan.threads})
    rounds = args.rounds or plan.rounds
    if not 1 <= min(threads) <= max(threads) <= most:
        raise SynergyNetError(f"--threads {max(threads)}: this machine has 1 to {most}")
    if rounds < 1:
        raise SynergyNetError(f"--rounds {rounds}: one round is the least")
    return replace(plan, threads=tuple(threads), rounds=rounds)


def photos_of(args: argparse.Namespace) -> list[Path]:
    """The real photos, each once."""
    found = [*args.photos.iterdir()] if args.photos else []
    photos = {path.resolve() for path in found if path.suffix.lower() in PHOTO_SUFFIXES}
    return sorted(photos | ({args.ten_faces.resolve()} if args.ten_faces else set()))


def ten_faces(args: argparse.Namespace) -> str:
    """Name of the photo for the bars of ten faces: the real one, or a made one."""
    return args.ten_faces.stem if args.ten_faces else f"10 faces, {ONE_FACE_SIDE} px"


def measure(bench: Bench, *, rivals: bool, official: bool) -> dict[str, Any]:
    """All sections, as they stand in the JSON."""
    installed = others.install_rivals(bench) if rivals else {}
    official = official and others.has_torch(bench)
    before = ours.peaks(bench)
    sections: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "cold_start": lambda: start.cold_starts(bench),
        "first_answers": lambda: start.first_answers(bench, installed, official),
        "phases": lambda: ours.phases(bench),
        "whole_photos": lambda: ours.whole_photos(bench),
        "known_boxes": lambda: ours.known_boxes(bench),
        "videos": lambda: ours.videos(bench),
        "comparisons": lambda: others.comparisons(bench, installed, official),
    }
    out: dict[str, Any] = {}
    for name, section in sections.items():
        try:
            out[name] = section()
        except WorkerError as error:  # the rest is worth having
            bench.notes.append(f"{name} were left out: {error}")
            out[name] = []
    peaks = best_peaks(before, ours.peaks(bench))
    add_floors(out["phases"], peaks)
    peak_rows = {threads: asdict(peak) for threads, peak in peaks.items()}
    return {**out, "peaks": peak_rows, "notes": bench.notes}


if __name__ == "__main__":
    run(main)
