"""What all sections of a run share."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from harness.canvases import Scene, Source, make_scene
from harness.plan import Plan
from harness.worker import Worker


@dataclass
class Bench:
    """A run.

    Attributes:
        plan: how much of it.
        source: the face that made photos show.
        folder: for photos and what workers say; deleted at the end.
        kept: for the rivals' environments.
        qualities: of the analyzer, by name.
        photos: real ones, measured besides.
        notes: sentences on what is missing in the results.
    """

    plan: Plan
    source: Source
    folder: Path
    kept: Path
    qualities: Sequence[str]
    photos: Sequence[Scene] = ()
    notes: list[str] = field(default_factory=list)
    _scenes: dict[tuple[int, int], Scene] = field(default_factory=dict)
    _start: float = field(default_factory=perf_counter)

    @property
    def threads(self) -> int:
        """The most of the plan: what the bars are about."""
        return max(self.plan.threads)

    def scene(self, faces: int, side: int) -> Scene:
        """A made photo; made once."""
        if (faces, side) not in self._scenes:
            self._scenes[faces, side] = make_scene(self.source, faces, side, self.folder)
        return self._scenes[faces, side]

    @contextmanager
    def worker(
        self, script: str = "ours.py", threads: int | None = None, python: Path | None = None
    ) -> Iterator[Worker]:
        """A fresh process; of all the plan's threads and of this Python by default."""
        log = self.folder / f"{script}.log"
        count = threads or self.threads
        with Worker(script, count, log, python or Path(sys.executable)) as worker:
            yield worker

    def say(self, text: str) -> None:
        """Progress, on stderr."""
        print(f"{perf_counter() - self._start:4.0f} s  {text}", file=sys.stderr, flush=True)
