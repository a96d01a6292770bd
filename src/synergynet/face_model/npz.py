"""The package's own face model file: one compressed ``.npz`` without pickles.

Bases are stored as int16 with one scale per mode (error under 1/65534 of the mode's largest
displacement); everything else as it is.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import SynergyNetError
from ..files.whole_file import whole_file
from ..geometry.params import FloatArray
from .model import FaceModel

FORMAT = "synergynet-face-model-1"
_MAX_UNCOMPRESSED = 512 << 20


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
        "mean": model.mean,
        "triangles": model.triangles,
        "landmark_vertices": model.landmark_vertices,
        "landmark_weights": model.landmark_weights,
        "unit_names": np.array(model.unit_names, dtype=str),
        "unit_coefficients": model.unit_coefficients,
    }
    for name in ("identity_basis", "expression_basis", "unit_shapes"):
        if (basis := getattr(model, name)) is not None:
            arrays[name], arrays[f"{name}_scale"] = _pack(basis)
    if model.uv is not None:
        arrays["uv"] = model.uv
    if model.mirror_signs is not None:
        arrays["mirror_signs"] = model.mirror_signs
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
    name = label or str(source)
    try:
        with zipfile.ZipFile(source) as archive:
            if sum(item.file_size for item in archive.infolist()) > _MAX_UNCOMPRESSED:
                raise SynergyNetError(f"{name}: unpacks to more than {_MAX_UNCOMPRESSED >> 20} MiB")
        if not isinstance(source, str | Path):
            source.seek(0)
        with np.load(source, allow_pickle=False) as data:
            if str(data["format"]) != FORMAT:
                raise SynergyNetError(f"{name}: unknown face model format '{data['format']}'")
            return FaceModel(
                name=str(data["name"]),
                mean=data["mean"],
                identity_basis=_unpack(data["identity_basis"], data["identity_basis_scale"]),
                expression_basis=_unpack(data["expression_basis"], data["expression_basis_scale"]),
                triangles=data["triangles"],
                landmark_vertices=data["landmark_vertices"],
                landmark_weights=data["landmark_weights"],
                millimetres_per_unit=float(data["millimetres_per_unit"]),
                uv=data.get("uv"),
                unit_names=tuple(str(n) for n in data["unit_names"]),
                unit_coefficients=data["unit_coefficients"],
                unit_shapes=_unpack(data["unit_shapes"], data["unit_shapes_scale"])
                if "unit_shapes" in data
                else None,
                mirror_signs=data.get("mirror_signs"),
            )
    except FileNotFoundError as error:
        raise SynergyNetError(f"{name}: no such face model file") from error
    except SynergyNetError as error:
        raise SynergyNetError(
            f"{name}: {error}" if name not in str(error) else str(error)
        ) from error
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds on broken files
        raise SynergyNetError(f"{name}: not a readable face model file ({error})") from error
