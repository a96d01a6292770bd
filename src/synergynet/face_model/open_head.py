"""Open Head: the face model that ships with the package (CC0)."""

from functools import lru_cache
from pathlib import Path

from ..errors import SynergyNetError
from ..files.shipped import check_shipped
from .model import FaceModel
from .npz import load_npz

OPEN_HEAD_NAME = "open-head-1"


@lru_cache(maxsize=1)
def load_open_head() -> FaceModel:
    """The shipped model: 40 identity and 10 expression modes, 52 ARKit units, millimetres.

    Landmarks mean what the 300W-LP and AFLW2000-3D annotation means.
    """
    file = Path(__file__).parent / "data" / "open_head.npz"
    check_shipped(file)
    model = load_npz(file, label="the shipped open_head.npz")
    model.load_again_by(_again)
    return model


def _again(wanted: str) -> FaceModel:
    """The shipped model for what was pickled with one of that hash.

    Raises:
        SynergyNetError: it was another.
    """
    model = load_open_head()
    if model.hash != wanted:
        raise SynergyNetError(
            f"pickled with another {OPEN_HEAD_NAME} than the shipped one; use the version of "
            "synergynet that pickled it"
        )
    return model
