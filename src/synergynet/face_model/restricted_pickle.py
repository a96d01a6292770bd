"""Unpickle NumPy arrays from strangers without running their code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from ..errors import SynergyNetError

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _NumpyUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not a NumPy array")
        return super().find_class(module, name)


def load_pickle(path: Path, *, max_bytes: int) -> Any:
    """Read a pickle of plain containers and NumPy arrays.

    Raises:
        SynergyNetError: missing, larger than ``max_bytes``, broken, or holding anything but
            dicts, lists, numbers, strings and arrays.
    """
    if not path.is_file():
        raise SynergyNetError(f"{path}: no such file")
    if path.stat().st_size > max_bytes:
        raise SynergyNetError(
            f"{path}: larger than {max_bytes >> 20} MiB, which this file never is"
        )
    try:
        with path.open("rb") as stream:
            return _NumpyUnpickler(stream).load()
    except Exception as error:
        raise SynergyNetError(f"{path}: not a readable pickle of arrays ({error})") from error
