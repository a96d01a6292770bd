"""Crash-safe training state: everything that a run needs to go on, in one safetensors file."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ...errors import SynergyNetError
from ...files.whole_file import write_whole
from ..backend import Standing, damaged_state
from .compact import pack, unpack

_FORMAT = "synergynet-training-2"
_COMPACT = "synergynet-training-2-compact"


def save_state(
    path: Path,
    standing: Standing,
    model: nn.Module,
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> None:
    """Write step, weights, averaged weights, optimizer and loss scale; whole or not at all.

    No random state: every step draws from generators of its own.
    """
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in ema.items()}
    scalars: dict[str, Any] = {}
    for index, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                scalars[f"{index}.{name}"] = value
    metadata = {
        "format": _FORMAT,
        "step": str(standing.step),
        "fingerprint": standing.fingerprint,
        "best": repr(standing.best),
        "optimizer": json.dumps(scalars),
        "scaler": json.dumps(scaler.state_dict()),
    }
    contiguous = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
    write_whole(path, safetensors.torch.save(contiguous, metadata))


def load_state(
    path: Path,
    fingerprint: str,
    model: nn.Module,
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> Standing:
    """Restore what :func:`save_state` wrote.

    Raises:
        SynergyNetError: damaged file, or one of a run with other settings.
    """
    tensors, metadata = _read(path)
    try:
        step, best = int(metadata["step"]), float(metadata["best"])
        standing = Standing(step, best, metadata["fingerprint"])
        standing.check(path, fingerprint)
        if metadata["format"] == _COMPACT:
            tensors = unpack(tensors)
        _restore(tensors, metadata, model, ema, optimizer, scaler)
    except SynergyNetError:
        raise
    except Exception as error:  # of many kinds: torch checks little of what it is given
        raise damaged_state(path, error) from error
    return standing


def _restore(
    tensors: dict[str, Tensor],
    metadata: dict[str, str],
    model: nn.Module,
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> None:
    model.load_state_dict(_part(tensors, "model."))
    for key, value in _part(tensors, "ema.").items():
        if value.shape != ema[key].shape:
            raise ValueError(f"{key[:80]!r} has another shape")
        ema[key].copy_(value)
    state = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    slots: dict[int, dict[str, Any]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        number, name = key.split(".", 1)
        index = int(number)
        if not 0 <= index < len(parameters) or value.numel() not in (1, parameters[index].numel()):
            raise ValueError(f"{key[:80]!r} is of no parameter")
        slots.setdefault(index, {})[name] = _laid_out_like(parameters[index], value)
    for key, value in json.loads(metadata["optimizer"]).items():
        number, name = key.split(".", 1)
        slots.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": slots, "param_groups": state["param_groups"]})
    scaler.load_state_dict(json.loads(metadata["scaler"]))


def pack_state(source: Path, target: Path) -> None:
    """Write ``last.safetensors`` small; a run goes on from either, from this one not bit for bit.

    Raises:
        SynergyNetError: missing, damaged or compact already.
    """
    tensors, metadata = _read(source)
    if metadata["format"] != _FORMAT:
        raise SynergyNetError(f"{source}: compact already; copy it as it is")
    contiguous = {key: value.contiguous() for key, value in pack(tensors).items()}
    write_whole(target, safetensors.torch.save(contiguous, metadata | {"format": _COMPACT}))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a state, full or compact."""
    if not path.is_file():
        raise SynergyNetError(f"{path}: no training state here; give the output folder of a run")
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
        tensors = safetensors.torch.load_file(path)
    except Exception as error:  # SafetensorError, and others for types that torch lacks
        raise damaged_state(path, error) from error
    if metadata.get("format") not in (_FORMAT, _COMPACT):
        raise SynergyNetError(
            f"{path}: not a training state of this version; move it away to start again"
        )
    return tensors, metadata


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _laid_out_like(parameter: Tensor, slot: Tensor) -> Tensor:
    """``slot`` in the parameter's memory layout: fused optimizers walk both as flat memory."""
    if slot.shape != parameter.shape:
        return slot
    return torch.empty_like(parameter, dtype=slot.dtype, device="cpu").copy_(slot)
