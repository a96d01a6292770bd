"""Sessions of ONNX Runtime: how they use processors, once for all networks."""

from pathlib import Path

import onnxruntime

from .processors import default_threads

_ERRORS_ONLY = 3


def open_session(
    path: str | Path, *, threads: int = 0, providers: tuple[str, ...] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
    """Load an ONNX file.

    Threads that have nothing to do sleep. By default they spin, and those of a process's several
    sessions then take the processors from one another, from OpenCV and from BLAS.

    Args:
        threads: of one call; 0 for ``default_threads``.
        providers: in order of preference.

    Raises:
        Exception: of a dozen kinds, for a file that is missing, damaged or no ONNX model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
