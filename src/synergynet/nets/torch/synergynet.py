"""SynergyNet, from the crop to its training losses, read top to bottom.

Wu, Xu and Neumann, "Synergy between 3DMM and 3D Landmarks for Accurate 3D Facial Geometry",
3DV 2021. Attribute names are the official ones, so the keys of an official checkpoint (less
their ``module.`` prefix) fit as they are.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...geometry.conventions import Conventions
from ...geometry.frames import CROP_FLIP
from ...geometry.params import EXPRESSION, POSE, SHAPE, Whitening
from ...weights.architectures import RESIDUAL_SCALE
from ...weights.official import face_buffers
from ..loss_terms import MAFA_TERMS, OFFICIAL_WEIGHTS, REGRESSOR_TERMS, Z_WEIGHT, needs
from .blocks import ThreeHeadBackbone
from .landmark_regressor import LandmarkRegressor
from .losses import synergy_losses
from .mafa import MAFA


class ImageToParams(nn.Module):
    """The holder that gives backbone weights their official prefix ``I2P.backbone.``."""

    def __init__(self, backbone: ThreeHeadBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 120, 120) -> whitened params (B, 62), pooled features (B, F)."""
        params, feature = self.backbone(images)
        return params, feature


class SynergyNet(nn.Module):
    """Image -> 3DMM parameters -> landmarks -> refined landmarks -> parameters again.

    Only the backbone is deployed; MAFA and the landmark regressor are regularisers of training.

    Args:
        backbone: from :func:`synergynet.nets.torch.backbones.build_backbone`.
        face_model: whose landmarks the parameters decode to.
        whitening: of the parameters that the backbone answers in.
        conventions: mended (default) or official behaviour of regularisers and losses.
        dense: also hold the whole mesh's bases (as official checkpoints do), for
            :meth:`vertices`. Costs 33 MB for the Basel Face Model.
        regularisers: without them, losses that need MAFA or the regressor cannot be computed.
    """

    def __init__(
        self,
        backbone: ThreeHeadBackbone,
        face_model: FaceModel,
        whitening: Whitening,
        conventions: Conventions | None = None,
        *,
        dense: bool = False,
        regularisers: bool = True,
    ) -> None:
        super().__init__()
        self.face_model = face_model
        self.whitening = whitening
        self.conventions = conventions or Conventions.exact()

        # Registered in the order of the official state dict.
        self.param_mean: Tensor
        self.param_std: Tensor
        self.register_buffer("param_mean", torch.tensor(whitening.mean))
        self.register_buffer("param_std", torch.tensor(whitening.std))
        self.u_base: Tensor
        self.w_shp_base: Tensor
        self.w_exp_base: Tensor
        for name, array in face_buffers(face_model, dense=dense).items():
            self.register_buffer(name, torch.tensor(array))

        self.I2P = ImageToParams(backbone)
        self.forwardDirection: MAFA | None = None
        self.reverseDirection: LandmarkRegressor | None = None
        if regularisers:
            self.forwardDirection = MAFA(backbone.feature_dim, self.conventions.mafa_final_relu)
            self.reverseDirection = LandmarkRegressor(self.conventions.regressor_final_relu)

    @property
    def backbone(self) -> ThreeHeadBackbone:
        """The deployed part."""
        return self.I2P.backbone

    def forward(self, images: Tensor) -> Tensor:
        """The deployed graph: normalised BGR crops (B, 3, 120, 120) -> whitened params (B, 62)."""
        params, _ = self.I2P(images)
        return params

    def dewhiten(self, params: Tensor) -> Tensor:
        """Whitened (B, 62) -> raw (B, 62)."""
        return params * self.param_std + self.param_mean

    def landmarks(self, params: Tensor) -> Tensor:
        """Whitened params (B, 62) -> landmarks (B, 3, 68), crop1 frame (1-based, y down)."""
        raw = self.dewhiten(params)
        return decode_points(raw, self.u_base, self.w_shp_base, self.w_exp_base)

    def vertices(self, params: Tensor) -> Tensor:
        """Whitened params (B, 62) -> mesh vertices (B, 3, V), crop1 frame. Needs ``dense``."""
        buffers = dict(self.named_buffers(recurse=False))
        if "u" not in buffers:
            raise SynergyNetError("This SynergyNet was built without dense=True: it has no mesh.")
        raw = self.dewhiten(params)
        return decode_points(raw, buffers["u"], buffers["w_shp"], buffers["w_exp"])

    def refine(self, params: Tensor, feature: Tensor) -> Tensor:
        """Whitened params (B, 62), pooled features (B, F) -> MAFA's landmarks (B, 3, 68)."""
        if self.forwardDirection is None:
            raise SynergyNetError("This SynergyNet was built without regularisers: no MAFA.")
        coarse = self.landmarks(params)
        residual = self.forwardDirection(coarse, feature, params[:, SHAPE], params[:, EXPRESSION])
        return coarse + RESIDUAL_SCALE * residual

    def training_losses(
        self,
        images: Tensor,
        target_params: Tensor,
        target_landmarks: Tensor | None = None,
        weights: Mapping[str, float] = OFFICIAL_WEIGHTS,
        z_weight: float = Z_WEIGHT,
    ) -> dict[str, Tensor]:
        """Weighted losses by name, to be summed; see ``losses.synergy_losses``.

        Args:
            images: (B, 3, 120, 120) normalised BGR crops.
            target_params: (B, 62) whitened.
            target_landmarks: (B, 3, 68) in the crop1 frame; decoded from ``target_params``
                by default, as in the paper.
            weights: name -> weight; parts of the network that no term needs are not run.
            z_weight: weight of z in ``loss_landmarks``.
        """
        params, feature = self.I2P(images)
        if target_landmarks is None:
            with torch.no_grad():
                target_landmarks = self.landmarks(target_params)
        refined = self.refine(params, feature) if needs(MAFA_TERMS, weights) else None
        regressed = None
        if refined is not None and needs(REGRESSOR_TERMS, weights):
            assert self.reverseDirection is not None
            regressed = self.reverseDirection(refined)
        return synergy_losses(
            weights,
            params=params,
            landmarks=self.landmarks(params),
            target_params=target_params,
            target_landmarks=target_landmarks,
            refined=refined,
            regressed=regressed,
            cameras=(self.dewhiten(params)[:, POSE], self.dewhiten(target_params)[:, POSE]),
            conventions=self.conventions,
            z_weight=z_weight,
        )


def decode_points(params: Tensor, mean: Tensor, identity: Tensor, expression: Tensor) -> Tensor:
    """Raw params (B, 62) and a flat basis -> points (B, 3, K) in the crop1 frame.

    ``v = P[:, :3] (mean + identity a + expression e) + P[:, 3]`` in the camera frame, then
    y is flipped (SynergyNet, section 3.1); the twin of ``FaceModel.decode_vertices``.

    Args:
        params: (B, 62) raw (dewhitened) parameters.
        mean: (3K, 1), interleaved x0, y0, z0, x1, ... in the face model's unit.
        identity: (3K, 40) in the same layout.
        expression: (3K, 10) in the same layout.
    """
    camera = params[:, POSE].reshape(-1, 3, 4)
    offsets = params[:, SHAPE] @ identity.T + params[:, EXPRESSION] @ expression.T
    points = (mean.T + offsets).reshape(len(params), -1, 3).transpose(1, 2)
    x, y, z = (camera[:, :, :3] @ points + camera[:, :, 3:]).unbind(1)
    return torch.stack([x, CROP_FLIP - y, z], dim=1)
