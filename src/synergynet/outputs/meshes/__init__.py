"""Meshes as files: OBJ with texture, PLY with vertex colours, GLB with expression units."""

from .mesh_data import MeshData, build_mesh, plain_mesh, uv_layout
from .placement import Placement, place, place_in_camera

__all__ = [
    "MeshData",
    "Placement",
    "build_mesh",
    "place",
    "place_in_camera",
    "plain_mesh",
    "uv_layout",
]
