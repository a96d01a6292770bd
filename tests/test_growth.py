"""Work grows with what is asked, no faster: counted, not timed."""

import numpy as np
import pytest
from known_answers import FixedDetector, FixedRegressor
from small_models import centred, weights_info

from synergynet import FaceAnalyzer, FaceModel
from synergynet.detection import centerface, create_detector, yunet
from synergynet.face_model import model as face_model_module
from synergynet.pipeline.face import meshes_of

PASSES = 2


def squares(count: int) -> list[tuple[float, float, float]]:
    """A grid of faces, 40 pixels apart, in a photo of 700 x 700."""
    return [(20.0 + 40 * (i % 16), 20.0 + 40 * (i // 16), 38.0) for i in range(count)]


class ManyFaces(FixedDetector):
    """More faces than FixedDetector has scores for."""

    def detect(self, bgr: np.ndarray) -> list:
        self.looks = getattr(self, "looks", 0) + 1
        found = super().detect(bgr)
        return [type(d)(d.box, 1 - i / 1000, d.points) for i, d in enumerate(found)]

    def crop_square(self, detection) -> tuple[float, float, float]:
        return self.squares[round((1 - detection.score) * 1000)]


def analyzer_of(model: FaceModel, count: int) -> FaceAnalyzer:
    network = FixedRegressor(weights_info(model), centred(model))
    return FaceAnalyzer(ManyFaces(*squares(count)), network, model, passes=PASSES, mirror=False)


@pytest.mark.parametrize("count", [1, 4, 16, 64, 256])
def test_faces_share_the_networks_calls(tiny_model: FaceModel, count: int) -> None:
    analyzer = analyzer_of(tiny_model, count)
    faces = analyzer(np.zeros((700, 700, 3), np.uint8))
    shown = [len(crops) for crops in analyzer.regressor.seen]
    assert len(faces) == count and analyzer.detector.looks == 1
    assert len(shown) <= PASSES and sum(shown) <= PASSES * count


def test_photos_share_them_too(tiny_model: FaceModel) -> None:
    analyzer = analyzer_of(tiny_model, 3)
    photos = [np.zeros((700, 700, 3), np.uint8)] * 40
    assert [len(faces) for faces in analyzer(photos)] == [3] * 40
    shown = [len(crops) for crops in analyzer.regressor.seen]
    assert len(shown) <= PASSES * 3 and sum(shown) <= PASSES * 120  # batches of 16, 16 and 8
    assert analyzer.detector.looks == 40


def test_meshes_are_made_when_asked_for_and_once(
    tiny_model: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    combined: list[int] = []
    combine = face_model_module._combine

    def counting(mean: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        if len(mean) == tiny_model.n_vertices:
            combined.append(len(np.atleast_2d(rest[-1])))
        return combine(mean, *rest)

    monkeypatch.setattr(face_model_module, "_combine", counting)
    faces = analyzer_of(tiny_model, 40)(np.zeros((700, 700, 3), np.uint8))
    assert combined == []
    first = faces[7].vertices
    assert combined == [1]
    meshes = meshes_of(faces)
    assert sum(combined) == 40 and len(combined) <= 4  # products of up to 16 faces
    assert meshes[7] is first and meshes_of(faces)[3] is meshes[3] and sum(combined) == 40
    alone = tiny_model.decode_vertices(faces[3].params)
    scale = faces[3].crop.side / 120
    np.testing.assert_allclose(meshes[3][:, 2], alone[:, 2] * scale, atol=1e-3)


@pytest.mark.parametrize("name", ["yunet", "cascade", "thorough", "centerface"])
def test_a_larger_photo_costs_the_detector_no_more(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels that its networks see, on photos of 0.3 to 12 megapixels that show no face."""
    seen: list[int] = []
    for module in (yunet, centerface):
        prepare = module.network_input

        def counting(*args, prepare=prepare, **options):
            image, zoom = prepare(*args, **options)
            seen.append(image.shape[2] * image.shape[3])
            return image, zoom

        monkeypatch.setattr(module, "network_input", counting)
    detector, work = create_detector(name, threads=1), []
    for width, height in ((640, 480), (1280, 960), (4000, 3000)):
        seen.clear()
        assert detector.detect(np.full((height, width, 3), 90, np.uint8)) == []
        work.append(sum(seen))
    assert work[2] <= 1.1 * work[1] and work[0] < work[1]
    assert work[1] < 6 * 960 * 720  # every look that there is, together
