"""The official ``.pth.tar`` file: ``{'epoch', 'state_dict'}``, read and written by torch."""

import io
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import SynergyNetError
from ...files.whole_file import whole_file
from ...weights.official import as_official, official_weights
from ...weights.tensors import MAX_BYTES, Official, Weights, checkpoint_file

PREFIX = "module."  # left by nn.DataParallel

_LEGACY_PICKLES = 5
"""Of torch's older format: number, version, system, content, keys; then come the numbers."""
_MAX_PICKLE, _MAX_OPCODES = 16 << 20, 1_000_000
_NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "Long", "Int", "BFloat16")),
}
_OTHER_NAMES = {"STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ", "NEWOBJ_EX"}


def read_official(path: str | Path) -> Weights:
    """Read and check a ``.pth.tar`` without running anything that it contains.

    Raises SynergyNetError naming the file if it is missing, too large, damaged, or if
    any of the 445 entries is missing, unknown or misshapen.
    """
    source = checkpoint_file(path)
    archive_name = _archive_name(source)
    try:
        # Not as a path: for a length that a file declares, reading one takes the memory at once.
        stream = io.BytesIO(source.read_bytes())
        _check_pickles(stream)
        content = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for damaged or foreign files
        raise _damaged(source, error) from error
    if not isinstance(content, dict) or set(content) != {"epoch", "state_dict"}:
        raise SynergyNetError(
            f"{source} is no official SynergyNet checkpoint: its top level must be a dictionary "
            "of 'epoch' and 'state_dict'."
        )
    epoch, state = content["epoch"], content["state_dict"]
    if not isinstance(epoch, int) or not isinstance(state, OrderedDict):
        raise SynergyNetError(f"{source}: 'epoch' must be a number, 'state_dict' a state dict.")
    entries = _arrays(source, state)
    versions = _module_versions(getattr(state, "_metadata", None))
    return official_weights(str(source), entries, Official({}, epoch, archive_name, versions))


def write_official(path: str | Path, weights: Weights) -> None:
    """Write a file that the official code loads; it appears whole or not at all.

    Writing what :func:`read_official` read gives the same bytes, if the file was written by
    the same version of torch.

    Raises SynergyNetError if the format cannot hold such weights: see
    :func:`~synergynet.weights.official.as_official`.
    """
    target, official = Path(path), as_official(weights)
    state: OrderedDict[str, Tensor] = OrderedDict(
        (PREFIX + name, torch.from_numpy(np.array(array, order="C")))
        for name, array in [*official.buffers.items(), *weights.tensors.items()]
    )
    if official.versions:
        modules = OrderedDict((name, {"version": v}) for name, v in official.versions.items())
        state._metadata = modules  # type: ignore[attr-defined]
    name = None if official.archive_name is None else f"{official.archive_name}.tar"
    with whole_file(target, name) as partial:
        try:
            torch.save({"epoch": official.epoch, "state_dict": state}, partial)
        except RuntimeError as error:  # torch's word for a full disk
            raise SynergyNetError(f"{target}: cannot be written ({error})") from error


def _check_pickles(stream: io.BytesIO) -> None:
    """Raise ValueError for a name that a state dict does not need.

    Among those that torch allows, ``bytearray`` takes as many gigabytes as a file of 300 bytes
    likes.
    """
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            entries = [e for e in archive.infolist() if e.filename.endswith(".pkl")]
            if any(entry.file_size > _MAX_PICKLE for entry in entries):
                raise ValueError("a huge list of tensors")
            pickles = [io.BytesIO(archive.read(entry)) for entry in entries]
    else:
        pickles = [stream] * _LEGACY_PICKLES  # one after another
    stream.seek(0)
    for data in pickles:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            known = opcode.name != "GLOBAL" or argument in _NAMES
            if not known or opcode.name in _OTHER_NAMES or count > _MAX_OPCODES:
                raise ValueError(f"it names {str(argument)[:80]}")
    stream.seek(0)


def _arrays(source: Path, state: OrderedDict[object, object]) -> dict[str, np.ndarray]:
    """The tensors, each of them plain, dense and no larger than what the file holds of it.

    A view that repeats one number a thousand million times is a tensor too.
    """
    entries: dict[str, np.ndarray] = {}
    total = 0
    for name, value in state.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise SynergyNetError(f"{source}: 'state_dict' must hold tensors only.")
        tensor = value.detach()
        dense = type(value) in (Tensor, nn.Parameter) and tensor.device.type == "cpu"
        dense = dense and tensor.layout == torch.strided
        dense = dense and not tensor.is_quantized and not tensor.is_nested
        size = tensor.numel() * tensor.element_size() if dense else 0
        total += size
        if not dense or size > tensor.untyped_storage().nbytes() or total > MAX_BYTES:
            raise SynergyNetError(f"{source}: {name[:80]!r} is no plain tensor of the file's own.")
        try:
            entries[name.removeprefix(PREFIX)] = tensor.numpy()
        except (TypeError, RuntimeError) as error:  # a type that NumPy lacks, a conjugate view
            raise SynergyNetError(f"{source}: {name[:80]!r} is no plain tensor.") from error
    return entries


def _module_versions(modules: object) -> dict[str, int]:
    """Module -> version out of what torch hangs on a state dict; the file may hold anything."""
    found = modules.items() if isinstance(modules, dict) else ()
    versions = {str(name): local.get("version") for name, local in found if isinstance(local, dict)}
    return {name: version for name, version in versions.items() if isinstance(version, int)}


def _archive_name(source: Path) -> str | None:
    """Root folder of a zip archive; None for torch's older format. Refuses inflating archives."""
    with source.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            return None
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise _damaged(source, error) from error
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise SynergyNetError(f"{source} inflates beyond {MAX_BYTES >> 20} MiB; do not trust it.")
    root = entries[0].filename.split("/")[0] if entries else ""
    return root if root.strip(".") else None


def _damaged(source: Path, error: Exception) -> SynergyNetError:
    return SynergyNetError(
        f"{source} is not a complete PyTorch checkpoint of plain tensors "
        f"({type(error).__name__}); copy or download it again."
    )
