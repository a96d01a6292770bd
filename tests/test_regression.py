"""Crops and regressors, on networks of three multiplications built on the spot."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from small_models import colours, weights_info, write_onnx

from synergynet.errors import SynergyNetError
from synergynet.files.onnx_session import open_session
from synergynet.geometry import frames, params
from synergynet.geometry.boxes import largest_side
from synergynet.geometry.crops import CropBox
from synergynet.regression import base, cut_crops, load_regressor, loading, normalise, onnx_session
from synergynet.weights import formats

pytest.importorskip("onnx", reason="the networks are written with onnx")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_onnx_normalises_runs_and_dewhitens(tmp_path, tiny_model, half, order) -> None:
    calibration = {"yunet": ((0.0, 0.5), (1.0, 2.0), (1e-3, 0.0))}
    info = weights_info(tiny_model, channel_order=order, detector_calibration=calibration)
    weight = np.random.default_rng(1).normal(size=(3, 62)).astype(np.float16)
    path = write_onnx(tmp_path / "net.onnx", info, weight=weight, half=half)
    regressor = load_regressor(path, threads=1)
    crops = colours(5)
    mean = (crops[:, 0, 0].astype(np.float64) - 127.5) / 128
    whitened = (mean[:, ::-1] if order == "RGB" else mean) @ weight
    answer = regressor.predict(crops)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, info.whitening.dewhiten(whitened), atol=1e-4)
    assert regressor.info.to_metadata() == info.to_metadata()
    assert regressor.info.detector_calibration == calibration
    assert regressor.face_model is None


def test_many_crops_run_in_chunks_and_none_is_fine(tmp_path, tiny_model, monkeypatch) -> None:
    weight = np.random.default_rng(1).normal(size=(3, 62))
    regressor = load_regressor(
        write_onnx(tmp_path / "net.onnx", weights_info(tiny_model), weight=weight)
    )
    crops = colours(11)
    whole = regressor.predict(crops)
    monkeypatch.setattr(base, "CHUNK", 4)
    np.testing.assert_allclose(regressor.predict(crops), whole, rtol=1e-6)
    assert regressor.predict(crops[:0]).shape == (0, 62)
    for wrong in (crops.astype(np.float32), crops[:, :100], crops[0]):
        with pytest.raises(ValueError, match="crops"):
            regressor.predict(wrong)


def test_normalise_is_the_official_arithmetic() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2, 120, 120, 3), dtype=np.uint8)
    planes = normalise(crops)
    assert planes.shape == (2, 3, 120, 120) and planes.flags.c_contiguous
    np.testing.assert_array_equal(
        planes, (crops.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128
    )
    np.testing.assert_array_equal(normalise(crops, "RGB"), planes[:, ::-1])


def test_bad_weights_are_one_sentence(tmp_path, tiny_model) -> None:
    good = write_onnx(tmp_path / "good.onnx", weights_info(tiny_model))
    data = good.read_bytes()
    cases = {
        "missing.onnx": (None, "no such file"),
        "empty.onnx": (b"", "empty"),
        "cut.onnx": (data[: len(data) // 2], "not a complete ONNX"),
        "text.onnx": (b"not a network at all", "not a complete ONNX"),
        "weights.bin": (data, "unknown kind"),
    }
    for name, (content, word) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SynergyNetError, match=word) as caught:
            load_regressor(path)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(SynergyNetError, match="folder"):
        load_regressor(tmp_path)
    with pytest.raises(SynergyNetError, match="unknown device 'tpu'"):
        load_regressor(good, device="tpu")
    with pytest.raises(SynergyNetError, match="cuda"):
        load_regressor(good, device="cuda")


def test_foreign_onnx_graphs_are_refused(tmp_path, tiny_model) -> None:
    info = weights_info(tiny_model)
    with pytest.raises(SynergyNetError, match="metadata"):
        load_regressor(write_onnx(tmp_path / "none.onnx", None))
    with pytest.raises(SynergyNetError, match="expected one input"):
        load_regressor(write_onnx(tmp_path / "size.onnx", info, size=64))
    with pytest.raises(SynergyNetError, match="first output"):
        load_regressor(write_onnx(tmp_path / "out.onnx", info, outputs=60))
    weight = np.full((3, 62), np.nan)
    broken = load_regressor(write_onnx(tmp_path / "nan.onnx", info, weight=weight))
    with pytest.raises(SynergyNetError, match="not finite"):
        broken.predict(colours(1))


def test_absent_shipped_weights_are_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(loading.SHIPPED, "default", tmp_path / "default.onnx")
    with pytest.raises(SynergyNetError, match="shipped weights are missing"):
        load_regressor()


def test_without_torch_a_checkpoint_names_the_cure(tmp_path, monkeypatch) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"anything")
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SynergyNetError, match=r'pip install "synergynet\[train\]"'):
        load_regressor(path)


@pytest.mark.slow
def test_onnx_needs_no_torch(tmp_path, tiny_model) -> None:
    path = write_onnx(tmp_path / "net.onnx", weights_info(tiny_model))
    code = (
        "import sys, synergynet; assert 'cv2' not in sys.modules and 'numpy' not in sys.modules\n"
        "from synergynet.regression import load_regressor\n"
        f"load_regressor({str(path)!r})\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_checkpoints_run_through_torch(tmp_path, tiny_model) -> None:
    torch = pytest.importorskip("torch")
    from synergynet.nets.torch.backbones import build_backbone
    from synergynet.nets.torch.checkpoints import describe, save_checkpoint
    from synergynet.nets.torch.synergynet import SynergyNet

    torch.manual_seed(0)
    whitening = weights_info(tiny_model).whitening
    net = SynergyNet(build_backbone("mobilenet_v2"), tiny_model, whitening, regularisers=False)
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, net, describe(net, training_data="none", frame="protocol", border=5))
    regressor = load_regressor(path)
    assert (regressor.info.frame, regressor.info.border) == ("protocol", 5)
    crops = colours(2)
    with torch.inference_mode():
        expected = net.eval()(torch.from_numpy(normalise(crops)))
    np.testing.assert_allclose(
        regressor.predict(crops), whitening.dewhiten(expected.numpy()), rtol=1e-5, atol=1e-5
    )
    data = path.read_bytes()
    for name, content in (("cut", data[: len(data) // 2]), ("text", b"hello there, network")):
        bad = tmp_path / f"{name}.safetensors"
        bad.write_bytes(content)
        with pytest.raises(SynergyNetError, match=f"{name}.safetensors"):
            load_regressor(bad)
    with pytest.raises(SynergyNetError, match="unknown device"):
        load_regressor(path, device="nonsense")


def test_a_box_of_the_input_size_is_cut_exactly() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    crops = cut_crops(image, [CropBox(30 - 0.5, 50 - 0.5, 120), CropBox(30.2, 49.7, 119.8)])
    np.testing.assert_array_equal(crops[0], image[50:170, 30:150])
    np.testing.assert_array_equal(crops[1], image[50:170, 31:151])
    assert cut_crops(image, []).shape == (0, 120, 120, 3)


def test_outside_the_photo_is_black() -> None:
    image = np.full((60, 80, 3), 200, dtype=np.uint8)
    corner, off, around = cut_crops(
        image,
        [CropBox(-40.5, -30.5, 120), CropBox(1e6, -1e6, 120), CropBox(-20.5, -30.5, 240)],
    )
    expected = np.zeros((120, 120), dtype=np.uint8)
    expected[30:90, 40:120] = 200
    np.testing.assert_array_equal(corner[..., 0], expected)
    assert not off.any()
    assert around[:15].max() == 0 and around[15:45, 10:50].min() == 200
    assert around[45:].max() == 0 and around[:, 50:].max() == 0
    with pytest.raises(ValueError, match="crop of"):
        cut_crops(image, [CropBox(0, 0, largest_side(image.shape) + 1)])


def test_the_border_is_zeroed() -> None:
    image = np.full((300, 300, 3), 90, dtype=np.uint8)
    crop = cut_crops(image, [CropBox(-0.5, -0.5, 300)], border=5)[0]
    assert (crop[5:-5, 5:-5] == 90).all()
    assert crop.astype(int).sum() == 110 * 110 * 3 * 90


@pytest.mark.parametrize("side", [47, 120, 233, 601])
def test_crops_and_back_projection_agree(side: int) -> None:
    """A blob keeps its place from the photo to the crop and back, to a small part of a pixel."""
    y, x = np.mgrid[:900, :900]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        at = rng.uniform(300, 600, 2)
        blob = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * (side / 12) ** 2))
        image = np.repeat(np.rint(blob)[..., None], 3, axis=2).astype(np.uint8)
        box = CropBox.from_center(*(at + rng.uniform(-side / 9, side / 9, 2)), side).rounded()
        crop = cut_crops(image, [box])[0, ..., 0].astype(np.float64)
        moments = cv2.moments(crop)
        centre = np.array([[moments["m10"], moments["m01"]]]) / moments["m00"] + 1  # crop1
        np.testing.assert_allclose(
            frames.crop1_to_image(centre, box)[0], at, atol=0.02 * max(side / 120, 1)
        )
        np.testing.assert_allclose(frames.image_to_crop1(at[None], box), centre, atol=0.05)


def test_the_official_checkpoint_brings_its_face_model(tmp_path, tiny_model) -> None:
    torch = pytest.importorskip("torch")
    from synergynet.nets.torch.backbones import build_backbone
    from synergynet.nets.torch.checkpoints import describe, network_weights
    from synergynet.nets.torch.official_checkpoint import write_official
    from synergynet.nets.torch.synergynet import SynergyNet

    torch.manual_seed(0)
    # Official landmarks are vertices.
    vertices = np.repeat(np.arange(68, dtype=np.int32)[:, None], 3, axis=1)
    weights = np.tile(np.array([1, 0, 0], np.float32), (68, 1))
    model = replace(tiny_model, landmark_vertices=vertices, landmark_weights=weights)
    net = SynergyNet(build_backbone("mobilenet_v2"), model, weights_info(model).whitening)
    path = tmp_path / "best.pth.tar"
    info = describe(net, training_data="none", frame="protocol")
    write_official(path, network_weights(net, info))
    regressor = load_regressor(path)
    assert regressor.face_model is not None
    regressor.info.check_face_model(regressor.face_model, str(path))
    assert (regressor.info.frame, regressor.info.border) == ("protocol", 5)
    answer = regressor.predict(colours(1))
    assert answer.shape == (1, params.N_PARAMS)
    np.testing.assert_allclose(
        regressor.face_model.decode_landmarks(answer), model.decode_landmarks(answer), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("version", "key", "value"),
    [
        ("1.17.3", "session.intra_op.allow_spinning", "0"),
        ("1.32.0", "session.intra_op.spin_duration_us", "20"),
        ("2.0.0", "session.intra_op.spin_duration_us", "20"),
    ],
)
def test_idle_threads_of_the_sessions_soon_sleep(
    version: str, key: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spinning threads of one session take the processors from the other."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "__version__", version)
    from synergynet.detection import create_detector

    sessions = [load_regressor()._session, create_detector("centerface")._session]
    sessions.append(create_detector("yunet").network._session)
    for session in sessions:
        options = session.get_session_options()
        assert options.get_session_config_entry(key) == value


def test_a_file_for_a_newer_onnx_runtime_is_not_called_damaged(
    tmp_path, tiny_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_session(*args: object, **options: object) -> None:
        raise RuntimeError("Unsupported model IR version: 13, max supported IR version: 9")

    write_onnx(tmp_path / "net.onnx", weights_info(tiny_model))
    monkeypatch.setattr(onnx_session, "open_session", open_session)
    with pytest.raises(SynergyNetError, match=r"net\.onnx: made for a newer ONNX Runtime.*pip"):
        load_regressor(tmp_path / "net.onnx")


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With onnxruntime-gpu and no GPU the provider has a name, and the session runs on the CPU."""
    assert loading.resolve_device("auto") == "cpu"
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnx_session.onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(
        onnx_session,
        "open_session",
        lambda path, *, threads, providers: open_session(path, threads=threads),
    )
    with pytest.raises(SynergyNetError, match="cannot use 'cuda' here"):
        load_regressor("slim", device="cuda")
    assert loading.resolve_device("auto") == "cpu"
    with pytest.raises(SynergyNetError, match="unknown device 'gpu'"):
        load_regressor("slim", device="gpu")
