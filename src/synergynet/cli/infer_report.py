"""What ``synergynet infer`` says: all about a few photos, a line or a bar for many."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console

from ..jobs.results import STEPS, Outcome
from ..jobs.shards import FAILED
from ..jobs.tally import Tally
from ..outputs.formats import NO_FACE
from .main import report_error
from .progress import progress_bar

FEW = 10
"""Up to so many photos, every face gets a line."""

_SHOWN = 50  # errors


class Report:
    """Prints results to stdout as they come; progress and errors go to stderr.

    Up to ``FEW`` photos are told in full. Of more, a terminal shows the bar alone, and a file or
    pipe gets one line per photo. Use it as a context manager about the work.

    Args:
        total: photos.
        timings: print the time of each step, for many photos its mean.
        in_parts: photos are told in parts of many, and a file of the output lists all errors.
    """

    def __init__(self, total: int, output: Path, timings: bool, *, in_parts: bool = False) -> None:
        self.total, self.output, self.timings = total, output, timings
        self.all_errors = output / FAILED if in_parts else "--summary FILE.csv"
        self.out = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)
        self.few = total <= FEW and not in_parts
        err = Console(stderr=True, highlight=False)
        self.bar = progress_bar("photos", err, disable=self.few or not err.is_terminal)
        self.line = self.bar.add_task("photos", total=total, note="")
        self.start, self.done = time.perf_counter(), Tally()
        self.errors: list[str] = []

    def __enter__(self) -> Report:
        self.start = time.perf_counter()
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def loaded(self, seconds: float) -> None:
        """The models are there."""
        if self.timings:
            self.out.print(f"models loaded in {_ms(seconds)}")

    def show(self, outcome: Outcome) -> None:
        """A photo is done; its error waits for the end."""
        self.done.count(outcome)
        self._go_on([] if outcome.error is None else [outcome.error])
        if self.few and not outcome.skipped:
            if outcome.error is None:
                self._show_all(outcome)
        elif self.few or not self.out.is_terminal:
            state = "failed" if outcome.error is not None else _count(outcome)
            self.out.print(f"{outcome.photo}: {state}{', as before' if outcome.skipped else ''}")

    def show_part(self, name: str, tally: Tally, errors: Sequence[str]) -> None:
        """Many photos are done at once, in no order."""
        self.done.add(tally)
        self._go_on(errors)
        if not self.out.is_terminal:
            before = f", {tally.skipped} as before" if tally.skipped else ""
            failed = f", {tally.failed} failed" if tally.failed else ""
            self.out.print(f"{name}: {tally.faces} faces in {tally.photos} photos{failed}{before}")

    def end(self) -> None:
        """Totals, then every error."""
        failed = self.done.failed
        if not self.few:
            self._show_totals()
        for sentence in self.errors:
            report_error(sentence)
        if failed > len(self.errors):
            report_error(f"and {failed - len(self.errors)} more; {self.all_errors} lists all")
        if failed and self.total > 1:
            report_error(f"{failed} of {self.total} photos failed")

    def interrupted(self) -> None:
        """Ctrl-C."""
        report_error(
            f"stopped after {self.done.photos} of {self.total} photos; "
            "the same command with --resume goes on"
        )

    def _go_on(self, errors: Sequence[str]) -> None:
        self.errors += errors[: _SHOWN - len(self.errors)]
        rate = self.done.photos / max(time.perf_counter() - self.start, 1e-9)
        self.bar.update(self.line, completed=self.done.photos, note=f"{rate:.1f}/s")

    def wrote(self, path: Path) -> None:
        """A table is written."""
        self.out.print(f"{'  ' if self.few else ''}-> {path}")

    def _show_all(self, outcome: Outcome) -> None:
        assert outcome.size is not None
        width, height = outcome.size
        left = f"; {_left_out(outcome.left_out)}" if outcome.left_out else ""
        self.out.print(f"{outcome.photo}: {_count(outcome)} in {width} x {height} pixels{left}")
        for number, face in enumerate(outcome.faces):
            angles = ", ".join(
                f"{name} {round(face['pose'][name], 1) + 0.0:+.1f}"
                for name in ("yaw", "pitch", "roll")
            )
            sure = face["confidence"]
            trust = "" if sure is None else f", confidence {sure:.2f}"
            self.out.print(f"  face {number}: score {face['score']:.2f}{trust}, {angles} degrees")
        self.out.print(f"  -> {outcome.base.parent}: {', '.join(_shortened(outcome))}")
        if self.timings:
            self._show_times(outcome.seconds)

    def _show_times(self, seconds: Mapping[str, float]) -> None:
        self.out.print("  " + ", ".join(f"{step} {_ms(seconds[step])}" for step in STEPS))

    def _show_totals(self) -> None:
        spent, done = time.perf_counter() - self.start, self.done
        with_face = done.photos - done.failed - done.without
        parts = [
            f"{done.faces} faces in {with_face} of {done.photos} photos",
            f"{done.without} without a face",
            f"{done.failed} failed",
        ]
        if done.left_out:
            parts.append(_left_out(done.left_out))
        if done.skipped:
            parts.append(f"{done.skipped} as before")
        if done.made:
            parts.append(f"{done.made / spent:.1f} photos/s")
        self.out.print(f"{', '.join(parts)} -> {self.output}")
        if self.timings and done.made:
            self.out.print("mean of each photo:")
            self._show_times({step: done.seconds[step] / done.made for step in STEPS})


def _shortened(outcome: Outcome) -> list[str]:
    """Names of the files, of the faces only the first and the last."""
    last = len(outcome.faces) - 1
    start = f"{outcome.base.name}_face"
    first_face, last_face = f"{start}0", f"{start}{last}"
    names = [name for name in outcome.names if not name.startswith(start)]
    names += [
        name for name in outcome.names if name.startswith((f"{first_face}.", f"{first_face}_"))
    ]
    if last > 0:
        ends = (f"{last_face}.", f"{last_face}_")
        more = [name for name in outcome.names if name.startswith(ends)]
        names += more if last == 1 or not more else ["...", *more]
    return names


def _left_out(boxes: int) -> str:
    return f"{boxes} box{'es' if boxes > 1 else ''} left out as no face"


def _count(outcome: Outcome) -> str:
    count = len(outcome.faces)
    return f"{count} face{'s' if count > 1 else ''}" if count else NO_FACE


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
