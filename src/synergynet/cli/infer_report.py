"""What ``synergynet infer`` says: all about a few photos, a line or a bar for many."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console

from ..jobs.results import STEPS, Outcome
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
    """

    def __init__(self, total: int, output: Path, timings: bool) -> None:
        self.total, self.output, self.timings = total, output, timings
        self.out = Console(highlight=False, markup=False, soft_wrap=True)
        self.few = total <= FEW
        err = Console(stderr=True, highlight=False)
        self.bar = progress_bar("photos", err, disable=self.few or not err.is_terminal)
        self.line = self.bar.add_task("photos", total=total, note="")
        self.start, self.done = time.perf_counter(), 0

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
        self.done += 1
        rate = self.done / max(time.perf_counter() - self.start, 1e-9)
        self.bar.update(self.line, completed=self.done, note=f"{rate:.1f}/s")
        if self.few and not outcome.skipped:
            if outcome.error is None:
                self._show_all(outcome)
        elif self.few or not self.out.is_terminal:
            state = "failed" if outcome.error is not None else _count(outcome)
            self.out.print(f"{outcome.photo}: {state}{', as before' if outcome.skipped else ''}")

    def end(self, outcomes: Collection[Outcome]) -> None:
        """Totals, then every error."""
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        if not self.few:
            self._show_totals(outcomes, len(errors))
        for sentence in errors[:_SHOWN]:
            report_error(sentence)
        if len(errors) > _SHOWN:
            report_error(f"and {len(errors) - _SHOWN} more; --summary FILE.csv lists all")
        if errors and self.total > 1:
            report_error(f"{len(errors)} of {self.total} photos failed")

    def interrupted(self, done: int) -> None:
        """Ctrl-C."""
        report_error(
            f"stopped after {done} of {self.total} photos; the same command with --resume goes on"
        )

    def summary(self, path: Path) -> None:
        """The summary is written."""
        self.out.print(f"{'  ' if self.few else ''}-> {path}")

    def _show_all(self, outcome: Outcome) -> None:
        assert outcome.size is not None
        width, height = outcome.size
        self.out.print(f"{outcome.photo}: {_count(outcome)} in {width} x {height} pixels")
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

    def _show_totals(self, outcomes: Collection[Outcome], failed: int) -> None:
        spent = time.perf_counter() - self.start
        good = [outcome for outcome in outcomes if outcome.error is None]
        made = [outcome for outcome in good if not outcome.skipped]
        faces = sum(len(outcome.faces) for outcome in good)
        parts = [
            f"{faces} faces in {sum(1 for o in good if o.faces)} of {len(outcomes)} photos",
            f"{sum(1 for o in good if not o.faces)} without a face",
            f"{failed} failed",
        ]
        if len(made) < len(good):
            parts.append(f"{len(good) - len(made)} as before")
        if made:
            parts.append(f"{len(made) / spent:.1f} photos/s")
        self.out.print(f"{', '.join(parts)} -> {self.output}")
        if self.timings and made:
            self.out.print("mean of each photo:")
            self._show_times({s: sum(o.seconds[s] for o in made) / len(made) for s in STEPS})


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


def _count(outcome: Outcome) -> str:
    count = len(outcome.faces)
    return f"{count} face{'s' if count > 1 else ''}" if count else NO_FACE


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
