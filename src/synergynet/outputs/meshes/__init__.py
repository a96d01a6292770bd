"""Meshes as files: OBJ with texture, PLY with vertex colours, GLB with expression units."""

from .glb import glb_bytes
from .mesh_data import FORMATS, MeshData, build_mesh, uv_layout
from .obj import obj_files
from .placement import SPACES, Placement, Space, place, place_in_camera
from .ply import ply_bytes

__all__ = [
    "FORMATS",
    "SPACES",
    "MeshData",
    "Placement",
    "Space",
    "build_mesh",
    "glb_bytes",
    "obj_files",
    "place",
    "place_in_camera",
    "ply_bytes",
    "uv_layout",
]
