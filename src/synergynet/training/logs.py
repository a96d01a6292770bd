"""What a run writes down: numbers by step, and where its time goes."""

import csv
import time
from pathlib import Path
from typing import Any

from ..errors import SynergyNetError
from ..files.whole_file import CannotWriteError, write_whole

PHASES = ("data", "input", "forward", "backward", "update")


class PhaseClock:
    """Seconds per phase of the training steps since the last reading.

    ``data`` is the wait for the next batch, ``input`` its way to the device with the
    normalisation, ``update`` clipping, optimizer and moving average. On a GPU these are the
    times at which work was handed over; the wait for its results falls into ``backward``.
    """

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._steps = 0
        self.skip()

    def skip(self) -> None:
        """What happened since the last lap belongs to no phase."""
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """What happened since the last lap was ``phase``."""
        now = time.perf_counter()
        self._seconds[phase] += now - self._last
        self._last = now

    def end_step(self) -> None:
        self._steps += 1

    def read(self, crops_per_step: int) -> dict[str, float]:
        """Numbers for the log, per step; starts again from zero."""
        total = sum(self._seconds.values())
        numbers = {
            "crops_per_second": self._steps * crops_per_step / total,
            "data_wait": self._seconds["data"] / total,
        }
        numbers |= {f"ms_{k}": 1000 * v / self._steps for k, v in self._seconds.items()}
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._steps = 0
        return numbers


class RunLog:
    """``log.csv`` in long format, one number a line, readable by anything; TensorBoard's events
    beside it where asked for.

    Lines of steps after ``step`` are dropped: a killed run took them after its last save.

    Raises:
        SynergyNetError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool) -> None:
        self._csv = folder / "log.csv"
        self._events: Any = None
        if tensorboard:
            self._events = summary_writer()(str(folder / "tensorboard"), purge_step=step + 1)
        if self._csv.is_file():
            head, *rows = self._csv.read_text(encoding="utf-8").splitlines() or [""]
            whole = [row for row in rows if row.count(",") == 3 and row.split(",")[0].isdigit()]
            kept = [row for row in whole if int(row.split(",")[0]) <= step]
            write_whole(self._csv, ("\n".join([head, *kept]) + "\n").encode())

    def write(self, step: int, phase: str, numbers: dict[str, float]) -> None:
        fresh = not self._csv.exists()
        try:
            with self._csv.open("a", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                if fresh:
                    writer.writerow(["step", "phase", "name", "value"])
                writer.writerows([step, phase, k, f"{v:.6g}"] for k, v in numbers.items())
        except OSError as error:
            raise CannotWriteError(
                f"{self._csv}: cannot be written ({error.strerror or error}); "
                "the same command goes on from the last state"
            ) from error
        if self._events is not None:
            for name, value in numbers.items():
                self._events.add_scalar(f"{phase}/{name}", value, step)
            self._events.flush()

    def close(self) -> None:
        if self._events is not None:
            self._events.close()


def summary_writer() -> Any:
    """The class that writes event files; raises SynergyNetError if it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SynergyNetError(
            "tensorboard: true needs TensorBoard: pip install tensorboard"
        ) from error
    return SummaryWriter
