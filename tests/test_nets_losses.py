"""Hand values of the losses, and the official bugs beside their mended forms."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from synergynet.errors import SynergyNetError  # noqa: E402
from synergynet.geometry.conventions import Conventions  # noqa: E402
from synergynet.geometry.pose import camera_from_pose, rotation_from_euler  # noqa: E402
from synergynet.nets.loss_terms import NEAR_GIMBAL, OFFICIAL_WEIGHTS  # noqa: E402
from synergynet.nets.torch.landmark_regressor import LandmarkRegressor  # noqa: E402
from synergynet.nets.torch.losses import (  # noqa: E402
    angle_loss,
    coefficient_loss,
    param_loss,
    regressed_coefficients,
    synergy_losses,
    wing_loss,
)

OFFICIAL, EXACT = Conventions.official(), Conventions.exact()


def shifted(distance: float) -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.zeros(2, 3, 68)
    return target + distance, target


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (0.0, 0.0),
        (2.0, 10 * math.log(2)),
        (-2.0, 10 * math.log(2)),
        (10.0, 17.9176),  # d - C = 10 ln 6: continuous at omega
        (9.9999, 17.9174),
        (30.0, 37.9176),
    ],
)
def test_wing_by_hand(distance: float, expected: float) -> None:
    assert wing_loss(*shifted(distance)).item() == pytest.approx(expected, abs=2e-4)


def test_wing_is_the_mean_over_all_coordinates() -> None:
    landmarks, target = shifted(0.0)
    landmarks = landmarks.clone()
    landmarks[0, 0, 0] = 10.0
    landmarks[1, 2, 5] = 2.0
    expected = (17.917595 + 10 * math.log(2)) / (2 * 3 * 68)
    assert wing_loss(landmarks, target).item() == pytest.approx(expected, rel=1e-5)


def test_wing_z_weight() -> None:
    landmarks, target = shifted(2.0)
    assert wing_loss(landmarks, target, z_weight=0.5).item() == pytest.approx(10 * math.log(2))
    landmarks = landmarks.clone()
    landmarks[:, 2] = target[:, 2]
    expected = 10 * math.log(2) * 2 / 2.5
    assert wing_loss(landmarks, target, z_weight=0.5).item() == pytest.approx(expected)


def test_param_losses_by_hand() -> None:
    params, target = torch.zeros(2, 62), torch.zeros(2, 62)
    params[0, :12] = 3.0  # MSE 9 in the pose group
    params[0, 12:] = 4.0  # and 16 in the other: sqrt(25)
    params[1, 0] = 12**0.5  # one of 12 numbers: MSE 1
    assert param_loss(params, target).item() == pytest.approx((5 + 1) / 2)
    coefficients = torch.zeros(1, 50)
    coefficients[0, 49] = 50**0.5 * 2
    assert coefficient_loss(coefficients, torch.zeros(1, 50)).item() == pytest.approx(2)


@pytest.mark.parametrize(("conventions", "finite"), [(OFFICIAL, False), (EXACT, True)])
def test_square_root_at_zero_error(conventions: Conventions, finite: bool) -> None:
    eps = conventions.sqrt_epsilon
    for loss, width in ((param_loss, 62), (coefficient_loss, 50)):
        x = torch.ones(2, width, requires_grad=True)
        loss(x, torch.ones(2, width), eps).backward()
        assert bool(x.grad.isfinite().all()) is finite


def losses(conventions: Conventions, weights: dict[str, float], **tensors: torch.Tensor) -> dict:
    given = {
        "params": torch.randn(4, 62),
        "landmarks": torch.rand(4, 3, 68) * 120,
        "target_params": torch.randn(4, 62),
        "target_landmarks": torch.rand(4, 3, 68) * 120,
        "refined": torch.rand(4, 3, 68) * 120,
        "regressed": torch.randn(4, 62),
    }
    return synergy_losses(weights, **{**given, **tensors}, conventions=conventions)


@pytest.mark.parametrize(("conventions", "trained"), [(OFFICIAL, False), (EXACT, True)])
def test_slice_bug(conventions: Conventions, trained: bool) -> None:
    torch.manual_seed(0)
    regressed = torch.randn(4, 62, requires_grad=True)
    only = {"loss_Param_S2": 1.0, "loss_Param_S1S2": 1.0}
    result = losses(conventions, only, regressed=regressed)
    sum(result.values()).backward()
    assert bool((regressed.grad[:, 50:] != 0).all()) is trained
    assert bool((regressed.grad[:, :12] != 0).all()) is not trained
    assert (regressed.grad[:, 12:50] != 0).all()


def test_slice_bug_starves_the_official_expression_head() -> None:
    torch.manual_seed(0)
    for conventions, trained in ((OFFICIAL, False), (EXACT, True)):
        net = LandmarkRegressor(conventions.regressor_final_relu)
        q = regressed_coefficients(net(torch.rand(8, 3, 68)), conventions)
        coefficient_loss(q, torch.randn(8, 50), conventions.sqrt_epsilon).backward()
        assert bool((net.bn6_3.bias.grad != 0).any()) is trained
        assert bool((net.bn6_2.bias.grad[38:] != 0).any()) is trained  # channels 50 and 51
        assert bool((net.bn6_1.bias.grad != 0).any()) is not trained


def test_consistency_term_reaches_both_branches() -> None:
    params = torch.randn(4, 62, requires_grad=True)
    regressed = torch.randn(4, 62, requires_grad=True)
    only = {"loss_Param_S1S2": 0.001}
    losses(EXACT, only, params=params, regressed=regressed)["loss_Param_S1S2"].backward()
    assert (params.grad[:, 12:] != 0).all()
    assert (params.grad[:, :12] == 0).all()
    assert (regressed.grad[:, 12:] != 0).all()


def test_official_names_order_and_weights() -> None:
    names = ["loss_LMK_f0", "loss_LMK_pointNet", "loss_Param_In", "loss_Param_S2"]
    torch.manual_seed(0)
    weighted = losses(OFFICIAL, dict(OFFICIAL_WEIGHTS))
    assert list(weighted) == [*names, "loss_Param_S1S2"]
    torch.manual_seed(0)
    plain = losses(OFFICIAL, dict.fromkeys(OFFICIAL_WEIGHTS, 1.0))
    ratios = [(weighted[name] / plain[name]).item() for name in weighted]
    assert ratios == pytest.approx([0.05, 0.05, 0.02, 0.02, 0.001])


def test_extra_terms_by_hand() -> None:
    zero, landmarks = torch.zeros(4, 62), torch.zeros(4, 3, 68)
    params = zero.clone()
    params[:, :12], params[:, 12:52], params[:, 52:] = 1.0, 2.0, 3.0
    weights = {
        "loss_pose": 1.0,
        "loss_shape": 0.5,
        "loss_expression": 2.0,
        "loss_landmarks": 1.0,
        "loss_LMK_f0": 0.0,
    }
    found = losses(
        EXACT,
        weights,
        params=params,
        target_params=zero,
        landmarks=landmarks + torch.tensor([0.0, 0.0, 2.0])[:, None],
        target_landmarks=landmarks,
    )
    values = {name: value.item() for name, value in found.items()}
    expected = {
        "loss_pose": 1.0,
        "loss_shape": 2.0,
        "loss_expression": 18.0,
        "loss_landmarks": 10 * math.log(2) * 0.5 / 2.5,
    }
    assert values == pytest.approx(expected)


def test_angle_loss_by_hand() -> None:
    def camera(pitch: float, yaw: float, roll: float) -> torch.Tensor:
        rotation = rotation_from_euler(pitch, yaw, roll)
        return torch.tensor(camera_from_pose(0.4, rotation, [60.0, 50.0, 0.0]).reshape(1, 12))

    def error(found: tuple[float, ...], wanted: tuple[float, ...]) -> float:
        return math.degrees(angle_loss(camera(*found), camera(*wanted)).item())

    assert error((3.0, 20.0, -5.0), (0.0, 30.0, -1.0)) == pytest.approx((3 + 10 + 4) / 3)
    assert error((0.0, 0.0, 179.0), (0.0, 0.0, -179.0)) == pytest.approx(2 / 3)  # wrapped
    # Nearly a profile: pitch and roll count for cos(yaw) / NEAR_GIMBAL.
    trust = math.cos(math.radians(85)) / NEAR_GIMBAL
    assert error((30.0, 85.0, 20.0), (0.0, 80.0, 0.0)) == pytest.approx((50 * trust + 5) / 3)


def test_angle_loss_has_a_bounded_gradient_in_profile() -> None:
    for yaw in (89.0, 89.99, -89.99):
        found = camera_from_pose(1.0, rotation_from_euler(5.0, yaw, 3.0), np.zeros(3))
        wanted = camera_from_pose(1.0, rotation_from_euler(0.0, 80.0, 0.0), np.zeros(3))
        camera = torch.tensor(found.reshape(1, 12)).requires_grad_()
        angle_loss(camera, torch.tensor(wanted.reshape(1, 12))).backward()
        assert camera.grad is not None
        assert 0.1 < camera.grad.abs().max() < 2 / NEAR_GIMBAL


def test_unknown_loss_is_named() -> None:
    with pytest.raises(SynergyNetError, match=r"'loss_lmk'.*loss_LMK_f0"):
        losses(EXACT, {"loss_lmk": 1.0})
