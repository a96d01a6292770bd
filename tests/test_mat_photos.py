"""The .mat of 300W-LP and AFLW2000-3D: reader, frames and the parameters of a crop."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy.io", reason="the test files are written with SciPy")

import scipy.io
from fake_photos import make_fields, write_photo
from small_models import write_official

from synergynet.datasets.readers import crop_list, mat_photos
from synergynet.datasets.readers.mat_photos import benchmark_box, photo1_to_crop1, read_mat
from synergynet.errors import SynergyNetError
from synergynet.face_model.official import load_official
from synergynet.files import mat as mat_file
from synergynet.geometry import frames, params, pose
from synergynet.geometry.crops import CropBox

ALL_FIELDS = [*mat_photos._VECTORS, *mat_photos._POINTS]


def save(file: Path, fields: dict, **options) -> Path:
    scipy.io.savemat(file, fields, **options)
    return file


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_every_field(tmp_path: Path, tiny_model, compressed: bool) -> None:
    fields = make_fields(0, tiny_model)
    mat = read_mat(save(tmp_path / "a.mat", fields | {"other": "x"}, do_compression=compressed))
    for name, value in {
        "Pose_Para": mat.pose,
        "Shape_Para": mat.shape,
        "Exp_Para": mat.expression,
        "Tex_Para": mat.texture,
        "Color_Para": mat.color,
        "Illum_Para": mat.illumination,
        "roi": mat.roi,
    }.items():
        np.testing.assert_array_equal(value, fields[name].reshape(-1))
    np.testing.assert_array_equal(mat.points2d, fields["pt2d"])
    np.testing.assert_array_equal(mat.points3d, fields["pt3d_68"])
    assert mat.source == "aflw2000"
    lp = read_mat(save(tmp_path / "b.mat", make_fields(0)))
    assert lp.source == "300w-lp" and lp.points3d is None and lp.points2d.shape == (2, 68)


def test_rows_or_columns_and_fields_that_nothing_needs(tmp_path: Path) -> None:
    fields = make_fields(1)
    fields["Shape_Para"] = fields["Shape_Para"].T
    for name in ("Tex_Para", "Color_Para", "Illum_Para", "roi"):
        del fields[name]
    mat = read_mat(save(tmp_path / "a.mat", fields))
    assert mat.shape.shape == (199,) and mat.texture is None and mat.roi is None


@pytest.mark.parametrize("name", ["Pose_Para", "Shape_Para", "Exp_Para", "pt2d"])
def test_missing_field_is_named(tmp_path: Path, name: str) -> None:
    fields = make_fields(2)
    del fields[name]
    file = save(tmp_path / "broken.mat", fields)
    with pytest.raises(SynergyNetError, match=rf"broken\.mat: no field {name}"):
        read_mat(file)


@pytest.mark.parametrize("name", ALL_FIELDS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a.reshape(-1)[:3],
        lambda a: np.full(a.shape, np.nan),
        lambda a: "text",
        lambda a: a + 1j,
        lambda a: np.array([[a]], dtype=object),
        lambda a: {"x": a},
    ],
    ids=["shape", "nan", "text", "complex", "cell", "struct"],
)
def test_misshapen_field_is_named(tmp_path: Path, tiny_model, name: str, spoil) -> None:
    fields = make_fields(3, tiny_model)
    fields[name] = spoil(np.asarray(fields[name], dtype=np.float64))
    file = save(tmp_path / "broken.mat", fields)
    with pytest.raises(SynergyNetError, match=rf"broken\.mat: .*{name}"):
        read_mat(file)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    fields = make_fields(4)
    file = tmp_path / "a.mat"
    for data in (b"", b"text", b"\0" * 500, b"MATLAB 7.3 MAT-file".ljust(126) + b"IM" + b"\0" * 99):
        file.write_bytes(data)
        with pytest.raises(SynergyNetError, match=r"a\.mat: not a readable"):
            read_mat(file)
    file.write_bytes(b"\0" * (2 << 20))
    with pytest.raises(SynergyNetError, match="larger"):
        read_mat(file)
    with pytest.raises(SynergyNetError, match="no such file"):
        read_mat(tmp_path / "absent.mat")
    scipy.io.savemat(file, {k: v for k, v in fields.items() if k != "roi"}, format="4")
    with pytest.raises(SynergyNetError, match="not a MATLAB 5 file"):
        read_mat(file)
    fields["Pose_Para"][0, 6] = -1
    with pytest.raises(SynergyNetError, match="scale"):
        read_mat(save(file, fields))
    body = save(tmp_path / "twice.mat", make_fields(4)).read_bytes()
    file.write_bytes(body + body[128:])
    with pytest.raises(SynergyNetError, match="twice"):
        read_mat(file)


@pytest.mark.slow
def test_damaged_files_never_crash_the_reader(tmp_path: Path) -> None:
    """Bytes that end SciPy's reader with a segmentation fault are among these."""
    file, rng, refused = tmp_path / "a.mat", np.random.default_rng(0), 0
    for compressed in (False, True):
        whole = save(file, make_fields(5), do_compression=compressed).read_bytes()
        words = [0, 1, 5, 6, 9, 14, 15, 17, 200, 1 << 31, (1 << 32) - 1]
        for trial in range(1500):
            data = bytearray(whole)
            if trial % 5 == 0:
                del data[rng.integers(len(data)) :]
            for _ in range(rng.integers(1, 5)):
                at = int(rng.integers(124, max(len(data) - 4, 125))) // 4 * 4
                data[at : at + 4] = struct.pack("<I", int(rng.choice(words)))
            file.write_bytes(bytes(data))
            try:
                read_mat(file)
            except SynergyNetError:
                refused += 1
    assert refused > 1500


def element(kind: int, payload: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "II", kind, len(payload)) + payload + b"\0" * (-len(payload) % 8)


def variable(name: str, values: np.ndarray, order: str = "<") -> bytes:
    """A matrix element of doubles, stored as little as 16-bit numbers."""
    body = element(6, struct.pack(order + "II", 6, 0), order)
    body += element(5, struct.pack(f"{order}{values.ndim}i", *values.shape), order)
    body += struct.pack(order + "I", len(name) << 16 | 1) + name.encode().ljust(4, b"\0")
    body += element(3, values.astype(order + "i2").tobytes(order="F"), order)
    return element(14, body, order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_small_elements(order: str) -> None:
    values = np.arange(-6, 6).reshape(3, 4)
    data = b"MATLAB 5.0".ljust(126) + (b"IM" if order == "<" else b"MI")
    data += variable("abc", values, order) + variable("d", values, order)
    found = mat_file.read_arrays(data, {"abc"})
    assert list(found) == ["abc"]
    np.testing.assert_array_equal(found["abc"], values)


@pytest.mark.slow
def test_bombs_are_not_inflated() -> None:
    bomb = zlib.compress(variable("boom", np.zeros((1, 50_000_000), np.int8)), 9)
    small = variable("abc", np.ones((2, 2)))
    data = b"MATLAB 5.0".ljust(126) + b"IM" + struct.pack("<II", 15, len(bomb)) + bomb + small
    tracemalloc.start()
    assert list(mat_file.read_arrays(data, {"abc"})) == ["abc"]
    with pytest.raises(ValueError):
        mat_file.read_arrays(data, {"boom"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 9999),
    left=st.integers(-300, 400),
    top=st.integers(-300, 400),
    side=st.integers(20, 900),
)
def test_params_of_a_crop_are_the_photo_moved_into_it(tiny_model, seed, left, top, side) -> None:
    data = io.BytesIO()
    scipy.io.savemat(data, make_fields(seed))
    fields = mat_file.read_arrays(data.getvalue(), ALL_FIELDS)
    mat = mat_photos.MatLabels(
        *(fields[n].reshape(-1) for n in ("Pose_Para", "Shape_Para", "Exp_Para")), fields["pt2d"]
    )
    box = CropBox(left - 0.5, top - 0.5, side)
    raw = mat.params(box)
    decoded = tiny_model.decode_landmarks(raw)
    in_photo = mat.decode(tiny_model)
    roi = np.array([[left + 1, top + 1, left + side, top + side]])  # 1-based, inclusive
    back = frames.crop1_to_photo1(decoded[None], roi)[0]
    np.testing.assert_allclose(back, in_photo, atol=1e-8 * side)
    np.testing.assert_allclose(photo1_to_crop1(in_photo, box), decoded, atol=1e-6)
    angles = pose.euler_from_camera(params.split(raw)[0], "exact")
    np.testing.assert_allclose(angles, mat.euler, atol=1e-6)


def test_hand_computed_camera() -> None:
    """A point at photo1 (100.5, 200) of a 240-pixel crop from (41, 81): crop1 (30.5, 60.25)."""
    camera = np.array([[1.0, 0, 0, 100.5], [0, 1, 0, 451 - 200], [0, 0, 1, 8]])
    out = mat_photos.camera_of_crop(camera, CropBox.from_inclusive_photo1([41, 81, 280, 320]))
    np.testing.assert_allclose(out, [[0.5, 0, 0, 30.5], [0, 0.5, 0, 60.75], [0, 0, 0.5, 4]])


def test_300w_lp_landmarks_need_a_model(tmp_path: Path, tiny_model) -> None:
    mat = read_mat(write_photo(tmp_path, "a", 6))
    with pytest.raises(SynergyNetError, match="Basel"):
        mat.landmarks()
    np.testing.assert_array_equal(mat.landmarks(tiny_model), mat.decode(tiny_model))


def test_official_folder_of_the_fake_model(tmp_path: Path, tiny_model) -> None:
    model, whitening = load_official(write_official(tiny_model, tmp_path / "3dmm_data"))
    assert model.landmark_mean.shape == (68, 3) and whitening.mean[61] == 61


@pytest.fixture(scope="module")
def real(shared_data: Path) -> dict[str, mat_photos.MatLabels]:
    """300 files of AFLW2000-3D by crop name."""
    folder = shared_data / "aflw2000_originals"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: it holds photos of AFLW2000-3D with their .mat")
    return {f"{file.stem}.jpg": read_mat(file) for file in sorted(folder.glob("*.mat"))}


def test_real_files_read_as_scipy_reads_them(real, shared_data: Path) -> None:
    for name, mat in list(real.items())[::10]:
        file = shared_data / "aflw2000_originals" / name.replace(".jpg", ".mat")
        expected = scipy.io.loadmat(file)
        for field, value in (("Pose_Para", mat.pose), ("Shape_Para", mat.shape), ("roi", mat.roi)):
            np.testing.assert_array_equal(value, expected[field].reshape(-1))
        np.testing.assert_array_equal(mat.points2d, expected["pt2d"])
        np.testing.assert_array_equal(mat.points3d, expected["pt3d_68"])


def test_real_angles_landmarks_and_boxes(real, bfm) -> None:
    assert len(real) == 300
    angle_error, residual, bias = [], [], []
    for mat in real.values():
        box = benchmark_box(mat.landmarks())
        raw = mat.params(box)
        rotation = pose.decompose_exact(params.split(raw)[0])[1]
        np.testing.assert_allclose(rotation, mat.rotation, atol=1e-12)
        angle_error.append(np.abs(pose.euler_exact(rotation) - mat.euler).max())
        truth = photo1_to_crop1(mat.landmarks(), box)
        difference = bfm.decode_landmarks(raw) - truth
        residual.append(np.linalg.norm(difference[:, :2], axis=1).mean() * box.side / 120)
        bias.append(difference.mean(axis=0))
    # Angles are unique for |yaw| < 90 degrees and pitch, roll within +-180: all but two files.
    assert (np.array(angle_error) < 1e-3).sum() == 298
    assert 1.5 < np.mean(residual) < 1.8 and np.max(residual) < 7  # 450-pixel photo pixels
    np.testing.assert_allclose(np.mean(bias, axis=0), 0, atol=0.15)  # crop pixels; z too


def test_real_files_lie_in_the_frame_of_the_official_list(real, bfm, shared_data: Path) -> None:
    """Converted files, predictions and list entries decode to crop1 landmarks of one kind."""
    names = (shared_data / "aflw2000_data" / "AFLW2000-3D_crop.list").read_text().split()
    golden = np.load(shared_data / "golden" / "aflw2000_3ddfa_v2_mb05_params62.npy")
    predicted = bfm.decode_landmarks(golden[[names.index(name) for name in real]])
    raw = np.stack([mat.params(benchmark_box(mat.landmarks())) for mat in real.values()])
    converted = bfm.decode_landmarks(raw)
    difference = (predicted - converted)[..., :2]
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.15  # no half pixel, no flip
    assert np.linalg.norm(difference, axis=-1).mean() < 3.5

    folder = shared_data / "aflw_train"
    whitening = crop_list.find_whitening(
        folder / "param_all_norm.pkl", load_official(shared_data / "3dmm_data")[1]
    )
    count = len(crop_list.read_list(folder / "train.list"))
    listed = crop_list.read_params(folder / "param_all_norm.pkl", whitening, count)[:1000]
    for points, tolerance in ((converted, 0.6), (bfm.decode_landmarks(listed), 1.5)):
        low, high = points[..., :2].min(axis=1), points[..., :2].max(axis=1)
        np.testing.assert_allclose(((low + high) / 2).mean(axis=0), 60.5, atol=tolerance)
        assert (high - low).max(axis=1).mean() == pytest.approx(84.85, abs=2)
