"""Unpickle NumPy arrays from strangers without running their code."""

import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SynergyNetError
from .whole_file import check_file

_PLAIN_DTYPE = re.compile(r"[<>=|]?([fiub])([1248])")


class _Dtype:
    """Stands in for ``numpy.dtype``: plain numbers only, and no state that NumPy would trust."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        match = _PLAIN_DTYPE.fullmatch(code) if isinstance(code, str) else None
        if match is None:
            raise pickle.UnpicklingError(f"an array of {code!r}, which are not plain numbers")
        self.code, self.order = match[0].lstrip("<>=|"), "="

    def __setstate__(self, state: Any) -> None:
        order, rest = state[1], state[2:5]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in rest):
            raise pickle.UnpicklingError("an array of records, which are not plain numbers")
        self.order = order

    def real(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Array:
    """Stands in for ``numpy.ndarray`` until its bytes and its shape are known to agree."""

    value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Bytes -> array, with every length checked."""
    if isinstance(data, str):
        data = data.encode("latin-1")
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    good = isinstance(dtype, _Dtype) and isinstance(data, bytes | bytearray | memoryview)
    if not good or not all(isinstance(n, int) and n >= 0 for n in sizes) or len(sizes) > 8:
        raise pickle.UnpicklingError("a damaged array")
    real = dtype.real()
    if len(data) != math.prod(sizes) * real.itemsize:
        raise pickle.UnpicklingError("an array whose size is not that of its shape")
    return np.frombuffer(bytes(data), dtype=real).reshape(sizes, order="F" if order == "F" else "C")


def _reconstruct(*_arguments: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, ())[()]


def _encode(text: Any, coding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or coding != "latin1":
        raise pickle.UnpicklingError("text that is not the bytes of an array")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """How pickle protocol 2 writes the content of an empty array."""
    return b""


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
}
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_module}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _array


class _NumpyUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not a NumPy array")
        return _ALLOWED[module, name]


def load_pickle(path: Path, *, max_bytes: int) -> Any:
    """Read a pickle of plain containers and NumPy arrays of numbers.

    NumPy itself never sees the pickle: it trusts the sizes and fields that a file declares.

    Raises:
        SynergyNetError: missing, larger than ``max_bytes``, broken, or holding anything but
            dicts, lists, numbers, strings and arrays.
    """
    check_file(path, max_bytes=max_bytes)
    try:
        with path.open("rb") as stream:
            return _finished(_NumpyUnpickler(stream).load())
    except Exception as error:
        raise SynergyNetError(f"{path}: not a readable pickle of arrays ({error})") from error


def _finished(value: Any) -> Any:
    """Containers with the arrays in place of their stand-ins."""
    if isinstance(value, _Array):
        if value.value is None:
            raise pickle.UnpicklingError("an array without content")
        return value.value
    if isinstance(value, dict):
        return {key: _finished(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_finished(item) for item in value)
    return value
