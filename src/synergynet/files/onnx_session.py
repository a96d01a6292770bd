"""Sessions of ONNX Runtime: how they use processors, once for all networks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime

from .processors import default_threads

_ERRORS_ONLY = 3
_SPIN_US = 20
_SPINS_BRIEFLY = (1, 32)
"""Version in which the length of spinning was seen to be heeded; older ones may spin on."""


class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session that is pickled as what opened it: the file is read again there."""

    def __init__(
        self, again: partial["Session"], path: str, options: Any, providers: Sequence[str]
    ) -> None:
        super().__init__(path, options, list(providers), enable_fallback=0)
        self._again = again

    def __reduce__(self) -> tuple[Any, ...]:
        return self._again, ()


def open_session(
    path: str | Path, *, threads: int = 0, providers: tuple[str, ...] = ("CPUExecutionProvider",)
) -> Session:
    """Load an ONNX file.

    Threads that have nothing to do soon sleep. By default they spin on for long, and those of a
    process's several sessions then take the processors from one another, from OpenCV and from
    BLAS. Spinning as long as it takes from one layer to the next saves a sixth of a face's time.

    Args:
        threads: of one call; 0 for ``default_threads``. 1 where the system starts no more.
        providers: in order of preference.

    Raises:
        Exception: of a dozen kinds, for a file that is missing, damaged or no ONNX model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.log_severity_level = _ERRORS_ONLY
    if _version() >= _SPINS_BRIEFLY:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN_US))
    else:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    again = partial(open_session, path, threads=threads, providers=providers)
    try:
        return Session(again, str(path), options, providers)
    except Exception as error:
        if "pthread_create" not in str(error):
            raise
    options.intra_op_num_threads = 1  # the system allows no more; the caller's own is enough
    return Session(again, str(path), options, providers)


def _version() -> tuple[int, ...]:
    """Of ONNX Runtime: major and minor."""
    return tuple(int(part) for part in onnxruntime.__version__.split(".")[:2] if part.isdigit())
