"""Run thousands of photos on two Ray workers, kill one in the middle, and count every photo.

python tools/bench/cluster_proof.py examples/astronaut.jpg -n 20000 -o proof

Photos are made of the one that is given: its face cut out in many ways, and some photos without a
face or cut off. The first ones go through the local engine too, whose rates and answers are
compared. It must end with "every photo exactly once".
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet
from shared.command import Parser, existing, run

from synergynet import FaceAnalyzer, SynergyNetError, read_image
from synergynet.geometry.boxes import Box
from synergynet.jobs.cluster import check_ray
from synergynet.jobs.shards import FAILED, FOLDER, Run, Table, note_of

SIDE = 320
NO_FACE, BROKEN = 25, 500
"""One photo of so many."""


@dataclass
class Kill:
    """Which worker was killed, and when."""

    parts: int = 0
    worker: str = ""
    photo: int = 0
    done: threading.Event = field(default_factory=threading.Event)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("photo", type=existing, help="with one face")
    parser.add_argument("-n", type=int, default=20_000, help="photos to make")
    parser.add_argument("-o", "--output", type=Path, default=Path("proof"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quality", default="default", help="of infer")
    parser.add_argument("--sample", type=int, default=1000, help="photos of the local engine")
    args = parser.parse_args()
    check_ray()
    photos = make_photos(args.photo, args.output / "photos", args.n)
    sample = photos[: args.sample]
    (args.output / "sample.txt").write_text("".join(f"{photo}\n" for photo in sample))
    rows = []
    given = ["--list", str(args.output / "sample.txt"), "--quality", args.quality]
    seconds = infer([*given, "--workers", "1"], args.output / "alone", one_processor=True)
    rows.append(("local, on one processor", 1, len(sample), seconds))
    for workers in (1, args.workers):
        seconds = infer([*given, "--workers", str(workers)], args.output / f"local{workers}")
        rows.append(("local", workers, len(sample), seconds))
    given = [str(args.output / "photos"), "--engine", "ray", "--workers", str(args.workers)]
    given += ["--quality", args.quality]
    kill = Kill()
    thread = threading.Thread(target=kill_one, args=(kill, args.output / "ray", len(photos)))
    thread.start()
    try:
        seconds = infer(given, args.output / "ray")
    finally:
        kill.done.set()
        thread.join()
    rows.append(("ray", args.workers, len(photos), seconds))
    if not kill.worker:
        raise SynergyNetError("no worker was killed; take more photos")
    print(f"{'engine':23}  workers  photos  seconds  photos/s  against the first")
    base = rows[0][2] / rows[0][3]
    for engine, workers, count, seconds in rows:
        rate = count / seconds
        numbers = f"{workers:7}  {count:6}  {seconds:7.0f}  {rate:8.2f}  {rate / base:.2f}"
        print(f"{engine:23}  {numbers}")
    print(f"killed worker {kill.worker} at photo {kill.photo} of a shard, {kill.parts} parts done")
    print(f"every photo exactly once: {count_photos(photos, args.output / 'ray')}")
    same = compare(sample, args.output / "local1", args.output / "ray")
    print(f"JSON of both engines, byte for byte: {same} of {len(sample)} photos the same")


def make_photos(source: Path, folder: Path, count: int) -> list[Path]:
    """Write what is missing of ``count`` JPEGs; each is made of its number alone."""
    image = read_image(source)
    faces = FaceAnalyzer(mirror=False)(image)
    if not faces:
        raise SynergyNetError(f"{source}: no face was found in it")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            path.write_bytes(make_photo(image, faces[0].box, number))
    return paths


def make_photo(image: NDArray[np.uint8], box: Box, number: int) -> bytes:
    """The face at another place, size, tilt and light; noise alone; or half a file."""
    rng = np.random.default_rng(number)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    zoom = SIDE * rng.uniform(0.25, 0.6) / (box[3] - box[1])
    affine = cv2.getRotationMatrix2D((x, y), rng.uniform(-25, 25), zoom)
    shift = SIDE * rng.uniform(0.4, 0.6, (2, 1)) - [[x], [y]]
    affine = affine + np.hstack([np.zeros((2, 2)), shift])
    photo = cv2.warpAffine(image, affine, (SIDE, SIDE), flags=cv2.INTER_AREA)
    if number % NO_FACE == NO_FACE - 1:
        photo = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (SIDE, SIDE))
    if rng.integers(2):
        photo = photo[:, ::-1]
    photo = cv2.convertScaleAbs(photo, alpha=rng.uniform(0.6, 1.2), beta=rng.uniform(-20, 20))
    _, data = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return data.tobytes()[: 200 if number % BROKEN == BROKEN - 1 else None]


def infer(arguments: list[str], output: Path, *, one_processor: bool = False) -> float:
    """Seconds of ``synergynet infer``, from its start to its end."""
    shutil.rmtree(output, ignore_errors=True)
    hold = one_processor and hasattr(os, "sched_setaffinity")
    command = [sys.executable, "-m", "synergynet", "infer", *arguments, "-o", str(output)]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--draw", "none", "--mesh", "none"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        check=False,
        preexec_fn=(lambda: os.sched_setaffinity(0, {0})) if hold else None,
    )
    if done.returncode and "photos failed" not in done.stderr:
        raise SynergyNetError(f"{' '.join(command)}: {done.stderr[-500:]}")
    return time.perf_counter() - start


def kill_one(kill: Kill, output: Path, photos: int) -> None:
    """Once half of the parts are there, kill a worker that is inside a shard."""
    table = Table(output / FOLDER, Run("", photos, 1))
    while not kill.done.is_set():
        time.sleep(0.05)
        try:
            parts = json.loads((table.folder / "_run.json").read_bytes())["parts"]
        except OSError:
            continue
        there = len(list(table.folder.glob("part-*.parquet")))
        notes = [note for note in map(note_of, table.at_work()) if note is not None and note[1]]
        if 2 * there >= parts and notes:
            worker, photo = notes[0]
            os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
            kill.parts, kill.worker, kill.photo = there, worker, photo
            return


def count_photos(photos: list[Path], output: Path) -> str:
    """Raise SynergyNetError unless table, JSONs and ``failed.jsonl`` have each photo once."""
    table = parquet.read_table(output / FOLDER, columns=["file", "face", "faces", "error"])
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        rows[row["file"]].append(row)
    failed = {photo for photo, (first, *_) in rows.items() if first["error"] is not None}
    faces = {photo: first["faces"] or 0 for photo, (first, *_) in rows.items()}
    lines = (output / FAILED).read_text().splitlines()
    wrong = set(map(str, photos)) ^ set(rows)
    wrong |= failed ^ {json.loads(line)["file"] for line in lines}
    for photo, of_photo in rows.items():
        once = [row["face"] for row in of_photo] == ([*range(faces[photo])] or [None])
        made = (output / f"{Path(photo).stem}.json").exists()
        if not once or made == (photo in failed):
            wrong.add(photo)
    if wrong or len(lines) != len(failed):
        raise SynergyNetError(f"{len(wrong)} photos are wrong, among them {sorted(wrong)[:3]}")
    with_face = sum(count > 0 for count in faces.values())
    return f"yes ({len(rows)} photos, {with_face} with a face, {len(failed)} failed)"


def compare(sample: list[Path], one: Path, other: Path) -> int:
    """How many photos have the same JSON, or none, in both folders."""
    names = [f"{photo.stem}.json" for photo in sample]
    return sum(content(one / name) == content(other / name) for name in names)


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    run(main)
