"""The benchmarks that ``synergynet eval`` knows. A new one is one module and one line here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..datasets.readers import Reader
from ..geometry.params import FloatArray

if TYPE_CHECKING:
    from .result import Result

DEFAULT_SET = "aflw2000-3d"
EVALUATION_SETS = {
    "aflw2000-3d": ("aflw2000", "aflw2000_data folder, or its AFLW2000-3D_crop"),
}
"""A reader's name in small letters -> (module of this package, what to give as ``--root``)."""


class EvaluationSet(Protocol):
    """What a module of ``EVALUATION_SETS`` defines."""

    def load(self, root: str | Path, list_file: str | Path | None = None) -> Reader:
        """The crops and their truth.

        Args:
            list_file: names of the crops, where it is not the root's own list.

        Raises:
            SynergyNetError: a file is missing, broken, or does not agree with the list.
        """

    def measure(
        self, dataset: Reader, landmarks: FloatArray, cameras: FloatArray, facts: dict[str, Any]
    ) -> Result:
        """The published numbers of answers to all crops, in their order.

        Args:
            landmarks: (N, 68, 3) in the frame ``facts["frame"]``, y down.
            cameras: (N, 3, 4).
            facts: what :class:`.result.Result` says of the network.

        Raises:
            SynergyNetError: the answers show no faces.
        """


def evaluation_set(name: str) -> EvaluationSet:
    """The protocol of a data set; ``name`` as in ``EVALUATION_SETS``, in any letters."""
    return cast(EvaluationSet, import_module(f"{__package__}.{EVALUATION_SETS[name.lower()][0]}"))
