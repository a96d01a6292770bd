"""The package's own face model file: one compressed ``.npz`` without pickles.

Bases are stored as int16 with one scale per mode (error under 1/65534 of the mode's largest
displacement); everything else as it is.
"""

from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import SynergyNetError
from ..files.npz import read_npz
from ..files.whole_file import whole_file
from ..geometry.params import FloatArray
from .model import FaceModel

FORMAT = "synergynet-face-model-1"
_MAX_UNCOMPRESSED = 128 << 20
_MAX_UNITS, _MAX_NAME = 1000, 200
_PLAIN = (
    *("mean", "triangles", "landmark_vertices", "landmark_weights"),
    *("unit_coefficients", "uv", "mirror_signs"),
)
_BASES = ("identity_basis", "expression_basis", "unit_shapes")
_KINDS = {
    **dict.fromkeys(("format", "name", "unit_names"), "U"),
    "millimetres_per_unit": "fiu",
    **dict.fromkeys(_PLAIN, "fiu"),
    **dict.fromkeys((*_BASES, *(f"{name}_scale" for name in _BASES)), "fi"),
}
"""What each array may hold."""


def _pack(basis: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    scale = np.abs(basis).reshape(len(basis), -1).max(axis=1).astype(np.float64) / 32767
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    return np.rint(basis / scale[:, None, None]).astype(np.int16), scale


def _unpack(packed: np.ndarray, scale: np.ndarray) -> FloatArray:
    return packed.astype(np.float32) * scale.astype(np.float32)[:, None, None]


def save_npz(model: FaceModel, path: str | Path) -> None:
    """Write ``model``; the file appears whole or not at all."""
    target = Path(path)
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "name": np.array(model.name),
        "millimetres_per_unit": np.array(model.millimetres_per_unit),
        "unit_names": np.array(model.unit_names, dtype=str),
    }
    for name in (*_PLAIN, *_BASES):
        value = getattr(model, name)
        if value is not None and name in _BASES:
            arrays[name], arrays[f"{name}_scale"] = _pack(value)
        elif value is not None:
            arrays[name] = value
    with whole_file(target) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_npz(source: str | Path | IO[bytes], *, label: str | None = None) -> FaceModel:
    """Read a file written by :func:`save_npz`.

    Args:
        source: path or binary stream.
        label: what to call it in errors; the path by default.

    Raises:
        SynergyNetError: missing, not such a file, too large, or inconsistent.
    """
    label = label or str(source)
    try:
        data = read_npz(source, _KINDS, max_bytes=_MAX_UNCOMPRESSED)
        if str(data["format"]) != FORMAT:
            found = str(data["format"])[:80]
            raise SynergyNetError(f"{label}: unknown face model format '{found}'")
        n_vertices = len(data["mean"])
        arrays: dict[str, Any] = {name: data[name] for name in _PLAIN if name in data}
        for name in _BASES:
            if name in data:
                if data[name].ndim != 3 or data[name].shape[1:] != (n_vertices, 3):
                    raise SynergyNetError(f"{label}: {name} is not of {n_vertices} vertices")
                arrays[name] = _unpack(data[name], data[f"{name}_scale"])
        unit_names = data["unit_names"]
        if unit_names.ndim != 1 or len(unit_names) > _MAX_UNITS:
            raise SynergyNetError(f"{label}: unit_names is not a list of names")
        return FaceModel(
            name=str(data["name"])[:_MAX_NAME],
            millimetres_per_unit=float(data["millimetres_per_unit"]),
            unit_names=tuple(str(n) for n in unit_names),
            **arrays,
        )
    except FileNotFoundError as error:
        raise SynergyNetError(f"{label}: no such face model file") from error
    except SynergyNetError as error:
        told = label in str(error)
        raise SynergyNetError(str(error) if told else f"{label}: {error}") from error
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds on broken files
        raise SynergyNetError(f"{label}: not a readable face model file ({error})") from error
