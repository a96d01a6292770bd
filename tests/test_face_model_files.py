"""Face model files: our ``.npz``, the official folder, pickles from strangers."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_models import make_tiny_model

from synergynet.errors import SynergyNetError
from synergynet.face_model.npz import load_npz, save_npz
from synergynet.face_model.official import load_official, load_whitening
from synergynet.face_model.sources import resolve_face_model
from synergynet.files.restricted_pickle import load_pickle


@pytest.fixture
def npz_file(tmp_path: Path, tiny_model) -> Path:
    save_npz(tiny_model, tmp_path / "tiny.npz")
    return tmp_path / "tiny.npz"


def test_npz_round_trip(npz_file, tiny_model) -> None:
    back = load_npz(npz_file)
    for name in ("mean", "triangles", "landmark_vertices", "landmark_weights", "uv"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tiny_model, name))
    np.testing.assert_array_equal(back.mirror_signs, tiny_model.mirror_signs)
    np.testing.assert_array_equal(back.unit_coefficients, tiny_model.unit_coefficients)
    assert (back.name, back.unit_names) == (tiny_model.name, tiny_model.unit_names)
    for name in ("identity_basis", "expression_basis", "unit_shapes"):
        old, new = getattr(tiny_model, name), getattr(back, name)
        step = np.abs(old).max(axis=(1, 2), keepdims=True) / 32767
        assert (np.abs(old - new) <= 0.51 * step).all()


def test_npz_hash_survives_saving_again(npz_file, tmp_path) -> None:
    back = load_npz(npz_file)
    save_npz(back, tmp_path / "again.npz")
    assert load_npz(tmp_path / "again.npz").hash == back.hash
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npz", "tiny.npz"]


def test_npz_without_optional_arrays(tmp_path) -> None:
    from dataclasses import replace

    bare = replace(
        make_tiny_model(),
        uv=None,
        mirror_signs=None,
        unit_names=(),
        unit_coefficients=np.zeros((0, 10)),
        unit_shapes=None,
    )
    save_npz(bare, tmp_path / "bare.npz")
    back = load_npz(io.BytesIO((tmp_path / "bare.npz").read_bytes()), label="a stream")
    assert back.uv is None and back.mirror_signs is None and back.unit_shapes is None
    assert back.unit_names == ()


def test_npz_missing_truncated_or_something_else(npz_file, tmp_path) -> None:
    whole = npz_file.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        npz_file.write_bytes(whole[:length])
        with pytest.raises(SynergyNetError, match=r"tiny\.npz"):
            load_npz(npz_file)
    with pytest.raises(SynergyNetError, match="no such face model"):
        load_npz(tmp_path / "absent.npz")
    with pytest.raises(SynergyNetError, match="not a readable"):
        load_npz(tmp_path)
    np.savez(npz_file, format=np.array("another-format"))
    with pytest.raises(SynergyNetError, match="unknown face model format 'another-format'"):
        load_npz(npz_file)


def _with(path: Path, **changes) -> Path:
    with np.load(path, allow_pickle=False) as data:
        arrays = {**data, **changes}
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": np.zeros((0, 3))},
        {"mean": np.array(1.0)},
        {"mean": np.array([None, {}], dtype=object)},
        {"landmark_vertices": np.full((68, 3), 10**6)},
        {"identity_basis_scale": np.zeros((3, 3))},
        {"triangles": np.full((5, 3), "a")},
        {"triangles": np.array(3)},
        {"unit_names": np.array("x")},
        {"millimetres_per_unit": np.zeros(3)},
    ],
)
def test_npz_with_hostile_arrays(npz_file, changes) -> None:
    with pytest.raises(SynergyNetError):
        load_npz(_with(npz_file, **changes))


def test_npz_with_flipped_bytes(npz_file) -> None:
    whole, rng = npz_file.read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(whole)
        for position in rng.integers(0, len(whole), 4):
            broken[position] ^= 0x55
        with contextlib.suppress(SynergyNetError):
            load_npz(io.BytesIO(bytes(broken)), label="broken")


@pytest.mark.slow
def test_npz_bomb_is_refused(tmp_path) -> None:
    bomb = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("mean.npy", "w", force_zip64=True) as stream,
    ):
        block = bytes(8 << 20)
        for _ in range(65):
            stream.write(block)
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(SynergyNetError, match="unpacks to more than 128 MiB"):
        load_npz(bomb)


class Attack:
    """Unpickles into a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_never_runs_code(tmp_path, protocol) -> None:
    victim = tmp_path / "ran"
    file = tmp_path / "param_whitening.pkl"
    attack = {"param_mean": Attack(f"touch '{victim}'"), "param_std": np.ones(62)}
    file.write_bytes(pickle.dumps(attack, protocol=protocol))
    for reader in (lambda: load_pickle(file, max_bytes=1 << 20), lambda: load_whitening(file)):
        with pytest.raises(SynergyNetError, match=r"names \w+\.system"):
            reader()
    assert not victim.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "numpy.load", "numpy.ndarray.tofile"])
def test_pickle_refuses_other_names(tmp_path, name) -> None:
    module, _, attribute = name.partition(".") if name != "numpy.load" else ("numpy", "", "load")
    file = tmp_path / "x.pkl"
    stack = b"\x80\x04" + b"".join(
        b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, attribute)
    )
    file.write_bytes(stack + b"\x93.")
    with pytest.raises(SynergyNetError, match="not a readable pickle"):
        load_pickle(file, max_bytes=1 << 20)


def test_pickle_of_arrays_and_its_limits(tmp_path) -> None:
    file = tmp_path / "ok.pkl"
    value = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": [np.float64(2.5), "text"]}
    for protocol in (0, 2, 5):
        file.write_bytes(pickle.dumps(value, protocol=protocol))
        back = load_pickle(file, max_bytes=1 << 20)
        np.testing.assert_array_equal(back["a"], value["a"])
        assert back["b"] == [2.5, "text"]
    with pytest.raises(SynergyNetError, match="larger than"):
        load_pickle(file, max_bytes=10)
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(SynergyNetError, match=r"ok\.pkl"):
        load_pickle(file, max_bytes=1 << 20)
    with pytest.raises(SynergyNetError, match="no such file"):
        load_pickle(tmp_path / "absent.pkl", max_bytes=10)


def test_whitening_of_102_numbers_is_cut(tmp_path) -> None:
    file = tmp_path / "param_whitening.pkl"
    file.write_bytes(pickle.dumps({"param_mean": np.arange(102.0), "param_std": np.ones(102)}))
    np.testing.assert_array_equal(load_whitening(file).mean, np.arange(62))
    for bad in ([1, 2], {"param_mean": np.zeros(62)}, {"param_mean": 1, "param_std": 2}, None):
        file.write_bytes(pickle.dumps(bad))
        with pytest.raises(SynergyNetError, match="not a whitening file"):
            load_whitening(file)


@pytest.fixture
def official_folder(tmp_path, tiny_model) -> Path:
    """The tiny model in the official layout, without triangles and UV."""
    flat = {
        "u_shp": tiny_model.mean.reshape(-1, 1),
        "u_exp": np.zeros((600, 1), np.float32),
        "w_shp_sim": tiny_model.identity_basis.reshape(40, -1).T,
        "w_exp_sim": tiny_model.expression_basis.reshape(10, -1).T,
        "keypoints_sim": (3 * np.arange(68)[:, None] + np.arange(3)).reshape(-1),
    }
    for name, array in flat.items():
        np.save(tmp_path / f"{name}.npy", array)
    whitening = {"param_mean": np.zeros(62, np.float32), "param_std": np.ones(62, np.float32)}
    (tmp_path / "param_whitening.pkl").write_bytes(pickle.dumps(whitening))
    return tmp_path


def test_official_layout_round_trip(official_folder, tiny_model) -> None:
    model, whitening = load_official(official_folder)
    np.testing.assert_array_equal(model.mean, tiny_model.mean)
    np.testing.assert_array_equal(model.identity_basis, tiny_model.identity_basis)
    np.testing.assert_array_equal(model.expression_basis, tiny_model.expression_basis)
    np.testing.assert_array_equal(model.landmark_mean, tiny_model.mean[:68])
    assert model.triangles.shape == (0, 3) and model.uv is None
    assert (whitening.std == 1).all()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u_shp", None),
        ("w_shp_sim", None),
        ("keypoints_sim", None),
        ("param_whitening", None),
        ("w_shp_sim", np.zeros((600, 39))),
        ("w_exp_sim", np.zeros((599, 10))),
        ("keypoints_sim", np.zeros(204)),
        ("keypoints_sim", np.zeros(203)),
        ("keypoints_sim", 3 * 200 + np.arange(204)),
        ("u_shp", b"not numpy"),
        ("BFM_UV", np.zeros((3, 2))),
        ("u_shp", np.zeros((601, 1))),
        ("u_exp", np.full((600, 1), "a")),
        ("w_shp_sim", b"zip"),
    ],
)
def test_official_folder_broken(official_folder, name, content) -> None:
    file = official_folder / f"{name}.npy"
    if content is None:
        file = next(official_folder.glob(f"{name}.*"))
        file.unlink()
    elif isinstance(content, bytes) and content == b"zip":
        np.savez(file.with_suffix(".npz"), a=np.zeros(3))
        shutil.move(file.with_suffix(".npz"), file)
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content)
    with pytest.raises(SynergyNetError):
        load_official(official_folder)


def test_official_model_of_the_development_data(bfm) -> None:
    assert (bfm.n_vertices, len(bfm.triangles)) == (53215, 105840)
    assert bfm.landmark_vertices[[0, 30, 67], 0].tolist() == [21873, 8192, 7629]
    np.testing.assert_allclose(bfm.mean.min(axis=0), [-90275, -122065, -15259], atol=60)
    assert bfm.uv is not None and bfm.uv.min() >= 0 and bfm.uv.max() <= 1
    corner = bfm.mean[bfm.triangles].astype(float)
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    outward = (normal * (corner.mean(axis=1) - bfm.mean.mean(axis=0))).sum(axis=1) > 0
    assert outward.mean() > 0.95  # counter-clockwise seen from outside


def test_resolve_face_model(official_folder, tiny_model, tmp_path) -> None:
    assert resolve_face_model(official_folder)[1] is not None
    save_npz(tiny_model, tmp_path / "m.npz")
    model, whitening = resolve_face_model(str(tmp_path / "m.npz"))
    assert model.name == "tiny" and whitening is None
    with pytest.raises(SynergyNetError, match="give 'open-head', a 3dmm_data folder or an"):
        resolve_face_model(tmp_path / "absent")
    with pytest.raises(SynergyNetError, match="not a face model"):
        resolve_face_model(official_folder / "u_shp.npy")
    with pytest.raises(SynergyNetError, match=r"absent\.npz: no such face model"):
        resolve_face_model(tmp_path / "absent.npz")


class _Code:
    """Pickles to a call of ``factory`` with arguments and a state of the attacker's choice."""

    def __init__(self, factory, arguments, state) -> None:
        self.parts = factory, arguments, state

    def __reduce__(self):
        return self.parts


def test_pickled_dtype_with_wild_offsets_is_refused(tmp_path) -> None:
    """NumPy would follow the declared field offset out of the array's bytes."""
    _reconstruct = np.zeros(1).__reduce__()[0]

    fields = {"a": (np.dtype("f8"), 1 << 30)}
    dtype = _Code(np.dtype, ("V8", False, True), (3, "|", None, ("a",), fields, 8, 1, 16))
    array = _Code(_reconstruct, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, b"x" * 8))
    file = tmp_path / "param_whitening.pkl"
    file.write_bytes(pickle.dumps({"param_mean": array, "param_std": array}))
    with pytest.raises(SynergyNetError, match="not plain numbers"):
        load_pickle(file, max_bytes=1 << 20)


def test_pickled_array_with_a_wrong_size_is_refused(tmp_path) -> None:
    _reconstruct = np.zeros(1).__reduce__()[0]

    state = (1, (1 << 20,), np.dtype("f4"), False, b"x" * 8)
    file = tmp_path / "labels.pkl"
    file.write_bytes(pickle.dumps(_Code(_reconstruct, (np.ndarray, (0,), b"b"), state)))
    with pytest.raises(SynergyNetError, match="size"):
        load_pickle(file, max_bytes=1 << 20)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_honest_arrays_of_every_kind_are_read(tmp_path, protocol) -> None:
    rng = np.random.default_rng(0)
    content = {
        "plain": rng.normal(size=(4, 3)).astype(np.float32),
        "fortran": np.asfortranarray(rng.normal(size=(3, 5))),
        "swapped": np.arange(6, dtype=">i4").reshape(2, 3),
        "scalar": np.float64(2.5),
        "empty": np.zeros((0, 62), np.float32),
        "list": [np.arange(3), "text", 7],
    }
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    found = load_pickle(file, max_bytes=1 << 20)
    assert list(found) == list(content)
    for name in ("plain", "fortran", "swapped", "empty"):
        np.testing.assert_array_equal(found[name], content[name])
    assert found["scalar"] == 2.5 and found["list"][1:] == ["text", 7]
