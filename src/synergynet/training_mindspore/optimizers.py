"""SGD and AdamW with PyTorch's arithmetic.

MindSpore's own differ from it: ``nn.SGD`` leaves ``gamma`` and ``beta`` undecayed unless they are
grouped, ``nn.AdamWeightDecay`` does not correct the bias of its moments.
"""

from __future__ import annotations

from collections.abc import Sequence

import mindspore
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from ..training.config import OptimizerConfig

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_CLIP_EPSILON = 1e-6


class Optimizer(nn.Cell):
    """Applies gradients in place, clipped to a largest norm.

    Args:
        parameters: what to train.
        config: rate of decay, momentum and clipping.

    Attributes:
        slots: the state beside the parameters; all of it starts at zero.
    """

    def __init__(self, parameters: Sequence[Parameter], config: OptimizerConfig) -> None:
        super().__init__(auto_prefix=False)
        self.trained = ParameterTuple(parameters)
        self.adam = config.name == "adamw"
        self.momentum = config.momentum
        self.clip = -1.0 if config.clip_norm is None else config.clip_norm
        # SGD decays every parameter, as the official one; AdamW only matrices and kernels.
        self.decays = tuple(
            0.0 if self.adam and p.ndim <= 1 else config.weight_decay for p in parameters
        )
        self.first = self.trained.clone("first", "zeros")
        self.second = self.trained.clone("second", "zeros") if self.adam else self.first

    @property
    def slots(self) -> tuple[Parameter, ...]:
        return (*self.first, *self.second) if self.adam else tuple(self.first)

    def coefficients(self, learning_rate: float, step: int) -> Tensor:
        """What changes from step to step (from 0), as one tensor that compiles once."""
        corrections = (1 - _BETA1 ** (step + 1), (1 - _BETA2 ** (step + 1)) ** 0.5)
        return Tensor([learning_rate, learning_rate / corrections[0], corrections[1]],
                      mindspore.float32)  # fmt: skip

    def construct(self, gradients: tuple[Tensor, ...], coefficients: Tensor) -> Tensor:
        """One step; returns the norm of the gradients before clipping.

        Args:
            gradients: of :attr:`trained`, in its order.
            coefficients: of :meth:`coefficients`.
        """
        squares = 0.0
        for gradient in gradients:
            squares = squares + ops.square(gradient).sum()
        norm = ops.sqrt(squares)
        scale = ops.ones_like(norm)
        if self.clip > 0:
            scale = ops.minimum(scale, self.clip / (norm + _CLIP_EPSILON))
        for i in range(len(self.trained)):
            if self.adam:
                self._adamw(i, gradients[i] * scale, coefficients)
            else:
                self._sgd(i, gradients[i] * scale, coefficients[0])
        return norm

    def _sgd(self, i: int, gradient: Tensor, rate: Tensor) -> None:
        """Nesterov momentum, decay as part of the gradient."""
        parameter, buffer = self.trained[i], self.first[i]
        gradient = gradient + self.decays[i] * parameter
        moved = self.momentum * buffer + gradient
        ops.assign(buffer, moved)
        step = gradient + self.momentum * moved if self.momentum > 0 else gradient
        ops.assign(parameter, parameter - rate * step)

    def _adamw(self, i: int, gradient: Tensor, coefficients: Tensor) -> None:
        parameter, first, second = self.trained[i], self.first[i], self.second[i]
        kept = parameter * (1 - coefficients[0] * self.decays[i])
        mean = first + (1 - _BETA1) * (gradient - first)
        square = _BETA2 * second + (1 - _BETA2) * ops.square(gradient)
        ops.assign(first, mean)
        ops.assign(second, square)
        size = ops.sqrt(square) / coefficients[2] + _EPSILON
        ops.assign(parameter, kept - coefficients[1] * mean / size)


class TrainStep(nn.Cell):
    """Forward, backward and one optimizer step.

    Args:
        objective: batch -> losses.
        optimizer: of the objective's parameters.
    """

    def __init__(self, objective: nn.Cell, optimizer: Optimizer) -> None:
        super().__init__(auto_prefix=False)
        self.objective, self.optimizer = objective, optimizer
        self.gradient = ops.value_and_grad(self._total, None, optimizer.trained, has_aux=True)

    def _total(
        self, images: Tensor, params: Tensor, landmarks: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        losses = self.objective(images, params, landmarks)
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        return total, losses

    def construct(
        self, images: Tensor, params: Tensor, landmarks: Tensor, coefficients: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Batch, optimizer coefficients -> sum of the losses and each of them, before the step."""
        (total, losses), gradients = self.gradient(images, params, landmarks)
        norm = self.optimizer(gradients, coefficients)
        return ops.depend(total, norm), losses


def trained_parameters(net: nn.Cell, *, mafa: bool, regressor: bool) -> list[Parameter]:
    """The parameters that get gradients; what no loss needs is neither moved nor decayed."""
    unused = tuple(
        prefix
        for prefix, used in (("forwardDirection.", mafa), ("reverseDirection.", regressor))
        if not used
    )
    return [p for p in net.trainable_params() if not p.name.startswith(unused)]
