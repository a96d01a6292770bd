"""Cameras and Euler angles: hand-made rotations, both decodes, transforms of cameras."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_models import random_params

from synergynet.geometry import params, pose
from synergynet.geometry.landmarks import MIRROR

S, C = np.sin(np.pi / 6), np.cos(np.pi / 6)
UP, RIGHT, FORWARD = np.eye(3)[1], np.eye(3)[0], np.eye(3)[2]

angle = st.floats(-179, 179)
open_yaw = st.floats(-89, 89)


@pytest.mark.parametrize(
    ("angles", "matrix"),
    [
        ((30, 0, 0), [[1, 0, 0], [0, C, S], [0, -S, C]]),
        ((0, 30, 0), [[C, 0, -S], [0, 1, 0], [S, 0, C]]),
        ((0, 0, 30), [[C, S, 0], [-S, C, 0], [0, 0, 1]]),
    ],
)
def test_pure_rotations_by_hand(angles: tuple[float, ...], matrix: list) -> None:
    rotation = pose.rotation_from_euler(*angles)
    np.testing.assert_allclose(rotation, matrix, atol=1e-15)
    np.testing.assert_allclose(pose.euler_exact(matrix), angles, atol=1e-12)
    np.testing.assert_allclose(pose.euler_official(matrix), angles, atol=1e-12)


def test_signs_as_seen_in_the_picture() -> None:
    """Camera frame: x right, y up. The face looks along +z of its own frame."""
    assert (pose.rotation_from_euler(20, 0, 0) @ FORWARD)[1] > 0.3  # looks up
    assert (pose.rotation_from_euler(0, 20, 0) @ FORWARD)[0] < -0.3  # to the left edge
    assert (pose.rotation_from_euler(0, 0, 20) @ UP)[0] > 0.3  # top of the head clockwise


def test_composed_rotation_by_hand() -> None:
    """30 degrees each, multiplied out as Rx Ry Rz on paper."""
    s, c = S, C
    rx = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    ry = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    rz = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    rotation = pose.rotation_from_euler(30, 30, 30)
    np.testing.assert_allclose(rotation, rx @ ry @ rz, atol=1e-15)
    np.testing.assert_allclose(pose.euler_exact(rotation), [30, 30, 30], atol=1e-12)
    # Official yaw: asin(cos p sin y cos r + sin p sin r) = asin(3/8 + 1/4).
    pitch, yaw, roll = pose.euler_official(rotation)
    assert yaw == pytest.approx(np.rad2deg(np.arcsin(5 / 8)))
    assert (pitch, roll) == (pytest.approx(30), pytest.approx(30))


@given(angle, open_yaw, angle)
@settings(max_examples=60, deadline=None)
def test_exact_decode_inverts(pitch: float, yaw: float, roll: float) -> None:
    rotation = pose.rotation_from_euler(pitch, yaw, roll)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose.euler_exact(rotation), [pitch, yaw, roll], atol=1e-6)


@pytest.mark.parametrize("yaw", [90.0, -90.0])
def test_gimbal_lock_keeps_the_rotation(yaw: float) -> None:
    rotation = pose.rotation_from_euler(25, yaw, 40)
    angles = pose.euler_exact(rotation)
    assert angles[2] == 0
    assert angles[1] == pytest.approx(yaw)
    np.testing.assert_allclose(pose.rotation_from_euler(*angles), rotation, atol=1e-7)


def test_official_decode_survives_rows_that_are_not_orthogonal() -> None:
    rotation = np.eye(3)
    rotation[2, 0] = 1.0001  # the published code raises here
    assert np.isfinite(pose.euler_official(rotation)).all()
    assert pose.euler_official(rotation)[1] == pytest.approx(90)


def test_decodes_broadcast() -> None:
    rotations = pose.rotation_from_euler(np.zeros((4, 1)), np.arange(3) * 10.0, 5.0)
    assert rotations.shape == (4, 3, 3, 3)
    assert pose.euler_exact(rotations).shape == pose.euler_official(rotations).shape == (4, 3, 3)
    camera = pose.camera_from_pose(np.ones((4, 3)), rotations, np.zeros((4, 3, 3)))
    assert camera.shape == (4, 3, 3, 4)
    for name in ("official", "exact"):
        assert pose.euler_from_camera(camera, name).shape == (4, 3, 3)


@pytest.mark.parametrize("decompose", [pose.decompose_official, pose.decompose_exact])
def test_decompose_inverts_compose(decompose) -> None:
    rotation = pose.rotation_from_euler(10, -50, 20)
    scale, turn, shift = decompose(pose.camera_from_pose(2.5, rotation, [1, 2, 3]))
    assert scale == pytest.approx(2.5)
    np.testing.assert_allclose(turn, rotation, atol=1e-12)
    np.testing.assert_array_equal(shift, [1, 2, 3])


@given(arrays(np.float64, (3, 3), elements=st.floats(-10, 10)))
@settings(max_examples=80, deadline=None)
def test_nearest_rotation_is_a_rotation(matrix: np.ndarray) -> None:
    scale, rotation, _ = pose.decompose_exact(np.c_[matrix, np.zeros(3)])
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert np.isfinite(scale)


@given(arrays(np.float64, (5, 3, 3), elements=st.floats(-10, 10)))
@settings(max_examples=80, deadline=None)
def test_the_closed_form_is_the_nearest_rotation(matrices: np.ndarray) -> None:
    """Whatever the first two rows are, if they are rows and not on one line."""
    camera = np.concatenate([matrices, np.zeros((5, 3, 1))], axis=2)
    rows = pose.decompose_official(camera)[1]
    clear = np.linalg.norm(rows[:, 2], axis=1) > 1e-3
    found = pose.decompose_exact(camera)[1][clear]
    np.testing.assert_allclose(found, pose.nearest_rotation(rows[clear]), atol=1e-9)


def test_zero_camera_is_no_nan() -> None:
    scale, rotation, _ = pose.decompose_exact(np.zeros((2, 3, 4)))
    assert (scale == 0).all() and np.isfinite(rotation).all()


@given(
    st.floats(-180, 180),
    st.floats(0.3, 3),
    st.floats(-40, 40),
    st.floats(-40, 40),
    st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_transform_camera_commutes_with_decode(tiny_model, turn, zoom, dx, dy, seed) -> None:
    a = np.deg2rad(turn)
    affine = np.array([[np.cos(a), -np.sin(a), dx], [np.sin(a), np.cos(a), dy]])
    affine[:, :2] *= zoom
    raw = random_params(3, seed)
    moved = raw.copy()
    moved[:, :12] = pose.transform_camera(params.split(raw)[0], affine).reshape(3, 12)
    before, after = tiny_model.decode_landmarks(raw), tiny_model.decode_landmarks(moved)
    expected = before[..., :2] @ affine[:, :2].T + affine[:, 2]
    np.testing.assert_allclose(after[..., :2], expected, atol=1e-4)
    np.testing.assert_allclose(after[..., 2], before[..., 2] * zoom, atol=1e-4)


def test_transform_camera_takes_one_affine_per_camera() -> None:
    cameras = params.split(random_params(4))[0]
    affine = np.tile(np.array([[1.0, 0, 5], [0, 1, -7]]), (4, 1, 1))
    moved = pose.transform_camera(cameras, affine)
    np.testing.assert_allclose(moved, pose.transform_camera(cameras, affine[0]))
    np.testing.assert_allclose(moved[:, 0, 3], cameras[:, 0, 3] + 5)
    np.testing.assert_allclose(moved[:, 1, 3], cameras[:, 1, 3] + 7)  # y is up in the camera


def test_mirror_camera_with_a_symmetric_model(tiny_model) -> None:
    raw = random_params(5, 3)
    camera, shape, expression = params.split(raw)
    coefficients = np.concatenate([shape, expression], axis=1) * tiny_model.mirror_signs
    mirrored = np.concatenate([pose.mirror_camera(camera).reshape(5, 12), coefficients], axis=1)
    expected = tiny_model.decode_landmarks(raw)[:, MIRROR]
    expected[..., 0] = 121 - expected[..., 0]
    np.testing.assert_allclose(tiny_model.decode_landmarks(mirrored), expected, atol=1e-4)
    angles = pose.euler_from_camera(camera, "exact")
    turned = pose.euler_from_camera(pose.mirror_camera(camera), "exact")
    np.testing.assert_allclose(turned, angles * [1, -1, -1], atol=1e-6)
    np.testing.assert_allclose(pose.mirror_camera(pose.mirror_camera(camera)), camera, atol=1e-9)


def test_euler_convention_is_the_data_sets(shared_data, bfm) -> None:
    """Faces fitted to the true landmarks turn as the .mat files say ."""
    from synergynet.datasets.readers.aflw2000_crops import load_aflw2000
    from synergynet.face_model.fitting import fit_landmarks

    data = load_aflw2000(shared_data / "aflw2000_data")
    n, keep = 100, data.euler_index[data.euler_index < 100]
    points, roi = np.swapaxes(data.points_ori[:n], 1, 2).copy(), data.roi_unclipped[:n]
    zoom = 120 / (roi[:, 2:3] - roi[:, :1] + 1)
    for axis in (0, 1):
        points[..., axis] = (points[..., axis] - roi[:, axis, None] + 0.5) * zoom + 0.5
    points[..., 2] *= zoom
    camera = params.split(fit_landmarks(bfm, points, noise_mm=2.0).params[keep])[0]
    truth = data.euler[: len(keep)]
    exact = np.abs(pose.euler_from_camera(camera, "exact") - truth).mean(axis=0)
    official = np.abs(pose.euler_from_camera(camera, "official") - truth).mean(axis=0)
    assert (exact < [2.0, 0.6, 1.2]).all()
    assert official[1] > 3 * exact[1]


ANGLES = st.floats(-180, 180)


@given(ANGLES, ANGLES, ANGLES)
def test_quaternions_turn_vectors_as_their_rotation_does(pitch, yaw, roll) -> None:
    rotation = pose.rotation_from_euler(pitch, yaw, roll)
    x, y, z, w = q = pose.quaternion_from_rotation(rotation)
    assert np.linalg.norm(q) == pytest.approx(1) and w >= 0
    axis = np.array([x, y, z])
    for vector in np.eye(3):  # v + 2 w (u x v) + 2 u x (u x v)
        side = np.cross(axis, vector)
        turned = vector + 2 * w * side + 2 * np.cross(axis, side)
        np.testing.assert_allclose(turned, rotation @ vector, atol=1e-7)


def test_quaternions_by_hand() -> None:
    np.testing.assert_allclose(pose.quaternion_from_rotation(np.eye(3)), [0, 0, 0, 1])
    half = np.sqrt(0.5)
    about_z = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # a quarter turn, x to y
    np.testing.assert_allclose(pose.quaternion_from_rotation(about_z), [0, 0, half, half])
    upside = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(np.abs(pose.quaternion_from_rotation(upside)), [0, 0, 1, 0])


def test_beyond_a_profile_the_angles_jump_and_the_rotation_does_not() -> None:
    """The sighting that conventions.md tells of."""
    rotation = pose.rotation_from_euler(5, 92, 3)
    pitch, yaw, roll = pose.euler_exact(rotation)
    np.testing.assert_allclose([pitch, yaw, roll], [-175, 88, -177], atol=1e-6)
    before = pose.quaternion_from_rotation(pose.rotation_from_euler(5, 88, 3))
    turn = 2 * np.arccos(abs(before @ pose.quaternion_from_rotation(rotation)))
    assert np.rad2deg(turn) == pytest.approx(4, abs=1e-4)
