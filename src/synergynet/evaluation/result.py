"""What every evaluation finds: the network, what it was measured on, and how to print it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..files.whole_file import whole_file
from ..geometry.params import FloatArray
from .metrics import AnswerFrame

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class MeasuredFaces:
    """The faces one by one, in the benchmark's order.

    Attributes:
        nme: (N,) percent, 'ori' truth in the exact frame.
        landmarks, truth: (N, 68, 3) crop1 frame.
    """

    nme: FloatArray
    landmarks: FloatArray
    truth: FloatArray

    def worst(self, count: int) -> NDArray[np.intp]:
        """Indices of the ``count`` faces with the largest error, worst first."""
        return np.argsort(-self.nme, kind="stable")[:count]


@dataclass(frozen=True, kw_only=True)
class Result(ABC):
    """Accuracy of one network on one benchmark.

    Attributes:
        benchmark: its name, with ``benchmark_images`` images in all.
        weights: the checkpoint, or the file that the answers came from.
        face_model, face_model_hash: what decoded the answers.
        frame: the frame that the answers were declared to be in.
        border: pixels of the crops' edge that were zeroed before the network.
        mirror: whether answers are the mean over each crop and its mirror image.
        images: faces measured.
        seconds: wall time, reading included.
        faces: the faces one by one, if landmarks were measured; not part of the JSON.
    """

    benchmark: ClassVar[str]
    benchmark_images: ClassVar[int]
    weights: str
    face_model: str
    face_model_hash: str
    frame: AnswerFrame
    border: int
    mirror: bool
    images: int
    seconds: float = 0.0
    faces: MeasuredFaces | None = field(default=None, repr=False, compare=False)

    @abstractmethod
    def published_lines(self) -> tuple[str, ...]:
        """The lines that the official script prints."""

    @abstractmethod
    def tables(self, groups: bool) -> Sequence[Table]:
        """Everything else, under 80 wide; with ``groups`` also the accuracy by pose and size."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """:meth:`facts`, then plain numbers: NME in percent, angles in degrees."""

    def facts(self) -> dict[str, Any]:
        """The network, and how many images it was measured on."""
        names = ("weights", "face_model", "face_model_hash", "frame", "border", "mirror", "images")
        return {"benchmark": self.benchmark} | {name: getattr(self, name) for name in names}

    def write_json(self, path: str | Path, more: Mapping[str, Any] | None = None) -> None:
        """Write :meth:`to_json`, and ``more`` behind it; the file appears whole or not at all.

        Raises:
            SynergyNetError: the file cannot be written.
        """
        text = json.dumps(self.to_json() | dict(more or {}), indent=2, allow_nan=False) + "\n"
        with whole_file(Path(path)) as partial:
            partial.write_text(text, encoding="utf-8")
