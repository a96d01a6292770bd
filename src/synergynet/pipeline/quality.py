"""How much work a photo is worth: which detector, which network, how many looks at a face."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SynergyNetError


@dataclass(frozen=True)
class Quality:
    """What :class:`~.analyzer.FaceAnalyzer` does where nothing else is asked for.

    Attributes:
        detector: a name known to ``synergynet.detection.create_detector``.
        network: the shipped network that answers, for ``regression.loading.shipped_file``.
        mirror: average with the network's answer to the mirrored crop.
        text: the purpose, in a few words.
    """

    detector: str
    network: str
    mirror: bool
    text: str


QUALITIES: Mapping[str, Quality] = {
    "fast": Quality("yunet", "slim", False, "a small network"),
    "default": Quality("cascade", "default_int8", False, "the full network"),
    "best": Quality(
        "thorough",
        "default",
        True,
        "the full network in float32, the mirrored face and smaller faces too",
    ),
}


def quality_named(name: str) -> Quality:
    """Raise SynergyNetError for a name that is not in :data:`QUALITIES`."""
    if name not in QUALITIES:
        raise SynergyNetError(f"unknown quality '{name}'; choose from {', '.join(QUALITIES)}")
    return QUALITIES[name]
