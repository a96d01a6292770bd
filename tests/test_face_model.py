"""``FaceModel``: decoding, validation and fitting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_models import make_tiny_model, random_params

from synergynet.errors import SynergyNetError
from synergynet.face_model.fitting import fit_landmarks, similarity
from synergynet.geometry import params, pose
from synergynet.geometry.landmarks import MIRROR


def test_decode_by_hand(tiny_model) -> None:
    """Identity rotation, scale 2: x' = 2x + tx, y' = 121 - (2y + ty), z' = 2z + tz."""
    raw = np.zeros(62)
    raw[:12] = [2, 0, 0, 10, 0, 2, 0, 20, 0, 0, 2, 30]
    mean = tiny_model.mean.astype(float)
    expected = np.c_[2 * mean[:, 0] + 10, 121 - (2 * mean[:, 1] + 20), 2 * mean[:, 2] + 30]
    np.testing.assert_allclose(tiny_model.decode_vertices(raw), expected)
    raw[12 + 3], raw[52 + 7] = 1.5, -0.5
    shape = mean + 1.5 * tiny_model.identity_basis[3] - 0.5 * tiny_model.expression_basis[7]
    np.testing.assert_allclose(
        tiny_model.decode_vertices(raw)[:, 1], 121 - (2 * shape[:, 1] + 20), atol=1e-5
    )


def test_landmarks_are_barycentric_points_of_the_mesh(tiny_model) -> None:
    raw = random_params(3)
    mesh = tiny_model.decode_vertices(raw)
    picked = mesh[:, tiny_model.landmark_vertices]  # (3, 68, 3 corners, 3)
    expected = (picked * tiny_model.landmark_weights[..., None]).sum(axis=2)
    np.testing.assert_allclose(tiny_model.decode_landmarks(raw), expected, atol=1e-4)


@pytest.mark.parametrize(
    "batch",
    [
        (),
        (1,),
        (5,),
        (2, 3),
        (0,),
    ],
)
def test_decode_shapes(tiny_model, batch) -> None:
    raw = np.broadcast_to(random_params(1)[0], (*batch, 62))
    before = raw.copy()
    assert tiny_model.decode_landmarks(raw).shape == (*batch, 68, 3)
    assert tiny_model.decode_vertices(raw).shape == (*batch, 200, 3)
    np.testing.assert_array_equal(raw, before)


def test_batches_equal_single_faces(tiny_model) -> None:
    raw = random_params(4)
    single = np.stack([tiny_model.decode_landmarks(row) for row in raw])
    np.testing.assert_allclose(tiny_model.decode_landmarks(raw), single, atol=1e-9)
    half = tiny_model.decode_landmarks(raw.astype(np.float32))
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, single, atol=1e-3)


def test_mirror_signs_mirror_the_face(tiny_model) -> None:
    code = np.random.default_rng(0).normal(size=50)
    other = code * tiny_model.mirror_signs
    face = tiny_model.landmarks(code[:40], code[40:])
    mirrored = tiny_model.landmarks(other[:40], other[40:])
    np.testing.assert_allclose(mirrored, face[MIRROR] * [-1, 1, 1], atol=1e-4)


def test_hash_changes_with_meaning_only(tiny_model) -> None:
    assert make_tiny_model().hash == tiny_model.hash
    assert make_tiny_model(1).hash != tiny_model.hash
    assert replace(tiny_model, name="other", uv=None).hash == tiny_model.hash
    weights = np.tile(np.float32([1, 0, 0]), (68, 1))
    assert replace(tiny_model, landmark_weights=weights).hash != tiny_model.hash


@pytest.mark.parametrize(
    "change",
    [
        {"identity_basis": np.zeros((199, 200, 3))},
        {"expression_basis": np.zeros((10, 199, 3))},
        {"mean": np.full((200, 3), np.nan)},
        {"mean": np.zeros((200, 2))},
        {"triangles": np.array([[0, 1, 200]])},
        {"triangles": np.array([[0, 1, -1]])},
        {"landmark_vertices": np.full((68, 3), 200)},
        {"landmark_weights": np.zeros((67, 3))},
        {"uv": np.zeros((1, 2))},
        {"unit_names": ("one",)},
        {"unit_shapes": np.zeros((3, 200, 3))},
        {"mirror_signs": np.ones(40)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_wrong_arrays_are_refused(tiny_model, change) -> None:
    with pytest.raises(SynergyNetError, match="face model 'tiny'"):
        replace(tiny_model, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"landmark_weights": np.zeros((68, 3))},
        {"mirror_signs": np.full(50, 7.0)},
        {"millimetres_per_unit": float("nan")},
        {"millimetres_per_unit": 0.0},
        {"landmark_vertices": np.full((68, 3), 2**33)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_broken_promises_are_refused(tiny_model, change) -> None:
    with pytest.raises(SynergyNetError):
        replace(tiny_model, **change)


def test_similarity_recovers_and_keeps_a_rotation() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(6, 20, 3))
    turn = pose.rotation_from_euler(*rng.uniform(-80, 80, (3, 6)))
    target = 3 * np.einsum("nij,nlj->nli", turn, source) + [1, 2, 3]
    scale, rotation, shift = similarity(source, target)
    np.testing.assert_allclose(scale, 3)
    np.testing.assert_allclose(rotation, turn, atol=1e-9)
    np.testing.assert_allclose(shift, np.tile([1, 2, 3], (6, 1)), atol=1e-9)
    reflected = similarity(source, source * [-1, 1, 1])[1]
    np.testing.assert_allclose(np.linalg.det(reflected), 1)  # never a reflection
    np.testing.assert_array_equal(similarity(source, target, turn)[1], turn)


def test_fitting_recovers_synthetic_parameters(tiny_model) -> None:
    raw = random_params(8, 2)
    points = tiny_model.decode_landmarks(raw)
    fit = fit_landmarks(tiny_model, points, noise_mm=0.05)
    np.testing.assert_allclose(fit.landmarks, points, atol=0.01)
    np.testing.assert_allclose(tiny_model.decode_landmarks(fit.params), points, atol=0.01)
    np.testing.assert_allclose(fit.params[:, 12:], raw[:, 12:], atol=0.01)
    np.testing.assert_allclose(fit.params[:, :12], raw[:, :12], atol=0.01)
    assert (fit.nme < 1e-4).all()


def test_fitting_keeps_a_given_rotation_and_ignores_depth_offset(tiny_model) -> None:
    raw = random_params(3, 4)
    turn = pose.decompose_exact(params.split(raw)[0])[1]
    points = tiny_model.decode_landmarks(raw) + np.array([0, 0, 500])
    fit = fit_landmarks(tiny_model, points, rotation=turn, noise_mm=0.05)
    kept = pose.decompose_exact(params.split(fit.params)[0])[1]
    np.testing.assert_allclose(kept, turn, atol=1e-9)
    assert (fit.nme < 1e-4).all()


def test_fitting_prior_pulls_to_the_mean(tiny_model) -> None:
    points = tiny_model.decode_landmarks(random_params(3, 5))
    loose, tight = (fit_landmarks(tiny_model, points, noise_mm=n).params for n in (0.1, 50))
    assert np.abs(tight[:, 12:]).mean() < 0.2 * np.abs(loose[:, 12:]).mean()
    with pytest.raises(ValueError, match=r"\(N, 68, 3\)"):
        fit_landmarks(tiny_model, np.zeros((3, 68, 2)))


def test_labels_of_the_training_data_decode(shared_data, bfm) -> None:
    """The published labels: raw parameters and their landmarks in crop1 (data/README.md)."""
    with np.load(shared_data / "aflw_train" / "labels.npz", allow_pickle=False) as labels:
        raw, mirrored = labels["params62"][:100], labels["params62_mirrored"][:100]
        points = np.swapaxes(labels["landmarks68"][:100], 1, 2)
    np.testing.assert_allclose(bfm.decode_landmarks(raw), points, atol=0.01)
    turned = bfm.decode_landmarks(mirrored)[:, MIRROR, :2] * [-1, 1] + [121, 0]
    assert np.abs(turned - points[..., :2]).mean() < 0.2
