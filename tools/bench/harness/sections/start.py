"""Cold start, and the most memory that a process takes."""

from pathlib import Path
from time import perf_counter
from typing import Any

from harness.bench import Bench
from harness.canvases import Scene
from harness.cold import cold_commands, seconds_of
from harness.environments import Rival
from harness.samples import summary
from harness.worker import WorkerError

Row = dict[str, Any]
Case = tuple[str, str, Path | None, Scene, Row]
"""End, script, Python, photo, more of the request."""


def cold_starts(bench: Bench) -> list[Row]:
    """Every command in turn, again and again; files are in the system's cache after the first."""
    commands = cold_commands(bench.scene(1, 640).jpeg, bench.folder, bench.qualities)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(bench.plan.cold + 1):
        bench.say(f"cold start, round {number}")
        for name, arguments in list(commands.items()):
            try:
                seconds = seconds_of(arguments, bench.threads)
            except WorkerError as error:
                bench.notes.append(f"{name} was left out: {error}")
                del commands[name], times[name]
                continue
            if number:
                times[name].append(1000 * seconds)
    return [{"what": name, "ms": summary(ms)} for name, ms in times.items()]


def first_answers(bench: Bench, rivals: dict[Rival, Path], official: bool) -> list[Row]:
    """From the start of a process to the first answer for a decoded photo, and its peak memory.

    The memory includes the photo. All ends are started alike, so that rivals can be compared.
    """
    one = bench.scene(1, 640)
    cases: list[Case] = [
        (f"synergynet {quality}", "ours.py", None, scene, {"quality": quality})
        for quality in bench.qualities
        for scene in _large_and_small(bench)
    ]
    cases += [(r.name, r.script, python, one, {"faces": 1}) for r, python in rivals.items()]
    if official:
        cases.append(("official path", "official.py", None, one, {}))
    rows = []
    for name, script, python, scene, more in cases:
        bench.say(f"first answer: {name}, {scene.name}")
        once = {"seconds": 0, "least": 1, "warm_up": 0}
        request = {"task": "photo", "image": scene.array, **once, **more}
        times = []
        try:
            for _ in range(bench.plan.repeats if scene is one else 1):
                start = perf_counter()
                with bench.worker(script, python=python) as worker:
                    worker.ask(request)
                    times.append(1000 * (perf_counter() - start))
                    peak = worker.ask(request)["peak_mb"]
        except WorkerError as error:
            bench.notes.append(f"the first answer of {name} was left out: {error}")
            continue
        rows.append({"end": name, "photo": scene.name, "peak_mb": peak, "ms": summary(times)})
    return rows


def _large_and_small(bench: Bench) -> list[Scene]:
    faces, sides = bench.plan.faces, bench.plan.sides
    wanted = [(1, 640), (max(faces), 640), (1, max(sides))]
    return [bench.scene(*pair) for pair in dict.fromkeys(wanted)]
