"""A training state's tensors in less than half the bytes, to carry a run to another machine."""

import torch
from torch import Tensor

_EIGHT_BITS = torch.float8_e4m3fn


def pack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a full state, smaller; a run goes on from them, but not bit for bit.

    Kernels become float16 and the averages bfloat16 differences to them. Of the optimizer,
    momentum, which forgets within ten steps, gets 8 bits, and second moments become bfloat16
    square roots.
    """
    out: dict[str, Tensor] = {}
    for key, value in tensors.items():
        kind, name = key.split(".", 1)
        slot = name.rpartition(".")[2]
        if not value.is_floating_point() or (value.ndim < 2 and kind != "optimizer"):
            out[key] = value
        elif kind == "model":
            out[key] = value.half()
        elif kind == "ema":
            out[key] = (value - tensors[f"model.{name}"].half().float()).bfloat16()
        elif slot in ("exp_avg", "momentum_buffer"):
            scale = (value.abs().max() / torch.finfo(_EIGHT_BITS).max).clamp_min(1e-38)
            out[key], out[f"scale.{key}"] = (value / scale).to(_EIGHT_BITS), scale
        elif slot == "exp_avg_sq":
            out[key] = value.sqrt().bfloat16()
        else:
            out[key] = value
    return out


def unpack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a full state from those that :func:`pack` made."""
    out: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if key.startswith("scale."):
            continue
        kind, name = key.split(".", 1)
        if value.dtype == _EIGHT_BITS:
            out[key] = value.float() * tensors[f"scale.{key}"]
        elif value.dtype == torch.bfloat16 and kind == "ema":
            out[key] = value.float() + tensors[f"model.{name}"].float()
        elif value.dtype == torch.bfloat16:
            out[key] = value.float() ** 2
        elif value.dtype == torch.float16:
            out[key] = value.float()
        else:
            out[key] = value
    return out
