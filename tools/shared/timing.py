"""Times of a step that is run again and again."""

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
