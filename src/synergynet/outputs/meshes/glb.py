"""Binary glTF 2.0 with the expression units as morph targets.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html. The mesh is the person without
expression; its morph targets are the face model's units by name, its weights the predicted ones.
Units cannot say everything that the expression modes can, so one more target at weight 1 holds
what is left: a viewer shows exactly the predicted face, and an animation that sets this target
to 0 starts from the neutral one. Most units move a small part of the head: their displacements
are stored as sparse accessors.
"""

import json
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .mesh_data import MeshData

_BYTE, _SHORT, _INT, _FLOAT = 5121, 5123, 5125, 5126
_VERTEX_DATA, _INDEX_DATA = 34962, 34963
RESIDUAL = "expressionResidual"
"""Name of the morph target that the units leave over."""

_STILL = 1e-6
"""Displacements up to this are not stored; in the file's unit."""


class _Buffer:
    """Arrays one after the other, each at a multiple of four bytes, and their descriptions."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        self.data += bytes(-len(self.data) % 4)
        entry = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(entry if target is None else entry | {"target": target})
        self.data += data
        return len(self.views) - 1

    def vectors(self, values: NDArray[np.float32], *, bounds: bool = False) -> int:
        """(n, 2 or 3) float32 as vertex data."""
        view = self.view(np.ascontiguousarray(values, dtype="<f4").tobytes(), _VERTEX_DATA)
        entry = _accessor(len(values), _FLOAT, f"VEC{values.shape[1]}") | {"bufferView": view}
        return self.add(entry | (_bounds(values) if bounds else {}))

    def displacements(self, values: NDArray[np.float32]) -> int:
        """(n, 3) float32 of a morph target, sparse where that is smaller."""
        moved = np.flatnonzero(np.abs(values).max(axis=1) > _STILL)
        if 14 * len(moved) > 12 * len(values):
            return self.vectors(values, bounds=True)
        kept = np.zeros_like(values)
        kept[moved] = values[moved]
        entry = _accessor(len(values), _FLOAT, "VEC3") | _bounds(kept)
        if len(moved):
            kind, dtype = _index_type(len(values))
            entry["sparse"] = {
                "count": len(moved),
                "indices": {
                    "bufferView": self.view(moved.astype(dtype).tobytes()),
                    "componentType": kind,
                },
                "values": {"bufferView": self.view(kept[moved].astype("<f4").tobytes())},
            }
        return self.add(entry)

    def add(self, accessor: dict[str, Any]) -> int:
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def encode(mesh: MeshData, stem: str) -> dict[str, bytes]:
    """``stem.glb``; lengths are those of the frame, and the node scales millimetres to metres."""
    source = np.arange(len(mesh.vertices)) if mesh.layout is None else mesh.layout.source
    triangles = mesh.triangles if mesh.layout is None else mesh.layout.triangles
    buffer = _Buffer()
    normals = mesh.normals(mesh.neutral)
    normals[~normals.any(axis=1)] = (0, 0, 1)  # the format allows no zero
    attributes = {
        "POSITION": buffer.vectors(mesh.neutral[source].astype(np.float32), bounds=True),
        "NORMAL": buffer.vectors(_unit(normals[source].astype(np.float32))),
    }
    material: dict[str, Any] = {
        "name": "face",
        "doubleSided": True,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
        # The photo's light is in the colours already.
        "extensions": {"KHR_materials_unlit": {}},
    }
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "synergynet"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "face", "mesh": 0, "extras": {"frame": mesh.placement.text}}],
        "materials": [material],
    }
    if mesh.placement.metric:
        document["nodes"][0]["scale"] = [0.001] * 3
    if mesh.layout is not None and mesh.texture is not None:
        # v runs down in this format.
        uv = (mesh.layout.uv * (1, -1) + (0, 1)).astype(np.float32)
        attributes["TEXCOORD_0"] = buffer.vectors(uv)
        png = cv2.imencode(".png", mesh.texture)[1].tobytes()
        document["images"] = [{"bufferView": buffer.view(png), "mimeType": "image/png"}]
        document["samplers"] = [
            {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}
        ]
        document["textures"] = [{"source": 0, "sampler": 0}]
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    else:
        attributes["COLOR_0"] = _colors(buffer, mesh.colors[source])
    kind, dtype = _index_type(len(source))
    index = buffer.view(triangles.astype(dtype).tobytes(), _INDEX_DATA)
    primitive: dict[str, Any] = {
        "attributes": attributes,
        "indices": buffer.add(_accessor(triangles.size, kind, "SCALAR") | {"bufferView": index}),
        "material": 0,
    }
    shape: dict[str, Any] = {"name": "face", "primitives": [primitive]}
    if mesh.unit_names:
        units = [*mesh.unit_shapes, mesh.residual]
        primitive["targets"] = [
            {"POSITION": buffer.displacements(unit[source].astype(np.float32))} for unit in units
        ]
        shape["weights"] = [*(float(w) for w in mesh.unit_weights), 1.0]
        shape["extras"] = {"targetNames": [*mesh.unit_names, RESIDUAL]}
    document |= {
        "meshes": [shape],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return {f"{stem}.glb": _pack(document, bytes(buffer.data))}


def _pack(document: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    data += bytes(-len(data) % 4)
    total = 12 + 8 + len(text) + 8 + len(data)
    head = struct.pack("<4sII", b"glTF", 2, total)
    chunks = [struct.pack("<I4s", len(text), b"JSON"), text]
    chunks += [struct.pack("<I4s", len(data), b"BIN\0"), data]
    return head + b"".join(chunks)


def _accessor(count: int, kind: int, shape: str) -> dict[str, Any]:
    return {"count": count, "componentType": kind, "type": shape}


def _bounds(values: NDArray[np.float32]) -> dict[str, list[float]]:
    low, high = values.min(axis=0), values.max(axis=0)
    return {"min": [float(v) for v in low], "max": [float(v) for v in high]}


def _index_type(count: int) -> tuple[int, str]:
    """Unsigned integers that can count vertices; the largest number of each is reserved."""
    return (_SHORT, "<u2") if count < 0xFFFF else (_INT, "<u4")


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _colors(buffer: _Buffer, bgr: NDArray[np.uint8]) -> int:
    """Vertex colours are linear in this format, unlike those of pictures."""
    srgb = bgr[:, ::-1] / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    values = np.full((len(bgr), 4), 0xFFFF, dtype="<u2")
    values[:, :3] = np.rint(linear * 0xFFFF)
    view = buffer.view(values.tobytes(), _VERTEX_DATA)
    entry = _accessor(len(bgr), _SHORT, "VEC4") | {"bufferView": view, "normalized": True}
    return buffer.add(entry)
