"""Training lists, relabelling and augmentation."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import random_params

from synergynet.datasets import augmentation as aug
from synergynet.datasets.readers import crop_list
from synergynet.datasets.readers.crop_store import LazyCrops, crop_files, join_crops
from synergynet.datasets.splits import name_hash, photo_of, validation_mask
from synergynet.errors import SynergyNetError
from synergynet.face_model.mirroring import mirrored_params
from synergynet.geometry import crops, params, pose
from synergynet.geometry.params import Whitening

WHITENING = Whitening(np.arange(62) / 10, np.arange(1, 63) / 20)


def test_read_list_refuses_paths_that_leave_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "train.list"
    file.write_text("a.jpg\n\nb/c.jpg\n")
    assert crop_list.read_list(file) == ["a.jpg", "b/c.jpg"]
    for bad in ("../secret.jpg", "/etc/passwd"):
        file.write_text(f"a.jpg\n{bad}\n")
        with pytest.raises(SynergyNetError, match="leads out"):
            crop_list.read_list(file)
    file.write_text("\n")
    with pytest.raises(SynergyNetError, match="empty"):
        crop_list.read_list(file)


@pytest.mark.parametrize("width", [62, 102])
def test_read_params_dewhitens_both_widths(tmp_path: Path, width: int) -> None:
    labels = np.random.default_rng(0).normal(size=(5, width)).astype(np.float32)
    file = tmp_path / "param_all_norm.pkl"
    file.write_bytes(pickle.dumps(labels))
    raw = crop_list.read_params(file, WHITENING, 5)
    np.testing.assert_allclose(raw, labels[:, :62] * WHITENING.std + WHITENING.mean, rtol=1e-5)
    with pytest.raises(SynergyNetError, match="expected"):
        crop_list.read_params(file, WHITENING, 6)


def test_read_crops_names_the_bad_file(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), np.full((120, 120, 3), 7, np.uint8))
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((60, 60, 3), np.uint8))
    (tmp_path / "text.png").write_text("not an image")
    assert crop_list.read_crops(tmp_path, ["good.png"])[0, 0, 0, 0] == 7
    for name in ("small.png", "text.png", "absent.png"):
        with pytest.raises(SynergyNetError, match=name):
            crop_list.read_crops(tmp_path, ["good.png", name])


def test_missing_and_foreign_quality_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SynergyNetError, match=r"labels\.npz: no such file"):
        crop_list.trusted(tmp_path / "labels.npz")
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(SynergyNetError, match="no mirror_disagreement_px in it"):
        crop_list.trusted(tmp_path / "other.npz")


def test_split_is_fixed_by_the_name_alone() -> None:
    names = [f"face{i:05d}.jpg" for i in range(4000)]
    mask = validation_mask(names)
    assert 150 < mask.sum() < 250
    assert (validation_mask(names[::-1])[::-1] == mask).all()
    # First 8 bytes of SHA-256("a"): ca978112ca1bbdca.
    assert name_hash(["a"])[0] == int("ca978112ca1bbdca", 16) / 2**64


PHOTOS_300W_LP = {
    "AFW_134212": (
        "AFW/AFW_134212_1_0.jpg",
        "AFW/AFW_134212_2_7.jpg",
        "AFW_Flip/AFW_134212_1_0.jpg",
        "AFW_AFW_134212_1_0_10.jpg",
        "AFWFlip_AFW_134212_1_0_3.jpg",
    ),
    "AFW_1342120": ("AFW/AFW_1342120_1_0.jpg",),
    "HELEN_3036412907": (
        "HELEN_HELEN_3036412907_2_0_1.jpg",
        "HELENFlip_HELEN_3036412907_2_6_5.jpg",
        "HELEN_Flip_HELEN_3036412907_1_0.jpg",
        "300W_LP/HELEN_Flip/HELEN_3036412907_2_16.jpg",
    ),
    "LFPW_image_test_0001": (
        "LFPW/LFPW_image_test_0001_3.jpg",
        "LFPW_LFPW_image_test_0001_0_1.jpg",
    ),
    "LFPW_image_train_0001": ("LFPW_Flip/LFPW_image_train_0001_3.jpg",),
    "IBUG_image_003": ("IBUG_image_003_1_0.jpg", "IBUGFlip_IBUG_image_003_1_2_4.jpg"),
    "IBUG_image_014": ("IBUG/IBUG_image_014_01_2.jpg",),
}


def test_copies_of_one_photo_of_300w_lp_stay_together() -> None:
    for photo, names in PHOTOS_300W_LP.items():
        assert {photo_of(name) for name in names} == {photo}
    for other in ("image04378.jpg", "MYAFW_134212_1_0.jpg", "AFW/photo_1.jpg", "AFLW_12.jpg"):
        assert photo_of(other) == other
    lists = [
        [f"AFW/AFW_{i}_1_{k}.jpg", f"AFWFlip_AFW_{i}_1_{k}_2.jpg"]
        for i in range(400)
        for k in (0, 8)
    ]
    sides = validation_mask([name for pair in lists for name in pair]).reshape(400, 4)
    assert (sides == sides[:, :1]).all() and 8 < sides[:, 0].sum() < 35


def test_the_split_of_the_shipped_recipe_is_what_it_was(shared_data) -> None:
    names = crop_list.read_list(shared_data / "aflw_train" / "train.list")
    with np.load(shared_data / "aflw_train" / "labels.npz") as labels:
        trusted = labels["mirror_disagreement_px"] < 5
    held_back = np.array(names)[validation_mask(names) & trusted]
    assert len(held_back) == 886 and held_back[0] == "image04423.jpg"
    digest = hashlib.sha256("\n".join(held_back).encode()).hexdigest()
    assert digest == "34cc55bc0adb3b8f8f7912eda9aff223d9a3f8d7d65e3bde8df2b6a3ac2ac725"


def test_lazy_crops_are_read_when_they_are_drawn_only() -> None:
    read: list[int] = []

    def grey(index: int) -> np.ndarray:
        read.append(index)
        return np.full((120, 120, 3), index, np.uint8)

    lazy = LazyCrops(grey, np.arange(6))
    odd = lazy[np.arange(6) % 2 == 1]
    joined = join_crops([odd, np.full((2, 120, 120, 3), 99, np.uint8), lazy[4:]])
    assert len(joined) == 7 and joined.shape == (7, 120, 120, 3) and not read
    assert [int(joined[i][0, 0, 0]) for i in (6, 3, 0)] == [5, 99, 1]
    assert read == [5, 1]
    assert np.asarray(joined[np.array([2, -1])])[:, 0, 0, 0].tolist() == [5, 5]
    with pytest.raises(IndexError):
        lazy[6]


def test_lazy_files_are_looked_up_at_once_and_read_later(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), np.full((120, 120, 3), ord(name[0]), np.uint8))
    lazy = crop_files(tmp_path, ["b/1.png", "a/1.png"])
    assert lazy[0][0, 0, 0] == ord("b") and lazy.load()[1, 0, 0, 0] == ord("a")
    for absent in ("a/2.png", "c/1.png"):
        with pytest.raises(SynergyNetError, match=absent):
            crop_files(tmp_path, ["a/1.png", absent])
    (tmp_path / "a/1.png").write_bytes(bytes(2 << 20))
    with pytest.raises(SynergyNetError, match=r"a/1.png: larger than 1 MiB"):
        lazy[1]
    (tmp_path / "a/1.png").unlink()
    with pytest.raises(SynergyNetError, match=r"a/1.png: no such file"):
        lazy[1]


def test_relabel_to_the_same_shape_keeps_landmarks_and_rotation(tiny_model) -> None:
    raw = random_params(40, 3, spread=0.5)
    labels, points = crop_list.relabel(tiny_model, tiny_model, raw)
    decoded = tiny_model.decode_landmarks(labels)
    assert np.abs(decoded[..., :2] - points[..., :2]).mean() < 0.2  # pixels
    np.testing.assert_allclose(points[..., 2].mean(axis=1), 0, atol=1e-4)
    before, after = (pose.nearest_rotation(params.split(r)[0][..., :3]) for r in (raw, labels))
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_mirrored_labels_decode_to_mirrored_landmarks(tiny_model) -> None:
    raw = random_params(20, 4)
    mirrored = mirrored_params(tiny_model, raw)
    expected = crop_list.mirrored_landmarks(tiny_model.decode_landmarks(raw))
    np.testing.assert_allclose(tiny_model.decode_landmarks(mirrored), expected, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    degrees=st.floats(-90, 90),
    scale=st.floats(0.5, 2),
    x=st.floats(-20, 20),
    y=st.floats(-20, 20),
)
def test_labels_move_with_the_landmarks(tiny_model, degrees, scale, x, y) -> None:
    raw = random_params(1, 5)[0]
    points = tiny_model.decode_landmarks(raw)
    affine = aug.jitter_affine(degrees=degrees, scale=scale, shift=np.array([x, y]))
    moved, expected = aug.move_label(raw, points, affine)
    np.testing.assert_allclose(tiny_model.decode_landmarks(moved), expected, atol=1e-3)


def test_recrop_puts_the_landmark_box_where_the_benchmark_has_it(tiny_model) -> None:
    points = tiny_model.decode_landmarks(random_params(1, 6)[0])
    affine = aug.recrop_affine(points, degrees=17)
    moved = points[:, :2] @ affine[:, :2].T + affine[:, 2]
    low, high = moved.min(axis=0), moved.max(axis=0)
    assert (high - low).max() == pytest.approx(120 / np.sqrt(2))
    np.testing.assert_allclose((low + high) / 2, 60.5)


def test_warp_is_pixel_exact_for_whole_shifts() -> None:
    image = np.random.default_rng(0).integers(0, 255, (120, 120, 3), dtype=np.uint8)
    affine = aug.jitter_affine(degrees=0, scale=1, shift=np.array([7, -3]))
    moved = aug.warp_crop(image, affine)
    np.testing.assert_array_equal(moved[:-3, 7:], image[3:, :-7])
    assert (moved[:, :7] == 0).all()


def test_image_and_label_rotate_the_same_way() -> None:
    image = np.zeros((120, 120, 3), np.uint8)
    cv2.circle(image, (89, 59), 4, (255, 255, 255), -1)  # 1-based (90, 60)
    affine = aug.jitter_affine(degrees=90, scale=1, shift=np.zeros(2))
    target = affine[:, :2] @ [90, 60] + affine[:, 2]
    np.testing.assert_allclose(target, [60, 31])  # counter-clockwise: right goes up
    ys, xs = np.nonzero(aug.warp_crop(image, affine)[..., 0] > 128)
    np.testing.assert_allclose([xs.mean() + 1, ys.mean() + 1], target, atol=0.2)


def test_official_masks_and_border() -> None:
    image = np.full((120, 120, 3), 9, np.uint8)
    assert (crops.zero_border(image, 5)[5:-5, 5:-5] == 9).all()
    assert crops.zero_border(image, 5).sum() == 9 * 3 * 110 * 110
    mended = aug.official_mask(image, 3, repeated_mask_bug=False)
    assert mended[60:, 60:].all() and mended.sum() == 9 * 3 * 60 * 60
    buggy = aug.official_mask(image, 3, repeated_mask_bug=True)
    np.testing.assert_array_equal(buggy, aug.official_mask(image, 0, repeated_mask_bug=True))


def test_augmenter_is_deterministic_and_varied(tiny_model) -> None:
    raw = random_params(1, 8)[0]
    points = tiny_model.decode_landmarks(raw)
    image = np.random.default_rng(1).integers(0, 255, (120, 120, 3), dtype=np.uint8)
    vary = aug.Augmenter(aug.AugmentationConfig())
    first, again, other = (vary(image, raw, points, np.random.default_rng(s)) for s in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != other[0]).any() and not np.allclose(first[2], other[2])
    np.testing.assert_allclose(tiny_model.decode_landmarks(first[1]), first[2], atol=1e-2)
    assert first[0].dtype == np.uint8 and first[0].shape == (120, 120, 3)


def test_real_list_decodes_to_its_landmarks(shared_data, bfm) -> None:
    from synergynet.face_model.official import load_whitening

    folder = shared_data / "aflw_train"
    names = crop_list.read_list(folder / "train.list")
    whitening = load_whitening(shared_data / "3dmm_data" / "param_whitening.pkl")
    raw = crop_list.read_params(folder / "param_all_norm.pkl", whitening, len(names))
    with np.load(folder / "labels.npz") as labels:
        truth = labels["landmarks68"][:300].transpose(0, 2, 1)
    assert np.abs(bfm.decode_landmarks(raw[:300]) - truth).max() < 0.02
