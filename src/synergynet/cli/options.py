"""Options that several commands share, worded once; the registries give their choices."""

from collections.abc import Collection, Sequence
from typing import Annotated

import typer

from ..detection import DETECTORS
from ..pipeline.quality import QUALITIES


def names_of(value: str, known: Collection[str], *, extra: Sequence[str] = ("none",)) -> list[str]:
    """The names in a comma-separated ``value``, each once.

    Args:
        known: what may be named.
        extra: words that stand alone; they come back as the only name.

    Raises:
        typer.BadParameter: a name that is not known.
    """
    names = [name.strip().lower() for name in value.split(",")]
    if len(names) == 1 and names[0] in extra:
        return names
    if not set(names) <= set(known):
        raise typer.BadParameter(
            f"'{value}'; give a list of {', '.join(known)}, or {' or '.join(extra)}"
        )
    return list(dict.fromkeys(names))


def _known_detector(value: str | None) -> str | None:
    if value is not None and value not in DETECTORS:
        raise typer.BadParameter(f"'{value}'; choose from {', '.join(DETECTORS)}")
    return value


def _known_quality(value: str) -> str:
    if value not in QUALITIES:
        raise typer.BadParameter(f"'{value}'; choose from {', '.join(QUALITIES)}")
    return value


FACE_MODELS = "'open-head', a 3dmm_data folder, an ICT-FaceKit folder or an .npz face model"
"""What may stand after ``--face-model``."""

WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights", help="A weights file (docs/export.md). Default: the shipped network."
    ),
]

FaceModelOption = Annotated[
    str | None,
    typer.Option(
        "--face-model",
        help=f"{FACE_MODELS}. Default: the one inside the weights' file, else open-head.",
    ),
]

QualityOption = Annotated[
    str,
    typer.Option(
        "--quality",
        callback=_known_quality,
        help="; ".join(f"{name}: {quality.text}" for name, quality in QUALITIES.items()) + ".",
    ),
]

DetectorOption = Annotated[
    str | None,
    typer.Option(
        "--detector",
        callback=_known_detector,
        help=f"Face detector: {', '.join(DETECTORS)}. Default: by --quality.",
        show_default=False,
    ),
]

DeviceOption = Annotated[
    str, typer.Option("--device", help="Where the network runs: cpu, cuda or auto.")
]
