"""Checkpoint files: exact round trips, MindSpore's own reader and writer, hostile input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mindspore
import numpy as np
import pytest
import safetensors
from mindspore import Tensor

from synergynet.errors import SynergyNetError
from synergynet.regression import load_regressor
from synergynet.weights.architectures import state_shapes
from synergynet.weights.ckpt import read_ckpt, write_ckpt
from synergynet.weights.ckpt_weights import METADATA, read_ckpt_weights, write_ckpt_weights
from synergynet.weights.names import mindspore_names
from synergynet.weights.tensors import read_safetensors_weights


@pytest.fixture(scope="module")
def ckpt(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ckpt") / "net.ckpt"
    write_ckpt_weights(path, read_safetensors_weights(reference / "mobilenet_v2.safetensors"))
    return path


def command(*args: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "synergynet", *map(str, args)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def content(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    with safetensors.safe_open(path, framework="np") as opened:
        keys = list(opened.keys())
        return {k: opened.get_tensor(k).tobytes() for k in keys}, opened.metadata()


def test_there_and_back_is_exact(reference: Path, tmp_path: Path) -> None:
    original = reference / "efficientnet_lite0.safetensors"
    for source, target in ((original, "a.ckpt"), (tmp_path / "a.ckpt", "b.safetensors")):
        done = command("convert", source, tmp_path / target)
        assert done.returncode == 0, done.stderr
    assert content(tmp_path / "b.safetensors") == content(original)


def test_half_weights_stay_half(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[1] / "weights/efficientnet_lite0.safetensors"
    command("convert", shipped, tmp_path / "a.ckpt")
    command("convert", tmp_path / "a.ckpt", tmp_path / "b.safetensors")
    tensors, metadata = content(shipped)
    metadata.setdefault("crop_rule", '"landmark_square"')  # the shipped file is older than it
    assert content(tmp_path / "b.safetensors") == (tensors, metadata)


def test_mindspore_reads_our_file(ckpt: Path, reference: Path) -> None:
    found = mindspore.load_checkpoint(str(ckpt))
    weights = read_safetensors_weights(reference / "mobilenet_v2.safetensors")
    names = mindspore_names(state_shapes("mobilenet_v2"))
    assert set(found) == set(names.values()) | {METADATA}
    for ours, name in names.items():
        assert found[name].asnumpy().tobytes() == weights.tensors[ours].tobytes(), name
    assert found["forwardDirection.conv1.weight"].shape == (64, 3, 1, 1)


@pytest.mark.parametrize("crc", [False, True])
def test_we_read_mindspores_file(tmp_path: Path, crc: bool) -> None:
    path = tmp_path / "theirs.ckpt"
    rng = np.random.default_rng(0)
    wanted = {
        "a.weight": rng.normal(size=(3, 2, 1, 1)).astype(np.float32),
        "b": rng.integers(0, 9, 5),
        "c": np.array([True, False]),
    }
    listed = [{"name": name, "data": Tensor(array)} for name, array in wanted.items()]
    mindspore.save_checkpoint(listed, str(path), crc_check=crc)
    found = read_ckpt(path)
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    if crc:
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        (tmp_path / "bad.ckpt").write_bytes(data)
        with pytest.raises(SynergyNetError, match="checksum"):
            read_ckpt(tmp_path / "bad.ckpt")


def test_every_shape_survives(tmp_path: Path) -> None:
    wanted = {
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 3), np.float16),
        "large": np.arange(70000, dtype=np.int64).reshape(7, 10000),
    }
    write_ckpt(tmp_path / "a.ckpt", wanted)
    for name, array in read_ckpt(tmp_path / "a.ckpt").items():
        assert (array.shape, array.dtype) == (wanted[name].shape, wanted[name].dtype)
        np.testing.assert_array_equal(array, wanted[name])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\x05hello",
        b"PK\x03\x04" + bytes(60),
        b"\x0a\x14\x0a\x01a\x12\x0f\x08\xff\xff\xff\xff\x0f\x12\x05Int8\x1a\x00",
        b"\x0a\x0d\x0a\x01a\x12\x08\x12\x03str\x1a\x01x",
        b"\x0a\x0f\x0a\x01a\x1a\x0a\x0a\x08\x12\x04Int8\x1a\x00",
    ],
)
def test_hostile_files_are_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.ckpt"
    path.write_bytes(data)
    with pytest.raises(SynergyNetError, match=r"bad\.ckpt"):
        read_ckpt(path)


def test_cut_off_and_incomplete(ckpt: Path, tmp_path: Path) -> None:
    data = ckpt.read_bytes()
    for end in (1, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.ckpt").write_bytes(data[:end])
        with pytest.raises(SynergyNetError):
            read_ckpt_weights(tmp_path / "cut.ckpt")
    entries = read_ckpt(ckpt)
    del entries["I2P.classifier_exp.1.bias"]
    write_ckpt(tmp_path / "less.ckpt", entries)
    with pytest.raises(SynergyNetError, match=r"1 missing: I2P\.backbone\.classifier_exp"):
        read_ckpt_weights(tmp_path / "less.ckpt")


def test_a_foreign_checkpoint_needs_its_face_model(ckpt: Path, tmp_path: Path) -> None:
    entries = read_ckpt(ckpt)
    del entries[METADATA]
    write_ckpt(tmp_path / "foreign.ckpt", entries)
    done = command("convert", tmp_path / "foreign.ckpt", tmp_path / "x.safetensors")
    assert done.returncode == 1 and "--face-model" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "x.safetensors").exists()


def test_regressor_runs_a_ckpt(ckpt: Path, reference: Path, mode: str) -> None:
    regressor = load_regressor(ckpt)
    crops = np.random.default_rng(0).integers(0, 256, (3, 120, 120, 3), dtype=np.uint8)
    together = regressor.predict(crops)
    assert together.shape == (3, 62) and together.dtype == np.float32
    alone = regressor.predict(crops[1:2])
    std = regressor.info.whitening.std
    assert np.abs((together[1:2] - alone) / std).max() < 1e-4


@pytest.mark.parametrize("suffix", [".mindir", ".onnx"])
def test_export_is_verified(ckpt: Path, tmp_path: Path, suffix: str, pynative: None) -> None:
    from synergynet.export.mindspore import TOLERANCE, write_graph

    worst = write_graph(tmp_path / f"net{suffix}", read_ckpt_weights(ckpt))
    assert worst < TOLERANCE
    assert (tmp_path / f"net{suffix}").stat().st_size > 5e6


def test_air_needs_an_ascend(ckpt: Path, tmp_path: Path) -> None:
    done = command("convert", ckpt, tmp_path / "net.air")
    assert done.returncode == 1 and "Ascend" in done.stderr and "Traceback" not in done.stderr
