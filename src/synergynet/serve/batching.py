"""Photos of many requests through one analyser: one batch while the next one gathers."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..pipeline.analyzer import Analysis

PHOTOS_AT_ONCE = 16
PIXELS_AT_ONCE = 48_000_000
"""Bounds the time of a batch, for which the others wait; a larger photo goes alone."""


class Analyzer(Protocol):
    """What is needed of :class:`~synergynet.pipeline.analyzer.FaceAnalyzer`."""

    def analyze_all(self, images: Sequence[NDArray[np.uint8]], /) -> list[Analysis]:
        """The faces of each photo."""
        ...


class QueueFullError(Exception):
    """There are as many photos waiting as there may be."""


@dataclass(eq=False)
class _Task:
    image: NDArray[np.uint8]
    future: asyncio.Future[Analysis]
    loop: asyncio.AbstractEventLoop


class Batcher:
    """A thread that takes whatever photos wait, up to 16, and analyses them together.

    Nothing waits for company: a photo alone is analysed at once, and those that arrive meanwhile
    make up the next batch.

    Args:
        analyzer: used by this one thread only.
        capacity: photos that may wait.
        on_batch: told the number of photos of every batch.
    """

    def __init__(
        self, analyzer: Analyzer, capacity: int, on_batch: Callable[[int], object] | None = None
    ) -> None:
        self._analyzer, self.capacity, self._on_batch = analyzer, capacity, on_batch
        self._waiting: deque[_Task] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="analyse", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Photos in the queue, without those being analysed."""
        return len(self._waiting)

    async def analyze(self, image: NDArray[np.uint8]) -> Analysis:
        """The faces of a photo (H, W, 3) uint8 BGR.

        Raises:
            QueueFullError: try again later.
            SynergyNetError: the network's answer is unusable.
        """
        loop = asyncio.get_running_loop()
        task = _Task(image, loop.create_future(), loop)
        with self._change:
            if self._closed or len(self._waiting) >= self.capacity:
                raise QueueFullError
            self._waiting.append(task)
            self._change.notify()
        return await task.future

    def close(self) -> None:
        """End the thread once the photos that wait are done."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()

    def _run(self) -> None:
        while tasks := self._next():
            if self._on_batch is not None:
                self._on_batch(len(tasks))
            try:
                answers: Sequence[Analysis | Exception]
                answers = self._analyzer.analyze_all([task.image for task in tasks])
            except Exception:  # one photo must not spoil the others' answers
                answers = [self._alone(task) for task in tasks]
            for task, answer in zip(tasks, answers, strict=True):
                task.loop.call_soon_threadsafe(_settle, task.future, answer)
            del tasks, answers  # not to hold the photos while nothing waits

    def _next(self) -> list[_Task]:
        """What to analyse together; nothing once the batcher is closed and done."""
        with self._change:
            while True:
                tasks: list[_Task] = []
                pixels = 0
                while self._waiting and len(tasks) < PHOTOS_AT_ONCE:
                    size = self._waiting[0].image.size // 3
                    if tasks and pixels + size > PIXELS_AT_ONCE:
                        break
                    task = self._waiting.popleft()
                    if not task.future.cancelled():  # whoever asked has gone
                        tasks.append(task)
                        pixels += size
                if tasks or self._closed:
                    return tasks
                self._change.wait()

    def _alone(self, task: _Task) -> Analysis | Exception:
        try:
            return self._analyzer.analyze_all([task.image])[0]
        except SynergyNetError as error:
            return error
        except Exception as error:
            return error


def _settle(future: asyncio.Future[Analysis], answer: Analysis | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
