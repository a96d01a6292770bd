"""The names and weights of the losses; no framework is needed to read them."""

from collections.abc import Mapping

from ..errors import SynergyNetError

OFFICIAL_WEIGHTS: Mapping[str, float] = {
    "loss_LMK_f0": 0.05,  # coarse landmarks
    "loss_LMK_pointNet": 0.05,  # landmarks refined by MAFA
    "loss_Param_In": 0.02,  # image -> parameters
    "loss_Param_S2": 0.02,  # refined landmarks -> parameters
    "loss_Param_S1S2": 0.001,  # both parameter sets agree
}
LOSS_NAMES = (
    *OFFICIAL_WEIGHTS,
    "loss_pose",
    "loss_shape",
    "loss_expression",
    "loss_landmarks",
    "loss_angles",
)
MAFA_TERMS = frozenset({"loss_LMK_pointNet", "loss_Param_S2", "loss_Param_S1S2"})
REGRESSOR_TERMS = frozenset({"loss_Param_S2", "loss_Param_S1S2"})

WING_OMEGA = 10.0  # crop pixels
WING_EPSILON = 2.0  # crop pixels
Z_WEIGHT = 0.5  # of z against x and y in loss_landmarks
NEAR_GIMBAL = 0.2  # cosine of yaw below which loss_angles trusts pitch and roll less


def check_losses(weights: Mapping[str, float]) -> None:
    """Raise SynergyNetError for a name that is not a loss."""
    unknown = sorted(set(weights) - set(LOSS_NAMES))
    if unknown:
        raise SynergyNetError(
            f"Unknown loss {unknown[0]!r}; the losses are: {', '.join(LOSS_NAMES)}."
        )


def needs(terms: frozenset[str], weights: Mapping[str, float]) -> bool:
    """Whether any of ``terms`` has a weight other than 0."""
    return any(weights.get(name, 0.0) != 0.0 for name in terms)
