"""The backbones: official names and sizes, one interface, training with MAFA, export, 3DDFA."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from official_names import ghostnet_names, mobilenet_v1_names, resnet_names  # noqa: E402
from torch import nn  # noqa: E402

from synergynet.errors import SynergyNetError  # noqa: E402
from synergynet.face_model.model import FaceModel  # noqa: E402
from synergynet.geometry.params import Whitening  # noqa: E402
from synergynet.nets.backbones import BACKBONES  # noqa: E402
from synergynet.nets.torch import ghostnet, resnest, resnet  # noqa: E402
from synergynet.nets.torch.backbones import build_backbone  # noqa: E402
from synergynet.nets.torch.checkpoints import describe, load_checkpoint, save_checkpoint  # noqa: E402
from synergynet.nets.torch.mobilenet_v1 import MobileNetV1, load_3ddfa_weights  # noqa: E402
from synergynet.nets.torch.synergynet import SynergyNet  # noqa: E402

# name -> parameters of the official network as coded, width of its pooled features
OFFICIAL = {
    "mobilenet_v2": (2_303_294, 1280),
    "mobilenet_2": (12_902_118, 2048),
    "mobilenet_1": (3_311_526, 1024),
    "mobilenet_075": (1_894_998, 768),
    "mobilenet_05": (870_918, 512),
    "mobilenet_025": (239_286, 256),
    "resnet18": (11_228_838, 512),
    "resnet34": (21_336_998, 512),
    "resnet50": (23_717_030, 2048),
    "resnet101": (42_709_158, 2048),
    "resnet152": (58_352_806, 2048),
    "resnext50_32x4d": (23_188_902, 2048),
    "resnext101_32x8d": (86_951_334, 2048),
    "wide_resnet50_2": (67_043_238, 2048),
    "wide_resnet101_2": (125_046_694, 2048),
    "ghostnet": (4_032_170, 1280),
    "resnest50": (25_643_238, 2048),
    "resnest101": (46_435_014, 2048),
}
OURS = {"efficientnet_lite0": (3_450_430, 1280), "slim": (882_702, 512)}
SMALLEST = ("mobilenet_025", "resnet18", "resnext50_32x4d", "ghostnet", "resnest50")
LIGHTEST = {
    width: name for name, (_, width) in sorted(OFFICIAL.items(), key=lambda item: -item[1][0])
}
"""Width -> the smallest network that has it."""
TEXTURE = ("fc_tex.", "classifier_texture.")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def whitening() -> Whitening:
    mean, std = np.zeros(62, np.float32), np.full(62, 1e-4, np.float32)
    mean[[0, 5, 10]], mean[[3, 7]] = 0.5, 60.0
    return Whitening(mean, std)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer blocks of each kind, for tests whose time grows with the number of layers."""
    monkeypatch.setitem(resnest.VARIANTS, "resnest50", ((1, 1, 2, 1), 8))
    monkeypatch.setitem(resnet.VARIANTS, "resnext50_32x4d", resnet.Variant((1, 1, 2, 1), 32, 4))
    monkeypatch.setattr(ghostnet, "STAGES", ghostnet.STAGES[:5])


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_every_official_name_and_ours() -> None:
    assert set(BACKBONES) == {*OFFICIAL, *OURS}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BACKBONES))
def test_interface_and_size(name: str) -> None:
    """On torch's meta device: everything but the arithmetic."""
    with torch.device("meta"):
        net = build_backbone(name)
        params, feature = net(torch.empty(2, 3, 120, 120))
    assert net.name == name
    assert params.shape == (2, 62)
    assert feature.shape == (2, net.feature_dim)
    assert (count(net), net.feature_dim) == (OFFICIAL | OURS)[name]


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite0", *SMALLEST])
def test_heads_read_the_pooled_feature_in_order(name: str, small: None) -> None:
    net = build_backbone(name).eval()
    with torch.no_grad():
        params, feature = net(torch.randn(2, 3, 120, 120))
    prefix = "fc" if hasattr(net, "fc_ori") else "classifier"
    heads = [getattr(net, f"{prefix}_{group}") for group in ("ori", "shape", "exp")]
    assert torch.equal(params, torch.cat([head(feature) for head in heads], dim=1))
    assert feature.std() > 0


@pytest.mark.parametrize("name", ["ghostnet", "mobilenet_025"])
def test_pooled_feature_is_taken_before_dropout(name: str) -> None:
    net = build_backbone(name, dropout=1.0)
    params, feature = net(torch.randn(2, 3, 120, 120))
    biases = [v for k, v in net.named_parameters() if "ori" in k and k.endswith("bias")]
    assert torch.equal(params[:, :12], biases[0].expand(2, 12))
    assert (feature != 0).any()


@pytest.mark.parametrize(("name", "none"), [("mobilenet_025", True), ("ghostnet", False)])
def test_official_dropout_rates(name: str, none: bool) -> None:
    net = build_backbone(name).eval()
    net.training = True  # of the dropout; batch norms stay fixed
    images = torch.randn(2, 3, 120, 120)
    assert torch.equal(net(images)[0], net(images)[0]) is none


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, mobilenet_v1_names()) for name in OFFICIAL if name.startswith("mobilenet_0")),
        *((name, resnet_names(int(name[6:]))) for name in ("resnet18", "resnet34", "resnet50")),
        *((name, resnet_names(101)) for name in ("resnext101_32x8d", "wide_resnet101_2")),
        *((f"resnest{depth}", resnet_names(depth, True)) for depth in (50, 101)),
        ("ghostnet", ghostnet_names()),
    ],
)
def test_official_state_dicts_fit_strictly(name: str, expected: list[str]) -> None:
    with torch.device("meta"):
        state = build_backbone(name).state_dict()
    assert len(expected) == len(set(expected))
    assert set(state) == set(expected)


def test_the_texture_head_is_there_and_idle() -> None:
    """Official files hold it; it is never run or trained, and any value of it is accepted."""
    net = build_backbone("ghostnet").eval()
    images = torch.randn(1, 3, 120, 120)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    state["classifier_texture.weight"] = torch.full((40, 1280), float("nan"))
    with torch.no_grad():
        before = net(images)[0]
        net.load_state_dict(state, strict=True)
        assert torch.equal(net(images)[0], before)
    assert {k for k, p in net.named_parameters() if not p.requires_grad} == {
        "classifier_texture.weight",
        "classifier_texture.bias",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHTEST.values())
def test_mafa_takes_every_width(name: str, tiny_model: FaceModel, whitening: Whitening) -> None:
    with torch.device("meta"):
        backbone = build_backbone(name)
    net = SynergyNet(backbone, tiny_model, whitening).to("meta")
    with torch.device("meta"):
        losses = net.training_losses(torch.empty(2, 3, 120, 120), torch.empty(2, 62))
    assert len(losses) == 5
    torch.stack(list(losses.values())).sum().backward()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_training_reaches_every_part_and_checkpoints_round_trip(
    name: str, small: None, tiny_model: FaceModel, whitening: Whitening, tmp_path: Path
) -> None:
    net = SynergyNet(build_backbone(name), tiny_model, whitening)
    losses = net.training_losses(torch.randn(2, 3, 120, 120), torch.randn(2, 62))
    torch.stack(list(losses.values())).sum().backward()
    for key, parameter in net.named_parameters():
        if not any(head in key for head in TEXTURE):
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key
    file = tmp_path / "net.safetensors"
    save_checkpoint(file, net, describe(net, training_data="none", frame="pixel"))
    again, info = load_checkpoint(file, tiny_model)
    assert info.architecture == name
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in again.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_025", "resnet18", "ghostnet", "resnest50"])
def test_onnx_export(
    name: str, small: None, tiny_model: FaceModel, whitening: Whitening, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript", reason="export needs onnxscript")
    from synergynet.export.graphs import deployment
    from synergynet.export.onnx import write_onnx

    net = SynergyNet(build_backbone(name), tiny_model, whitening, regularisers=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    net(torch.rand(8, 3, 120, 120) * 2 - 1)  # statistics of these: answers of ordinary size
    info = describe(net, training_data="none", frame="pixel")
    assert write_onnx(deployment(net, info), tmp_path / "net.onnx")["params"] < 1e-4
    assert (tmp_path / "net.onnx").is_file()


@pytest.mark.parametrize(("joint", "extra"), [("fc", ()), ("fc_param", ("fc_lm.weight",))])
def test_3ddfa_checkpoints(tmp_path: Path, joint: str, extra: tuple[str, ...]) -> None:
    """``{'epoch', 'state_dict'}`` of a DataParallel network with one head of 62 outputs."""
    source, net = MobileNetV1("mobilenet_025"), MobileNetV1("mobilenet_025").eval()
    state = {f"module.{k}": v for k, v in source.state_dict().items() if "fc_" not in k}
    weight, bias = torch.randn(62, 256), torch.randn(62)
    state |= {f"module.{joint}.weight": weight, f"module.{joint}.bias": bias}
    state |= {f"module.{name}": torch.zeros(136, 256) for name in extra}
    state = {k: v for k, v in state.items() if "num_batches_tracked" not in k}  # torch 0.4.0
    file = tmp_path / "phase1.pth.tar"
    torch.save({"epoch": 50, "state_dict": state}, file)
    load_3ddfa_weights(net, file)
    with torch.no_grad():
        params, feature = net(torch.randn(3, 3, 120, 120))
    torch.testing.assert_close(params, feature @ weight.T + bias)
    assert torch.equal(net.dw6.conv_sep.weight, source.dw6.conv_sep.weight)
    assert not net.fc_tex.weight.any()


@pytest.mark.parametrize("fault", ["width", "missing", "outputs", "no dictionary", "damaged"])
def test_foreign_3ddfa_checkpoints_are_named(tmp_path: Path, fault: str) -> None:
    net = MobileNetV1("mobilenet_025")
    state = {k: v for k, v in net.state_dict().items() if "fc_" not in k}
    state |= {"fc.weight": torch.zeros(62, 256), "fc.bias": torch.zeros(62)}
    if fault == "missing":
        del state["dw3_1.bn_dw.weight"]
    elif fault == "outputs":
        state["fc.weight"] = torch.zeros(1000, 256)
    file = tmp_path / "phase1.pth.tar"
    torch.save([] if fault == "no dictionary" else {"state_dict": state}, file)
    if fault == "damaged":
        file.write_bytes(file.read_bytes()[:1000])
    target = MobileNetV1("mobilenet_05" if fault == "width" else "mobilenet_025")
    with pytest.raises(SynergyNetError, match=rf"phase1\.pth\.tar.*{target.name}"):
        load_3ddfa_weights(target, file)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("resnet5", "resnet50"),
        ("ResNeSt-50", "resnest50"),
        ("mobilenetv2", "mobilenet_v2"),
        ("ghost", "ghostnet"),
    ],
)
def test_unknown_backbone_names_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(SynergyNetError, match=rf"did you mean '{nearest}'\?.*mobilenet_v2, eff"):
        build_backbone(wrong)


def test_unknown_backbone_far_from_all_names_them() -> None:
    with pytest.raises(SynergyNetError, match=r"'vgg16'; choose from: mobilenet_v2, .*resnest101"):
        build_backbone("vgg16")


def test_the_student_is_as_small_as_it_says() -> None:
    """38.4 million multiply-adds in its convolutions."""
    net = build_backbone("slim").eval()
    work: list[int] = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda m, _, out: work.append(out[0].numel() * m.weight[0].numel())
            )
    params, feature = net(torch.randn(1, 3, 120, 120))
    assert params.shape == (1, 62) and feature.shape == (1, net.feature_dim) == (1, 512)
    assert sum(work) == pytest.approx(38.4e6, rel=0.01)


def test_the_student_sees_where_something_is() -> None:
    """Its last map is weighed by place: an average over it could not tell a moved picture."""
    net = build_backbone("slim").eval()
    picture = torch.zeros(1, 3, 120, 120)
    picture[..., 16:40, 16:40] = 2.0
    moved = picture.roll((64, 64), dims=(2, 3))
    with torch.no_grad():
        here, there = net(picture)[1], net(moved)[1]
    assert (here - there).norm() > 0.2 * here.norm()
