"""Sessions of ONNX Runtime: how they use processors, once for all networks."""

from pathlib import Path

import onnxruntime

from .processors import default_threads

_ERRORS_ONLY = 3
_SPIN_US = 20
_SPINS_BRIEFLY = (1, 32)
"""Version in which the length of spinning was seen to be heeded; older ones may spin on."""


def open_session(
    path: str | Path, *, threads: int = 0, providers: tuple[str, ...] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
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
    arguments = (str(path), options, list(providers))
    try:
        return onnxruntime.InferenceSession(*arguments, enable_fallback=0)
    except Exception as error:
        if "pthread_create" not in str(error):
            raise
    options.intra_op_num_threads = 1  # the system allows no more; the caller's own is enough
    return onnxruntime.InferenceSession(*arguments)


def _version() -> tuple[int, ...]:
    """Of ONNX Runtime: major and minor."""
    return tuple(int(part) for part in onnxruntime.__version__.split(".")[:2] if part.isdigit())
