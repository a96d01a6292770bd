"""Half precision where it is safe: between the pixels and the answers."""

import torch
from torch import Tensor, nn

from ...errors import SynergyNetError
from ...nets.torch.synergynet import SynergyNet

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(precision: str, device: torch.device) -> None:
    """Raise SynergyNetError for a precision that the device cannot train in."""
    if precision == "fp16" and device.type != "cuda":
        raise SynergyNetError("precision fp16 trains on a CUDA GPU only; take bf16 or fp32")


def slow_precision(precision: str, device: torch.device) -> str | None:
    """One sentence for a processor on which ``precision`` is slower than float32, else None."""
    if precision != "bf16" or device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return None
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return (
        "precision bf16 takes about ten times as long as fp32 on this processor, which cannot "
        "calculate in it: begin anew with precision=fp32"
    )


def autocast_network(net: SynergyNet, precision: str, device: torch.device) -> None:
    """Run backbone, MAFA and regressor in half precision from now on; they answer in float32.

    So do the layers that read pixels of landmarks, and the heads: bf16 would round 120 pixels to
    half a pixel. Decoding and losses are left alone: a face model in micrometres overflows in fp16.
    """
    if precision not in _DTYPES:
        return
    for module in net.I2P.modules():
        slow = device.type == "cpu" and _slow_in_half(module)
        if slow or isinstance(module, nn.Linear):
            _run_in(module, torch.float32, device)
    for part in (net.I2P, net.forwardDirection, net.reverseDirection):
        if part is not None:
            _run_in(part, _DTYPES[precision], device)


def _run_in(part: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
    """Patch ``part`` to compute in ``dtype`` and to answer in float32."""
    run, half = part.forward, dtype != torch.float32

    def forward(*inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        with torch.autocast(device.type, dtype=dtype if half else None, enabled=half):
            answer = run(*inputs if half else (x.float() for x in inputs))
        return answer.float() if isinstance(answer, Tensor) else tuple(a.float() for a in answer)

    part.forward = forward  # type: ignore[method-assign,unused-ignore]


def _slow_in_half(module: nn.Module) -> bool:
    """Whether a CPU takes longer over a layer in bf16 than in float32.

    So it is with depthwise convolutions of a stride (7 times as long) or a kernel wider than 3
    (twice), and with no other layer of these networks: they take half as long.
    """
    if not isinstance(module, nn.Conv2d) or module.groups == 1:
        return False
    return max(module.stride) > 1 or max(module.kernel_size) > 3
