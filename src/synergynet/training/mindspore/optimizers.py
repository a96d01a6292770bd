"""SGD and AdamW with PyTorch's arithmetic, and the gradients that they apply.

MindSpore's own differ from it: ``nn.SGD`` leaves ``gamma`` and ``beta`` undecayed unless they are
grouped, ``nn.AdamWeightDecay`` does not correct the bias of its moments. These run in NumPy, where
the moving average needs the parameters after every step; it takes no time beside a step.
"""

import math
from collections.abc import Sequence

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from ..config import OptimizerConfig

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_CLIP_EPSILON = 1e-6


class Optimizer:
    """Applies gradients, clipped to a largest norm.

    Args:
        trained: what to train.
        config: rate of decay, momentum and clipping.

    Attributes:
        slots: the state beside the parameters, float32 arrays: all first moments (momentum), then
            all second ones, which SGD lacks.
    """

    def __init__(self, trained: Sequence[Parameter], config: OptimizerConfig) -> None:
        self.trained, self._config = tuple(trained), config
        moments = 2 if config.name == "adamw" else 1
        self.slots = [np.zeros(p.shape, np.float32) for _ in range(moments) for p in self.trained]

    def step(self, gradients: Sequence[Tensor], rate: float, step: int) -> None:
        """Step number ``step``, from 0, with the gradients of :attr:`trained` in its order."""
        arrays, scale = [gradient.asnumpy() for gradient in gradients], 1.0
        if self._config.clip_norm is not None:
            norm = math.sqrt(sum(float(np.vdot(array, array)) for array in arrays))
            scale = min(scale, self._config.clip_norm / (norm + _CLIP_EPSILON))
        move = self._adamw if self._config.name == "adamw" else self._sgd
        for index, (parameter, array) in enumerate(zip(self.trained, arrays, strict=True)):
            moved = move(index, parameter.asnumpy(), array * np.float32(scale), rate, step)
            parameter.set_data(Tensor(moved))

    def _sgd(
        self, index: int, value: np.ndarray, gradient: np.ndarray, rate: float, step: int
    ) -> np.ndarray:
        """Nesterov momentum, decay as part of the gradient of every parameter, as published."""
        momentum, moment = self._config.momentum, self.slots[index]
        gradient = gradient + self._config.weight_decay * value
        moment *= momentum
        moment += gradient
        return value - rate * (gradient + momentum * moment)

    def _adamw(
        self, index: int, value: np.ndarray, gradient: np.ndarray, rate: float, step: int
    ) -> np.ndarray:
        """Decays matrices and kernels only."""
        first, second = self.slots[index], self.slots[index + len(self.trained)]
        first += (1 - _BETA1) * (gradient - first)
        second += (1 - _BETA2) * (gradient * gradient - second)
        size = np.sqrt(second) / math.sqrt(1 - _BETA2 ** (step + 1)) + _EPSILON
        decay = self._config.weight_decay if value.ndim > 1 else 0.0
        return value * (1 - rate * decay) - rate / (1 - _BETA1 ** (step + 1)) * first / size


class TotalLoss(nn.Cell):
    """Batch -> sum of an objective's losses, and each of them."""

    def __init__(self, objective: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.objective = objective

    def construct(
        self, images: Tensor, params: Tensor, landmarks: Tensor, dropout: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        losses = self.objective(images, params, landmarks, dropout)
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        return total, losses


class Gradients(nn.Cell):
    """Forward and backward: batch -> sum of an objective's losses, each of them, gradients.

    Args:
        objective: batch -> losses.
        trained: the parameters whose gradients to give, in their order.
    """

    def __init__(self, objective: nn.Cell, trained: Sequence[Parameter]) -> None:
        super().__init__(auto_prefix=False)
        self.total = TotalLoss(objective)
        self.run = ops.value_and_grad(self.total, None, ParameterTuple(trained), has_aux=True)

    def construct(
        self, images: Tensor, params: Tensor, landmarks: Tensor, dropout: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        (total, losses), gradients = self.run(images, params, landmarks, dropout)
        return total, losses, gradients


def trained_parameters(net: nn.Cell, *, mafa: bool, regressor: bool) -> list[Parameter]:
    """The parameters that get gradients; what no loss needs is neither moved nor decayed."""
    parts = {"forwardDirection.": mafa, "reverseDirection.": regressor}
    unused = tuple(prefix for prefix, used in parts.items() if not used)
    return [p for p in net.trainable_params() if not p.name.startswith(unused)]
