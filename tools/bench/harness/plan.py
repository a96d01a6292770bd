"""How much is measured: everything in about ten minutes, or the main things in one."""

from dataclasses import dataclass

ONE_FACE_SIDE = 640
"""Pixels of the photo in which the bars are measured, and the numbers of faces compared."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and how often.

    Attributes:
        sides: of the made photos, pixels.
        faces: in them.
        threads: processors.
        seconds: for a cell of a table.
        least: runs for it in any case.
        repeats: of what takes a second: videos, workers' starts, drawings and files at least.
        rounds: of a comparison; twice as many for one face.
        round_seconds: of an end in a round.
        case_seconds: of a comparison, after which it ends early; twice as many for one face.
        cold: starts of each command.
        frames: of the video file.
        compared: numbers of faces in the photos for comparisons.
    """

    sides: tuple[int, ...]
    faces: tuple[int, ...]
    threads: tuple[int, ...]
    seconds: float
    least: int
    repeats: int
    rounds: int
    round_seconds: float
    case_seconds: float
    cold: int
    frames: int
    compared: tuple[int, ...]


FULL = Plan(
    sides=(320, 640, 1920, 4000),
    faces=(1, 2, 10, 64),
    threads=(1, 2),
    seconds=0.4,
    least=5,
    repeats=3,
    rounds=12,
    round_seconds=0.12,
    case_seconds=12.0,
    cold=7,
    frames=400,
    compared=(1, 2, 8, 10, 64),
)
QUICK = Plan(
    sides=(640,),
    faces=(1, 10),
    threads=(2,),
    seconds=0.1,
    least=3,
    repeats=1,
    rounds=4,
    round_seconds=0.05,
    case_seconds=6.0,
    cold=2,
    frames=75,
    compared=(1, 8, 10),
)
