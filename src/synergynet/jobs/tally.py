"""What became of many photos, in numbers alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .results import Outcome


@dataclass
class Tally:
    """Counts of photos that are done; tallies of parts add up to that of the whole.

    Attributes:
        photos: all of them.
        without: those without a face.
        failed: those that have an error.
        skipped: those that an earlier run had done.
        faces: in all photos.
        left_out: boxes in all photos that are no faces.
        seconds: per step of ``results.STEPS``, of the photos that were done now.
    """

    photos: int = 0
    without: int = 0
    failed: int = 0
    skipped: int = 0
    faces: int = 0
    left_out: int = 0
    seconds: Counter[str] = field(default_factory=Counter)

    @property
    def made(self) -> int:
        """Photos done now, without an error."""
        return self.photos - self.failed - self.skipped

    def add(self, other: Tally) -> None:
        """Count what ``other`` counts too."""
        self.photos += other.photos
        self.without += other.without
        self.failed += other.failed
        self.skipped += other.skipped
        self.faces += other.faces
        self.left_out += other.left_out
        self.seconds.update(other.seconds)

    def count(self, outcome: Outcome) -> None:
        """Count one photo more."""
        self.photos += 1
        self.failed += outcome.error is not None
        self.without += outcome.error is None and not outcome.faces
        self.skipped += outcome.skipped
        self.faces += len(outcome.faces)
        self.left_out += outcome.left_out
        self.seconds.update(outcome.seconds)
