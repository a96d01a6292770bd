"""One synthetic face: drawn, rendered, labelled."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...face_model.model import FaceModel
from ...face_model.open_head import load_open_head
from ...geometry import frames, params
from ...geometry.params import INPUT_SIZE, FloatArray
from ...rendering import Raster, rasterize, vertex_normals
from ...rendering.attributes import interpolate_at
from ...rendering.rasterizer import Backend
from .background import draw_background, draw_cloth, grain
from .eyes import color_eyes, draw_eyes
from .hair import SHELL_TRIANGLES, draw_hair
from .head import BODY, HEAD_CENTRE, HEAD_RADIUS, MOUTH, TEETH, HeadScene, head_scene
from .label import Label, draw_label, landmark_visibility
from .lens import photograph
from .light import Ball, Light, cast_shadow, draw_light
from .objects import draw_objects, join_solids
from .skin import Looks, draw_looks, paint_skin

VERSION = "1"
"""Changes when the same seed gives other pictures or labels."""

ZOOM = 2
_SIDE = ZOOM * INPUT_SIZE
_LABEL, _LOOKS = 0, 1  # streams of random numbers: labels do not change with the painting


@dataclass(frozen=True, eq=False)
class SyntheticFace:
    """A crop and everything that is known about it.

    Attributes:
        image: (120, 120, 3) uint8 BGR.
        params: (62,) float32 raw parameters of the face model; they decode to what is rendered.
        landmarks: (68, 3) float32, crop1 frame, mean z 0.
        visibility: (68,) uint8: 0 hidden by the head itself, 1 by something else or outside the
            crop, 2 visible.
        depth: (120, 120) float32 z of the face model's surface in crop pixels, in the frame of
            ``landmarks`` (larger is nearer), under whatever lies before it; NaN where it is not.
        unit_weights: (U,) float32 weights of the ARKit units whose modes are shown.
    """

    image: NDArray[np.uint8]
    params: FloatArray
    landmarks: FloatArray
    visibility: NDArray[np.uint8]
    depth: NDArray[np.float32]
    unit_weights: FloatArray


class SyntheticFaces:
    """Face number ``index`` of a seed, the same wherever and in whatever order it is made.

    Args:
        seed: 0 or more.
        backend: of the rasteriser; numba where it is installed.
    """

    def __init__(
        self, seed: int = 0, *, model: FaceModel | None = None, backend: Backend | None = None
    ) -> None:
        self.seed = seed
        self.model = model or load_open_head()
        self._scene = head_scene(self.model)
        self._backend: Backend | None = backend

    def __getitem__(self, index: int) -> SyntheticFace:
        label = draw_label(self.model, np.random.default_rng([self.seed, index, _LABEL]))
        return self.render(label, np.random.default_rng([self.seed, index, _LOOKS]))

    def render(self, label: Label, rng: Generator) -> SyntheticFace:
        """Paint the face of ``label`` with looks, light and surroundings drawn from ``rng``."""
        landmarks = self.model.decode_landmarks(label.params)
        picture = _Picture(self._scene, label, self._backend)
        image = picture.paint(rng)
        return SyntheticFace(
            image,
            label.params,
            landmarks.astype(np.float32),
            landmark_visibility(
                self.model, picture.frame(landmarks), picture.normals,
                picture.raster.depth, picture.blocked, 3.0 * ZOOM * label.scale,
            ),
            picture.depth(),
            label.unit_weights,
        )  # fmt: skip


class _Picture:
    """The rendering of one face at ``ZOOM`` times the crop's resolution."""

    def __init__(self, scene: HeadScene, label: Label, backend: Backend | None) -> None:
        self.scene, self.label, self.backend = scene, label, backend
        self.face = scene.face(label)
        self.points = self.place(scene.vertices(self.face, label))
        self.normals = self.normals_of(self.points, scene.triangles)
        self.raster = self.rasterize(self.points, scene.triangles, cull=True)
        self.blocked = np.zeros((_SIDE, _SIDE), dtype=np.float32)

    def frame(self, crop1: FloatArray) -> FloatArray:
        """Crop1 (n, 3) -> pixels of the picture, 0-based, z in the same unit."""
        return (crop1 - [0.5, 0.5, 0]) * ZOOM - [0.5, 0.5, 0]

    def place(self, turned: FloatArray) -> FloatArray:
        """Camera axes in millimetres (n, 3) -> pixels of the picture."""
        shift = params.split(self.label.params)[0][:, 3].astype(np.float64)
        at = self.frame(frames.camera_to_crop1(shift[None]))[0]
        unit = self.label.scale * ZOOM
        return turned @ np.diag([unit, -unit, unit]) + at

    def rasterize(self, points: FloatArray, triangles: NDArray[np.int64], *, cull: bool) -> Raster:
        return rasterize(points, triangles, _SIDE, _SIDE, cull_backfaces=cull, backend=self.backend)

    def normals_of(self, points: FloatArray, triangles: NDArray[np.int64]) -> FloatArray:
        return vertex_normals(points, triangles, backend=self.backend)

    def interpolate(
        self, raster: Raster, at: NDArray[np.intp], values: FloatArray, triangles: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        table = np.asarray(values, dtype=np.float32)
        seen = interpolate_at(
            at, raster.triangle, raster.barycentric, table, triangles, backend=self.backend
        )
        return np.asarray(seen, dtype=np.float32)

    def depth(self) -> NDArray[np.float32]:
        """(120, 120) z of the face model in crop pixels, NaN elsewhere."""
        on_head = self.raster.triangle
        seen = (on_head >= 0) & (on_head < self.scene.n_head_triangles)
        z = np.where(seen, self.raster.depth, np.float32(np.nan))
        # A crop pixel's centre lies between four pixels of the picture.
        four = z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]
        return (four / np.float32(4 * ZOOM)).astype(np.float32)

    def paint(self, rng: Generator) -> NDArray[np.uint8]:
        looks = draw_looks(rng)
        light = draw_light(looks.exposure, rng)
        small = draw_background(INPUT_SIZE, rng).astype(np.float32)
        wall = cv2.resize(small, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
        image = np.square(wall * np.float32(1 / 255))  # linear light, gamma 2
        self._paint_head(image, looks, light, rng)
        self._paint_hair(image, looks, light, rng)
        self._paint_objects(image, looks, light, rng)
        small = cv2.resize(image, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA)
        return photograph(_develop(small), rng)

    def _paint_head(self, image: FloatArray, looks: Looks, light: Light, rng: Generator) -> None:
        scene = self.scene
        unit = self.label.scale * ZOOM  # pixels of the picture per millimetre
        centre = self.place((self.label.rotation @ HEAD_CENTRE)[None])[0]
        ball = Ball(centre, HEAD_RADIUS * unit)
        lit = cast_shadow(
            light, self.points, scene.shadow_triangles, ball, 4.0 * unit, self.backend
        )
        gloss = light.sheen(self.normals, lit)
        attributes = np.column_stack([scene.atlas, scene.eye, gloss])
        shown = np.flatnonzero(self.raster.mask)
        pixels = self.interpolate(self.raster, shown, attributes, scene.triangles)
        diffuse = light.diffuse(self.normals, scene.open_sky, lit)
        diffuse = self.interpolate(self.raster, shown, diffuse, scene.triangles)
        index = self.raster.triangle.ravel()[shown]
        part = scene.part[index]
        color = _sample(paint_skin(scene, looks, rng), pixels[:, :2])
        gloss = pixels[:, 3].copy()
        self._paint_eyes(color, gloss, shown, pixels[:, 2], looks, light, rng)
        teeth = rng.uniform(0.6, 0.95) * np.array([205, 222, 232])
        gap = np.ptp(self.face[scene.mouth_loop][:, 1]) - 4.5
        mouth = np.flatnonzero(part == MOUTH)
        color[mouth], gloss[mouth] = looks.skin * [0.28, 0.25, 0.5], 0
        color[part == TEETH] = teeth * np.clip(gap / 9, 0.12, 1)
        body = np.flatnonzero(part == BODY)
        color[body], clothed = self._color_body(pixels[body, :2], looks, rng)
        gloss[body[clothed]] = 0
        color *= np.float32(1 / 255)
        color *= color
        color *= diffuse
        color += np.repeat(gloss, 3).reshape(-1, 3)  # faster than broadcasting over triples
        image.reshape(-1, 3)[shown] = color

    def _paint_eyes(
        self, color: FloatArray, gloss: FloatArray, shown: NDArray[np.intp], eye: FloatArray,
        looks: Looks, light: Light, rng: Generator,
    ) -> None:  # fmt: skip
        """Colour the eyeballs among the pixels ``shown``; ``eye`` (K,) is 1 on them."""
        eyes = draw_eyes(self.label.gaze, looks.dark, rng)
        which = np.flatnonzero(eye > 0.25)
        surface = self.interpolate(self.raster, shown[which], self.face, self.scene.triangles)
        color[which], glint = color_eyes(self.scene, self.face, surface, eyes)
        gloss[which] = glint * float(light.key.mean() + light.ambient.mean()) * 0.6

    def _color_body(
        self, at: FloatArray, looks: Looks, rng: Generator
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Colours (K, 3) of body pixels at (K, 2) [degrees, millimetres]; which are clothed."""
        angle, height = at[:, 0], at[:, 1]
        collar, dip = rng.uniform(-138, -96), rng.uniform(0, 70) * (rng.random() < 0.6)
        cloth = draw_cloth(120, rng)
        clothed = height < collar - dip * np.clip(1 - np.abs(angle) / 45, 0, 1)
        color = np.empty((len(at), 3), dtype=np.float32)
        color[:] = looks.skin * rng.uniform(0.9, 1.02)
        where = np.stack([angle[clothed] * 1.4, -height[clothed] * 0.9], axis=1) % 119
        color[clothed] = _sample(cloth.astype(np.float32), where)
        return color, clothed

    def _paint_hair(self, image: FloatArray, looks: Looks, light: Light, rng: Generator) -> None:
        hair = draw_hair(self.scene.model, self.face, looks.hair, rng)
        if hair is None:
            return
        triangles = SHELL_TRIANGLES
        points = self.place(hair.vertices @ self.label.rotation.T)
        raster = self.rasterize(points, triangles, cull=False)
        normals = _toward_viewer(self.normals_of(points, triangles))
        where = np.flatnonzero(raster.mask & (raster.depth > self.raster.depth))
        sheen, diffuse = light.sheen(normals, 1.0), light.diffuse(normals, 0.9, 1.0)
        attributes = np.column_stack([hair.strands, hair.cover, sheen, diffuse])
        pixels = self.interpolate(raster, where, attributes, triangles)
        covered = pixels[:, 2] > -3 * hair.edge[0] - hair.edge[1]
        where, pixels = where[covered], pixels[covered]
        noise = _strand_noise(pixels[:, :2], rng)
        ragged, soft = hair.edge
        alpha = np.clip((pixels[:, 2] + ragged * noise) / soft + 0.5, 0, 1)
        shade = np.exp(hair.contrast * (noise - 0.4))
        color = np.square(hair.color / 255).astype(np.float32) * shade[:, None]
        color = color * pixels[:, 4:7] + (hair.gloss * pixels[:, 3] * shade)[:, None]
        flat = image.reshape(-1, 3)
        flat[where] += (color - flat[where]) * alpha[:, None]
        self.blocked.reshape(-1)[where] = alpha

    def _paint_objects(self, image: FloatArray, looks: Looks, light: Light, rng: Generator) -> None:
        model = self.scene.model
        solids = draw_objects(model, model.at_landmarks(self.face), self.label, looks.skin, rng)
        if not solids:
            return
        vertices, triangles, owner = join_solids(solids)
        points = self.place(vertices)
        raster = self.rasterize(points, triangles, cull=False)
        shown = np.flatnonzero(raster.mask & (raster.depth > self.raster.depth))
        normals = _toward_viewer(self.normals_of(points, triangles))
        color = self.interpolate(raster, shown, light.diffuse(normals, 1.0, 1.0), triangles)
        which = owner[raster.triangle.ravel()[shown]]
        mottle = np.array([s.mottle for s in solids], dtype=np.float32)[which]
        opacity = np.array([s.opacity for s in solids], dtype=np.float32)[which]
        paint = np.stack([s.color for s in solids]).astype(np.float32)[which] / 255
        paint *= (1 + mottle * grain(_SIDE, _SIDE, rng).ravel()[shown])[:, None]
        color *= np.square(paint)
        flat, blocked = image.reshape(-1, 3), self.blocked.reshape(-1)
        flat[shown] += (color - flat[shown]) * opacity[:, None]
        blocked[shown] = np.maximum(blocked[shown], opacity)


def _develop(linear: FloatArray) -> NDArray[np.float32]:
    """Linear light -> display values in [0, 255], gamma 2, highlights pressed together."""
    knee = np.float32(0.55)
    over = np.maximum(linear - knee, 0)
    soft = np.minimum(linear, knee) + (1 - knee) * np.tanh(over / (1 - knee) * np.float32(0.8))
    return np.float32(255) * np.sqrt(np.maximum(soft, 0))


def _toward_viewer(normals: FloatArray) -> FloatArray:
    """Normals of a sheet that is seen from both sides."""
    return np.where(normals[:, 2:] < 0, -normals, normals)


def _sample(texture: FloatArray, at: FloatArray) -> NDArray[np.float32]:
    """Bilinear values (K, C) of ``texture`` at (K, 2) texels."""
    width = 1024
    rows = -(-max(len(at), 1) // width)
    maps = np.zeros((2, rows * width), dtype=np.float32)
    maps[:, : len(at)] = at.T
    u, v = maps.reshape(2, rows, width)
    out = cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, dtype=np.float32).reshape(rows * width, -1)[: len(at)]


def _strand_noise(at: FloatArray, rng: Generator) -> NDArray[np.float32]:
    """(K,) about standard normal noise that runs along the strands."""
    fine = cv2.resize(grain(7, 480, rng), (480, 100), interpolation=cv2.INTER_LINEAR)
    broad = cv2.resize(grain(4, 80, rng), (480, 100), interpolation=cv2.INTER_LINEAR)
    return _sample(0.8 * (fine + broad), at * np.array([1, 0.5], dtype=np.float32))[:, 0]
