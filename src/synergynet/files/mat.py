"""Read arrays of numbers from a MATLAB 5 ``.mat`` file that a stranger made.

SciPy's reader can be crashed (a segmentation fault, not an exception) by four wrong bytes, and
inflates whatever a file holds. This one reads named, real, dense arrays alone and never inflates
more than it was told to. Format: MathWorks, "MAT-File Format", level 5.
"""

import math
import struct
import zlib
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_VARIABLE_BYTES = 64 << 10
"""Enough for every variable of a labelled photo."""

_HEADER_BYTES = 128
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_DTYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_CLASSES_WITHOUT_NAME = range(16, 256)  # function handles and opaque objects
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800


class _Element(NamedTuple):
    kind: int
    payload: memoryview
    end: int  # where the next element starts


def read_arrays(
    data: bytes, names: Collection[str], max_bytes: int = MAX_VARIABLE_BYTES
) -> dict[str, NDArray[np.float64]]:
    """The variables called ``names`` of a file's bytes, in their MATLAB shapes; others are skipped.

    Raises:
        ValueError: not such a file, damaged, or one of the variables is there twice, is not an
            array of real numbers, or takes more than ``max_bytes``.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[_HEADER_BYTES - 2 : _HEADER_BYTES])
    if order is None or data[:10] == b"MATLAB 7.3":
        raise ValueError("not a MATLAB 5 file; save it with -v6 or -v7")
    found: dict[str, NDArray[np.float64]] = {}
    view, at = memoryview(data), _HEADER_BYTES
    while at < len(view):
        element = _element(view, at, order)
        at = element.end
        if element.kind == _COMPRESSED:
            inflated = memoryview(_inflate(element.payload, max_bytes))
            kind, _ = _tag(inflated, 0, order)
            body = inflated[8:]
        else:
            kind, body = element.kind, element.payload
        if kind != _MATRIX:
            continue
        variable = _variable(body, names, order, max_bytes)
        if variable is not None:
            name, values = variable
            if name in found:
                raise ValueError(f"{name}: the variable is there twice")
            found[name] = values
    return found


def _inflate(payload: memoryview, limit: int) -> bytes:
    """At most ``limit`` bytes: what is longer is cut, and fails only if it is wanted."""
    try:
        return zlib.decompressobj().decompress(payload, limit)
    except zlib.error as error:
        raise ValueError(f"damaged: {error}") from error


def _tag(view: memoryview, at: int, order: str) -> tuple[int, int]:
    if at + 8 > len(view):
        raise ValueError("it ends in the middle of an element")
    first, second = struct.unpack_from(order + "II", view, at)
    return first, second


def _element(view: memoryview, at: int, order: str) -> _Element:
    kind, size = _tag(view, at, order)
    if kind >> 16:  # a small element: size and type share a word, up to 4 bytes follow
        size, kind = kind >> 16, kind & 0xFFFF
        if size > 4:
            raise ValueError("a small element of more than 4 bytes")
        return _Element(kind, view[at + 4 : at + 4 + size], at + 8)
    end = at + 8 + size
    if end > len(view):
        raise ValueError("an element reaches past the end")
    padding = 0 if kind == _COMPRESSED else -size % 8
    return _Element(kind, view[at + 8 : end], end + padding)


def _variable(
    body: memoryview, names: Collection[str], order: str, limit: int
) -> tuple[str, NDArray[np.float64]] | None:
    """Name and values of a matrix element, or None if it is not among ``names``."""
    flags = _element(body, 0, order)
    if flags.kind != _UINT32 or len(flags.payload) != 8:
        raise ValueError("a variable without array flags")
    word = struct.unpack_from(order + "I", flags.payload)[0]
    number_class = word & 0xFF
    if number_class in _CLASSES_WITHOUT_NAME:
        return None
    dims = _element(body, flags.end, order)
    label = _element(body, dims.end, order)
    if dims.kind != _INT32 or label.kind != _INT8 or len(dims.payload) % 4:
        raise ValueError("a variable without dimensions or name")
    name = bytes(label.payload).decode("latin-1")
    if name not in names:
        return None
    if number_class not in _NUMERIC_CLASSES or word & _COMPLEX:
        raise ValueError(f"{name}: not an array of real numbers")
    shape = struct.unpack(f"{order}{len(dims.payload) // 4}i", dims.payload)
    if body.nbytes > limit:
        raise ValueError(f"{name}: larger than {limit >> 10} KiB")
    real = _element(body, label.end, order)
    dtype = np.dtype(order + _DTYPES[real.kind]) if real.kind in _DTYPES else None
    if dtype is None or min(shape, default=-1) < 0 or len(shape) > 8:
        raise ValueError(f"{name}: damaged values")
    if len(real.payload) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name}: has another number of values than its shape {shape} asks for")
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        values = np.frombuffer(real.payload, dtype=dtype).astype(np.float64)
    return name, values.reshape(shape, order="F")
