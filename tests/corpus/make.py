"""The corpus: ``python -m corpus.make FOLDER`` writes it, the same files every time."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np

from .harm import HARM
from .seeds import BESIDE, NEEDS, SEEDS

_FLIPPED = 10
"""Copies of every seed with some bytes of others."""


def damaged(data: bytes, seed: int) -> dict[str, bytes]:
    """What happens to files: cut off, overwritten, in part or in whole."""
    rng = np.random.default_rng(seed)
    made = {
        "empty": b"",
        "one-byte": data[:1],
        "cut-early": data[: len(data) // 8],
        "cut-half": data[: len(data) // 2],
        "cut-late": data[: len(data) - 1 - len(data) // 50],
        "zeros": bytes(len(data)),
        "zero-tail": data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
        "twice": data + data,
        "ones-head": data[:16] + b"\xff" * 16 + data[32:],
    }
    for number in range(_FLIPPED):
        copy = bytearray(data)
        # Half of the copies are hurt in the first bytes, where sizes and kinds are.
        reach = len(copy) if number % 2 else min(len(copy), 512)
        for _ in range(1 + number // 2):
            copy[int(rng.integers(reach))] = int(rng.integers(256))
        made[f"flipped-{number}"] = bytes(copy)
    return made


def seed_files(folder: Path) -> list[tuple[str, Path]]:
    """Valid files of every reader that can be run here."""
    made = [
        (reader, _write(folder / reader / name, data))
        for reader, make in SEEDS.items()
        if _is_there(reader)
        for name, data in make().items()
    ]
    return [(reader, path) for reader, path in made if path.name not in BESIDE]


def corpus_files(folder: Path) -> list[tuple[str, Path]]:
    """Valid and damaged files, the valid ones of a reader first."""
    made: list[tuple[str, Path]] = []
    for number, (reader, path) in enumerate(seed_files(folder)):
        made.append((reader, path))
        for kind, data in damaged(path.read_bytes(), number).items():
            made.append((reader, _write(path.with_name(f"{path.stem}-{kind}{path.suffix}"), data)))
    for reader, make in HARM.items():
        if _is_there(reader):
            for name, data in make().items():
                made.append((reader, _write(folder / reader / name, data)))
    return sorted(made, key=lambda item: list(SEEDS).index(item[0]))


def _is_there(reader: str) -> bool:
    return reader not in NEEDS or importlib.util.find_spec(NEEDS[reader]) is not None


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    chosen = seed_files if "--seeds" in sys.argv else corpus_files
    print(f"{len(chosen(target))} files in {target}")
