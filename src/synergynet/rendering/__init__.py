"""Pictures from meshes, landmarks and poses: z-buffer, overlays, drawings (no network here)."""

from .draw import draw_axes, draw_landmarks
from .overlay import draw_mesh
from .rasterizer import Raster, rasterize
from .shading import vertex_normals

__all__ = ["Raster", "draw_axes", "draw_landmarks", "draw_mesh", "rasterize", "vertex_normals"]
