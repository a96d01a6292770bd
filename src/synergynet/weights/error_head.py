"""``ErrorHead``: what a network's pooled features say about the error of its own answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MAX_FEATURES = 1 << 16
_MIN_KNOTS = 2


@dataclass(frozen=True, eq=False)
class ErrorHead:
    """A linear score of the pooled features and a monotone map from it to an expected NME.

    ``log(expected) = interpolate(weight . features)`` over the knots, constant beyond them.
    The weight is learned on training crops, the knots on held-back ones; see
    ``tools/build/calibrate_confidence.py``.

    Args:
        weight: (F,) float32, one for each pooled feature.
        scores: (K,) float32, strictly increasing; K >= 2.
        errors: (K,) float32 expected NME in percent at the scores, positive, not decreasing.

    Raises:
        ValueError: not so.
    """

    weight: NDArray[np.float32]
    scores: NDArray[np.float32]
    errors: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name in ("weight", "scores", "errors"):
            value = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if value.ndim != 1 or not np.isfinite(value).all():
                raise ValueError(f"{name} is not a list of finite numbers")
            object.__setattr__(self, name, value)
        if not 1 <= len(self.weight) <= _MAX_FEATURES:
            raise ValueError(f"weight has {len(self.weight)} numbers")
        if len(self.scores) != len(self.errors) or len(self.scores) < _MIN_KNOTS:
            raise ValueError(f"{len(self.scores)} scores and {len(self.errors)} errors")
        if (np.diff(self.scores) <= 0).any():
            raise ValueError("the scores do not increase")
        if (self.errors <= 0).any() or (np.diff(self.errors) < 0).any():
            raise ValueError("the errors are not positive, or decrease")

    def score(self, features: ArrayLike) -> NDArray[np.float64]:
        """Pooled features (N, F) -> scores (N,), the higher the worse."""
        return np.asarray(features, dtype=np.float64) @ self.weight

    def expected_nme(self, features: ArrayLike) -> NDArray[np.float64]:
        """Pooled features (N, F) -> expected NME in percent (N,)."""
        return np.exp(np.interp(self.score(features), self.scores, np.log(self.errors)))

    def to_json(self) -> dict[str, list[float]]:
        """Plain lists; the float32 numbers survive exactly."""
        return {k: getattr(self, k).tolist() for k in ("weight", "scores", "errors")}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ErrorHead:
        """Inverse of :meth:`to_json`; raises KeyError, TypeError or ValueError for bad ones."""
        return cls(values["weight"], values["scores"], values["errors"])
