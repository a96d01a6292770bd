"""Binary PLY with vertex colours."""

import numpy as np

from .mesh_data import MeshData

_VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def encode(mesh: MeshData, stem: str) -> dict[str, bytes]:
    """``stem.ply``: little-endian, float x y z, uchar red green blue, lists of three ints."""
    vertices = np.zeros(len(mesh.vertices), dtype=_VERTEX)
    vertices["xyz"], vertices["rgb"] = mesh.vertices, mesh.colors[:, ::-1]
    faces = np.zeros(len(mesh.triangles), dtype=_FACE)
    faces["count"], faces["corners"] = 3, mesh.triangles
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {mesh.name}: {mesh.placement.text}",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {color}" for color in ("red", "green", "blue")),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    head = "\n".join(lines) + "\n"
    data = head.encode("ascii", "replace") + vertices.tobytes() + faces.tobytes()
    return {f"{stem}.ply": data}
