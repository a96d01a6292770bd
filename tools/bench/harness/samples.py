"""What is made of many times: medians, percentiles, ratios with their spread."""

from collections.abc import Sequence

import numpy as np

Summary = dict[str, float]


def summary(ms: Sequence[float]) -> Summary:
    """``median``, ``p95`` and ``least`` in milliseconds, and ``n``, the number of runs."""
    values = np.asarray(ms, dtype=np.float64)
    return {
        "median": round(float(np.median(values)), 4),
        "p95": round(float(np.percentile(values, 95)), 4),
        "least": round(float(values.min()), 4),
        "n": len(values),
    }


def ratio(of: Sequence[float], to: Sequence[float]) -> Summary:
    """Times of two that were measured in turn, round by round: ``of`` over ``to``.

    What disturbs a round disturbs both, so that the ratio of a round is steadier than its times.

    Returns:
        ``ratio``, the median of all rounds; ``low`` and ``high``, their 5th and 95th percentile.

    Raises:
        ValueError: unequal numbers of rounds, or none.
    """
    if len(of) != len(to) or not len(of):
        raise ValueError(f"{len(of)} rounds of one and {len(to)} of the other")
    each = np.asarray(of, dtype=np.float64) / np.asarray(to, dtype=np.float64)
    middle, low, high = np.percentile(each, [50, 5, 95])
    return {"ratio": float(middle), "low": float(low), "high": float(high)}
