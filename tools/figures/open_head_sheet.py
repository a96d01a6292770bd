"""Draw Open Head: random identities, the mean with its landmarks, all modes, all ARKit units.

python tools/figures/open_head_sheet.py -o docs/images
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
from shared.command import Parser, run
from shared.pictures import Image, sheet, write_sheet

from synergynet import SynergyNetError
from synergynet.face_model.model import FaceModel
from synergynet.face_model.mouth import mouth_loop
from synergynet.face_model.sources import resolve_face_model
from synergynet.geometry import pose
from synergynet.geometry.params import N_EXPRESSION, N_SHAPE, FloatArray
from synergynet.rendering import draw_landmarks, draw_mesh

INK = (60, 60, 60)
FONT = cv2.FONT_HERSHEY_SIMPLEX
QUALITY = 82
DARK = (45, 45, 45)
CLOSE_MARGIN = ((0.13, 0.17, 0.0), (0.13, 0.06, 0.0))
"""Room around the landmarks, low and high, as parts of their box: ears, and a jaw that drops."""


def view(
    model: FaceModel, points: FloatArray, yaw: float, tile: tuple[int, int], *, close: bool
) -> FloatArray:
    """Model-frame ``points`` (n, 3) -> pixels of a (width, height) tile, z toward the viewer.

    Shows the whole head from any side, or close up the face with room for an open mouth.
    Positive yaw turns the face to the left edge of the picture.
    """
    around = model.landmark_mean if close else model.mean
    margin = np.array(CLOSE_MARGIN if close else ((0.045,) * 3,) * 2)
    size = np.ptp(around, axis=0)
    low, high = around.min(axis=0) - margin[0] * size, around.max(axis=0) + margin[1] * size
    centre, span = (low + high) / 2, high - low
    pixels = min(tile[0] / (span[0] if close else max(span[0], span[2])), tile[1] / span[1])
    turned = (points - centre) @ pose.rotation_from_euler(0.0, yaw, 0.0).T * pixels
    return turned * [1, -1, 1] + [tile[0] / 2, tile[1] / 2, 0]


def head(
    model: FaceModel,
    vertices: FloatArray,
    yaw: float = 0.0,
    tile: tuple[int, int] = (180, 220),
    *,
    close: bool = False,
    landmarks: bool = False,
    label: str = "",
) -> Image:
    """One solid shaded head on white; the mouth, which is open in the mesh, is filled dark."""
    strip = 16 if label else 0
    width, height = tile[0], tile[1] - strip
    image = np.full((height, width, 3), 255, dtype=np.uint8)
    shown = view(model, vertices, yaw, (width, height), close=close)
    mouth = np.rint(shown[mouth_loop(model), :2]).astype(np.int32)
    if len(mouth):
        cv2.fillPoly(image, [mouth], DARK)
    image = draw_mesh(image, [shown], model.triangles, opacity=1.0)
    if landmarks:
        image = draw_landmarks(image, model.at_landmarks(shown))
    image = np.vstack([image, np.full((strip, width, 3), 255, dtype=np.uint8)])
    if label:
        cv2.putText(image, label, (4, tile[1] - 4), FONT, 0.36, INK, 1, cv2.LINE_AA)
    return image


def identities(model: FaceModel, count: int = 12, seed: int = 2021) -> Image:
    """Random people, coefficients from the standard normal prior, from 0 and 45 degrees."""
    samples = np.random.default_rng(seed).normal(size=(count, N_SHAPE))
    faces = model.vertices(samples, np.zeros((count, N_EXPRESSION)))
    return sheet([head(model, face, yaw) for face in faces for yaw in (0.0, 45.0)], 8)


def modes(model: FaceModel) -> Image:
    """The mean with and without landmarks, then every expression mode at +2 and -2 sigma."""
    wide = [
        head(model, model.mean, yaw, (240, 280), landmarks=marked, label=f"mean, {yaw:g} degrees")
        for marked in (False, True)
        for yaw in (0.0, 45.0, 90.0)
    ]
    small = []
    for mode in range(N_EXPRESSION):
        for sigma in (2, -2):
            expression = np.eye(N_EXPRESSION)[mode] * sigma
            face = model.vertices(np.zeros(N_SHAPE), expression)
            label = f"mode {mode + 1}: {sigma:+d} sigma"
            small.append(head(model, face, 0.0, (144, 172), close=True, label=label))
    return np.vstack([sheet(wide, 6), sheet(small, 10)])


def units(model: FaceModel) -> Image:
    """Every expression unit at weight 1, with its name.

    ARKit's ``mouthClose`` closes the lips of an open jaw, so it is shown together with it.
    """
    if model.unit_shapes is None:
        raise SynergyNetError(f"face model '{model.name}' has no unit shapes to draw")
    shapes = dict(zip(model.unit_names, model.unit_shapes, strict=True))
    tiles = []
    for name, shape in shapes.items():
        label, face = name, model.mean + shape
        if name == "mouthClose" and "jawOpen" in shapes:
            label, face = "mouthClose + jawOpen", face + shapes["jawOpen"]
        tiles.append(head(model, face, 20.0, (160, 190), close=True, label=label))
    return sheet(tiles, 9)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--face-model", help="another face model than Open Head")
    args = parser.parse_args()
    model, _ = resolve_face_model(args.face_model)
    for name, draw in (("identities", identities), ("modes", modes), ("units", units)):
        write_sheet(args.output / f"open_head_{name}.jpg", draw(model), QUALITY)


if __name__ == "__main__":
    run(main)
