"""How many processors this process may use: not those of the machine, but its own share."""

import math
import multiprocessing
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def processors() -> int:
    """Processors that this process may run on, at least 1: affinity and a container's quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _quota(_CGROUP)
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def default_threads() -> int:
    """Threads for one call of a network where nobody said how many.

    One in a process that another has started (a worker of a pool or of a data loader), for its
    siblings use the other processors.
    """
    return 1 if multiprocessing.parent_process() is not None else processors()


def _quota(root: Path) -> float | None:
    """Processors' worth of time that the control group grants; None without a limit.

    Version 2 has ``cpu.max`` ("max 100000" or "150000 100000"), version 1 two files.
    """
    try:
        if (root / "cpu.max").is_file():
            limit, period = (root / "cpu.max").read_text().split()
        else:
            limit = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        share = float(limit) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number
        return None
    return share if share > 0 else None
