"""Pack a training list into WebDataset shards; see :mod:`.shards`."""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..files.whole_file import whole_file, write_whole
from ..geometry.params import FloatArray
from .readers.crop_store import decode_crop, read_crop_bytes
from .readers.list_folder import claim_folder
from .readers.shards import INDEX_NAME, MAX_SHARD_SIZE, PARAMS_SUFFIX, ShardEntry, ShardIndex

RECORD = "pack.json"
SHARD_SIZE = 20_000
"""Samples per shard by default: 200 MB."""

_MAGIC = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png"}


def pack_shards(
    crops: Path,
    names: Sequence[str],
    raw: FloatArray,
    model: FaceModel,
    outputs: Sequence[Path],
    *,
    shard_size: int = SHARD_SIZE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the crops, as they are stored, with their labels; the same bytes every time.

    Args:
        crops: folder of the 120x120 crops, JPEG or PNG.
        names: (N,) their file names.
        raw: (N, 62) their raw parameters.
        model: the face model of ``raw``.
        outputs: folders, each empty or of an earlier run with the same settings. The list is
            divided among them in its order, as many shards to each.
        progress: called with the crops done and all crops.

    Returns:
        The number of shards.

    Raises:
        SynergyNetError: a crop cannot be read or is not 120x120, or an output folder holds
            something else.
    """
    if not 0 < shard_size <= MAX_SHARD_SIZE:
        raise SynergyNetError(f"the shard size must be between 1 and {MAX_SHARD_SIZE}")
    if len({output.resolve() for output in outputs}) != len(outputs):
        raise SynergyNetError("the output folders must differ")
    starts = range(0, len(names), shard_size)
    if len(starts) < len(outputs):
        raise SynergyNetError(
            f"{len(starts)} shard(s) cannot be divided among {len(outputs)} folders; "
            "lower the shard size"
        )
    for number, output in enumerate(outputs):
        settings: dict[str, object] = {
            "crops": str(crops.resolve()),
            "face_model": [model.name, model.hash],
            "shard_size": shard_size,
            "part": [number, len(outputs)],
        }
        claim_folder(output, RECORD, settings)
        (output / INDEX_NAME).unlink(missing_ok=True)
    for number, output in enumerate(outputs):
        entries = []
        first, last = (len(starts) * k // len(outputs) for k in (number, number + 1))
        for shard in range(first, last):
            rows = range(starts[shard], min(starts[shard] + shard_size, len(names)))
            file = output / f"{shard:06d}.tar"
            _write_shard(file, crops, names, raw, rows)
            entries.append(ShardEntry(file=file.name, count=len(rows), bytes=file.stat().st_size))
            progress(rows.stop, len(names))
        kept = {entry.file for entry in entries}
        for leftover in output.glob("*.tar"):
            if leftover.name not in kept:  # of an earlier, longer list
                leftover.unlink()
        index = ShardIndex(
            face_model=model.name,
            face_model_hash=model.hash,
            source=str(crops.resolve()),
            shards=tuple(entries),
        )
        write_whole(output / INDEX_NAME, (index.model_dump_json(indent=1) + "\n").encode())
    return len(starts)


def _write_shard(
    file: Path, crops: Path, names: Sequence[str], raw: FloatArray, rows: range
) -> None:
    with (
        whole_file(file) as partial,
        tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for row in rows:
            source = crops / names[row]
            image = read_crop_bytes(source)
            decode_crop(image, source)
            suffix = next((s for magic, s in _MAGIC.items() if image.startswith(magic)), None)
            if suffix is None:
                raise SynergyNetError(f"{source}: neither JPEG nor PNG, which shards hold")
            key = f"{row:08d}"
            label = io.BytesIO()
            np.save(label, np.asarray(raw[row], dtype="<f8"))
            name = json.dumps({"name": names[row]}).encode()
            _add(tar, f"{key}.{suffix}", image)
            _add(tar, f"{key}.{PARAMS_SUFFIX}", label.getvalue())
            _add(tar, f"{key}.json", name)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # of nobody, from 1970: the same bytes every time
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
