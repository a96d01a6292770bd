"""Crash-safe training state: everything that a run needs to go on, in one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..errors import SynergyNetError
from ..files import write_whole

FORMAT = "synergynet-training-1"


def save_state(
    path: Path,
    *,
    step: int,
    model: nn.Module,
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
    best: float,
) -> None:
    """Write step, weights, averaged weights, optimizer and random state; whole or not at all."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in ema.items()}
    scalars: dict[str, Any] = {}
    for index, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                scalars[f"{index}.{name}"] = value
    tensors["random"] = torch.get_rng_state()
    metadata = {
        "format": FORMAT,
        "step": str(step),
        "fingerprint": fingerprint,
        "best": repr(best),
        "optimizer": json.dumps(scalars),
    }
    contiguous = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    write_whole(path, safetensors.torch.save(contiguous, metadata))


def load_state(
    path: Path,
    *,
    model: nn.Module,
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
) -> tuple[int, float]:
    """Restore what :func:`save_state` wrote; returns the next step and the best validation.

    Raises:
        SynergyNetError: damaged file, or one of a run with other settings.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
        tensors = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise SynergyNetError(
            f"{path}: damaged training state ({error}); delete it to start again"
        ) from error
    if metadata.get("format") != FORMAT:
        raise SynergyNetError(f"{path}: not a training state of this program")
    if metadata["fingerprint"] != fingerprint:
        raise SynergyNetError(
            f"{path}: made with other settings; give the run another output folder, "
            "or restore its settings to go on"
        )
    model.load_state_dict(_part(tensors, "model."))
    for key, value in _part(tensors, "ema.").items():
        ema[key].copy_(value)
    state = optimizer.state_dict()
    slots: dict[int, dict[str, Any]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    for key, value in json.loads(metadata["optimizer"]).items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": slots, "param_groups": state["param_groups"]})
    torch.set_rng_state(tensors["random"])
    return int(metadata["step"]), float(metadata["best"])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
