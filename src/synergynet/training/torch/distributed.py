"""Several processes that train one network, as ``torchrun`` starts them."""

import os
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...errors import SynergyNetError
from ..backend import World

T = TypeVar("T")
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class TorchWorld(World):
    """The processes, and the device that this one computes on."""

    device: torch.device = _CPU

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes of a tensor that each of them has."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
            values /= self.size
        return values

    def from_main(self, value: T) -> T:
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=self.device)
        return box[0]

    def wrap(self, module: nn.Module, *, unused: bool) -> nn.Module:
        """``module`` with gradients that are averaged over all processes.

        Args:
            unused: whether some parameters get no gradient.
        """
        if self.size == 1:
            return module
        return nn.parallel.DistributedDataParallel(
            module, find_unused_parameters=unused, gradient_as_bucket_view=True
        )

    def close(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join_world(device: str) -> TorchWorld:
    """Meet the other processes that ``torchrun`` started, if there are any.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``. Every process of a machine has its own GPU.

    Raises:
        SynergyNetError: no such device.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    local = int(os.environ.get("LOCAL_RANK", 0))
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise SynergyNetError("device: cuda, but PyTorch finds no CUDA GPU here; take cpu or auto")
    if device == "cpu" or not cuda:
        chosen = torch.device("cpu")
    elif local < torch.cuda.device_count():
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    else:
        raise SynergyNetError(
            f"{local + 1} processes on a machine with {torch.cuda.device_count()} GPU(s); "
            "start one per GPU"
        )
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return TorchWorld(rank, size, chosen)
