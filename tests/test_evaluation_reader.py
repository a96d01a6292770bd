"""The reader of the benchmark's layout: what is right, and every way it can be broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from synergynet.datasets.readers.aflw2000_crops import CROP_FOLDER, LIST_NAME, load_aflw2000
from synergynet.errors import SynergyNetError
from synergynet.evaluation import load_params


@pytest.fixture
def root(small, tmp_path: Path) -> Path:
    """A copy of the small benchmark that a test may break."""
    return Path(shutil.copytree(small.root, tmp_path / "aflw2000_data"))


def test_reads_from_either_folder(small) -> None:
    for folder in (small.root, small.root / CROP_FOLDER, str(small.root)):
        data = load_aflw2000(folder)
        assert len(data) == 12 and data.points_ori.shape == (12, 3, 68)
        assert data.euler_index.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
    batches = list(data.crops(5))
    assert [b.shape for b in batches] == [(5, 120, 120, 3), (5, 120, 120, 3), (2, 120, 120, 3)]
    assert batches[1].dtype == np.uint8 and (batches[1][:, 60, 60, 0] == np.arange(5, 10)).all()
    with pytest.raises(SynergyNetError, match="batch size 0"):
        next(data.crops(0))


def test_reads_the_real_benchmark(shared_data: Path) -> None:
    data = load_aflw2000(shared_data / "aflw2000_data" / CROP_FOLDER)
    assert len(data) == 2000 and len(data.euler) == 1969
    first = next(data.crops(3))
    expected = cv2.imread(str(data.root / CROP_FOLDER / data.names[1]))
    np.testing.assert_array_equal(first[1], expected)


EVAL = {
    "AFLW2000-3D.pose": np.zeros(11),
    "AFLW2000-3D.pts68": np.zeros((12, 2, 68)),
    "AFLW2000-3D-Reannotated.pts68": np.zeros((12, 68, 2)),
    "AFLW2000-3D_crop.roi_box": np.zeros((12, 5)),
    "ALFW2000-3D_pose_3ANG_excl": np.zeros((12, 3)),
    "ALFW2000-3D_pose_3ANG_skip": np.zeros((2, 1), int),
}


@pytest.mark.parametrize("name", EVAL)
def test_every_eval_file_is_checked(root: Path, name: str) -> None:
    file = root / "eval" / f"{name}.npy"
    right = np.load(file)
    np.save(file, EVAL[name])
    with pytest.raises(SynergyNetError, match=name):
        load_aflw2000(root)
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SynergyNetError, match=f"{name}.*not a readable.*objects"):
        load_aflw2000(root)
    np.save(file, np.full(right.shape, "x"))
    with pytest.raises(SynergyNetError, match=f"{name}.*numbers"):
        load_aflw2000(root)
    np.save(file, right)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SynergyNetError, match=f"{name}.*not a readable"):
        load_aflw2000(root)
    file.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(SynergyNetError, match=name):
        load_aflw2000(root)
    file.unlink()
    with pytest.raises(SynergyNetError, match=f"{name}.npy: no such file; give the official"):
        load_aflw2000(root)


def test_a_header_that_promises_too_much_takes_no_memory(root: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 3, 68), }"
    header += b" " * (117 - len(header)) + b"\n"
    file = root / "eval" / "AFLW2000-3D.pts68.npy"
    file.write_bytes(b"\x93NUMPY\x01\x00v\x00" + header + bytes(100))
    with pytest.raises(SynergyNetError, match=r"pts68\.npy: not a readable"):
        load_aflw2000(root)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("AFLW2000-3D.pts68", lambda a: np.where(a == a[0, 0, 0], np.nan, a), "not finite"),
        ("AFLW2000-3D.pts68", lambda a: a * 0, "span no area"),
        ("AFLW2000-3D-Reannotated.pts68", lambda a: a * 0, "span no area"),
        ("AFLW2000-3D_crop.roi_box", lambda a: a[:, [2, 3, 0, 1]], "a box is empty"),
        ("ALFW2000-3D_pose_3ANG_skip", lambda a: a + 1000, "distinct indices from 0 to 11"),
        ("ALFW2000-3D_pose_3ANG_skip", lambda a: a * 0, "distinct indices"),
        ("ALFW2000-3D_pose_3ANG_skip", lambda a: a + 0.5, "whole numbers"),
        ("ALFW2000-3D_pose_3ANG_skip", lambda a: np.arange(12), "skips every image"),
    ],
)
def test_values_are_checked(root: Path, name, change, message) -> None:
    file = root / "eval" / f"{name}.npy"
    np.save(file, change(np.load(file)))
    with pytest.raises(SynergyNetError, match=f"{name}.*{message}"):
        load_aflw2000(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "not a readable text"),
        (b"../../etc/passwd\n", "not a plain file name"),
        (b"a/b.jpg\n", "not a plain file name"),
        (b"..\\x.jpg\n", "not a plain file name"),
        (b"..\n", "not a plain file name"),
        (b"one.jpg\n", r"shape \(12, 3, 68\), expected \(1, 3, 68\)"),
    ],
)
def test_list_is_checked(root: Path, content: bytes, message: str) -> None:
    (root / LIST_NAME).write_bytes(content)
    with pytest.raises(SynergyNetError, match=message):
        load_aflw2000(root)


def test_missing_root_and_list(root: Path) -> None:
    with pytest.raises(SynergyNetError, match="no such folder; give the official aflw2000_data"):
        load_aflw2000(root / "absent")
    (root / LIST_NAME).unlink()
    with pytest.raises(SynergyNetError, match=rf"{LIST_NAME}: missing"):
        load_aflw2000(root)


def test_crops_are_checked(root: Path) -> None:
    data = load_aflw2000(root)
    crop = root / CROP_FOLDER / data.names[4]
    cv2.imwrite(str(crop), np.zeros((120, 100, 3), np.uint8))
    with pytest.raises(SynergyNetError, match=rf"{crop.name}: 100x120 pixels, expected 120x120"):
        list(data.crops())
    for content in (b"", b"not an image", crop.read_bytes()[:100]):
        crop.write_bytes(content)
        with pytest.raises(
            SynergyNetError, match=rf"{crop.name}: (empty|not a readable image|a damaged)"
        ):
            list(data.crops())
    crop.unlink()
    with pytest.raises(SynergyNetError, match=rf"{crop.name}: no such file"):
        list(data.crops())


def test_params_file_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "raw.npy"
    np.save(file, np.ones((4, 62), np.float32))
    assert load_params(file).shape == (4, 62)
    for bad, message in (
        (np.ones((4, 102)), r"\(4, 102\), expected \(N, 62\)"),
        (np.ones(62), r"\(62,\)"),
        (np.ones((4, 62), int), "floating-point"),
        (np.array([[None] * 62]), "not a readable"),
    ):
        np.save(file, bad, allow_pickle=True)
        with pytest.raises(SynergyNetError, match=message):
            load_params(file)
    with pytest.raises(SynergyNetError, match="no such file"):
        load_params(tmp_path / "absent.npy")
