"""Times of a step that is run again and again. Python 3.9 and no package: rivals run it too."""

import time
from collections.abc import Callable


def milliseconds(
    step: Callable[[], object],
    runs: int,
    *,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """One time per run; the first ``warm_up`` ones compile and fill caches, and do not count."""
    times = []
    for _ in range(warm_up + runs):
        start = clock()
        step()
        times.append(1000 * (clock() - start))
    return times[warm_up:]


def milliseconds_within(
    step: Callable[[], object], seconds: float, *, least: int = 3, most: int = 50, warm_up: int = 1
) -> list[float]:
    """As :func:`milliseconds`, as often as fits, but ``least`` times and at most ``most``."""
    times = milliseconds(step, least, warm_up=warm_up)
    while len(times) < most and sum(times) < 1000 * seconds:
        times += milliseconds(step, 1, warm_up=0)
    return times
