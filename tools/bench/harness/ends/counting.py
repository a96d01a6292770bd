"""Counts the work of each phase, without timing it: a worker process, see ``serving``.

Which networks a phase runs, and on which sizes, is seen at ONNX Runtime's door, so that it holds
for any detector and any analyzer.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[3]))

import numpy as np
import onnxruntime

from harness.ends.phases import Step, see_faces, show_faces
from harness.ends.serving import THREADS, serve
from harness.graphs import Work, work_of
from synergynet import FaceAnalyzer
from synergynet.geometry.crops import CropBox

Call = tuple["str | bytes", dict[str, tuple[int, ...]]]


class Watched(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session that notes what it is asked."""

    calls: ClassVar[list[Call]] = []

    def __init__(self, path_or_bytes: Any, *args: Any, **options: Any) -> None:
        self._model = path_or_bytes if isinstance(path_or_bytes, bytes) else str(path_or_bytes)
        super().__init__(path_or_bytes, *args, **options)

    def run(self, names: Any, feed: Mapping[str, Any], *rest: Any, **options: Any) -> Any:
        self.calls.append((self._model, {name: np.shape(value) for name, value in feed.items()}))
        return super().run(names, feed, *rest, **options)


def work(
    image: str,
    jpeg: str,
    boxes: Sequence[tuple[float, float, float]],
    quality: str,
    outputs: bool,
    files: bool,
) -> dict[str, Any]:
    """Multiply-adds and bytes of every phase of a photo."""
    analyzer, bgr = FaceAnalyzer(quality=quality, threads=THREADS), np.load(image)
    crops = [CropBox(*box) for box in boxes]
    steps = see_faces(analyzer, bgr, Path(jpeg), crops)
    with tempfile.TemporaryDirectory() as folder:
        if outputs:
            steps |= show_faces(analyzer, bgr, crops, Path(folder), files=files)
        return {"work": {name: counted(step) for name, step in steps.items()}}


def counted(step: Step) -> dict[str, int]:
    Watched.calls.clear()
    answer = step.run()
    total = Work(step.multiply_adds, step.moved + size_of(answer))
    for model, shapes in Watched.calls:
        total += work_of(model, tuple(sorted(shapes.items())))
    return {"multiply_adds": total.multiply_adds, "bytes": total.bytes}


def size_of(answer: object) -> int:
    """Bytes of an array or of files."""
    if isinstance(answer, np.ndarray):
        return answer.nbytes
    files = [path for path in answer if isinstance(path, Path)] if isinstance(answer, list) else []
    return sum(path.stat().st_size for path in files)


if __name__ == "__main__":
    onnxruntime.InferenceSession = Watched  # before the package opens its networks
    serve({"work": work})
