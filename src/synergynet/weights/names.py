"""Names of one tensor in the two frameworks.

The MindSpore names are those that the cells of the published MindSpore port give: a convolution
with its batch norm sits in a ``features`` of its own, the heads belong to ``I2P``, batch norm
has ``gamma, beta, moving_mean, moving_variance`` and no count of batches.
"""

import re
from collections.abc import Mapping

import numpy as np

from .architectures import COUNTER, Shape

_NORM_LEAVES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
# features.0.1.x and features.3.conv.1.0.x: a convolution (0) or its norm (1) in a unit.
_UNIT = re.compile(r"(\.features\.\d+|\.conv\.\d+)\.([01])\.")
_POINTWISE = ("forwardDirection.", "reverseDirection.")


def mindspore_name(name: str, *, norm: bool) -> str:
    """PyTorch's name of a tensor -> MindSpore's.

    Args:
        norm: whether the tensor belongs to a batch norm.
    """
    path, _, leaf = name.rpartition(".")
    leaf = _NORM_LEAVES[leaf] if norm else leaf
    path = path.replace("I2P.backbone.classifier_", "I2P.classifier_")
    path = path.replace("I2P.backbone.", "I2P.feature_extractor.")
    return _UNIT.sub(r"\1.features.\2.", f"{path}.{leaf}")


def mindspore_names(shapes: Mapping[str, Shape]) -> dict[str, str]:
    """PyTorch name -> MindSpore name of everything in a state dict but the counters."""
    return {
        name: mindspore_name(name, norm=f"{name.rpartition('.')[0]}.running_mean" in shapes)
        for name in shapes
        if not name.endswith(COUNTER)
    }


def to_mindspore(name: str, array: np.ndarray) -> np.ndarray:
    """A tensor of PyTorch's ``name`` in MindSpore's shape: 1-D convolutions have a fourth axis."""
    return array[..., None] if _is_kernel(name) and array.ndim == 3 else array


def to_torch(name: str, array: np.ndarray) -> np.ndarray:
    """Inverse of :func:`to_mindspore`; ``name`` is PyTorch's."""
    if _is_kernel(name) and array.ndim == 4 and array.shape[-1] == 1:
        return array[..., 0]
    return array


def _is_kernel(name: str) -> bool:
    return name.startswith(_POINTWISE) and name.endswith(".weight") and ".conv" in name
