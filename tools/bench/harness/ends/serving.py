"""The worker's side of a measurement: a JSON request per line in, a JSON answer per line out.

Rivals run this in environments without this package, some on Python 3.9: standard library only.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Task = Callable[..., dict[str, Any]]
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
"""That the process may use; the harness also holds it to as many processors."""

_STATUS = Path("/proc/self/status")


def serve(tasks: dict[str, Task]) -> None:
    """Answer requests ``{"task": name, argument: value, ...}`` until stdin ends.

    An error is an answer too. What libraries print to stdout goes to stderr.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        task = tasks[request.pop("task")]
        try:
            answer = {**task(**request), "peak_mb": peak_memory()}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def peak_memory() -> "float | None":
    """Largest resident memory of this process so far in MB; None where the system does not tell.

    Linux's ``getrusage`` also counts the parent before the program was loaded, ``VmHWM`` does not.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
