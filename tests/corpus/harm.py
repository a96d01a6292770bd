"""Files made to do harm: every failure of the past, and what is near it.

What fuzzing finds is added here as a function or a line that makes it, not as a file.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import harm_arrays, harm_pictures, harm_texts, seeds
from .seeds import Files

HARM: dict[str, Callable[[], Files]] = {
    "photo": harm_pictures.pictures,
    "crop": harm_pictures.crops,
    "benchmark-photo": harm_pictures.crops,
    "video": harm_pictures.videos,
    "mat": harm_arrays.mats,
    "tri": lambda: {
        "nan.mat": seeds.mat({"tri": np.full((3, 4), np.nan)}),
        "far.mat": seeds.mat({"tri": np.full((3, 4), 1e300)}),
    },
    "pickle": harm_arrays.pickles,
    "labels": harm_arrays.labels,
    "npy": lambda: {
        "huge.npy": harm_arrays.header_only("'<f4'", "(99999999999,)"),
        "void.npy": harm_arrays.header_only("'|V0'", "(1000000000,)"),
        "long-header.npy": b"\x93NUMPY\2\0" + b"\xb0" * 200,
        "objects.npy": harm_arrays.header_only("'|O'", "(3,)") + b"\x80\x04N.",
    },
    "npz": harm_arrays.models,
    "quality": harm_arrays.qualities,
    "official": harm_arrays.officials,
    "meta": harm_arrays.metadata,
    "onnx": harm_arrays.graphs,
    "state": harm_arrays.states,
    "yaml": harm_texts.recipes,
    "override": harm_texts.overrides,
    "json": harm_texts.results,
    "croplist": harm_texts.name_lists,
    "inferlist": harm_texts.photo_lists,
    "failedlist": harm_texts.failed_lists,
    "shards": harm_texts.shards,
    "index": harm_texts.indexes,
    "record": lambda: {"deep.json": b"[" * 100_000, "text.json": b"x"},
}
