"""Read NumPy arrays out of a pickle from strangers without running its code.

Neither Python's unpickler nor NumPy sees the file: one takes the memory that a file asks for
(4 GB for 9 bytes), the other trusts the sizes and fields that a file declares. Here the opcodes
that arrays in plain containers need are carried out one by one; any other ends the reading.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SynergyNetError
from .whole_file import read_bytes

MAX_OPCODES = 100_000
"""Of one file; an array takes about thirty, however large it is."""

_PLAIN_DTYPE = re.compile(r"[<>=|]?([fiub])([1248])")


class _Dtype:
    """Stands in for ``numpy.dtype``: plain numbers only, and no state that NumPy would trust."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        match = _PLAIN_DTYPE.fullmatch(code) if isinstance(code, str) else None
        if match is None:
            raise ValueError(f"an array of {str(code)[:80]!r}, which are not plain numbers")
        self.code, self.order = match[0].lstrip("<>=|"), "="

    def set_state(self, state: Any) -> None:
        order, rest = state[1], state[2:5]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in rest):
            raise ValueError("an array of records, which are not plain numbers")
        self.order = order

    def real(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Array:
    """Stands in for ``numpy.ndarray`` until its bytes and its shape are known to agree."""

    value: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Bytes -> array, with every length checked."""
    if isinstance(data, str):
        data = data.encode("latin-1")
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    good = isinstance(dtype, _Dtype) and isinstance(data, bytes | bytearray)
    if not good or not all(isinstance(n, int) and n >= 0 for n in sizes) or len(sizes) > 8:
        raise ValueError("a damaged array")
    real = dtype.real()
    if len(data) != math.prod(sizes) * real.itemsize:
        raise ValueError("an array whose size is not that of its shape")
    return np.frombuffer(bytes(data), dtype=real).reshape(sizes, order="F" if order == "F" else "C")


def _reconstruct(*_arguments: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, ())[()]


def _encode(text: Any, coding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or coding != "latin1":
        raise ValueError("text that is not the bytes of an array")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """How pickle protocol 2 writes the content of an empty array."""
    return b""


def _type_only(*_arguments: Any) -> Any:
    raise ValueError("an array that is made in another way than NumPy's")


_ALLOWED: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _Dtype,
    "numpy.ndarray": _type_only,
    "_codecs.encode": _encode,
    "__builtin__.bytes": _no_bytes,
    "builtins.bytes": _no_bytes,
}
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray._reconstruct"] = _reconstruct
    _ALLOWED[f"{_module}.multiarray.scalar"] = _scalar
    _ALLOWED[f"{_module}.numeric._frombuffer"] = _array

_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


class _Machine:
    """A stack and a memo; what goes into a container is finished by then."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if count >= MAX_OPCODES:
                raise ValueError(f"more than {MAX_OPCODES} steps, which no arrays need")
            if opcode.name == "STOP":
                return self.pop()
            self.step(opcode.name, argument)
        raise ValueError("it is cut off")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            stack.append(self.pop_last(_TUPLES[name]))
        elif name in ("PROTO", "FRAME"):
            return
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(self.pop_to_mark()))
        elif name in ("EMPTY_LIST", "LIST"):
            stack.append(self.pop_to_mark() if name == "LIST" else [])
        elif name in ("APPEND", "APPENDS"):
            items = [self.pop()] if name == "APPEND" else self.pop_to_mark()
            self.top(list).extend(items)
        elif name in ("EMPTY_DICT", "DICT"):
            stack.append(_pairs(self.pop_to_mark()) if name == "DICT" else {})
        elif name in ("SETITEM", "SETITEMS"):
            items = list(self.pop_last(2)) if name == "SETITEM" else self.pop_to_mark()
            self.top(dict).update(_pairs(items))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = self.top()
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "GLOBAL":
            stack.append(_known(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_known(*self.pop_last(2)))
        elif name == "REDUCE":
            function, arguments = self.pop_last(2)
            known = any(function is allowed for allowed in _ALLOWED.values())
            if not known or not isinstance(arguments, tuple):
                raise ValueError("it calls what is no function")
            stack.append(function(*arguments))
        elif name == "BUILD":
            state = self.pop()
            if not isinstance(state, tuple):
                raise ValueError("a damaged array")
            self.top(_Dtype, _Array).set_state(state)
        else:
            raise ValueError(f"it holds something other than arrays and numbers ({name})")

    def top(self, *kinds: type) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ValueError("it takes from an empty stack")
        if kinds and not isinstance(self.stack[-1], kinds):
            raise ValueError("a damaged container")
        return self.stack[-1]

    def pop(self) -> Any:
        value = self.top()
        self.stack.pop()
        if isinstance(value, _Array):
            if value.value is None:
                raise ValueError("an array without content")
            return value.value
        return value

    def pop_last(self, count: int) -> tuple[Any, ...]:
        return tuple(self.pop() for _ in range(count))[::-1]

    def pop_to_mark(self) -> list[Any]:
        items = []
        while self.stack and self.stack[-1] is not _MARK:
            items.append(self.pop())
        if not self.stack:
            raise ValueError("it takes from an empty stack")
        self.stack.pop()
        return items[::-1]


def _known(module: Any, name: Any) -> Callable[..., Any]:
    full = f"{module}.{name}"
    if full not in _ALLOWED:
        raise ValueError(f"it names {full[:80]}, which is not a NumPy array")
    return _ALLOWED[full]


def _pairs(items: list[Any]) -> dict[Any, Any]:
    # A tuple of tuples of tuples may take the hash function for ever, or overflow its stack.
    if not all(isinstance(key, str | int | bytes) for key in items[::2]):
        raise ValueError("a key that is no text or number")
    return dict(zip(items[::2], items[1::2], strict=True))


def load_pickle(path: Path, *, max_bytes: int) -> Any:
    """Read a pickle of plain containers and NumPy arrays of numbers.

    Containers may be nested in one another any number of times: walk them with care.

    Raises:
        SynergyNetError: missing, larger than ``max_bytes``, broken, or holding anything but
            dicts, lists, numbers, strings and arrays.
    """
    data = read_bytes(path, max_bytes=max_bytes)
    try:
        return _Machine().run(data)
    except Exception as error:  # of damaged files, from Python's own parsers of numbers and texts
        raise SynergyNetError(
            f"{path}: not a readable pickle of arrays ({str(error)[:200]})"
        ) from error


def numbers(value: Any) -> np.ndarray:
    """An array, or a list of numbers, as an array; TypeError for anything else."""
    flat = isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)
    if not isinstance(value, np.ndarray) and not flat:
        raise TypeError(f"an array is {type(value).__name__}")
    return np.asarray(value)
