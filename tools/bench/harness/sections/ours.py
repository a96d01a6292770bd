"""This package alone: phases, whole photos, known boxes, videos."""

import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import cv2

from harness.bench import Bench
from harness.canvases import FRAME_RATE, FRAME_SIZE, Scene, frames_of
from harness.floor import Peaks, measure_peaks
from harness.plan import ONE_FACE_SIDE
from harness.samples import summary
from harness.worker import WorkerError, run_python

Row = dict[str, Any]
_RATE = re.compile(r"([\d.]+) frames/s")


def peaks(bench: Bench) -> dict[int, Peaks]:
    """Of every number of threads."""
    out = {}
    for threads in bench.plan.threads:
        bench.say(f"peaks of {threads} thread(s)")
        with bench.worker("peaks.py", threads) as worker:
            out[threads] = measure_peaks(worker, bench.plan.seconds * 3)
    return out


def phases(bench: Bench) -> list[Row]:
    """Every phase for one face by the photo's size, and at 640 pixels by the number of faces.

    Drawings and files do not depend on quality: they are measured with the first one, and with
    all threads.
    """
    plan = bench.plan
    pairs = [*((1, side) for side in plan.sides), *((faces, ONE_FACE_SIDE) for faces in plan.faces)]
    cases = list(product([bench.scene(*pair) for pair in dict.fromkeys(pairs)], bench.qualities))
    how = {"seconds": plan.seconds / 2, "least": plan.least}
    rows: list[Row] = []
    work = _work(bench, cases)
    for threads in plan.threads:
        with bench.worker("ours.py", threads) as worker:
            for scene, quality in cases:
                bench.say(f"phases: {threads} thread(s), {quality}, {scene.name}")
                request = _request(scene, quality)
                photo = {"jpeg": scene.jpeg}
                times = worker.ask({"task": "phases", **request, **photo, **how})["ms"]
                if quality == bench.qualities[0] and threads == bench.threads:
                    slow = {**how, "least": plan.repeats, "files": _has_files(scene)}
                    times |= worker.ask({"task": "outputs", **request, **slow})["ms"]
                rows += _phase_rows(scene, quality, threads, times, work[scene.name, quality])
    return rows


def _phase_rows(
    scene: Scene,
    quality: str,
    threads: int,
    times: dict[str, list[float]],
    work: dict[str, Any],
) -> Iterable[Row]:
    for phase, ms in times.items():
        row: Row = {"phase": phase, "quality": quality, "faces": scene.faces}
        row |= {"side": scene.size[0], "threads": threads, "ms": summary(ms)}
        if phase in work:
            row["work"] = work[phase]
        yield row


def _work(bench: Bench, cases: list[tuple[Scene, str]]) -> dict[tuple[str, str], Row]:
    """What each phase has to do; nothing, with a note, where that cannot be counted."""
    out: dict[tuple[str, str], Row] = {(scene.name, quality): {} for scene, quality in cases}
    with bench.worker("counting.py") as worker:
        for scene, quality in cases:
            bench.say(f"work: {quality}, {scene.name}")
            request = {"task": "work", **_request(scene, quality), "jpeg": scene.jpeg}
            request |= {"outputs": quality == bench.qualities[0], "files": _has_files(scene)}
            try:
                out[scene.name, quality] = worker.ask(request)["work"]
            except WorkerError as error:
                bench.notes.append(f"some floors were left out: {error}")
                break
    return out


def _request(scene: Scene, quality: str) -> Row:
    return {"image": scene.array, "boxes": scene.boxes, "quality": quality}


def _has_files(scene: Scene) -> bool:
    """Whether files are written of this photo: of one are enough."""
    return scene.faces == 1 and scene.size[0] == ONE_FACE_SIDE


def whole_photos(bench: Bench) -> list[Row]:
    """A decoded photo to landmarks and pose of all faces: every size, number and quality."""
    plan = bench.plan
    rows: list[Row] = []
    made = [bench.scene(faces, side) for faces, side in product(plan.faces, plan.sides)]
    for threads in plan.threads:
        with bench.worker("ours.py", threads) as worker:
            for scene, quality in product((*made, *bench.photos), bench.qualities):
                bench.say(f"whole photo: {threads} thread(s), {quality}, {scene.name}")
                request = {"task": "photo", "image": scene.array, "quality": quality}
                answer = worker.ask({**request, "seconds": plan.seconds, "least": plan.least})
                rows.append(
                    {
                        "quality": quality,
                        "photo": scene.name,
                        "size": scene.size,
                        "faces": scene.faces,
                        "found": answer["found"],
                        "threads": threads,
                        "ms": summary(answer["ms"]),
                    }
                )
    return rows


def known_boxes(bench: Bench) -> list[Row]:
    """Boxes to landmarks and pose, without and with dense vertices."""
    plan = bench.plan
    rows: list[Row] = []
    for threads in plan.threads:
        with bench.worker("ours.py", threads) as worker:
            for faces, quality, dense in product((1, 64), bench.qualities, (False, True)):
                scene = bench.scene(faces, ONE_FACE_SIDE)
                bench.say(f"known boxes: {threads} thread(s), {quality}, {faces}")
                request: Row = {"task": "boxes", "image": scene.array, "boxes": scene.boxes}
                request |= {"quality": quality, "dense": dense}
                how = {"seconds": 2 * plan.seconds, "least": plan.least, "most": 200}
                ms = [t / faces for t in worker.ask({**request, **how})["ms"]]
                row = {"faces": faces, "quality": quality, "dense": dense, "threads": threads}
                rows.append({**row, "ms_per_face": summary(ms)})
    return rows


def videos(bench: Bench) -> list[Row]:
    """Frames per second of ``synergynet video --json``, as it says itself: decoding included."""
    film = write_film(bench)
    rows: list[Row] = []
    options: dict[str, list[str]] = {"as the command is given": []}
    options |= {quality: ["--quality", quality] for quality in bench.qualities}
    for name, more in options.items():
        bench.say(f"video: {name}")
        try:
            rates = [_rate(bench, film, more) for _ in range(bench.plan.repeats)]
        except WorkerError as error:
            bench.notes.append(f"the video, {name}, was left out: {error}")
            continue
        rows.append({"what": name, "frames": bench.plan.frames, "frames_per_second": rates})
    return rows


def write_film(bench: Bench) -> Path:
    """A video of one face, 640 x 480."""
    path = bench.folder / "film.mp4"
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), codec, FRAME_RATE, FRAME_SIZE[::-1])
    for frame in frames_of(bench.source, bench.plan.frames):
        writer.write(frame)
    writer.release()
    return path


def _rate(bench: Bench, film: Path, more: list[str]) -> float:
    lines = bench.folder / "film.jsonl"
    command = ["-m", "synergynet", "video", str(film), "--json", str(lines), *more]
    done = run_python(command, bench.threads)
    said = _RATE.search(done.stdout)
    if done.returncode or said is None:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise WorkerError(f"synergynet video {' '.join(more)}: {' '.join(last)}")
    return float(said[1])
