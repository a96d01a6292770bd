"""Round trips of both checkpoint formats, and every way in which a file can be wrong."""

import json
import os
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402
from helpers import DATA  # noqa: E402
from small_models import random_net, torch_save  # noqa: E402
from torch import nn  # noqa: E402

from synergynet.errors import SynergyNetError  # noqa: E402
from synergynet.face_model.model import FaceModel  # noqa: E402
from synergynet.face_model.official import load_official  # noqa: E402
from synergynet.geometry.conventions import Conventions  # noqa: E402
from synergynet.geometry.params import Whitening  # noqa: E402
from synergynet.nets.torch.backbones import build_backbone  # noqa: E402
from synergynet.nets.torch.checkpoints import (  # noqa: E402
    describe,
    load_checkpoint,
    network_weights,
    save_checkpoint,
    trained_network,
)
from synergynet.nets.torch.official_checkpoint import read_official, write_official  # noqa: E402
from synergynet.nets.torch.synergynet import SynergyNet  # noqa: E402
from synergynet.weights.info import WeightsInfo  # noqa: E402
from synergynet.weights.tensors import Weights  # noqa: E402


def official_of(net: SynergyNet, epoch: int) -> Weights:
    info = describe(net, training_data="x", frame="protocol", extra={"epoch": epoch})
    return network_weights(net, info)


def official_network(weights: Weights) -> SynergyNet:
    """The whole network of an official file, with its own face model."""
    assert weights.face_model is not None
    return trained_network(weights, weights.face_model, Conventions.official(), dense=True)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return list(left) == list(right) and all(torch.equal(left[k], right[k]) for k in left)


# --- official files


def test_official_round_trip_is_byte_identical(net: SynergyNet, tmp_path: Path) -> None:
    first = torch_save(tmp_path / "SynergyNet_checkpoint_epoch_80.pth.tar", net)
    checkpoint = read_official(first)
    assert checkpoint.official is not None and checkpoint.official.epoch == 80
    second = tmp_path / "another_name.pth.tar"
    write_official(second, checkpoint)
    assert second.read_bytes() == first.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([first.name, second.name])


@pytest.mark.slow
def test_official_round_trip_through_the_network(
    net: SynergyNet, face_model: FaceModel, whitening: Whitening, tmp_path: Path
) -> None:
    first, second = tmp_path / "a" / "best.pth.tar", tmp_path / "b" / "best.pth.tar"
    first.parent.mkdir()
    second.parent.mkdir()
    write_official(first, official_of(net, epoch=5))
    checkpoint = read_official(first)
    read = official_network(checkpoint)
    assert read.conventions == Conventions.official()
    assert not read.training
    assert same_weights(read, net)
    assert np.array_equal(checkpoint.described().whitening.mean, whitening.mean)
    assert np.array_equal(checkpoint.described().whitening.std, whitening.std)
    assert checkpoint.face_model is not None and checkpoint.face_model.hash == face_model.hash
    write_official(second, official_of(read, epoch=5))
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.slow
def test_official_file_is_written_from_a_lean_channels_last_network(
    net: SynergyNet, face_model: FaceModel, whitening: Whitening, tmp_path: Path
) -> None:
    lean = SynergyNet(build_backbone("mobilenet_v2"), face_model, whitening)
    lean.load_state_dict(net.state_dict(), strict=False)
    lean.to(memory_format=torch.channels_last)
    write_official(tmp_path / "x.pth.tar", official_of(lean, epoch=1))
    content = torch.load(tmp_path / "x.pth.tar", weights_only=True)
    expected = nn.DataParallel(net).state_dict()
    assert list(content["state_dict"]) == list(expected)
    assert all(torch.equal(content["state_dict"][k], expected[k]) for k in expected)
    assert all(value.is_contiguous() for value in content["state_dict"].values())


def test_only_mobilenet_has_an_official_file(
    face_model: FaceModel, whitening: Whitening, tmp_path: Path
) -> None:
    lite = SynergyNet(build_backbone("efficientnet_lite0"), face_model, whitening)
    with pytest.raises(SynergyNetError, match="not this efficientnet_lite0"):
        write_official(tmp_path / "x.pth.tar", official_of(lite, epoch=1))
    assert not list(tmp_path.iterdir())


def test_102_long_whitening(net: SynergyNet, tmp_path: Path) -> None:
    state = OrderedDict(nn.DataParallel(net).state_dict())
    for name in ("module.param_mean", "module.param_std"):
        state[name] = torch.cat([state[name], torch.ones(40)])
    file = tmp_path / "texture.pth.tar"
    torch.save({"epoch": 1, "state_dict": state}, file)
    checkpoint = read_official(file)
    assert np.array_equal(checkpoint.described().whitening.mean, net.whitening.mean)
    assert same_weights(official_network(checkpoint), net)
    write_official(tmp_path / "again.pth.tar", checkpoint)
    assert (tmp_path / "again.pth.tar").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.999])
def test_truncated_official_file(net: SynergyNet, tmp_path: Path, fraction: float) -> None:
    file = torch_save(tmp_path / "cut.pth.tar", net)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(SynergyNetError, match=r"cut\.pth\.tar"):
        read_official(file)


@pytest.mark.parametrize(
    "content", [b"<html>404</html>" * 99, b"\x80\x02}q\x00.", b"PK\x05\x06" + bytes(18)]
)
def test_garbage_official_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "garbage.pth.tar"
    file.write_bytes(content)
    with pytest.raises(SynergyNetError, match=r"garbage\.pth\.tar"):
        read_official(file)


def test_code_in_an_official_file_does_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "pwned"),)

    torch.save({"epoch": 1, "state_dict": Evil()}, tmp_path / "evil.pth.tar")
    with pytest.raises(SynergyNetError, match=r"evil\.pth\.tar"):
        read_official(tmp_path / "evil.pth.tar")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.slow
def test_wrong_entries_are_listed(net: SynergyNet, tmp_path: Path) -> None:
    state = OrderedDict(nn.DataParallel(net).state_dict())
    del state["module.forwardDirection.conv6.bias"]
    state["module.reverseDirection.conv6_1.weight"] = torch.zeros(12, 1024)
    state["module.surprise"] = torch.zeros(1)
    file = tmp_path / "odd.pth.tar"
    torch.save({"epoch": 1, "state_dict": state}, file)
    with pytest.raises(SynergyNetError) as caught:
        read_official(file)
    for part in ("odd.pth.tar", "forwardDirection.conv6.bias", "(12, 1024)", "surprise"):
        assert part in str(caught.value)
    torch.save(state, file)
    with pytest.raises(SynergyNetError, match="'epoch' and 'state_dict'"):
        read_official(file)


def test_landmarks_off_the_mesh(net: SynergyNet, tmp_path: Path) -> None:
    state = OrderedDict(nn.DataParallel(net).state_dict())
    state["module.u_base"] = state["module.u_base"] + 1
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "moved.pth.tar")
    with pytest.raises(SynergyNetError, match=r"moved\.pth\.tar.*not vertices"):
        read_official(tmp_path / "moved.pth.tar")


def test_missing_and_oversized_files(tmp_path: Path) -> None:
    with pytest.raises(SynergyNetError, match="no such file"):
        read_official(tmp_path / "none.pth.tar")
    with (tmp_path / "huge.pth.tar").open("wb") as stream:
        stream.truncate((1 << 30) + 1)  # sparse
    with pytest.raises(SynergyNetError, match=r"huge\.pth\.tar is larger"):
        read_official(tmp_path / "huge.pth.tar")


@pytest.mark.slow
def test_basel_face_model_in_a_checkpoint(tmp_path: Path) -> None:
    folder = DATA / "3dmm_data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here; set SYNERGYNET_DATA to the shared data folder")
    model, whitening = load_official(folder)
    net = random_net(model, whitening)
    first = torch_save(tmp_path / "best.pth.tar", net)
    checkpoint = read_official(first)
    assert checkpoint.face_model is not None
    found = replace(checkpoint.face_model, triangles=model.triangles)
    assert found.hash == model.hash
    assert np.array_equal(found.landmark_vertices, model.landmark_vertices)
    assert len(found.triangles) == 105_840
    assert np.array_equal(checkpoint.described().whitening.std, whitening.std)
    write_official(tmp_path / "copy.pth.tar", checkpoint)
    assert (tmp_path / "copy.pth.tar").read_bytes() == first.read_bytes()
    rebuilt = trained_network(checkpoint, found, Conventions.official(), dense=True)
    assert rebuilt.face_model.hash == model.hash
    params = torch.randn(2, 62)
    assert torch.equal(rebuilt.landmarks(params), net.landmarks(params))


# --- our own files


def info_of(net: SynergyNet) -> WeightsInfo:
    return describe(
        net,
        training_data="nothing (test)",
        frame="pixel",
        border=5,
        accuracy={"nme": 3.41},
        extra={"steps": 3, "nested": {"list": [1, 2]}},
    )


@pytest.mark.parametrize("architecture", ["mobilenet_v2", "efficientnet_lite0"])
@pytest.mark.parametrize("regularisers", [True, False])
def test_own_round_trip(
    face_model: FaceModel,
    whitening: Whitening,
    tmp_path: Path,
    architecture: str,
    regularisers: bool,
) -> None:
    backbone = build_backbone(architecture)
    net = SynergyNet(backbone, face_model, whitening, regularisers=regularisers)
    net.to(memory_format=torch.channels_last)
    file = tmp_path / "weights.safetensors"
    info = info_of(net)
    save_checkpoint(file, net, info)
    read, found = load_checkpoint(file, face_model)
    assert same_weights(read, net)
    assert not read.training
    assert (read.forwardDirection is not None) is regularisers
    assert found.to_metadata() == info.to_metadata()
    assert found.architecture == architecture
    assert np.array_equal(found.whitening.mean, whitening.mean)
    assert np.array_equal(found.whitening.std, whitening.std)
    assert (found.frame, found.border, found.channel_order) == ("pixel", 5, "BGR")
    assert found.accuracy == {"nme": 3.41}
    images = torch.randn(1, 3, 120, 120)
    with torch.no_grad():
        torch.testing.assert_close(read(images), net.eval()(images), rtol=1e-4, atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_own_file_holds_no_face_model(net: SynergyNet, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "w.safetensors", net, info_of(net))
    tensors = safetensors.torch.load_file(tmp_path / "w.safetensors")
    assert len(tensors) == 445 - 8
    assert not {"u", "w_shp", "u_base", "param_mean"} & set(tensors)


def test_other_face_model_is_refused_by_name(net: SynergyNet, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_checkpoint(file, net, info_of(net))
    other = replace(net.face_model, name="other", mean=net.face_model.mean + 1)
    with pytest.raises(SynergyNetError, match=r"w\.safetensors.*'toy'.*'other'"):
        load_checkpoint(file, other)
    renamed = replace(net.face_model, name="same numbers")
    load_checkpoint(file, renamed)


def test_metadata_of_another_network_are_refused(net: SynergyNet, tmp_path: Path) -> None:
    info = info_of(net)
    for wrong in (
        replace(info, architecture="efficientnet_lite0"),
        replace(info, whitening=Whitening(np.zeros(62), np.ones(62))),
        replace(info, face_model_hash="0" * 64),
    ):
        with pytest.raises(SynergyNetError):
            save_checkpoint(tmp_path / "w.safetensors", net, wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fraction", [0.0, 0.0001, 0.5, 0.999])
def test_truncated_own_file(net: SynergyNet, tmp_path: Path, fraction: float) -> None:
    file = tmp_path / "cut.safetensors"
    save_checkpoint(file, net, info_of(net))
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(SynergyNetError, match=r"cut\.safetensors"):
        load_checkpoint(file, net.face_model)


@pytest.mark.slow
def test_incomplete_own_file_never_gives_random_weights(net: SynergyNet, tmp_path: Path) -> None:
    file = tmp_path / "partial.safetensors"
    tensors = {k: v for k, v in net.state_dict().items() if "." in k}
    for gone in ("I2P.backbone.classifier_ori.1.bias", "forwardDirection.bn1.weight"):
        left = {k: v.clone() for k, v in tensors.items() if k != gone}
        safetensors.torch.save_file(left, file, metadata=info_of(net).to_metadata())
        with pytest.raises(SynergyNetError, match=f"1 missing: {gone}"):
            load_checkpoint(file, net.face_model)


def test_metadata_faults_are_named(net: SynergyNet) -> None:
    good = info_of(net).to_metadata()
    assert all(isinstance(value, str) for value in good.values())
    WeightsInfo.from_metadata({**good, "producer": "an ONNX tool"}, "x.onnx")
    for key in good.keys() - {"crop_rule"}:
        without = {k: v for k, v in good.items() if k != key}
        with pytest.raises(SynergyNetError, match=rf"x\.onnx.*'{key}'.*missing"):
            WeightsInfo.from_metadata(without, "x.onnx")
    for key, value in {
        "format_version": "99",
        "frame": '"sideways"',
        "channel_order": '"GRB"',
        "border": '"five"',
        "accuracy": "[1]",
        "architecture": "not json",
        "whitening": json.dumps({"mean": [0] * 61, "std": [1] * 62}),
        "crop_rule": '"by_eye"',
        "detector_calibration": "[1]",
    }.items():
        with pytest.raises(SynergyNetError, match=r"x\.onnx"):
            WeightsInfo.from_metadata({**good, key: value}, "x.onnx")


def test_crop_rule_and_calibration_travel_with_the_weights(net: SynergyNet, tmp_path: Path) -> None:
    plain = info_of(net)
    assert plain.crop_rule == "landmark_square" and not plain.detector_calibration
    assert json.loads(plain.to_metadata()["crop_rule"]) == "landmark_square"
    assert "detector_calibration" not in plain.to_metadata()
    old = {key: value for key, value in plain.to_metadata().items() if key != "crop_rule"}
    assert WeightsInfo.from_metadata(old, "x").to_metadata() == plain.to_metadata()
    calibration = {"yunet": ((0.1, -0.2), (1 / 3, 0.0), (0.5, 1e-9))}
    info = replace(plain, detector_calibration=calibration)
    save_checkpoint(tmp_path / "w.safetensors", net, info)
    _, found = load_checkpoint(tmp_path / "w.safetensors", net.face_model)
    assert found.detector_calibration == calibration and found.crop_rule == "landmark_square"


@pytest.mark.parametrize(
    "rows",
    [
        *("[]", "[[1, 2], [3, 4]]", "[[1], [2], [3]]", "5", "[1, 2, 3]", '"abc"', "null"),
        *("[[1, 2], [3, 4], [5, NaN]]", '[[1, 2], [3, 4], [5, "x"]]', '{"a": 1}'),
        *("[[1, 2], [3, 4], [5, Infinity]]", f"[[1, 2], [3, 4], [5, {'9' * 400}]]"),
    ],
)
def test_a_hostile_calibration_is_one_sentence(net: SynergyNet, rows: str) -> None:
    metadata = {**info_of(net).to_metadata(), "detector_calibration": f'{{"yunet": {rows}}}'}
    with pytest.raises(SynergyNetError, match=r"x\.onnx: metadata field 'detector_calibration'"):
        WeightsInfo.from_metadata(metadata, "x.onnx")


def test_missing_folder_is_named(net: SynergyNet, tmp_path: Path) -> None:
    with pytest.raises(SynergyNetError, match="does not exist"):
        save_checkpoint(tmp_path / "nowhere" / "w.safetensors", net, info_of(net))


def test_half_weights_read_back_as_float32(net: SynergyNet, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "whole.safetensors", net, info_of(net))
    save_checkpoint(tmp_path / "half.safetensors", net, info_of(net), half_weights=True)
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("half", "whole")]
    assert sizes[0] < 0.55 * sizes[1]
    read, _ = load_checkpoint(tmp_path / "half.safetensors", net.face_model)
    state = read.state_dict()
    for key, value in net.state_dict().items():
        if "." not in key:
            continue  # the face model's own arrays
        found = state[key]
        assert found.dtype == value.dtype
        if value.is_floating_point():
            torch.testing.assert_close(found, value, rtol=1e-3, atol=1e-7, msg=key)
