"""Many photos: in this process or in several, to the end whatever happens to one of them."""

import functools
import itertools
import os
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
from ..files.workers import NoProcessesError, WorkerDiedError, run_chunks
from ..pipeline.analyzer import FaceAnalyzer
from ..regression import LOST_BELOW
from .results import Outcome, Wanted, earlier_results, try_results

_LARGEST_CHUNK = 8
"""Photos that a process takes at a time: enough for a million, few enough for a smooth bar."""

_WORTH_A_PROCESS = 32
"""Photos; starting processes and loading models into them takes about as long."""

_STOP, _AT_WORK = "stop", ".at-work"

Place = tuple[Path, Path]
"""A photo, and the folder and stem of its results."""

_Chunk = list[tuple[int, Place]]


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
        notes: a folder where each process notes the photo at which it is; where a file ``stop``
            is in it, no process begins another photo.
    """

    models: Models
    wanted: Wanted
    settings: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    notes: Path | None = None


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
        SynergyNetError: nothing more can be written, or processes die as they start.
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
    numbered = list(enumerate(places))
    chunks = [numbered[start : start + size] for start in range(0, len(places), size)]
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder)

        def interrupt() -> None:
            (notes / _STOP).touch()
            raise KeyboardInterrupt

        with on_interrupt(interrupt):
            yield from _outlive(replace(job, notes=notes), notes, chunks, workers)


def _outlive(
    job: Job, notes: Path, chunks: list[_Chunk], workers: int
) -> Iterator[tuple[int, Outcome]]:
    """Work at all chunks, whatever becomes of the processes.

    If one dies, the photos at which they were are tried again, each in a process of its own; one
    that kills that process too is left alone, and the others go on.
    """
    here = True  # where no processes start; not once one has died, for it may be this one next
    while chunks:
        done: set[int] = set()
        try:
            for number, outcomes in run_chunks(_several, job, chunks, workers, here=here):
                done.add(number)
                yield from outcomes
            return
        except NoProcessesError:
            for index, place in itertools.chain(*chunks):
                yield index, do_one(job, place)
            return
        except WorkerDiedError:
            here = False
            at_work = {int(note.read_text() or -1) for note in notes.glob(f"*{_AT_WORK}")}
            left = [chunk for number, chunk in enumerate(chunks) if number not in done]
            suspects = [item for chunk in left for item in chunk if item[0] in at_work]
            if not suspects:  # nothing to blame: it died while it was starting
                raise
        for note in notes.glob(f"*{_AT_WORK}"):
            note.unlink()
        for item in suspects:
            try:
                for _, outcomes in run_chunks(_several, job, [[item]], 1, here=False):
                    yield from outcomes
            except WorkerDiedError:
                index, (photo, base) = item
                error = f"{photo}: a process died at this photo; it is left alone"
                yield index, Outcome(photo, base, error=error)
        tried = {index for index, _ in suspects}
        rest = [[item for item in chunk if item[0] not in tried] for chunk in left]
        chunks = [chunk for chunk in rest if chunk]


def _several(job: Job, chunk: _Chunk) -> list[tuple[int, Outcome]]:
    assert job.notes is not None
    note, stop = job.notes / f"{os.getpid()}{_AT_WORK}", job.notes / _STOP
    outcomes = []
    load(job.models)  # before a photo is to blame
    for index, place in chunk:
        if stop.exists():
            break
        note.write_text(str(index))
        outcomes.append((index, do_one(job, place)))
    note.unlink(missing_ok=True)
    return outcomes


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
