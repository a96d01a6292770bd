"""The expected error in torch: the twin of ``weights.error_head``, deployed with a backbone."""

import torch
from torch import Tensor, nn

from ...errors import SynergyNetError
from ...weights.error_head import ErrorHead
from .blocks import ThreeHeadBackbone


class ExpectedError(nn.Module):
    """:meth:`ErrorHead.expected_nme` as a module; nothing in it is trained."""

    def __init__(self, head: ErrorHead) -> None:
        super().__init__()
        self.weight: Tensor
        self.low: Tensor
        self.high: Tensor
        self.slope: Tensor
        scores, logs = torch.from_numpy(head.scores), torch.from_numpy(head.errors).log()
        self.first = float(logs[0])
        self.register_buffer("weight", torch.from_numpy(head.weight).clone())
        self.register_buffer("low", scores[:-1].clone())
        self.register_buffer("high", scores[1:].clone())
        self.register_buffer("slope", logs.diff() / scores.diff())

    def forward(self, feature: Tensor) -> Tensor:
        """Pooled features (B, F) -> expected NME in percent (B,)."""
        score = (feature @ self.weight)[:, None]
        # How far each segment between two knots has been walked.
        walked = torch.minimum(torch.maximum(score, self.low), self.high) - self.low
        return torch.exp(self.first + (walked * self.slope).sum(dim=1))


class AssessedBackbone(nn.Module):
    """The deployed graph with both answers.

    Raises:
        SynergyNetError: the head was made for another width of pooled features.
    """

    def __init__(self, backbone: ThreeHeadBackbone, head: ErrorHead) -> None:
        super().__init__()
        if len(head.weight) != backbone.feature_dim:
            raise SynergyNetError(
                f"the metadata's error_head is for {len(head.weight)} features, but "
                f"{backbone.name} has {backbone.feature_dim}; calibrate these weights again"
            )
        self.backbone = backbone
        self.expected_error = ExpectedError(head)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 120, 120) -> whitened params (B, 62), expected NME in percent (B,)."""
        params, feature = self.backbone(images)
        return params, self.expected_error(feature)
