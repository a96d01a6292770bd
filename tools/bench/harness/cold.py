"""Times from a new process: import, ``--help``, the first face."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from harness.worker import WorkerError, run_python

FIRST_FACE = """
from synergynet import FaceAnalyzer, read_image
face = FaceAnalyzer({options})(read_image({photo!r}))[0]
face.landmarks, face.pose
"""
NAMES = "from synergynet import FaceAnalyzer, FaceTracker, draw, read_image, save"

IMPORT, HELP = "import synergynet", "synergynet --help"
PLAIN = "first face"


def cold_commands(photo: str, folder: Path, qualities: Sequence[str]) -> dict[str, list[str]]:
    """What is timed, from the start of the process to its end, in its name.

    Args:
        photo: a JPEG with a face.
        folder: for what commands write.
        qualities: of the analyzer, by name.
    """
    options = {PLAIN: "", **{f"{PLAIN}, {q}": f"quality={q!r}" for q in qualities}}
    command = ["-m", "synergynet"]
    infer = [
        *command,
        "infer",
        photo,
        "-o",
        str(folder / "cold"),
        "--draw",
        "none",
        "--mesh",
        "none",
    ]
    return {
        "Python alone": ["-c", "pass"],
        IMPORT: ["-c", "import synergynet"],
        "import of what it offers": ["-c", NAMES],
        HELP: [*command, "--help"],
        **{
            name: ["-c", FIRST_FACE.format(options=text, photo=photo)]
            for name, text in options.items()
        },
        "synergynet infer, one photo": infer,
    }


def seconds_of(arguments: Sequence[str], threads: int) -> float:
    """Of one run of this Python.

    Raises:
        WorkerError: it failed.
    """
    start = perf_counter()
    done = run_python(arguments, threads)
    seconds = perf_counter() - start
    if done.returncode:
        raise WorkerError(f"{' '.join(arguments)[:60]}: {done.stderr.strip().splitlines()[-1:]}")
    return seconds
