"""The phases of a photo as steps that can be run alone, with the bytes that each must move.

Public functions only, so that they are the same phases whatever the analyzer makes of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synergynet import Face, FaceAnalyzer, draw, read_image, save
from synergynet.geometry.crops import CropBox
from synergynet.geometry.landmarks import N_LANDMARKS
from synergynet.geometry.params import N_COEFFICIENTS
from synergynet.outputs.kinds import DRAWINGS, MESHES
from synergynet.pipeline.face import landmarks_in_images, meshes_of, poses_in_images
from synergynet.regression import assess, cut_crops

Image = NDArray[np.uint8]
FLOAT = 4  # bytes of a float32


@dataclass(frozen=True)
class Step:
    """A phase of a photo.

    Attributes:
        run: does it once. An array or files that it answers with are moved too.
        moved: bytes that must be read or written besides, however it is done.
        multiply_adds: outside networks, however it is done.
    """

    run: Callable[[], object]
    moved: int
    multiply_adds: int = 0


def see_faces(
    analyzer: FaceAnalyzer, image: Image, jpeg: Path, boxes: Sequence[CropBox]
) -> dict[str, Step]:
    """From the file to landmarks and pose, all of that at once, and dense vertices.

    Args:
        image: (H, W, 3) uint8 BGR, what ``jpeg`` holds.
        boxes: N crops of its faces; the same number of faces for every quality.
    """
    model, regressor, info = analyzer.face_model, analyzer.regressor, analyzer.regressor.info
    crops = cut_crops(image, boxes, border=info.border)
    faces = analyzer.faces_in(image, boxes)
    params = np.stack([face.params for face in faces])
    n, per_point = len(faces), 3 * N_COEFFICIENTS

    def landmarks_and_pose() -> None:
        landmarks_in_images(model, params, boxes, info.frame)
        poses_in_images(params, boxes, info.frame, analyzer.conventions)

    def dense() -> None:
        meshes_of([replace(face) for face in faces])

    def everything() -> None:
        for face in analyzer(image):
            _ = face.landmarks, face.pose

    covered = sum(int(box.side) ** 2 for box in boxes) * 3
    landmarks, vertices = 3 * N_LANDMARKS * FLOAT, 3 * model.n_vertices * FLOAT
    return {
        "JPEG decoding": Step(lambda: read_image(jpeg), jpeg.stat().st_size),
        "detection": Step(lambda: analyzer.detector.detect(image), image.nbytes),
        "cropping": Step(lambda: cut_crops(image, boxes, border=info.border), covered),
        "network, one look": Step(lambda: assess(regressor, crops).params, crops.nbytes),
        "landmarks and pose": Step(
            landmarks_and_pose,
            (N_COEFFICIENTS + 1 + n) * landmarks,
            n * N_LANDMARKS * per_point,
        ),
        "photo to landmarks and pose": Step(everything, image.nbytes),
        "dense vertices": Step(
            dense, (N_COEFFICIENTS + 1 + n) * vertices, n * model.n_vertices * per_point
        ),
    }


def show_faces(
    analyzer: FaceAnalyzer, image: Image, boxes: Sequence[CropBox], folder: Path, *, files: bool
) -> dict[str, Step]:
    """Each drawing; dense vertices are there already.

    Args:
        files: of the one face, its texture and each file too: they take their time whatever the
            photo's size is.
    """
    faces = analyzer.faces_in(image, boxes)
    vertices = 3 * analyzer.face_model.n_vertices * FLOAT
    meshes_of(faces)
    steps = {
        f"drawing {kind}": Step(_drawing(image, faces, kind), image.nbytes)
        for kind, drawing in DRAWINGS.items()
        if files or not drawing.per_face
    }
    if files:
        for ending in (*(form.endings[0] for form in MESHES.values()), ".json"):
            moved = image.nbytes + vertices if ending != ".json" else 0
            steps[f"file {ending}"] = Step(_file(image, faces[0], folder / f"face{ending}"), moved)
    return steps


def _drawing(image: Image, faces: list[Face], kind: str) -> Callable[[], object]:
    return lambda: draw(image, faces, kind)


def _file(image: Image, face: Face, path: Path) -> Callable[[], object]:
    return lambda: save(face, path, image)
