"""SGD and AdamW with PyTorch's arithmetic.

MindSpore's own differ from it: ``nn.SGD`` leaves ``gamma`` and ``beta`` undecayed unless they are
grouped, ``nn.AdamWeightDecay`` does not correct the bias of its moments.
"""

from __future__ import annotations

from collections.abc import Sequence

import mindspore
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore.ops import functional

from ..config import OptimizerConfig

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_CLIP_EPSILON = 1e-6


_squared_norm = ops.MultitypeFuncGraph("squared_norm")
_sgd = ops.MultitypeFuncGraph("sgd")
_adamw = ops.MultitypeFuncGraph("adamw")


@_squared_norm.register("Tensor")
def _squared_norm_of(gradient: Tensor) -> Tensor:
    return ops.square(gradient).sum()


@_sgd.register("Tensor", "Tensor", "Number", "Number", "Tensor", "Tensor", "Tensor")
def _sgd_step(
    scale: Tensor,
    rate: Tensor,
    momentum: float,
    decay: float,
    parameter: Tensor,
    buffer: Tensor,
    gradient: Tensor,
) -> bool:
    """Nesterov momentum, decay as part of the gradient."""
    gradient = gradient * scale + decay * parameter
    moved = momentum * buffer + gradient
    step = gradient + momentum * moved if momentum > 0 else gradient
    moves = parameter.copy_(parameter - rate * step), buffer.copy_(moved)
    return ops.depend(True, moves)


@_adamw.register(
    "Tensor", "Tensor", "Tensor", "Tensor", "Number", "Tensor", "Tensor", "Tensor", "Tensor"
)
def _adamw_step(
    scale: Tensor,
    rate: Tensor,
    corrected_rate: Tensor,
    correction: Tensor,
    decay: float,
    parameter: Tensor,
    first: Tensor,
    second: Tensor,
    gradient: Tensor,
) -> bool:
    gradient = gradient * scale
    mean = first + (1 - _BETA1) * (gradient - first)
    square = _BETA2 * second + (1 - _BETA2) * ops.square(gradient)
    size = ops.sqrt(square) / correction + _EPSILON
    moved = parameter * (1 - rate * decay) - corrected_rate * mean / size
    moves = parameter.copy_(moved), first.copy_(mean), second.copy_(square)
    return ops.depend(True, moves)


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
        # Graph mode unrolls a Python loop by recursion, too deep for 230 parameters.
        self.each = ops.HyperMap()

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
        norm = ops.sqrt(ops.addn(self.each(_squared_norm, gradients)))
        scale = ops.ones_like(norm)
        if self.clip > 0:
            scale = ops.minimum(scale, self.clip / (norm + _CLIP_EPSILON))
        rate = coefficients[0]
        if self.adam:
            step = functional.partial(_adamw, scale, rate, coefficients[1], coefficients[2])
            done = self.each(step, self.decays, self.trained, self.first, self.second, gradients)
        else:
            step = functional.partial(_sgd, scale, rate, self.momentum)
            done = self.each(step, self.decays, self.trained, self.first, gradients)
        return ops.depend(norm, done)


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


class TrainStep(nn.Cell):
    """Forward, backward and one optimizer step.

    Args:
        objective: batch -> losses.
        optimizer: of the objective's parameters.
    """

    def __init__(self, objective: nn.Cell, optimizer: Optimizer) -> None:
        super().__init__(auto_prefix=False)
        self.total, self.optimizer = TotalLoss(objective), optimizer
        self.gradient = ops.value_and_grad(self.total, None, optimizer.trained, has_aux=True)

    def construct(
        self,
        images: Tensor,
        params: Tensor,
        landmarks: Tensor,
        coefficients: Tensor,
        dropout: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Batch, optimizer coefficients -> sum of the losses and each of them, before the step."""
        (total, losses), gradients = self.gradient(images, params, landmarks, dropout)
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
