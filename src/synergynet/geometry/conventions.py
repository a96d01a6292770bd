"""Every quirk of the official code beside its exact alternative, chosen by one value.

``Conventions.official()`` reproduces the published arithmetic, ``Conventions.exact()``
is what this package does by default. Code asks for the one field that it applies, each in one
place; nothing asks whether the whole is "official".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .params import INPUT_STD


@dataclass(frozen=True)
class Conventions:
    """Choices that change numbers.

    Attributes:
        euler: ``official`` takes yaw = asin(R[2,0]) from rows that are normalised but not
            orthogonal; ``exact`` inverts R = Rx(pitch) Ry(yaw) Rz(roll) on the nearest rotation.
        border: width in pixels of the zeroed border of a crop in training and benchmark.
        validation_std: divisor of the image normalisation when training validates; the official
            code takes 130 there and 128 everywhere else.
        detector_box: ``height`` cuts a square of 1.2 x box height (official demo);
            ``calibrated`` maps each detector's box to the crop that networks are trained on.
        mafa_final_relu: keep the ReLU after MAFA's last layer (its residual is then >= 0).
        regressor_final_relu: keep the ReLU after the landmark-to-3DMM heads.
        regressor_slice: which 50 of the regressor's 62 outputs meet the shape and expression
            targets; ``first50`` is the official off-by-12 slice.
        sqrt_epsilon: added under the square root of the parameter losses; 0 gives the official
            NaN gradient at zero error.
        repeated_mask_bug: the official ``rdown`` occlusion mask keeps the top-left quadrant.
        back_projection: of points from the crop to the photo; ``official`` takes the crop's 0-based
            first pixel for a 1-based one and leaves the translation's z in crop pixels.
        translation_y_flip: flip the pose's y translation into the image frame; the official
            code forgets to.
    """

    euler: Literal["official", "exact"] = "exact"
    border: int = 0
    validation_std: float = INPUT_STD
    detector_box: Literal["height", "calibrated"] = "calibrated"
    mafa_final_relu: bool = False
    regressor_final_relu: bool = False
    regressor_slice: Literal["first50", "last50"] = "last50"
    sqrt_epsilon: float = 1e-8
    repeated_mask_bug: bool = False
    back_projection: Literal["official", "exact"] = "exact"
    translation_y_flip: bool = True

    @classmethod
    def exact(cls) -> Conventions:
        """The mended conventions: the package's default."""
        return cls()

    @classmethod
    def official(cls) -> Conventions:
        """The published code's arithmetic, bugs included."""
        return cls(
            euler="official",
            border=5,
            validation_std=130.0,
            detector_box="height",
            mafa_final_relu=True,
            regressor_final_relu=True,
            regressor_slice="first50",
            sqrt_epsilon=0.0,
            repeated_mask_bug=True,
            back_projection="official",
            translation_y_flip=False,
        )
