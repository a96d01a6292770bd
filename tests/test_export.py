"""Exports: every format against the arithmetic of the package, on small networks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import REPO, one_error, run
from small_models import random_params

from synergynet.datasets.splits import validation_mask
from synergynet.errors import SynergyNetError
from synergynet.face_model.model import FaceModel
from synergynet.face_model.npz import load_npz, save_npz
from synergynet.face_model.official import OFFICIAL_NAME
from synergynet.geometry import pose
from synergynet.geometry.crops import CropBox, zero_border
from synergynet.geometry.params import Whitening, split
from synergynet.pipeline.face import crop_to_image
from synergynet.regression import load_regressor
from synergynet.weights.error_head import ErrorHead
from synergynet.weights.info import WeightsInfo

torch = pytest.importorskip("torch", reason="export needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="export needs the extra 'train'")
pytest.importorskip("onnxscript", reason="export needs the extra 'train'")

from synergynet.cli.export import export  # noqa: E402
from synergynet.export import graphs, int8, verify  # noqa: E402
from synergynet.export import onnx as onnx_export  # noqa: E402
from synergynet.export.torchscript import METADATA_FILE, write_torchscript  # noqa: E402
from synergynet.nets.torch.backbones import build_backbone  # noqa: E402
from synergynet.nets.torch.checkpoints import describe, load_checkpoint, save_checkpoint  # noqa: E402
from synergynet.nets.torch.synergynet import SynergyNet  # noqa: E402

pytestmark = pytest.mark.slow
DEPLOY = REPO / "examples" / "deploy"
WHOLE_CROP = CropBox(-0.5, -0.5, 120)
ZERO = {name: 0.0 for name in (*graphs.WHOLE_OUTPUTS, graphs.EXPECTED_NME)}


@dataclass(frozen=True, eq=False)
class Kit:
    """A small network that answers with faces, its files, and real crops."""

    folder: Path
    net: SynergyNet
    info: WeightsInfo
    crops: np.ndarray


def make_network(model: FaceModel, scale: float = 1.0) -> tuple[SynergyNet, WeightsInfo]:
    """Untrained, but with statistics of real crops, and whitening about plausible faces."""
    torch.manual_seed(0)
    raw = random_params(200, 3, spread=0.5)
    raw[:, :12].reshape(-1, 3, 4)[..., :3] /= scale
    whitening = Whitening(raw.mean(axis=0), 0.3 * raw.std(axis=0))
    net = SynergyNet(build_backbone("mobilenet_025"), model, whitening, regularisers=False)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    planes = torch.from_numpy(verify.verification_crops()).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        net((planes - 127.5) / 128)
        features = net.eval().I2P((planes - 127.5) / 128)[1].numpy()
    weight = np.random.default_rng(3).normal(0, 0.1, features.shape[1])
    knots = np.quantile(features @ weight, [0.2, 0.5, 0.8])
    info = describe(net, training_data="none", frame="pixel")
    return net, replace(info, error_head=ErrorHead(weight, knots, [2, 2.2, 2.5]))


@pytest.fixture(scope="module")
def kit(tmp_path_factory, tiny_model) -> Kit:
    folder = tmp_path_factory.mktemp("export")
    save_npz(tiny_model, folder / "model.npz")
    net, info = make_network(load_npz(folder / "model.npz"))
    save_checkpoint(folder / "net.safetensors", net, info)
    crops = verify.verification_crops()
    (folder / "crops").mkdir()
    for number, crop in enumerate(crops):
        cv2.imwrite(str(folder / "crops" / f"{number:02d}.png"), crop)
    return Kit(folder, net, info, crops)


@pytest.fixture(scope="module")
def whole(kit: Kit) -> Path:
    """A whole graph in ONNX."""
    path = kit.folder / "whole.onnx"
    worst = onnx_export.write_onnx(graphs.deployment(kit.net, kit.info, whole=True), path)
    assert set(worst) == set(ZERO) and worst["params"] < 1e-4
    return path


def expected(net: SynergyNet, info: WeightsInfo, crops: np.ndarray) -> dict[str, np.ndarray]:
    """What a whole graph must answer, by the package's NumPy arithmetic."""
    seen = zero_border(crops, info.border)
    ordered = seen[..., ::-1] if info.channel_order == "RGB" else seen
    planes = torch.from_numpy(np.ascontiguousarray(ordered.transpose(0, 3, 1, 2))).float()
    with torch.inference_mode():
        whitened, pooled = net.I2P((planes - 127.5) / 128)
    raw = info.whitening.dewhiten(whitened.numpy().astype(np.float64))
    model, camera = net.face_model, split(raw)[0]
    pitch, yaw, roll = pose.euler_from_camera(camera, "exact").T
    places = {"landmarks": model.decode_landmarks(raw), "vertices": model.decode_vertices(raw)}
    assert info.error_head is not None
    return {
        "params": raw,
        **{k: [crop_to_image(p, WHOLE_CROP, info.frame) for p in v] for k, v in places.items()},
        "rotation": pose.decompose_exact(camera)[1],
        "yaw_pitch_roll": np.stack([yaw, pitch, roll], axis=1),
        "expected_nme": info.error_head.expected_nme(pooled.numpy()),
    }


def check_answers(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert list(found) == list(wanted)
    tolerance = {"params": 2e-3, "landmarks": 5e-3, "vertices": 5e-3, "expected_nme": 0.02}
    for name, value in found.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(
            value, wanted[name], atol=tolerance.get(name, 1e-2), err_msg=name
        )


def test_whole_graph_is_the_packages_arithmetic(kit: Kit, whole: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(whole)
    names = [output.name for output in session.get_outputs()]
    for batch in (1, 7):
        crops = kit.crops[-batch:]
        found = dict(zip(names, session.run(None, {"crops": crops}), strict=True))
        assert found["vertices"].shape == (batch, 200, 3)
        check_answers(found, expected(kit.net, kit.info, crops))
    metadata = session.get_modelmeta().custom_metadata_map
    assert WeightsInfo.from_metadata(metadata, "x").to_metadata() == kit.info.to_metadata()
    interface = json.loads(metadata["interface"])
    assert list(interface) == ["crops", *names]
    assert interface["crops"]["shape"] == ["N", 120, 120, 3]
    assert "0-based" in interface["landmarks"]["meaning"]
    assert "yaw, pitch, roll" in interface["yaw_pitch_roll"]["meaning"]
    assert "unknown" in metadata["face_model_licence"] and metadata["opset"] == "18"


def test_border_channels_frame_and_micrometres_are_inside(kit: Kit, tiny_model, tmp_path) -> None:
    """As an official network: a mean face that float16 cannot hold, RGB for good measure."""
    model = replace(
        tiny_model,
        name=OFFICIAL_NAME,
        mean=tiny_model.mean * 1000,
        identity_basis=tiny_model.identity_basis * 1000,
        expression_basis=tiny_model.expression_basis * 1000,
    )
    net, info = make_network(model, scale=1000)
    info = replace(info, border=5, channel_order="RGB", frame="protocol")
    deployed = graphs.deployment(net, info, whole=True)
    path = tmp_path / "whole.onnx"
    worst = onnx_export.write_onnx(deployed, path, "float16")
    assert 0 < worst["vertices"] < 0.3
    with torch.inference_mode():
        answers = deployed.module(torch.from_numpy(kit.crops))
    found = {n: a.numpy() for n, a in zip(deployed.outputs, answers, strict=True)}
    check_answers(found, expected(net, info, kit.crops))
    model_file = onnx.load(path)
    metadata = {p.key: p.value for p in model_file.metadata_props}
    assert "NOT be redistributed" in metadata["face_model_licence"]
    assert json.loads(metadata["precision"]) == "float16"


def test_rotation_and_angles_match_numpy_even_when_locked() -> None:
    rng = np.random.default_rng(0)
    cameras = rng.normal(size=(200, 3, 4))
    angles = [(20, 90, 30), (0, -90, 0), (180, 10, -179), (-45, 60, 100)]
    turned = [pose.camera_from_pose(0.5, pose.rotation_from_euler(*a), np.zeros(3)) for a in angles]
    cameras = np.concatenate([cameras, turned])
    rotation = graphs.nearest_rotation(torch.from_numpy(cameras))
    np.testing.assert_allclose(rotation, pose.decompose_exact(cameras)[1], atol=1e-9)
    pitch, yaw, roll = pose.euler_exact(rotation.numpy()).T
    found = graphs.yaw_pitch_roll(rotation).numpy()
    np.testing.assert_allclose(found, np.stack([yaw, pitch, roll], 1), atol=1e-6)
    np.testing.assert_allclose(found[200], [90, -10, 0], atol=1e-4)  # one turn: 20 - 30


@pytest.mark.parametrize("wrong", ["moved", "nan", "shape", "crash"])
def test_a_file_that_disagrees_is_an_error(kit: Kit, tmp_path, wrong) -> None:
    deployed = graphs.deployment(kit.net, kit.info)

    def answer(batch: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            params, error = (a.numpy().copy() for a in deployed.module(torch.from_numpy(batch)))
        if wrong == "crash":
            raise RuntimeError("no kernel\nfor this")
        if wrong == "shape":
            return [params[:, :60], error]
        params[-1, 7] += np.nan if wrong == "nan" else 1e-2
        return [params, error]

    with pytest.raises(SynergyNetError, match=r"net\.onnx: .*nothing was written") as caught:
        verify.verify(deployed, answer, "float32", tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


def test_nothing_is_written_when_the_check_fails(kit: Kit, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(verify.TOLERANCES, "float32", dict.fromkeys(ZERO, -1.0))
    with pytest.raises(SynergyNetError, match="nothing was written"):
        write_torchscript(graphs.deployment(kit.net, kit.info), tmp_path / "net.pt")
    assert list(tmp_path.iterdir()) == []


def test_torchscript_answers_and_describes_itself(kit: Kit, tmp_path) -> None:
    path = tmp_path / "whole.pt"
    deployed = graphs.deployment(kit.net, kit.info, whole=True)
    write_torchscript(deployed, path)
    extra = {METADATA_FILE: ""}
    loaded = torch.jit.load(str(path), _extra_files=extra)
    answers = loaded(torch.from_numpy(kit.crops[:3]))
    found = {n: a.numpy() for n, a in zip(deployed.outputs, answers, strict=True)}
    check_answers(found, expected(kit.net, kit.info, kit.crops[:3]))
    assert json.loads(json.loads(extra[METADATA_FILE])["graph"]) == "whole"


def test_int8_loads_as_weights_and_keeps_its_ends_in_float(kit: Kit, tmp_path) -> None:
    path = tmp_path / "net.onnx"
    crops = int8.calibration_crops(kit.folder / "crops")
    deployed = graphs.deployment(kit.net, kit.info)
    quantised = onnx_export.write_onnx(deployed, path, "int8", calibration=crops)
    assert quantised["params"] > 1e-3  # it is another arithmetic
    graph = onnx.load(path).graph
    made = {output: node for node in graph.node for output in node.output}
    kinds = {node.op_type for node in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    in_8_bits = []
    for node in graph.node:
        weights = made.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type == "Conv":
            in_8_bits.append(weights is not None and weights.op_type == "DequantizeLinear")
        if node.op_type in ("Gemm", "MatMul"):
            assert weights is None or weights.op_type != "DequantizeLinear"
    assert in_8_bits == [False] * 3 + [True] * (len(in_8_bits) - 3) and len(in_8_bits) > 10
    for tensor in graph.initializer:  # 7 bits, lest processors without VNNI saturate
        if tensor.data_type == onnx.TensorProto.INT8:
            assert np.abs(onnx.numpy_helper.to_array(tensor).astype(int)).max() <= 64
    answer = load_regressor(path, threads=1).assess(kit.crops)
    assert answer.expected_nme is not None
    exact = load_regressor(kit.folder / "net.safetensors").predict(kit.crops)
    assert np.abs((answer.params - exact) / kit.info.whitening.std).max() < 1


def test_calibration_takes_lists_and_folders_but_no_validation_crops(tmp_path) -> None:
    names = [f"{number:03d}.png" for number in range(60)]
    held = validation_mask(names)
    assert held.any()
    (tmp_path / "crops").mkdir()
    for number, name in enumerate(names):
        cv2.imwrite(str(tmp_path / "crops" / name), np.full((120, 120, 3), number, np.uint8))
    (tmp_path / "train.list").write_text("\n".join(names))
    for source in (tmp_path / "crops", tmp_path / "train.list"):
        crops = int8.calibration_crops(source, 1000)
        assert crops[:, 0, 0, 0].tolist() == np.flatnonzero(~held).tolist()
    assert len(int8.calibration_crops(tmp_path / "crops", 8)) == 8
    (tmp_path / "empty").mkdir()
    for source, word in ((tmp_path / "empty", "no picture"), (tmp_path / "absent", "no such")):
        with pytest.raises(SynergyNetError, match=word):
            int8.calibration_crops(source)
    cv2.imwrite(str(tmp_path / "empty" / "big.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(SynergyNetError, match=r"big\.png: 64x64 pixels, expected 120x120"):
        int8.calibration_crops(tmp_path / "empty")


def test_openvino_runs_as_weights(kit: Kit, tmp_path) -> None:
    pytest.importorskip("openvino", reason="needs the extra 'openvino'")
    from synergynet.export.openvino import write_openvino

    path = tmp_path / "net.xml"
    write_openvino(graphs.deployment(kit.net, kit.info), path)
    assert {p.name for p in tmp_path.iterdir()} == {"net.xml", "net.bin"}
    regressor = load_regressor(path, threads=1)
    ours, theirs = regressor.assess(kit.crops), load_regressor(
        kit.folder / "net.safetensors"
    ).assess(kit.crops)  # fmt: skip
    std = kit.info.whitening.std
    assert np.abs((ours.params - theirs.params) / std).max() < 1e-4
    assert ours.expected_nme is not None
    np.testing.assert_allclose(ours.expected_nme, theirs.expected_nme, rtol=2e-3)
    assert regressor.info.to_metadata() == kit.info.to_metadata()
    with pytest.raises(SynergyNetError, match="device cpu"):
        load_regressor(path, device="cuda")
    (tmp_path / "net.bin").unlink()
    with pytest.raises(SynergyNetError, match=r"the \.bin file beside it"):
        load_regressor(path)
    (tmp_path / "net.bin").write_bytes(b"")
    with pytest.raises(SynergyNetError, match="not a complete OpenVINO model"):
        load_regressor(path)


def test_openvino_whole_graph(kit: Kit, tmp_path) -> None:
    pytest.importorskip("openvino", reason="needs the extra 'openvino'")
    from synergynet.export.openvino import write_openvino

    deployed = graphs.deployment(kit.net, kit.info, whole=True)
    worst = write_openvino(deployed, tmp_path / "whole.xml", "float16")
    assert 0 < worst["vertices"] < 0.3
    with pytest.raises(SynergyNetError, match="without --whole"):
        load_regressor(tmp_path / "whole.xml")


def test_executorch_program(kit: Kit, tmp_path) -> None:
    pytest.importorskip("executorch", reason="needs the extra 'executorch'")
    from synergynet.export.executorch import METADATA_METHOD, write_executorch

    path = tmp_path / "whole.pte"
    worst = write_executorch(graphs.deployment(kit.net, kit.info, whole=True), path)
    assert worst["vertices"] < 2e-3
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(path).load_method(METADATA_METHOD)
    assert method is not None
    assert json.loads(json.loads(method.execute([])[0])["graph"]) == "whole"


def test_whole_graphs_are_no_weights(whole: Path) -> None:
    with pytest.raises(SynergyNetError, match=r"whole\.onnx.*without --whole"):
        load_regressor(whole)


def test_verification_sees_different_faces(kit: Kit) -> None:
    assert kit.crops.shape == (18, 120, 120, 3) and kit.crops.dtype == np.uint8
    flat = kit.crops.reshape(18, -1)
    assert len(np.unique(flat, axis=0)) == 18 and flat.std(axis=1).min() > 20


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("net.txt", {}, "unknown ending"),
        ("net.onnx", {"kind": "openvino"}, "must end in .xml"),
        ("net.xml", {"kind": "torchscript"}, "must end in .pt"),
        ("net.onnx", {"half": True, "int8": True}, "exclude each other"),
        ("net.pt", {"half": True}, "--half is for onnx and openvino"),
        ("net.pte", {"int8": True}, "--int8 is for onnx and openvino"),
        ("net.onnx", {"int8": True}, "--calibrate"),
        ("net.onnx", {"calibrate": Path()}, "belongs to --int8"),
        ("net.mindir", {"whole": True}, "leave out --whole"),
        ("absent/net.onnx", {}, "does not exist"),
        ("absent/net.pt", {}, "does not exist"),
    ],
)
def test_wrong_wishes_are_one_sentence(kit: Kit, tmp_path, name, options, word) -> None:
    with pytest.raises(SynergyNetError, match=word) as caught:
        export(
            kit.folder / "net.safetensors",
            tmp_path / name,
            face_model=str(kit.folder / "model.npz"),
            **options,
        )
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_wrote(kit: Kit, tmp_path) -> None:
    checkpoint, model = kit.folder / "net.safetensors", kit.folder / "model.npz"
    done = run("export", checkpoint, "-o", tmp_path / "a.onnx", "--whole", "--half",
               "--face-model", model)  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "float16, checked on real crops" in done.stdout
    assert "vertices: differs from torch by at most" in done.stdout
    assert "face model 'tiny', unknown: ask" in done.stdout
    one_error(run("export", kit.folder / "no.safetensors", "-o", tmp_path / "b.onnx"), "no such")
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


def test_examples_in_python_and_javascript_say_the_same(kit: Kit, whole: Path) -> None:
    """docs/export.md's twenty lines in each language, on one crop."""
    crop = kit.folder / "crop.bin"
    kit.crops[2].tofile(crop)
    command = [sys.executable, DEPLOY / "infer.py", whole, crop]
    python = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = expected(kit.net, kit.info, kit.crops[2:3])
    yaw, pitch, roll = wanted["yaw_pitch_roll"][0]
    assert python[0] == f"yaw {yaw:.2f}, pitch {pitch:.2f}, roll {roll:.2f} degrees"
    assert python[1].endswith("; 200 vertices")
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    there = subprocess.run(
        [node, "-e", "require.resolve('onnxruntime-node')"], cwd=DEPLOY, capture_output=True
    )
    if there.returncode:
        pytest.skip("onnxruntime-node is not installed: npm install in examples/deploy")
    done = subprocess.run(
        [node, DEPLOY / "infer.js", whole, crop],
        capture_output=True,
        text=True,
        env=os.environ | {"NODE_NO_WARNINGS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == python[:2]


def test_whole_graph_of_the_shipped_network() -> None:
    """It finds the tip of the astronaut's nose."""
    from synergynet.face_model.open_head import load_open_head

    checkpoint = REPO / "weights" / "efficientnet_lite0.safetensors"
    deployed = graphs.deployment(*load_checkpoint(checkpoint, load_open_head()), whole=True)
    with torch.inference_mode():
        answers = deployed.module(torch.from_numpy(verify.verification_crops()[:1]))
    landmarks = dict(zip(deployed.outputs, answers, strict=True))["landmarks"]
    np.testing.assert_allclose(landmarks[0, 30, :2], [58, 55], atol=3)
    assert "CC0" in deployed.licence


def test_the_guide_shows_the_examples_as_they_are() -> None:
    guide = (REPO / "docs" / "export.md").read_text(encoding="utf-8")
    for name, after in (("infer.py", '"""\n\n'), ("infer.js", "crop.bin\n")):
        body = (DEPLOY / name).read_text(encoding="utf-8").split(after, 1)[1]
        assert body in guide and body.count("\n") <= 20
