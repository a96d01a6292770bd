"""Half precision where it is safe: in the backbone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SynergyNetError

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(precision: str, device: torch.device) -> None:
    """Raise SynergyNetError for a precision that the device cannot train in."""
    if precision == "fp16" and device.type != "cuda":
        raise SynergyNetError("precision fp16 trains on a CUDA GPU only; take bf16 or fp32")


def autocast_backbone(image_to_params: nn.Module, precision: str, device: torch.device) -> None:
    """Run ``net.I2P`` in half precision from now on; its answers stay float32.

    Landmarks and losses are left alone: a face model in micrometres overflows in fp16, and
    bf16 would round 120 pixels to half a pixel.
    """
    if precision not in _DTYPES:
        return
    run = image_to_params.forward

    def forward(*inputs: Any) -> tuple[Tensor, Tensor]:
        with torch.autocast(device.type, dtype=_DTYPES[precision]):
            params, feature = run(*inputs)
        return params.float(), feature.float()

    image_to_params.forward = forward  # type: ignore[method-assign,unused-ignore]
