"""Where a measurement was made: processor, system, versions."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from synergynet.files.processors import processors

LIBRARIES = ("synergynet", "numpy", "opencv-python-headless", "onnxruntime", "numba", "torch")
_VARIABLES = ("OMP_", "OPENBLAS_", "MKL_", "NUMBA_")


def describe_machine() -> dict[str, object]:
    """For the JSON."""
    return {
        "processor": processor_name(),
        "processors": processors(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: v for name in LIBRARIES if (v := _version(name)) is not None},
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(_VARIABLES)},
        "load": load(),
    }


def load() -> float | None:
    """Mean number of processes that wanted a processor in the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
