"""Pictures from meshes, landmarks and poses: z-buffer, overlays, maps, textures, drawings (no
network here)."""

from .attributes import vertex_normals
from .draw import draw_axes, draw_box, draw_landmarks
from .maps import (
    as_colors,
    depth_map,
    encode_depth,
    lay_over,
    normal_map,
    pncc_codes,
    pncc_map,
)
from .overlay import draw_mesh
from .rasterizer import Raster, rasterize
from .scene import MeshView, view_meshes
from .texture import Texture, sample_texture, vertex_colors
from .uv import UvLayout, open_seam

__all__ = [
    "MeshView",
    "Raster",
    "Texture",
    "UvLayout",
    "as_colors",
    "depth_map",
    "draw_axes",
    "draw_box",
    "draw_landmarks",
    "draw_mesh",
    "encode_depth",
    "lay_over",
    "normal_map",
    "open_seam",
    "pncc_codes",
    "pncc_map",
    "rasterize",
    "sample_texture",
    "vertex_colors",
    "vertex_normals",
    "view_meshes",
]
