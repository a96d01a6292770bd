"""Turn what a user typed after ``--face-model`` into a face model."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from ..errors import SynergyNetError
from ..files.whole_file import check_access
from ..geometry.params import Whitening
from .ict import is_ict, load_ict
from .model import FaceModel
from .npz import load_npz
from .official import load_official
from .open_head import load_open_head

OPEN_HEAD = "open-head"

_Loaded = tuple[FaceModel, Whitening | None]
SOURCES: tuple[tuple[Callable[[Path], bool], Callable[[Path], _Loaded]], ...] = (
    (is_ict, lambda path: (load_ict(path), None)),
    (Path.is_dir, load_official),
    (lambda path: path.suffix.lower() == ".npz", lambda path: (load_npz(path), None)),
)
"""Whether a path is of a kind, and its reader; the first that fits is taken."""


def resolve_face_model(spec: str | Path | None = None) -> tuple[FaceModel, Whitening | None]:
    """Load the face model that ``spec`` names.

    Args:
        spec: ``"open-head"`` or None for the shipped model; a folder in the official
            ``3dmm_data`` layout; a clone of ICT-FaceKit; or an ``.npz`` in this package's format.

    Returns:
        The model, and the whitening that lies beside it (official folders only).

    Raises:
        SynergyNetError: nothing of that kind, or the files are missing or broken.
    """
    if spec is None or str(spec) == OPEN_HEAD:
        return load_open_head(), None
    path = Path(spec)
    check_access(path)
    for fits, load in SOURCES:
        if fits(path):
            model, whitening = load(path)
            model.load_again_by(_again, str(path.absolute()))
            return model, whitening
    if path.exists():
        raise SynergyNetError(f"{path}: not a face model; expected an .npz or a 3dmm_data folder")
    raise SynergyNetError(
        f"{path}: no such face model; give '{OPEN_HEAD}', a 3dmm_data folder or an .npz file"
    )


@lru_cache(maxsize=4)
def _again(path: str, wanted: str) -> FaceModel:
    """The model of a path for what was pickled with it, read once a process.

    Raises:
        SynergyNetError: it is not there, or has changed.
    """
    model = resolve_face_model(path)[0]
    if model.hash != wanted:
        raise SynergyNetError(f"{path}: another face model than when this was pickled")
    return model
