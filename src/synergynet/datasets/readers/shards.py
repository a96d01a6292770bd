"""Labelled crops in WebDataset shards: plain tar files that hold many crops each.

::

    DIR/000000.tar                 20,000 samples, in the order of the list
        00000000.jpg               a crop as it was stored, JPEG or PNG (``.png``)
        00000000.params.npy        (62,) float64 raw parameters
        00000000.json              {"name": its name in the list}
        00000001.jpg ...
    DIR/index.json                 the shards with their counts, and the face model; written last

Crops are read in any order, each by its place in the file. Parameters have float64, so that
training on shards and on the list they were packed from is the same bit for bit.
"""

import io
import json
import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import SynergyNetError
from ...geometry.params import N_PARAMS, FloatArray
from . import LabelModel
from .crop_list import CropSet, check_name, refuse_evaluation_data
from .crop_store import MAX_CROP_BYTES, LazyCrops, decode_crop, read_small

INDEX_NAME = "index.json"
PARAMS_SUFFIX = "params.npy"
BLOCK = 512
MAX_SHARD_SIZE = 1_000_000

_CROP_SUFFIXES = ("jpg", "png")
_MAX_JSON_BYTES = 1 << 16
_MEMBER = re.compile(r"(\d{8,})\.([a-z.]+)")
_STRICT = ConfigDict(extra="forbid", frozen=True)


class ShardEntry(BaseModel):
    """One shard: its file's name and size in bytes, and its number of samples."""

    model_config = _STRICT

    file: str = Field(pattern=r"^\d{6,}\.tar$")
    count: int = Field(ge=1, le=MAX_SHARD_SIZE)
    bytes: int = Field(ge=1)


class ShardIndex(BaseModel):
    """``index.json`` of a folder of shards."""

    model_config = _STRICT

    format: Literal["synergynet-shards-1"] = "synergynet-shards-1"
    face_model: str
    face_model_hash: str
    source: str
    shards: tuple[ShardEntry, ...] = Field(min_length=1)


@dataclass(frozen=True, eq=False)
class _Shard:
    """A tar file with the places of its crops, names and labels."""

    file: Path
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    names: list[str]
    params: FloatArray

    def read(self, row: int) -> NDArray[np.uint8]:
        # Opened anew: as quick as a mapping, but other threads go on while the disk seeks, a
        # failing disk is an error and not a crash, and no number of shards is too large.
        try:
            with self.file.open("rb", buffering=0) as stream:
                stream.seek(self.starts[row])
                data = stream.read(self.sizes[row])
        except OSError as error:
            raise SynergyNetError(f"{self.file}: cannot be read ({error.strerror})") from error
        return decode_crop(data, f"{self.file}: '{self.names[row]}'")


def open_folder(name: str, folder: Path, labels: LabelModel, skip: Path) -> CropSet:
    """A folder of shards, whose labels must be of ``labels``."""
    found = read_shards([folder])
    if found.face_model_hash != labels.hash:
        raise SynergyNetError(
            f"{folder}: labels of face model '{found.face_model}', not of '{labels.model.name}' "
            "(and this version); name the one that they were packed with"
        )
    return replace(found, model=labels.model)


def read_shards(folders: Sequence[Path]) -> CropSet:
    """Read all labels, and find all crops, of folders that ``synergynet data pack`` wrote.

    Raises:
        SynergyNetError: a folder without its index, damaged or foreign files, evaluation data,
            or labels of different face models.
    """
    shards: list[_Shard] = []
    models: dict[tuple[str, str], Path] = {}
    for folder in folders:
        refuse_evaluation_data(folder / INDEX_NAME)
        index = read_index(folder)
        models[index.face_model, index.face_model_hash] = folder
        shards += [_read_shard(folder / entry.file, entry) for entry in index.shards]
    if len(models) > 1:
        (one, first), (other, second) = list(models.items())[:2]
        raise SynergyNetError(
            f"{second}: labels of face model '{other[0]}', but those in {first} are of '{one[0]}'; "
            "shards of one source must share a face model (and its version)"
        )
    (name, model_hash), *_ = models
    which = np.repeat(np.arange(len(shards)), [len(s.names) for s in shards])
    row = np.concatenate([np.arange(len(s.names)) for s in shards])
    images = LazyCrops(lambda i: shards[which[i]].read(row[i]), np.arange(len(row)))
    names = [name for shard in shards for name in shard.names]
    raw = np.concatenate([s.params for s in shards])
    return CropSet(", ".join(map(str, folders)), names, images, raw, name, model_hash)


def read_index(folder: Path) -> ShardIndex:
    """``index.json`` of a folder; SynergyNetError if it is missing or broken."""
    file = folder / INDEX_NAME
    if not file.is_file():
        raise SynergyNetError(
            f"{file}: missing; give a folder that `synergynet data pack` wrote to the end "
            "(run the same command again to finish it)"
        )
    try:
        index = ShardIndex.model_validate_json(read_small(file, 64 << 20, "list of shards"))
    except ValidationError as error:
        raise SynergyNetError(
            f"{file}: not an index of shards of this version ({error.errors()[0]['msg']}); "
            "pack the list again"
        ) from error
    if len({entry.file for entry in index.shards}) < len(index.shards):
        raise SynergyNetError(f"{file}: a shard is there twice; pack the list again")
    return index


def _params_head() -> bytes:
    """What stands before the 62 numbers in every ``params.npy``."""
    stream = io.BytesIO()
    np.save(stream, np.zeros(N_PARAMS, dtype="<f8"))
    return stream.getvalue()[: -8 * N_PARAMS]


def _damaged(file: Path, what: str) -> SynergyNetError:
    return SynergyNetError(f"{file}: {what}; copy this shard again, or pack the list again")


def _read_shard(file: Path, entry: ShardEntry) -> _Shard:
    """Walk through a shard's headers."""
    try:
        size = file.stat().st_size
        if size != entry.bytes:
            raise _damaged(file, f"{size} bytes, expected {entry.bytes} (cut short?)")
        with (
            file.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _index_shard(file, data, entry)
    except FileNotFoundError as error:
        raise _damaged(file, f"missing, but listed in {INDEX_NAME}") from error
    except OSError as error:
        raise SynergyNetError(f"{file}: cannot be read ({error.strerror})") from error


def _index_shard(file: Path, data: mmap.mmap, entry: ShardEntry) -> _Shard:
    starts, sizes = np.empty((2, entry.count), dtype=np.int64)
    raw = np.empty((entry.count, N_PARAMS))
    names, head, end = [], _params_head(), 0
    for row in range(entry.count):
        key, starts[row], sizes[row], end = _member(file, data, end, _CROP_SUFFIXES, MAX_CROP_BYTES)
        label, about = b"", b""
        for suffix, most in (PARAMS_SUFFIX, len(head) + 8 * N_PARAMS), ("json", _MAX_JSON_BYTES):
            found, start, size, end = _member(file, data, end, (suffix,), most)
            if found != key:
                raise _damaged(file, f"'{found}.{suffix}' where '{key}.{suffix}' belongs")
            label, about = about, data[start : start + size]
        if not label.startswith(head) or len(label) != len(head) + 8 * N_PARAMS:
            raise _damaged(file, f"'{key}.{PARAMS_SUFFIX}' is not 62 float64 numbers")
        raw[row] = np.frombuffer(label, "<f8", offset=len(head))
        names.append(_read_name(file, key, about))
    rest = data[end:]
    if len(rest) < 2 * BLOCK or rest.strip(b"\0"):
        raise _damaged(file, f"it does not end where {INDEX_NAME} says")
    if not np.isfinite(raw).all():
        raise _damaged(file, "its parameters must be finite numbers")
    return _Shard(file, starts, sizes, names, raw)


def _member(
    file: Path, data: mmap.mmap, at: int, suffixes: Sequence[str], most: int
) -> tuple[str, int, int, int]:
    """The member of a tar file whose header is at byte ``at``: key, start, size, next header.

    Its name must be as :func:`.pack.pack_shards` writes it, with one of ``suffixes``. The
    header is read here because :mod:`tarfile` takes four times as long for it.
    """
    header, start = data[at : at + BLOCK], at + BLOCK
    try:
        if header[257:262] != b"ustar" or header[156:157] not in (b"0", b"\0"):
            raise ValueError
        if int(header[148:156].strip(b"\0 "), 8) != sum(header) - sum(header[148:156]) + 256:
            raise ValueError
        name = header[:100].rstrip(b"\0").decode("ascii")
        size = int(header[124:136].strip(b"\0 "), 8)
    except ValueError as error:
        raise _damaged(file, f"no plain file at byte {at}") from error
    match = _MEMBER.fullmatch(name)
    if match is None or match[2] not in suffixes:
        raise _damaged(file, f"'{name}' where a .{' or .'.join(suffixes)} belongs")
    if not 0 < size <= most or start + size > len(data):
        raise _damaged(file, f"'{name}' has {size} bytes, which cannot be")
    return match[1], start, size, start + -(-size // BLOCK) * BLOCK


def _read_name(file: Path, key: str, text: bytes) -> str:
    try:
        name = json.loads(text)["name"]
    except (ValueError, LookupError, TypeError, RecursionError):
        name = None
    if not isinstance(name, str) or not name:
        raise _damaged(file, f"'{key}.json' does not hold a name")
    check_name(name, file)
    return name
