"""Measures what the processors can do at most: a worker process, see ``serving``."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[3]))

import numpy as np
from shared.timing import milliseconds_within

from harness.ends.serving import THREADS, serve

SIDE = 1536
"""Of the square matrices: 3.6 thousand million multiply-adds, 28 MB."""

COPIED = 256 << 20
"""Bytes: more than caches hold."""


def multiply_adds(**how: Any) -> dict[str, Any]:
    """A product of float32 matrices by NumPy's BLAS: G multiply-adds in a second."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, SIDE, SIDE), dtype=np.float32)
    out = np.empty_like(a)
    ms = milliseconds_within(lambda: np.matmul(a, b, out=out), **how)
    return {"per_second": [SIDE**3 / (t * 1e6) for t in ms]}


def bytes_moved(**how: Any) -> dict[str, Any]:
    """A copy of a large array, a part for each thread: GB read and written in a second."""
    source, target = np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
    parts = list(zip(np.array_split(source, THREADS), np.array_split(target, THREADS), strict=True))
    with ThreadPoolExecutor(THREADS) as pool:
        ms = milliseconds_within(lambda: list(pool.map(_copy, parts)), **how)
    return {"per_second": [2 * COPIED / (t * 1e6) for t in ms]}


def _copy(pair: tuple[Any, Any]) -> None:
    np.copyto(pair[1], pair[0])


if __name__ == "__main__":
    serve({"multiply_adds": multiply_adds, "bytes": bytes_moved})
