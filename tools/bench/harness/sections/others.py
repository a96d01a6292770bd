"""This package against what a user would pick instead, in turn, in one run."""

import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from harness.bench import Bench
from harness.canvases import Scene, frames_of
from harness.contest import End, as_rows, compare
from harness.environments import MEDIAPIPE, RIVALS, Rival, install
from harness.plan import ONE_FACE_SIDE
from harness.worker import Worker
from synergynet import SynergyNetError

Row = dict[str, Any]
FRAMES = 50
VIDEO = "video, 640 x 480"
MOST_FACES = 16
"""That rivals are told to look for where the number is not known."""

OFFICIAL, OFFICIAL_KEPT = "official path", "official path, detector kept"


def ours(quality: str, *, dense: bool = False) -> str:
    """The name of this package's end."""
    return f"synergynet {quality}{', dense' * dense}"


def photo_mode(rival: Rival) -> str:
    return f"{rival.name}, photo" if rival is MEDIAPIPE else rival.name


TRACKING = f"{MEDIAPIPE.name}, tracking"


def install_rivals(bench: Bench) -> dict[Rival, Path]:
    """The Python of each rival that can be installed; a note for each that cannot."""
    out = {}
    for rival in RIVALS:
        bench.say(f"environment of {rival.name}")
        try:
            out[rival] = install(rival, bench.kept)
        except SynergyNetError as error:
            bench.notes.append(f"{rival.name} was left out: {error}")
    return out


def has_torch(bench: Bench) -> bool:
    """Whether the official path can be run; a note if not."""
    if find_spec("torch") is None:
        bench.notes.append('the official path was left out: it needs the extra "train"')
        return False
    return True


def comparisons(bench: Bench, rivals: dict[Rival, Path], official: bool) -> list[Row]:
    """Photos with one face and with several, real photos, and a video."""
    rows = []
    for threads in bench.plan.threads:
        with ExitStack() as stack:
            python = {"ours.py": Path(sys.executable)}
            python |= {rival.script: path for rival, path in rivals.items()}
            if official:
                python["official.py"] = Path(sys.executable)
            workers = {
                script: stack.enter_context(bench.worker(script, threads, path))
                for script, path in python.items()
            }
            rows += _with(bench, workers, threads)
    return rows


def _with(bench: Bench, workers: dict[str, Worker], threads: int) -> list[Row]:
    """All comparisons with all threads; with fewer, one face and the video."""
    plan, all_threads = bench.plan, threads == bench.threads
    made = [bench.scene(n, ONE_FACE_SIDE) for n in plan.compared if all_threads or n == 1]
    rows = []
    for scene in (*made, *(bench.photos if all_threads else ())):
        bench.say(f"comparison: {threads} thread(s), {scene.name}")
        times_as_many = 2 if scene.faces == 1 else 1
        rounds, longest = plan.rounds * times_as_many, plan.case_seconds * times_as_many
        ends = _photo_ends(bench, workers, scene)
        times = compare(ends, rounds, plan.round_seconds, longest, bench.notes)
        case = {"case": scene.name, "faces": scene.faces, "size": scene.size, "threads": threads}
        rows.append({**case, "ends": as_rows(times)})
    bench.say(f"comparison: {threads} thread(s), {VIDEO}")
    ends = _video_ends(bench, workers)
    times = compare(ends, max(1, plan.rounds // 2), 0, plan.case_seconds, bench.notes)
    case = {"case": VIDEO, "faces": 1, "size": (640, 480), "threads": threads}
    return [*rows, {**case, "ends": as_rows(times)}]


def _photo_ends(bench: Bench, workers: dict[str, Worker], scene: Scene) -> list[End]:
    """All ends; for the bars of dense vertices, those too."""
    in_detail = scene.faces in (1, 8)
    photo = {"task": "photo", "image": scene.array}
    ends = [
        End(
            ours(quality, dense=dense),
            workers["ours.py"],
            {**photo, "quality": quality, "dense": dense},
        )
        for dense in (False, True)[: 1 + in_detail]
        for quality in bench.qualities
    ]
    expected = {**photo, "faces": scene.faces or MOST_FACES}
    ends += [End(photo_mode(r), workers[r.script], expected) for r in RIVALS if r.script in workers]
    if "official.py" in workers:
        ends.append(End(OFFICIAL, workers["official.py"], photo))
        if in_detail:
            kept = {**photo, "rebuilt": False}
            ends.append(End(OFFICIAL_KEPT, workers["official.py"], kept))
    return ends


def _video_ends(bench: Bench, workers: dict[str, Worker]) -> list[End]:
    path = bench.folder / "frames.npy"
    if not path.exists():
        np.save(path, np.stack([*frames_of(bench.source, FRAMES)]))
    frames = {"task": "frames", "frames": str(path)}
    ends = [End(ours(q), workers["ours.py"], {**frames, "quality": q}) for q in bench.qualities]
    if MEDIAPIPE.script in workers:
        ends.append(End(TRACKING, workers[MEDIAPIPE.script], frames))
    return ends
