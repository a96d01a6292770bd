"""Many photos: in this process or in several, to the end whatever happens to one of them."""

import functools
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from ..files.processors import processors
from ..files.workers import run_chunks
from ..pipeline.analyzer import FaceAnalyzer
from ..regression import LOST_BELOW
from .results import Outcome, Wanted, earlier_results, try_results

_LARGEST_CHUNK = 8
"""Photos that a process takes at a time: enough for a million, few enough for a smooth bar."""

_WORTH_A_PROCESS = 32
"""Photos; starting processes and loading models into them takes about as long."""

Place = tuple[Path, Path]
"""A photo, and the folder and stem of its results."""


@dataclass(frozen=True)
class Models:
    """What every process loads for itself.

    Attributes:
        detector: its name; None for that of ``quality``.
        quality: a key of ``pipeline.quality.QUALITIES``.
        mirror: average with the mirrored crop; None for what ``quality`` says.
        threads: of one call of the network or the detector; 0: as many as this process may use.
        min_confidence: of a face; what has less is left out.
    """

    detector: str | None = None
    weights: str | None = None
    face_model: str | None = None
    device: str = "cpu"
    quality: str = "default"
    mirror: bool | None = None
    threads: int = 0
    min_confidence: float = LOST_BELOW


@dataclass(frozen=True)
class Job:
    """What to do with every photo.

    Attributes:
        settings: of ``results.settings_of``.
        resume: leave photos alone whose results are there.
        stop: where this file is, no process begins another photo.
    """

    models: Models
    wanted: Wanted
    settings: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    stop: Path | None = None


def choose_workers(photos: int, device: str = "cpu") -> int:
    """How many processes finish first: a few photos are done before another one has started."""
    return 1 if photos < _WORTH_A_PROCESS or device != "cpu" else processors()


def threads_per_worker(workers: int) -> int:
    """Of a network call, so that all processors work and none is fought over."""
    return 0 if workers <= 1 else max(1, processors() // workers)


@functools.lru_cache(maxsize=1)
def load(models: Models) -> FaceAnalyzer:
    """The analyser of this process."""
    return FaceAnalyzer(**vars(models))


def run(job: Job, places: Sequence[Place], workers: int = 1) -> Iterator[tuple[int, Outcome]]:
    """Yield (index, outcome) of every photo, as they are finished.

    Ctrl-C lets the photos at work be finished, then raises KeyboardInterrupt; a second one does
    so at once. No file is ever half written.

    Args:
        workers: processes; 1 works here.

    Raises:
        SynergyNetError: nothing more can be written, or a worker died.
    """
    workers = min(workers, len(places))
    if workers <= 1:
        interrupted = threading.Event()
        with on_interrupt(interrupted.set):
            for index, place in enumerate(places):
                if interrupted.is_set():
                    raise KeyboardInterrupt
                yield index, do_one(job, place)
        return
    size = max(1, min(_LARGEST_CHUNK, len(places) // (8 * workers)))
    starts = range(0, len(places), size)
    chunks = [places[start : start + size] for start in starts]
    with tempfile.TemporaryDirectory() as folder:
        stop = Path(folder) / "stop"

        def interrupt() -> None:
            stop.touch()
            raise KeyboardInterrupt

        with on_interrupt(interrupt):
            for number, outcomes in run_chunks(_several, replace(job, stop=stop), chunks, workers):
                yield from enumerate(outcomes, starts[number])


def _several(job: Job, places: Sequence[Place]) -> list[Outcome]:
    return [do_one(job, place) for place in places if job.stop is None or not job.stop.exists()]


def do_one(job: Job, place: Place) -> Outcome:
    """What becomes of one photo, whichever engine asks; its models are loaded once a process."""
    earlier = earlier_results(*place, job.settings) if job.resume else None
    if earlier is not None:
        return earlier
    return try_results(*place, load(job.models), job.wanted, job.settings)


@contextmanager
def on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """Inside, the first Ctrl-C calls ``action``; later ones do what they always do."""
    if threading.current_thread() is not threading.main_thread():  # others get no signals
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        action()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
