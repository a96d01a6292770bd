"""The two frameworks answer alike: network, losses, one step of each optimizer."""

from __future__ import annotations

from pathlib import Path

import mindspore
import numpy as np
import pytest
from conftest import arrays
from mindspore import Tensor
from small_models import make_tiny_model

from synergynet.errors import SynergyNetError
from synergynet.face_model.model import FaceModel
from synergynet.geometry.conventions import Conventions
from synergynet.geometry.params import Whitening
from synergynet.nets.loss_terms import LOSS_NAMES
from synergynet.nets.mindspore.synergynet import Objective, SynergyNet, load_tensors, read_tensors
from synergynet.training.config import OptimizerConfig
from synergynet.training.mindspore.optimizers import Gradients, Optimizer, trained_parameters
from synergynet.weights.architectures import ARCHITECTURES, COUNTER, state_shapes
from synergynet.weights.names import mindspore_names
from synergynet.weights.tensors import Weights, read_safetensors_weights

ALL = dict.fromkeys(LOSS_NAMES, 1.0)


def build(weights: Weights, conventions: Conventions | None = None) -> SynergyNet:
    info = weights.described()
    model = make_tiny_model()
    net = SynergyNet(info.architecture, model, info.whitening, conventions)
    load_tensors(net, weights.tensors)
    return net


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_have_the_names_of_the_published_port(name: str, tiny_model: FaceModel) -> None:
    shapes = state_shapes(name)
    net = SynergyNet(name, tiny_model, Whitening(np.zeros(62), np.ones(62)))
    names = [p.name for p in net.get_parameters()]
    assert sorted(names) == sorted(mindspore_names(shapes).values())
    for expected in (
        "I2P.feature_extractor.features.0.features.0.weight",
        "I2P.feature_extractor.features.2.conv.1.features.1.moving_variance",
        "I2P.feature_extractor.features.1.conv.2.gamma",
        "I2P.classifier_ori.1.bias",
        "forwardDirection.bn9.beta",
        "reverseDirection.conv6_3.weight",
    ):
        assert expected in names


def test_unknown_backbone(tiny_model: FaceModel) -> None:
    with pytest.raises(SynergyNetError, match="did you mean 'mobilenet_v2'"):
        SynergyNet("mobilenetv2", tiny_model, Whitening(np.zeros(62), np.ones(62)))


def test_weights_go_in_and_out_bit_for_bit(reference: Path, pynative: None) -> None:
    weights = read_safetensors_weights(reference / "efficientnet_lite0.safetensors")
    found = read_tensors(build(weights), state_shapes("efficientnet_lite0"))
    assert list(found) == list(weights.tensors)
    for name, array in found.items():
        if not name.endswith(COUNTER):
            assert array.tobytes() == weights.tensors[name].tobytes(), name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_same_params(reference: Path, mode: str, name: str) -> None:
    wanted = arrays(reference, name)
    net = build(read_safetensors_weights(reference / f"{name}.safetensors")).set_train(False)
    params, feature = net.I2P(Tensor(wanted["crops"]))
    scale = max(1.0, float(np.abs(wanted["params"]).max()))
    assert np.abs(params.asnumpy() - wanted["params"]).max() < 1e-5 * scale
    np.testing.assert_allclose(feature.asnumpy(), wanted["feature"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["exact", "official"])
def test_same_losses_in_training_mode(reference: Path, pynative: None, kind: str) -> None:
    name = "efficientnet_lite0"
    wanted = arrays(reference, name)
    weights = read_safetensors_weights(reference / f"{name}.safetensors")
    objective = Objective(build(weights, getattr(Conventions, kind)()), ALL).set_train(True)
    batch = (Tensor(wanted[key]) for key in ("crops", "target", "target_landmarks"))
    losses = [float(loss) for loss in objective(*batch)]
    np.testing.assert_allclose(losses, wanted[f"{kind}_losses"], rtol=2e-4)
    assert objective.names == LOSS_NAMES


def test_one_sgd_step_is_the_same(reference: Path, pynative: None) -> None:
    """Forward in training mode, backward, clipping, momentum, decay, running statistics."""
    wanted = arrays(reference, "mobilenet_v2")
    weights = read_safetensors_weights(reference / "mobilenet_v2.safetensors")
    net = build(weights)
    config = OptimizerConfig(name="sgd", learning_rate=0.01, weight_decay=0.01, clip_norm=5.0)
    optimizer = Optimizer(trained_parameters(net, mafa=True, regressor=True), config)
    run = Gradients(Objective(net, ALL), optimizer.trained).set_train(True)
    batch = (Tensor(wanted[key]) for key in ("crops", "target", "target_landmarks"))
    *_, gradients = run(*batch)
    optimizer.step(gradients, 0.01, 0)
    moved = 0.0
    for name, array in read_tensors(net, state_shapes("mobilenet_v2")).items():
        if name.endswith(COUNTER):
            continue
        change = wanted[f"sgd/{name}"] - weights.tensors[name]
        error = np.linalg.norm(array - wanted[f"sgd/{name}"])
        assert error <= 0.02 * np.linalg.norm(change) + 1e-5, name
        moved = max(moved, float(np.abs(change).max()))
    assert moved > 1e-3


def test_adamw_step_on_the_same_gradients(reference: Path, pynative: None) -> None:
    """Where a gradient is rounding noise, Adam's first step is its sign: so torch's are fed in."""
    wanted = arrays(reference, "mobilenet_v2")
    weights = read_safetensors_weights(reference / "mobilenet_v2.safetensors")
    net = build(weights)
    config = OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=0.01, clip_norm=None)
    trained = trained_parameters(net, mafa=True, regressor=True)
    ours = {theirs: name for name, theirs in mindspore_names(state_shapes("mobilenet_v2")).items()}
    gradients = tuple(Tensor(wanted[f"gradient/{ours[p.name]}"].reshape(p.shape)) for p in trained)
    optimizer = Optimizer(trained, config)
    optimizer.step(gradients, 1e-3, 0)
    for name, array in read_tensors(net, state_shapes("mobilenet_v2")).items():
        if "running" not in name and not name.endswith(COUNTER):
            np.testing.assert_allclose(array, wanted[f"adamw/{name}"], atol=2e-7, err_msg=name)


def test_dropout_factors_reach_their_heads(reference: Path, pynative: None) -> None:
    weights = read_safetensors_weights(reference / "mobilenet_v2.safetensors")
    network = build(weights).set_train(False).I2P
    crops = Tensor(arrays(reference, "mobilenet_v2")["crops"][:2])
    plain, pooled = (answer.asnumpy() for answer in network(crops))
    factors = np.ones((3, 2, pooled.shape[1]), np.float32)
    factors[1] = 0  # only the shape head sees nothing
    dropped = network(crops, Tensor(factors))[0].asnumpy()
    bias = weights.tensors["I2P.backbone.classifier_shape.1.bias"]
    np.testing.assert_allclose(dropped[:, 12:52], np.tile(bias, (2, 1)), atol=1e-6)
    others = np.r_[0:12, 52:62]
    np.testing.assert_allclose(dropped[:, others], plain[:, others], rtol=1e-5, atol=1e-5)


def test_parts_that_no_loss_needs_are_left_alone(tiny_model: FaceModel) -> None:
    net = SynergyNet("mobilenet_v2", tiny_model, Whitening(np.zeros(62), np.ones(62)))
    names = {p.name.split(".")[0] for p in trained_parameters(net, mafa=True, regressor=False)}
    assert names == {"I2P", "forwardDirection"}


def test_batch_norm_keeps_torchs_statistics(pynative: None) -> None:
    """Unbiased variance, and momentum counted from the other end."""
    from synergynet.nets.mindspore.backbones import batch_norm

    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (4, 2, 5, 1)).astype(np.float32)
    norm = batch_norm(2, momentum=0.25).set_train(True)
    norm(Tensor(x, mindspore.float32))
    np.testing.assert_allclose(
        norm.moving_variance.asnumpy(), 0.75 + 0.25 * x.var(axis=(0, 2, 3), ddof=1), rtol=1e-5
    )
    np.testing.assert_allclose(norm.moving_mean.asnumpy(), 0.25 * x.mean(axis=(0, 2, 3)), rtol=1e-5)
