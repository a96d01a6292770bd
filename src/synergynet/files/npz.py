"""Read arrays of numbers out of an ``.npz`` that a stranger made.

NumPy's own reader takes the memory that a header promises (a gigabyte of items of no bytes, say).
Here all headers are read first, sizes are compared with what the archive holds, and nothing is
unpacked beyond what was asked for.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_MAX_ENTRIES = 100
_MAX_HEADER = 10_000
_MAX_DIMS = 8
_MAX_BYTES = 128 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    r"\{'descr': '([<>=|]?(?:b1|[iu][1248]|f[248]|U[0-9]{1,5}))', "
    r"'fortran_order': (False|True), 'shape': \(([0-9L, ]{0,200})\), \} *\n?"
)
"""As NumPy writes it; whatever else a literal may hold is not for us."""


def read_npz(
    source: str | Path | IO[bytes],
    names: Mapping[str, str] | None = None,
    *,
    max_bytes: int = _MAX_BYTES,
) -> dict[str, NDArray[Any]]:
    """The arrays called ``names`` that are there; others are not looked at.

    Args:
        source: path or binary stream.
        names: of the arrays -> the kinds of numbers that each may hold, as in ``dtype.kind``:
            any of ``b``, ``i``, ``u``, ``f`` and ``U`` (text); None for all arrays of numbers.
        max_bytes: of all of them together.

    Raises:
        ValueError: damaged, of another kind, or larger.
        Exception: of many kinds, from zipfile and zlib.
    """
    found: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
        if len(entries) > _MAX_ENTRIES:
            raise ValueError(f"{len(entries)} files in the archive")
        by_name = {entry.filename.removesuffix(".npy"): entry for entry in entries}
        if len(by_name) != len(entries):
            raise ValueError("an array is there twice")
        names = dict.fromkeys(by_name, "biuf") if names is None else names
        wanted = [(name, by_name[name]) for name in names if name in by_name]
        if sum(entry.file_size for _, entry in wanted) > max_bytes:
            raise ValueError(f"it unpacks to more than {max_bytes >> 20} MiB")
        for name, entry in wanted:
            if entry.compress_type not in _METHODS:
                raise ValueError(f"{name}: packed in a way that NumPy does not use")
            with archive.open(entry) as stream:
                found[name] = _array(name, stream, entry.file_size, names[name])
    return found


def _array(name: str, stream: IO[bytes], size: int, kinds: str) -> NDArray[Any]:
    dtype, shape, fortran, start = read_header(name, stream)
    if dtype.kind not in kinds:
        raise ValueError(f"{name}: holds {dtype}, which it should not")
    items = math.prod(shape)
    # Items of no bytes would be as many as the header likes.
    if items * dtype.itemsize != size - start or (items and size == start):
        raise ValueError(f"{name}: does not fill its shape")
    content = stream.read(size - start)
    if len(content) != size - start:
        raise ValueError(f"{name}: it is cut off")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def read_header(name: str, stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """dtype, shape, whether in Fortran's order, and bytes read. Format: NumPy, NEP 1.

    Raises:
        ValueError: no array of plain numbers. NumPy would read a header of any length.
    """
    head = stream.read(8)
    if head[:6] != _MAGIC or head[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError(f"{name}: no .npy array")
    width = 2 if head[6:7] == b"\1" else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_HEADER:
        raise ValueError(f"{name}: a header of {length} bytes")
    match = _HEADER.fullmatch(stream.read(length).decode("latin-1"))
    if match is None:
        raise ValueError(f"{name}: holds objects or records, not plain numbers")
    shape = tuple(int(size.strip(" L")) for size in match[3].split(",") if size.strip())
    if len(shape) > _MAX_DIMS:
        raise ValueError(f"{name}: {len(shape)} dimensions")
    return np.dtype(match[1]), shape, match[2] == "True", 8 + width + length
