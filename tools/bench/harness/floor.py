"""The time below which a phase cannot come on this machine: its work over the measured peaks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.worker import Worker


@dataclass(frozen=True)
class Peaks:
    """In a second: G float32 multiply-adds, and GB read and written."""

    multiply_adds: float
    bytes: float

    def better(self, other: "Peaks") -> "Peaks":
        """The higher of both, as a floor must not be too high."""
        return Peaks(max(self.multiply_adds, other.multiply_adds), max(self.bytes, other.bytes))


def measure_peaks(worker: Worker, seconds: float) -> Peaks:
    """The best of several runs."""
    per_second = [
        max(worker.ask({"task": task, "seconds": seconds})["per_second"])
        for task in ("multiply_adds", "bytes")
    ]
    return Peaks(*per_second)


def best_peaks(*measured: Mapping[int, Peaks]) -> dict[int, Peaks]:
    """By threads, the best of all measurements; more threads can do what fewer can."""
    out: dict[int, Peaks] = {}
    best = Peaks(0.0, 0.0)
    for threads in sorted(measured[0]):
        for peaks in measured:
            best = best.better(peaks[threads])
        out[threads] = best
    return out


def add_floors(phases: Iterable[dict[str, Any]], peaks: Mapping[int, Peaks]) -> None:
    """``floor`` beside the ``work`` of every row, by the peaks of its number of threads."""
    for row in phases:
        if "work" in row:
            row["floor"] = floor_ms(row["work"], peaks[row["threads"]])


def floor_ms(work: Mapping[str, float], peaks: Peaks) -> dict[str, Any]:
    """``ms``, and what it is ``bound`` by: ``arithmetic`` or ``bytes``.

    Args:
        work: ``multiply_adds`` and ``bytes``.
    """
    arithmetic = work["multiply_adds"] / (peaks.multiply_adds * 1e6)
    moving = work["bytes"] / (peaks.bytes * 1e6)
    bound = "arithmetic" if arithmetic > moving else "bytes"
    return {"ms": round(max(arithmetic, moving), 4), "bound": bound}
