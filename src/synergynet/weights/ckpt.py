"""MindSpore's ``.ckpt`` files in NumPy: neither MindSpore nor protobuf is needed.

The format is a protobuf message (``checkpoint.proto`` of MindSpore, in its wire encoding)::

    Checkpoint  { repeated Value value = 1; }
    Value       { string tag = 1; TensorProto tensor = 2; MapTensorProto maptensor = 3; }
    TensorProto { repeated int64 dims = 1; string tensor_type = 2; bytes tensor_content = 3; }

Large tensors may be cut into several values of one tag, and ``save_checkpoint(crc_check=True)``
appends ``crc_num`` and ten bytes. Nothing in such a file is ever run. Its fields are walked here,
not by the protobuf library, which builds an object for each before anything can be refused:
32 MiB of empty entries cost it 2.5 s and 0.9 GB, and here the first one ends the reading.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SynergyNetError
from ..files.whole_file import whole_file
from .tensors import checkpoint_file

_MAX_ENTRIES = 20_000
_MAX_DIMS = 8
_MAX_NAME = 512
_VARINT_BYTES = 10
_CRC_MARK = b"crc_num"
_CRC_BYTES = len(_CRC_MARK) + 10
_VARINT, _BYTES = 0, 2  # wire types

_DTYPES = {
    name: np.dtype(name.lower())
    for name in (
        *("Float16", "Float32", "Float64", "Int8", "Int16", "Int32", "Int64"),
        *("UInt8", "UInt16", "UInt32", "UInt64", "Bool"),
    )
}
_TYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def read_ckpt(path: str | Path) -> dict[str, np.ndarray]:
    """Every tensor of a checkpoint by its name, in the file's order.

    Raises:
        SynergyNetError: missing, too large, damaged, encrypted, or with something else than
            plain tensors in it.
    """
    source = checkpoint_file(path)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise SynergyNetError(f"{source}: cannot be read ({error.strerror})") from error
    try:
        return _tensors(memoryview(_checked(data)))
    except ValueError as error:
        raise SynergyNetError(
            f"{source}: not a complete, unencrypted MindSpore checkpoint of plain tensors "
            f"({error}); copy or download it again"
        ) from error


def write_ckpt(path: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a file that ``mindspore.load_checkpoint`` reads; it appears whole or not at all."""
    with whole_file(Path(path)) as partial, partial.open("wb") as stream:
        for name, array in tensors.items():
            array = np.asarray(array)  # ascontiguousarray would make a scalar a vector
            tensor = b"".join(b"\x08" + _varint(size) for size in array.shape)
            tensor += message_field(2, _TYPE_NAMES[array.dtype].encode())
            plain = array.astype(array.dtype.newbyteorder("<"), copy=False)
            tensor += message_field(3, plain.tobytes())
            value = message_field(1, name.encode()) + message_field(2, tensor)
            stream.write(message_field(1, value))


def _checked(data: bytes) -> bytes:
    """``data`` without its checksum, which is compared if it is there."""
    if not data:
        raise ValueError("it is empty")
    if data[-_CRC_BYTES:].startswith(_CRC_MARK) and len(data) > _CRC_BYTES:
        body, wanted = data[:-_CRC_BYTES], int.from_bytes(data[-10:], "big")
        if zlib.crc32(body) != wanted:
            raise ValueError("its checksum does not agree")
        return body
    return data


def _tensors(data: memoryview) -> dict[str, np.ndarray]:
    pieces: dict[str, list[memoryview]] = {}
    kinds: dict[str, tuple[tuple[int, ...], str]] = {}
    for count, (number, value) in enumerate(_fields(data)):
        if number != 1 or not isinstance(value, memoryview) or count >= _MAX_ENTRIES:
            raise ValueError("unknown content")
        name, kind, content = _entry(value)
        if kinds.setdefault(name, kind) != kind:
            raise ValueError(f"two tensors of the name {name[:80]!r}")
        pieces.setdefault(name, []).append(content)
    return {name: _array(name, *kinds[name], parts) for name, parts in pieces.items()}


def _entry(data: memoryview) -> tuple[str, tuple[tuple[int, ...], str], memoryview]:
    """One ``Value``: its name, (shape, type name) and content.

    Fields are expected in the order of their numbers, as every protobuf library writes them.
    """
    fields = list(islice(_fields(data), 3))
    if [(number, type(value)) for number, value in fields] != [(1, memoryview), (2, memoryview)]:
        raise ValueError("an entry without name or tensor")
    name = _text(fields[0][1])
    inside = list(islice(_fields(fields[1][1]), _MAX_DIMS + 3))
    rank = len(inside) - 2
    wanted = [(1, int)] * rank + [(2, memoryview), (3, memoryview)]
    if rank > _MAX_DIMS or [(number, type(value)) for number, value in inside] != wanted:
        raise ValueError(f"{name[:80]!r} is no plain tensor")
    shape = tuple(value for _, value in inside[:rank])
    return name, (shape, _text(inside[-2][1])), inside[-1][1]


def _array(
    name: str, shape: tuple[int, ...], type_name: str, parts: list[memoryview]
) -> np.ndarray:
    if type_name not in _DTYPES:
        raise ValueError(f"{name[:80]!r} holds {type_name[:20]!r}, which are not plain numbers")
    dtype = _DTYPES[type_name].newbyteorder("<")
    if math.prod(shape) * dtype.itemsize != sum(map(len, parts)):
        raise ValueError(f"{name[:80]!r} does not fill its shape {shape}")
    content = b"".join(parts)
    if type_name == "Bool" and content.strip(b"\x00\x01"):
        raise ValueError(f"{name[:80]!r} holds other values than true and false")
    return np.frombuffer(content, dtype).reshape(shape).astype(_DTYPES[type_name])


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """(field number, number or bytes) of a message; the wire types that this format uses."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if key & 7 == _VARINT:
            yield key >> 3, value
        elif key & 7 == _BYTES and value <= len(data) - at:
            yield key >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError("cut off or foreign")


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for position, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, at + position + 1
    raise ValueError("cut off or foreign")


def _text(data: memoryview) -> str:
    if len(data) > _MAX_NAME:
        raise ValueError("a name that is too long")
    return bytes(data).decode("utf-8")  # UnicodeDecodeError is a ValueError


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def message_field(number: int, content: bytes) -> bytes:
    """A field of bytes in protobuf's wire encoding."""
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content
