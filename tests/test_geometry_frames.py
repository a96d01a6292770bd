"""Frames and crop rules: examples worked by hand, inverse pairs, the benchmark's boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synergynet.geometry import crops, frames
from synergynet.geometry.crops import CropBox

coordinate = st.floats(-500, 500)
ROI = np.array([[11.0, 21.0, 250.0, 260.0]])  # N = 240: two photo pixels a crop pixel


def test_camera_flip_by_hand() -> None:
    point = np.array([[10.0, 1.0, 5.0]])
    np.testing.assert_array_equal(frames.camera_to_crop1(point), [[10, 120, 5]])
    np.testing.assert_array_equal(frames.crop1_to_camera(frames.camera_to_crop1(point)), point)
    np.testing.assert_array_equal(point, [[10, 1, 5]])  # inputs are never changed


def test_crop1_over_a_whole_photo() -> None:
    """A 240x240 photo as the crop: crop pixel 1 covers photo pixels 0 and 1."""
    box = CropBox(-0.5, -0.5, 240)
    corners = np.array([[1.0, 1, 3], [120, 120, 3]])
    np.testing.assert_allclose(
        frames.crop1_to_image(corners, box), [[0.5, 0.5, 6], [238.5, 238.5, 6]]
    )
    same_size = CropBox(9.5, 19.5, 120)  # no resize: only 1-based to 0-based, and the corner
    np.testing.assert_allclose(frames.crop1_to_image([[1.0, 1]], same_size), [[10, 20]])


def test_protocol_and_exact_by_hand() -> None:
    # Exact: crop pixel 1 covers the 1-based photo pixels 11, 12 in x and 21, 22 in y.
    np.testing.assert_allclose(frames.crop1_to_photo1([[[1.0, 1, 1]]], ROI), [[[11.5, 21.5, 2]]])
    # Official: X = x120 * 239 / 120 + 11, so that 0 and 120 are the outermost pixel centres.
    np.testing.assert_allclose(
        frames.x120_to_photo1([[[0.0, 0, 0], [120, 120, 120]]], ROI),
        [[[11, 21, 0], [250, 260, 239]]],
    )
    # x120 = (c1 - 0.5 - 60 / N) N / (N - 1), docs/conventions.md.
    moved = frames.crop1_to_x120([[[60.5, 1.0]]], ROI)
    np.testing.assert_allclose(moved, [[[(60 - 0.25) * 240 / 239, 0.25 * 240 / 239]]])


def test_official_arithmetic_after_the_move_equals_the_exact_formula() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-20, 140, (5, 68, 2))
    start = rng.integers(1, 100, (5, 2))
    roi = np.c_[start, start + rng.integers(60, 300, (5, 2))].astype(float)  # clipped: not square
    np.testing.assert_allclose(
        frames.x120_to_photo1(frames.crop1_to_x120(points, roi), roi),
        frames.crop1_to_photo1(points, roi),
    )
    np.testing.assert_allclose(frames.x120_to_crop1(frames.crop1_to_x120(points, roi), roi), points)


def test_photo1_to_crop1_goes_back() -> None:
    points = np.random.default_rng(1).uniform(-20, 140, (1, 68, 3))
    there = frames.crop1_to_photo1(points, ROI)
    np.testing.assert_allclose(frames.photo1_to_crop1(there, ROI), points)


def test_crop0_counts_from_zero_and_leaves_z() -> None:
    np.testing.assert_array_equal(frames.crop1_to_crop0([[1.0, 120, 7]]), [[0, 119, 7]])
    np.testing.assert_array_equal(frames.crop0_to_crop1([[0.0, 119]]), [[1, 120]])


def test_photo1_and_image_agree_with_crop_box() -> None:
    box = CropBox.from_inclusive_photo1(ROI[0])
    assert (box.left, box.top, box.side) == (9.5, 19.5, 240)
    points = np.random.default_rng(1).uniform(0, 121, (1, 68, 3))
    np.testing.assert_allclose(
        frames.photo1_to_image(frames.crop1_to_photo1(points, ROI))[0],
        frames.crop1_to_image(points[0], box),
    )
    np.testing.assert_array_equal(frames.image_to_photo1([[0.0, 0, 7]]), [[1, 1, 7]])


@given(coordinate, coordinate, coordinate, coordinate, coordinate, st.floats(1, 2000))
@settings(max_examples=60, deadline=None)
def test_image_round_trip(x, y, z, left, top, side) -> None:
    box, point = CropBox(left, top, side), np.array([[x, y, z]])
    np.testing.assert_allclose(
        frames.image_to_crop1(frames.crop1_to_image(point, box), box), point, atol=1e-6
    )
    np.testing.assert_allclose(
        frames.photo1_to_image(frames.image_to_photo1(point)), point, atol=1e-9
    )


@given(coordinate, coordinate, st.floats(0.1, 900))
@settings(max_examples=80, deadline=None)
def test_rounded_box(left: float, top: float, side: float) -> None:
    box = CropBox(left, top, side)
    near = box.rounded()
    assert near.side == int(near.side) and near.side >= 1
    assert (near.left + 0.5).is_integer() and (near.top + 0.5).is_integer()
    assert np.abs(np.subtract(near.center, box.center)).max() <= 0.5 + 1e-9
    assert abs(near.side - max(side, 1)) <= 0.5
    assert near.rounded() == near


def test_crop_rules_by_hand() -> None:
    box = crops.crop_from_landmarks([[10.0, 50, 1], [30, 50, 2], [20, 90, 3]])
    assert box.center == pytest.approx((20, 70))
    assert box.side == pytest.approx(40 * np.sqrt(2))
    assert crops.crop_from_landmarks(np.ones((68, 3))).side == 1
    official = crops.crop_from_box_by_height([0, 0, 50, 99])  # 118.8 // 2 = 59
    assert official.side == 118 and official.center == pytest.approx((25, 49.5))
    assert crops.crop_from_box_by_height([5, 5, 5, 5]).side > 0


def test_aflw2000_roi_by_hand() -> None:
    points = np.zeros((1, 2, 68))
    points[0, :, 1] = 100, 60  # 100 wide, 60 high: L = 141.42
    # sx = round(50 - 70.71) = -21, ex = round(-21 + 141.42) = 120; sy = -41, ey = 100.
    np.testing.assert_array_equal(crops.aflw2000_roi(points, clip=None), [[-21, -41, 120, 100]])
    np.testing.assert_array_equal(crops.aflw2000_roi(points), [[1, 1, 120, 100]])


def test_aflw2000_roi_reproduces_the_benchmark(shared_data) -> None:
    folder = shared_data / "aflw2000_data" / "eval"
    points = np.load(folder / "AFLW2000-3D.pts68.npy", allow_pickle=False)
    stored = np.load(folder / "AFLW2000-3D_crop.roi_box.npy", allow_pickle=False)
    assert (crops.aflw2000_roi(points) == stored).all(axis=1).sum() == 2000
    unclipped = crops.aflw2000_roi(points, clip=None)
    assert (unclipped != stored).any(axis=1).sum() == 55
    assert (unclipped[:, 2] - unclipped[:, 0] == unclipped[:, 3] - unclipped[:, 1]).mean() > 0.9
