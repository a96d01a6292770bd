"""Weights in MindSpore's ``.ckpt`` files, without MindSpore.

Such a file holds the trained tensors under MindSpore's names, and beside them, where MindSpore's
own loader ignores them: ``synergynet.metadata``, the metadata of our checkpoints as the bytes of
a JSON text, and the eight buffers of an official checkpoint (whitening and face model) under
their official names if the weights came from one.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SynergyNetError
from .architectures import COUNTER, state_shapes
from .ckpt import read_ckpt, write_ckpt
from .info import WeightsInfo
from .names import mindspore_names, to_mindspore, to_torch
from .official import OFFICIAL_BUFFERS, official_weights
from .tensors import Official, Weights, check_tensors

METADATA = "synergynet.metadata"
_FORMAT = 1


def read_ckpt_weights(path: str | Path) -> Weights:
    """Read a MindSpore checkpoint of this package or of the published port.

    Raises:
        SynergyNetError: missing, damaged, incomplete, or of another network.
    """
    source = str(path)
    found = read_ckpt(path)
    blob = found.pop(METADATA, None)
    metadata = {} if blob is None else _metadata(blob, source)
    info = None if blob is None else WeightsInfo.from_metadata(metadata["info"], source)
    buffers = {name: found.pop(name) for name in OFFICIAL_BUFFERS if name in found}
    regularisers = any(name.startswith("forwardDirection.") for name in found)
    try:
        shapes = state_shapes(
            "mobilenet_v2" if info is None else info.architecture, regularisers=regularisers
        )
    except SynergyNetError as error:
        raise SynergyNetError(f"{source}: {error}") from error
    names = mindspore_names(shapes)
    counts = metadata.get("batches_tracked", {})
    tensors = {}
    for name in shapes:
        if name.endswith(COUNTER):
            tensors[name] = np.array(counts.get(name, 0), np.int64)
        elif names[name] in found:
            tensors[name] = to_torch(name, found[names[name]])
    check_tensors(source, shapes, tensors, sorted(set(found) - set(names.values())))
    if "epoch" in metadata:
        archive, versions = metadata.get("archive_name"), metadata.get("versions", {})
        official = Official(buffers, metadata["epoch"], archive, versions)
        return replace(official_weights(source, tensors, official), info=info)
    matrices = (array for array in tensors.values() if array.ndim > 1)
    half = bool(metadata.get("half")) and all(
        np.array_equal(array.astype(np.float16), array) for array in matrices
    )
    return Weights(source, tensors, info, half)


def write_ckpt_weights(path: str | Path, weights: Weights) -> None:
    """Write a MindSpore checkpoint; it appears whole or not at all.

    Raises:
        SynergyNetError: the backbone does not exist in MindSpore.
    """
    info = weights.described()
    try:
        shapes = state_shapes(info.architecture, regularisers=weights.regularisers)
    except SynergyNetError as error:
        raise SynergyNetError(f"{weights.source}: {error}") from error
    check_tensors(weights.source, shapes, weights.tensors)
    metadata: dict[str, Any] = {
        "format": _FORMAT,
        "info": info.to_metadata(),
        "half": weights.half,
        "batches_tracked": {
            name: int(array) for name, array in weights.tensors.items() if name.endswith(COUNTER)
        },
    }
    entries = {
        name: to_mindspore(ours, weights.tensors[ours])
        for ours, name in mindspore_names(shapes).items()
    }
    if weights.official is not None:
        metadata["epoch"] = weights.official.epoch
        metadata["archive_name"] = weights.official.archive_name
        metadata["versions"] = dict(weights.official.versions)
        entries |= weights.official.buffers
    text = json.dumps(metadata).encode()
    write_ckpt(path, entries | {METADATA: np.frombuffer(text, np.uint8)})


def _metadata(blob: np.ndarray, source: str) -> dict[str, Any]:
    """The parsed and checked JSON of :data:`METADATA`."""
    try:
        if blob.dtype != np.uint8:
            raise ValueError("not bytes")
        values = json.loads(blob.tobytes())
        version = values["format"]
        counts, info = values.get("batches_tracked", {}), values["info"]
        versions = values.get("versions", {})
        good = (
            all(isinstance(v, int) and 0 <= v < 1 << 63 for v in counts.values())
            and all(isinstance(v, int) for v in versions.values())
            and all(isinstance(v, str) for v in info.values())
            and isinstance(values.get("epoch", 0), int)
            and _is_archive_name(values.get("archive_name"))
        )
        if not good:
            raise ValueError("a value of another type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SynergyNetError(
            f"{source}: its entry '{METADATA}' cannot be used ({error}); "
            "use a .ckpt written by synergynet"
        ) from error
    if version != _FORMAT:
        raise SynergyNetError(
            f"{source}: .ckpt metadata of format {version}, but this synergynet reads format "
            f"{_FORMAT}; install the synergynet version that wrote it"
        )
    return dict(values)


def _is_archive_name(name: object) -> bool:
    """Whether ``name`` is None or good as the name of a file, and no path to another folder."""
    if not isinstance(name, str):
        return name is None
    return 0 < len(name) <= 200 and bool(name.strip(".")) and not set(name) & set("/\\\0")
